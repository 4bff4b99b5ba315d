package identity

import (
	"sync/atomic"
	"time"
)

// KeyStats is how fetching the keys of an issuer goes.
type KeyStats struct {
	Fetched, Failed uint64    // fetches, by how they ended
	At              time.Time // when the keys in use were fetched; zero: there are none yet
}

// KeyWatcher is a Source whose keys an issuer publishes.
type KeyWatcher interface {
	// KeyStats reports how fetching them goes; false: the keys are fixed.
	KeyStats() (KeyStats, bool)
}

type keyCount struct {
	fetched, failed atomic.Uint64
	at              atomic.Int64 // Unix, nanoseconds; 0: never
}

func (c *keyCount) note(err error, now time.Time) {
	if err != nil {
		c.failed.Add(1)
		return
	}
	c.at.Store(now.UnixNano())
	c.fetched.Add(1)
}

// KeyStats implements KeyWatcher.
func (s *jwtSource) KeyStats() (k KeyStats, ok bool) {
	if s.remote == nil {
		return k, false
	}
	c := &s.remote.told
	k.Fetched, k.Failed = c.fetched.Load(), c.failed.Load()
	if at := c.at.Load(); at != 0 {
		k.At = time.Unix(0, at)
	}
	return k, true
}
