package identity

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// cacheWays is how many places a token may have: enough that two tokens rarely
// keep pushing each other out.
const cacheWays = 4

// tokenCache remembers tokens that were verified, until they expire or their
// key is gone. It never grows, never locks, and a look costs a hash of the token
// and a comparison with it. Nobody can choose what lands in it but an issuer.
type tokenCache struct {
	seed  maphash.Seed
	mask  uint64
	slots []atomic.Pointer[verified]
}

// verified is a token and what it proves.
type verified struct {
	token string
	until time.Time
	key   *verifyKey
	id    *exchange.Identity
}

// newTokenCache returns a cache for about n tokens; nil when n is 0.
func newTokenCache(n int) *tokenCache {
	if n <= 0 {
		return nil
	}
	size := uint64(1) << bits.Len64(uint64(max(n, cacheWays))-1)
	return &tokenCache{seed: maphash.MakeSeed(), mask: size - 1, slots: make([]atomic.Pointer[verified], size)}
}

// good reports whether the token still proves anything.
func (v *verified) good(now time.Time) bool { return now.Before(v.until) && !v.key.gone.Load() }

// get returns what a token proves, or nil when it has to be verified.
func (c *tokenCache) get(token []byte, now time.Time) *exchange.Identity {
	if c == nil {
		return nil
	}
	h := maphash.Bytes(c.seed, token)
	for i := range uint64(cacheWays) {
		slot := &c.slots[(h+i)&c.mask]
		v := slot.Load()
		if v == nil || v.token != string(token) {
			continue
		}
		if v.good(now) {
			return v.id
		}
		slot.CompareAndSwap(v, nil)
		return nil
	}
	return nil
}

// put remembers a token, in the place of one that is of no use any more or, for
// want of that, of the one that expires first.
func (c *tokenCache) put(v *verified, now time.Time) {
	if c == nil {
		return
	}
	h := maphash.String(c.seed, v.token)
	var place *atomic.Pointer[verified]
	var first *verified
	for i := range uint64(cacheWays) {
		slot := &c.slots[(h+i)&c.mask]
		old := slot.Load()
		if old == nil || old.token == v.token || !old.good(now) {
			place = slot
			break
		}
		if first == nil || old.until.Before(first.until) {
			place, first = slot, old
		}
	}
	place.Store(v)
}

// sweep forgets what is of no use any more, so that it does not keep memory.
func (c *tokenCache) sweep(now time.Time) {
	if c == nil {
		return
	}
	for i := range c.slots {
		if v := c.slots[i].Load(); v != nil && !v.good(now) {
			c.slots[i].CompareAndSwap(v, nil)
		}
	}
}
