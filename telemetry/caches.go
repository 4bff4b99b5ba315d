package telemetry

// CacheSample is what the metrics show of the caches.
type CacheSample struct {
	Storages []CacheStorage // names differ
	Owners   []CacheOwner   // names differ
}

// CacheStorage is a piece of memory that answers are kept in.
type CacheStorage struct {
	Name        string
	Bytes, Size uint64
	Entries     int
}

// CacheOwner is a route, service or call with a cache.
type CacheOwner struct {
	Name     string
	Outcomes []CacheOutcome
}

// CacheOutcome is how many requests ended so.
type CacheOutcome struct {
	Name  string
	Count uint64
}

// ReadCaches says where the state of the caches comes from: f is called when
// metrics are read.
func (m *Metrics) ReadCaches(f func() CacheSample) { m.caches.Store(&f) }

func (m *Metrics) collectCaches(out samples) {
	read := m.caches.Load()
	if read == nil {
		return
	}
	s := (*read)()
	for _, st := range s.Storages {
		name := label(st.Name)
		out.gauge(cacheBytes, float64(st.Bytes), name)
		out.gauge(cacheSize, float64(st.Size), name)
		out.gauge(cacheEntries, float64(st.Entries), name)
	}
	for _, o := range s.Owners {
		name := label(o.Name)
		for _, n := range o.Outcomes {
			out.counter(cacheRequests, float64(n.Count), name, n.Name)
		}
	}
}
