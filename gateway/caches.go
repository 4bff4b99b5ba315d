package gateway

import (
	"gopura/cache"
	"gopura/telemetry"
)

// Caches returns the state of what the cache policies keep.
func (g *Gateway) Caches() cache.State { return g.caches.State() }

// PurgeCache forgets the answers of a URL, or, with * at its end, of all that
// begin so. It returns how many there were.
func (g *Gateway) PurgeCache(pattern string) (int, error) { return g.caches.Purge(pattern) }

// cacheSample is the state of the caches as the metrics show it.
func (g *Gateway) cacheSample() (s telemetry.CacheSample) {
	state := g.caches.State()
	for _, st := range state.Storages {
		s.Storages = append(s.Storages, telemetry.CacheStorage{Name: st.Name, Bytes: st.Bytes, Size: st.Size, Entries: st.Entries})
	}
	for _, o := range state.Owners {
		s.Owners = append(s.Owners, telemetry.CacheOwner{Name: o.Owner, Outcomes: []telemetry.CacheOutcome{
			{Name: "hit", Count: o.Hits}, {Name: "stale", Count: o.Stale}, {Name: "confirmed", Count: o.Confirmed},
			{Name: "miss", Count: o.Misses}, {Name: "collapsed", Count: o.Collapsed}, {Name: "bypass", Count: o.Bypassed},
		}})
	}
	return s
}
