package store

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// lease is what this replica may use of one key without asking: tokens that
// the store has already counted as used, and a little more.
//
// The store grants tokens in the background, as many as the key used here
// lately in horizon; what is not used goes back when the key has been quiet for
// a while. A key that is new here, or that outruns its lease, may go ahead of
// the store by a bounded advance, which is settled with the next call; when
// the store has said that there is nothing left, there is no advance either.
//
// # How much too much
//
// For a limit of B tokens that come back at r a second, N replicas admit, in
// any span of time of length W, at most
//
//	B + r·W + N·(hold(B) + advance(B))
//
// and from a cold start at most B + r·W + N·advance(B): LeaseBound is the last
// term. Proof. Let b be what the bucket in the store has (below 0: what it is
// owed), o ≥ 0 what all replicas hold and have not used, and a ≥ 0 what they
// used ahead and have not settled. A grant moves tokens from b to o, a return
// moves them back (or loses some, since b ≤ B), settling moves a into -b. Using
// a token takes one from o or adds one to a. So b+o-a changes by what comes
// back, at most r·W, less what is admitted, less what is lost:
//
//	admitted ≤ (b+o-a at the beginning) + r·W - (b+o-a at the end)
//
// At the beginning b ≤ B, and o ≤ N·hold, as no replica asks for more than it
// may hold. At the end b-a ≥ -N·advance: a replica goes ahead by no more than
// what the store had left when it answered last, and by no more than its
// advance, settled or not; once b ≤ 0 each replica settles what it was ahead,
// is told that nothing is left, and stops. As what is owed is paid back before
// anything is granted again, the excess does not add up over time. ∎
//
// A settling call whose answer was lost is made again: so a fault of the network
// counts against the client, at most one advance for each. What a replica held
// when it died, or was granted by an answer that was lost, comes back with time.
// For costs above 1, hold is at least the largest cost. Outside of the bound are:
// what a replica was ahead when it died (one advance), a debt of more than
// owedMost whole limits, a store that forgets (FLUSHALL, a failover that loses
// writes), decisions by OnFailure, and Charge.
//
// # How much too little
//
// A replica that sees less than the limit refuses nothing while bursts on a key
// that it holds no lease of stay within advance(B) for each round trip, and
// while the rest of the bucket, less what other replicas hold at that moment
// (each at most hold(B), and at most what it used in horizon), suffices.
type lease struct {
	balance atomic.Int64 // left to use; below 0: used ahead, to be settled; dead: not in the table any more
	floor   atomic.Int64 // ≤ 0: how far down balance may go
	low     atomic.Int64 // below it, ask for more
	asked   atomic.Int64 // since the last call, refused included
	need    atomic.Int64 // the largest cost that was refused since
	left    atomic.Int64 // what the store had after the last call
	refused atomic.Uint64
	next    atomic.Int64 // not before this (nanoseconds of the owner's clock) will the store have more
	queued  atomic.Bool  // one call at a time
	failed  atomic.Bool  // the last call failed

	name string // the Redis key

	mu    sync.Mutex // of what follows: only the call in flight and the sweeper touch it
	asks  ask
	since int64   // of the last call
	pace  float64 // tokens a second that were asked for here lately
	back  int64   // the slot of the last grant
	quiet int     // visits of the sweeper since something was asked
}

const (
	horizon = 50 * time.Millisecond // how long a lease should last
	retake  = 5 * time.Millisecond  // how often to ask for a key that has nothing, at most
	dead    = math.MinInt64 / 2

	quietVisits = 2 // of the sweeper, after which a lease goes back
)

// hold is the most that a replica may have of a limit without using it.
func hold(limit int64) int64 { return (limit + 7) / 8 }

// advance is how far a replica may be ahead of the store.
func advance(limit int64) int64 { return min(limit, max(64, limit/4)) }

// LeaseBound is how many more than the limit alone would let pass are admitted
// in leased mode by so many replicas, in any span of time: see lease.
func LeaseBound(limit, replicas int64) int64 {
	return replicas * (hold(limit) + advance(limit))
}

// verdict of a lease.
type verdict uint8

const (
	granted verdict = iota
	short           // neither lease nor advance is enough
	gone            // the lease was retired: look again
)

// take uses cost tokens if that is possible now. ask says that the store should
// be called.
func (e *lease) take(cost int64) (v verdict, balance int64, ask bool) {
	for {
		b := e.balance.Load()
		if b <= dead/2 {
			return gone, 0, false
		}
		n := b - cost
		if n < e.floor.Load() && cost > 0 {
			e.asked.Add(cost)
			e.refused.Add(1)
			for need := e.need.Load(); need < cost && !e.need.CompareAndSwap(need, cost); need = e.need.Load() {
			}
			return short, b, true
		}
		if e.balance.CompareAndSwap(b, n) {
			e.asked.Add(cost)
			return granted, n, n < e.low.Load()
		}
	}
}

// charge uses cost tokens whatever is there, to at most one whole limit ahead.
func (e *lease) charge(cost, limit int64) (ok bool) {
	for {
		b := e.balance.Load()
		if b <= dead/2 {
			return false
		}
		n := b - cost
		if cost > 0 {
			n = max(n, min(b, -limit))
		} else {
			n = min(n, max(b, limit))
		}
		if e.balance.CompareAndSwap(b, n) {
			return true
		}
	}
}

// measure takes note of what was asked since the last time. mu is held.
func (e *lease) measure(now int64) {
	asked := e.asked.Swap(0)
	if asked > 0 {
		e.quiet = 0
	}
	if passed := now - e.since; e.since != 0 && passed > 0 {
		weight := min(float64(passed)/float64(horizon), 1)
		e.pace += (float64(asked)*1e9/float64(passed) - e.pace) * weight
	}
	e.since = now
}

// visit is the sweeper's: idle is a lease that nobody has asked for in a while;
// ask, that it has something to settle or to give back.
func (e *lease) visit(now int64) (idle, ask bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.quiet++
	e.measure(now)
	b := e.balance.Load()
	idle = e.quiet > quietVisits
	return idle, b < 0 || idle && b > 0
}

// prepare says what the next call is to ask, at a time of the owner's clock.
func (e *lease) prepare(now, limit int64) ask {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.measure(now)
	target := min(int64(math.Ceil(e.pace*horizon.Seconds()-0.5)), hold(limit))
	if e.quiet > quietVisits {
		target = 0
	}
	a := ask{back: e.back}
	need := min(e.need.Swap(0), limit)
	for {
		b := e.balance.Load()
		switch {
		case b <= dead/2: // forgotten meanwhile
		case b < 0:
			a.settle = -b
			a.want, a.least = max(target, need), need
		case b > max(2*target, need):
			if !e.balance.CompareAndSwap(b, target) {
				continue
			}
			a.settle = target - b
		default:
			a.want, a.least = max(target, need, b)-b, max(need-b, 0)
		}
		break
	}
	e.asks = a
	return a
}

// finish books the answer to what prepare asked, or that there was none. regain
// is how long what a replica may hold takes to come back: when there is nothing
// left, it asks twice in that time, so that it gets its share also of a small
// bucket that fills fast. again says that there is more to ask at once.
func (e *lease) finish(r answer, err error, now, limit int64, regain time.Duration) (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.failed.Store(true)
		e.floor.Store(0)
		e.next.Store(now + int64(horizon))
		return false
	}
	a := e.asks
	e.floor.Store(-min(advance(limit), r.remaining))
	e.left.Store(r.remaining)
	if r.granted > 0 {
		e.back = r.slot
	}
	next := int64(0)
	if r.remaining == 0 || r.retry > 0 {
		next = now + int64(max(r.retry, min(retake, regain/2), retake/20))
	}
	e.next.Store(next)
	b := e.balance.Add(max(a.settle, 0) + r.granted)
	low := b / 2
	e.low.Store(max(low, 0))
	e.failed.Store(false)
	return b < 0
}

// retire takes a lease that holds and owes nothing out of use.
func (e *lease) retire() bool {
	return !e.queued.Load() && e.asked.Load() == 0 && e.balance.CompareAndSwap(0, dead)
}
