package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// rolling holds, for each of many keys, what was used in each slot of the last
// window. A shard that is full gives away the place of an idle key, or of the
// one that has used least of those that it looks at; what that had used is
// remembered as the least that a new key of the shard begins with, so that
// pushing a key out does not reset it.
type rolling struct {
	shards  [shards]rollShard
	maxKeys int // in a shard
	evicted atomic.Uint64
}

type rollShard struct {
	mu    sync.Mutex
	index map[hash]uint32 // into keys
	keys  []usage
	hand  int   // where to look for a place next
	floor usage // what those that were pushed out had used, at most
}

// usage is what a key has used, slot by slot.
type usage struct {
	key  hash
	last int64 // the slot of the latest use
	used uint32
	n    [Slots + 1]uint32 // by slot modulo their number
}

func newRolling(maxKeys int) *rolling {
	return &rolling{maxKeys: (maxKeys + shards - 1) / shards}
}

// advance forgets what is out of the window when slot is the current one. A
// clock that goes back stands still here.
func (u *usage) advance(slot int64) {
	switch behind := slot - u.last; {
	case behind <= 0:
		return
	case behind > Slots:
		u.n, u.used = [Slots + 1]uint32{}, 0
	default:
		for s := u.last + 1; s <= slot; s++ {
			n := &u.n[s%(Slots+1)]
			u.used -= *n
			*n = 0
		}
	}
	u.last = slot
}

// add moves what is used now; below 0 it gives back, the latest first.
func (u *usage) add(n int64) {
	if n >= 0 {
		u.n[u.last%(Slots+1)] += uint32(n)
		u.used += uint32(n)
		return
	}
	for i := int64(0); i <= Slots && n < 0; i++ {
		at := &u.n[(u.last-i)%(Slots+1)]
		back := min(int64(*at), -n)
		*at -= uint32(back)
		u.used -= uint32(back)
		n += back
	}
}

// until returns the first slot in which no more than keep of what is used is left.
func (u *usage) until(keep int64) int64 {
	left := int64(u.used)
	for s := u.last - Slots; s <= u.last && left > keep; s++ {
		if left -= int64(u.n[s%(Slots+1)]); left <= keep {
			return s + Slots + 1
		}
	}
	return u.last
}

// merge makes u no less than v in any slot.
func (u *usage) merge(v *usage) {
	slot := max(u.last, v.last)
	u.advance(slot)
	w := *v
	w.advance(slot)
	u.used = 0
	for i := range u.n {
		u.n[i] = max(u.n[i], w.n[i])
		u.used += u.n[i]
	}
}

// get returns the usage of k; nil: there is none, and none is to be made. The
// shard is locked.
func (r *rolling) get(s *rollShard, k hash, slot int64, create bool) *usage {
	i, ok := s.index[k]
	if !ok {
		if !create {
			return nil
		}
		s.floor.advance(slot)
		begin := s.floor
		begin.key = k
		i = r.room(s, slot)
		s.keys[i], s.index[k] = begin, i
	}
	u := &s.keys[i]
	u.advance(slot)
	return u
}

// room returns a place: that of an idle key, a new one, or that of the key
// which has used least.
func (r *rolling) room(s *rollShard, slot int64) uint32 {
	if s.index == nil {
		s.index = map[hash]uint32{}
	}
	u := s.least(2, slot)
	if u == nil || u.used > 0 {
		if len(s.keys) < r.maxKeys {
			s.keys = append(s.keys, usage{})
			return uint32(len(s.keys) - 1)
		}
		u = s.least(16, slot)
	}
	if u.used > 0 {
		s.floor.merge(u)
		r.evicted.Add(1)
	}
	i := s.index[u.key]
	delete(s.index, u.key)
	return i
}

// least returns the one that has used least of the next few keys.
func (s *rollShard) least(few int, slot int64) (least *usage) {
	for range min(few, len(s.keys)) {
		if s.hand++; s.hand >= len(s.keys) {
			s.hand = 0
		}
		u := &s.keys[s.hand]
		if u.advance(slot); least == nil || u.used < least.used {
			least = u
		}
	}
	return least
}

func (r *rolling) shard(k hash) *rollShard { return &r.shards[k.lo>>(64-6)] }

func (r *rolling) size() (keys int, bytes int64) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		keys += len(s.keys)
		bytes += int64(cap(s.keys))*usageBytes + int64(len(s.keys))*indexBytes
		s.mu.Unlock()
	}
	return keys, bytes
}

const (
	usageBytes = 16 + 8 + 4 + 4*(Slots+1)
	indexBytes = 54 // of a map from a hash to a number, about
)

// rollingLimiter is a quota in a rolling window.
type rollingLimiter struct {
	use
	t    *rolling
	w    Window
	slot time.Duration
}

func (l *rollingLimiter) decision(u *usage, cost int64, now time.Time) Decision {
	d := Decision{Limit: l.w.Count, Remaining: max(l.w.Count-int64(u.used), 0)}
	if u.used > 0 {
		d.ResetAfter = l.wait(u.until(0), now)
	}
	if d.Allowed = int64(u.used)+cost <= l.w.Count; !d.Allowed {
		d.RetryAfter = l.wait(u.until(l.w.Count-cost), now)
	}
	return d
}

func (l *rollingLimiter) wait(slot int64, now time.Time) time.Duration {
	return max(time.Duration(slot*int64(l.slot)-now.UnixNano()), 1)
}

// Take implements Limiter.
func (l *rollingLimiter) Take(key []byte, cost int64) Decision {
	cost = min(max(cost, 0), l.w.Count)
	now, k := l.m.now(), l.m.hash(key)
	s := l.t.shard(k)
	s.mu.Lock()
	u := l.t.get(s, k, l.w.Slot(now), true)
	d := l.decision(u, cost, now)
	if d.Allowed {
		u.add(cost)
		d.Remaining -= cost
		d.ResetAfter = l.wait(u.until(0), now)
	}
	s.mu.Unlock()
	l.o.top.note(l.m, key, d.Allowed)
	return d
}

// Charge implements Limiter.
func (l *rollingLimiter) Charge(key []byte, cost int64) {
	now, k := l.m.now(), l.m.hash(key)
	s := l.t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := l.t.get(s, k, l.w.Slot(now), cost > 0); u != nil {
		u.add(min(max(cost, -l.w.Count), l.w.Count, 2*l.w.Count-int64(u.used)))
	}
}

// Peek implements Limiter.
func (l *rollingLimiter) Peek(key []byte) (Decision, bool) {
	now, k := l.m.now(), l.m.hash(key)
	s := l.t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := l.t.get(s, k, l.w.Slot(now), false)
	if u == nil {
		return l.decision(&usage{last: l.w.Slot(now)}, 1, now), false
	}
	return l.decision(u, 1, now), true
}

// Look implements Limiter.
func (l *rollingLimiter) Look(key []byte) Decision {
	d, _ := l.Peek(key)
	if !d.Allowed {
		l.o.top.note(l.m, key, false)
	}
	return d
}

// Reset implements Limiter.
func (l *rollingLimiter) Reset(key []byte) error {
	k := l.m.hash(key)
	s := l.t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[k]; ok {
		s.keys[i].n, s.keys[i].used = [Slots + 1]uint32{}, 0
	}
	return nil
}

// Top implements Limiter.
func (l *rollingLimiter) Top(n int) []KeyState { return l.o.top.list(n, l) }

func (l *rollingLimiter) describe() LimiterState {
	keys, bytes := l.t.size()
	return LimiterState{
		Kind: "quota", Limit: l.w.String(), Keys: keys, Bytes: bytes,
		MaxKeys: l.t.maxKeys * shards, Evicted: l.t.evicted.Load(),
	}
}
