package identity

import (
	"errors"
	"net/http"
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

func (c *keyCount) stats() KeyStats {
	k := KeyStats{Fetched: c.fetched.Load(), Failed: c.failed.Load()}
	if at := c.at.Load(); at != 0 {
		k.At = time.Unix(0, at)
	}
	return k
}

// KeyStats implements KeyWatcher.
func (s *jwtSource) KeyStats() (KeyStats, bool) {
	if s.remote == nil {
		return KeyStats{}, false
	}
	return s.remote.told.stats(), true
}

// KeyStats implements KeyWatcher. Keys are fetched when a login needs them.
func (o *oidcLogin) KeyStats() (KeyStats, bool) { return o.issuer.keys.told.stats(), true }

// countedKeys counts the calls that fetch keys, whoever makes them.
type countedKeys struct {
	next http.RoundTripper
	now  func() time.Time
	at   atomic.Pointer[string] // the address of the keys, once it is known
	told keyCount
}

var errNoSuccess = errors.New("an answer that is no success")

// RoundTrip implements http.RoundTripper.
func (c *countedKeys) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if at := c.at.Load(); at == nil || *at != r.URL.String() {
		return resp, err
	}
	failure := err
	if err == nil && resp.StatusCode != http.StatusOK {
		failure = errNoSuccess
	}
	c.told.note(failure, c.now())
	return resp, err
}
