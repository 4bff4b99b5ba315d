package store

import (
	"sync/atomic"
	"time"
)

// calendarLimiter is a quota that begins anew at fixed times: the word of a key
// is when its window began, in seconds, and what it has used since.
type calendarLimiter struct {
	use
	t   *table
	w   Window
	now atomic.Pointer[period]
}

type period struct{ start, end time.Time }

const countBits = 31

// span returns the bounds of words now, and how long the window lasts.
func (l *calendarLimiter) span() (n span, left time.Duration) {
	now := l.m.now()
	p := l.now.Load()
	if p == nil || now.Before(p.start) || !now.Before(p.end) {
		start, end := l.w.Span(now)
		p = &period{start, end}
		l.now.Store(p)
	}
	zero := uint64(p.start.Unix()) << countBits
	return span{zero: zero, full: zero + uint64(l.w.Count), most: zero + min(2*uint64(l.w.Count), 1<<countBits-1)}, p.end.Sub(now)
}

func (l *calendarLimiter) decision(n span, word uint64, left time.Duration) Decision {
	d := Decision{Limit: l.w.Count}
	if word < n.full {
		d.Remaining = int64(n.full - word)
	}
	if word > n.zero {
		d.ResetAfter = left
	}
	return d
}

// Take implements Limiter.
func (l *calendarLimiter) Take(key []byte, cost int64) Decision {
	n, left := l.span()
	word, ok := l.t.take(l.m.hash(key), n, uint64(min(max(cost, 0), l.w.Count)))
	d := l.decision(n, word, left)
	if d.Allowed = ok; !ok {
		d.RetryAfter = left
	}
	l.o.top.note(l.m, key, ok)
	return d
}

// Charge implements Limiter.
func (l *calendarLimiter) Charge(key []byte, cost int64) {
	n, _ := l.span()
	l.t.charge(l.m.hash(key), n, min(max(cost, -l.w.Count), l.w.Count))
}

// Peek implements Limiter.
func (l *calendarLimiter) Peek(key []byte) (Decision, bool) {
	n, left := l.span()
	word, ok := l.t.peek(l.m.hash(key), n)
	d := l.decision(n, word, left)
	if d.Allowed = word < n.full; !d.Allowed {
		d.RetryAfter = left
	}
	return d, ok
}

// Look implements Limiter.
func (l *calendarLimiter) Look(key []byte) Decision {
	d, _ := l.Peek(key)
	if !d.Allowed {
		l.o.top.note(l.m, key, false)
	}
	return d
}

// Reset implements Limiter.
func (l *calendarLimiter) Reset(key []byte) error {
	l.t.reset(l.m.hash(key))
	return nil
}

// Top implements Limiter.
func (l *calendarLimiter) Top(n int) []KeyState { return l.o.top.list(n, l) }

func (l *calendarLimiter) describe() LimiterState {
	keys, bytes := l.t.size()
	return LimiterState{
		Kind: "quota", Limit: l.w.String(), Keys: keys, Bytes: bytes,
		MaxKeys: l.t.maxSets * ways * shards, Evicted: l.t.evicted.Load(),
	}
}

// String is "1000/day, calendar UTC".
func (w Window) String() string {
	s := asWritten(w.Count, w.Per)
	if w.Calendar {
		s += ", calendar " + w.Zone.String()
	}
	return s
}
