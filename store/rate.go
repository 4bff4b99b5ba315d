package store

import (
	"fmt"
	"strconv"
	"time"
)

// rateLimiter is a token bucket by the generic cell rate algorithm: the word of
// a key is the time at which its bucket is full again. Taking moves it on by
// what the tokens are worth; it may not lead further ahead than a whole bucket.
type rateLimiter struct {
	use
	t     *table
	r     Rate
	one   uint64 // nanoseconds that a token is worth
	whole uint64 // … that a whole bucket is
}

func (l *rateLimiter) span() span {
	now := uint64(max(l.m.now().Sub(l.m.base), 1))
	return span{zero: now, full: now + l.whole, most: now + 2*l.whole}
}

func (l *rateLimiter) worth(cost int64) uint64 {
	return uint64(min(max(cost, 0), l.r.Burst)) * l.one
}

func (l *rateLimiter) decision(n span, word uint64) Decision {
	d := Decision{Limit: l.r.Burst, ResetAfter: time.Duration(word - n.zero)}
	if word < n.full {
		d.Remaining = int64((n.full - word) / l.one)
	}
	return d
}

// Take implements Limiter.
func (l *rateLimiter) Take(key []byte, cost int64) Decision {
	n, add := l.span(), l.worth(cost)
	word, ok := l.t.take(l.m.hash(key), n, add)
	d := l.decision(n, word)
	if d.Allowed = ok; !ok {
		d.RetryAfter = time.Duration(word + add - n.full)
	}
	l.o.top.note(l.m, key, ok)
	return d
}

// Charge implements Limiter.
func (l *rateLimiter) Charge(key []byte, cost int64) {
	if cost < 0 {
		l.t.charge(l.m.hash(key), l.span(), -int64(l.worth(-cost)))
		return
	}
	l.t.charge(l.m.hash(key), l.span(), int64(l.worth(cost)))
}

// Peek implements Limiter.
func (l *rateLimiter) Peek(key []byte) (Decision, bool) {
	n := l.span()
	word, ok := l.t.peek(l.m.hash(key), n)
	d := l.decision(n, word)
	if d.Allowed = word+l.one <= n.full; !d.Allowed {
		d.RetryAfter = time.Duration(word + l.one - n.full)
	}
	return d, ok
}

// Look implements Limiter.
func (l *rateLimiter) Look(key []byte) Decision {
	d, _ := l.Peek(key)
	if !d.Allowed {
		l.o.top.note(l.m, key, false)
	}
	return d
}

// Reset implements Limiter.
func (l *rateLimiter) Reset(key []byte) error {
	l.t.reset(l.m.hash(key))
	return nil
}

// Top implements Limiter.
func (l *rateLimiter) Top(n int) []KeyState { return l.o.top.list(n, l) }

func (l *rateLimiter) describe() LimiterState {
	keys, bytes := l.t.size()
	return LimiterState{
		Kind: "rate", Limit: l.r.String(), Keys: keys, Bytes: bytes,
		MaxKeys: l.t.maxSets * ways * shards, Evicted: l.t.evicted.Load(),
	}
}

// String is "10/s, burst 20".
func (r Rate) String() string {
	s := asWritten(r.Count, r.Per)
	if r.Burst != 0 && r.Burst != r.Count {
		s += fmt.Sprintf(", burst %d", r.Burst)
	}
	return s
}

// asWritten is a rate or a quota as a configuration writes it: 10/s, 5/10s, 1000/day.
func asWritten(count int64, per time.Duration) string {
	text := strconv.FormatInt(count, 10) + "/"
	for _, u := range [...]struct {
		name string
		long time.Duration
	}{{"day", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		switch n := per / u.long; {
		case n == 0 || per%u.long != 0:
		case n == 1:
			return text + u.name
		default:
			return text + strconv.FormatInt(int64(n), 10) + u.name[:1]
		}
	}
	return text + per.String()
}
