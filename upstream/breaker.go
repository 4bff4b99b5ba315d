package upstream

import (
	"sync"
	"sync/atomic"
	"time"
)

// halfOpenProbes is how many requests may test a service at a time after the
// pause, and how many of them must succeed in a row to close the breaker.
const halfOpenProbes = 3

type phase uint64

const (
	closed phase = iota
	open
	halfOpen
)

func (p phase) String() string { return [...]string{"closed", "open", "half_open"}[p] }

// breaker gives a service that fails a pause. Closed, it is a load, and an
// addition to the window; the mutex is for the other phases.
type breaker struct {
	Breaker
	word   atomic.Uint64 // generation<<2 | phase
	window *window       // requests, failures
	notify func(phase)

	mu      sync.Mutex
	until   int64 // open: end of the pause
	probes  int   // half-open: in flight
	success int   // half-open: in a row
}

// pass is the breaker's state when a request was let in. What it reports
// later counts only if that state is still in force.
type pass uint64

func newBreaker(s Breaker, notify func(phase)) *breaker {
	return &breaker{Breaker: s, window: newWindow(s.Window), notify: notify}
}

// enter lets a request in, or refuses it. Each pass is given to leave once.
// Without a breaker everybody may enter.
func (b *breaker) enter(now int64) (pass, bool) {
	if b == nil {
		return 0, true
	}
	if w := b.word.Load(); phase(w&3) == closed {
		return pass(w), true
	}
	return b.enterSlow(now)
}

func (b *breaker) enterSlow(now int64) (pass, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch phase(b.word.Load() & 3) {
	case open:
		if now < b.until {
			return 0, false
		}
		b.turn(halfOpen)
		b.probes, b.success = 0, 0
	case closed:
		return pass(b.word.Load()), true
	}
	if b.probes >= halfOpenProbes {
		return 0, false
	}
	b.probes++
	return pass(b.word.Load()), true
}

// leave reports how a request that was let in ended.
func (b *breaker) leave(p pass, now int64, v verdict) {
	if phase(p&3) == closed {
		if v == neutral || uint64(p) != b.word.Load() {
			return
		}
		if v == good {
			b.window.add(now, 1, 0)
			return
		}
		b.window.add(now, 1, 1)
		if b.over(now) {
			b.trip(p, now)
		}
		return
	}
	b.leaveProbe(p, now, v)
}

func (b *breaker) over(now int64) bool {
	requests, failures := b.window.sum(now, windowBuckets-1)
	return requests >= uint64(b.Minimum) && float64(failures) >= b.FailureRate*float64(requests)
}

// trip opens the breaker, unless somebody has turned it since p.
func (b *breaker) trip(p pass, now int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if uint64(p) == b.word.Load() {
		b.until = now + int64(b.Pause)
		b.turn(open)
	}
}

func (b *breaker) leaveProbe(p pass, now int64, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if uint64(p) != b.word.Load() {
		return
	}
	b.probes--
	switch v {
	case bad:
		b.until = now + int64(b.Pause)
		b.turn(open)
	case good:
		if b.success++; b.success >= halfOpenProbes {
			b.window.reset()
			b.turn(closed)
		}
	}
}

// turn starts a new generation in phase p. It runs under the mutex.
func (b *breaker) turn(p phase) {
	b.word.Store((b.word.Load()>>2+1)<<2 | uint64(p))
	if b.notify != nil {
		b.notify(p)
	}
}

func (b *breaker) state(now int64) *BreakerState {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &BreakerState{Phase: phase(b.word.Load() & 3).String()}
	s.Requests, s.Failures = b.window.sum(now, windowBuckets-1)
	if s.Phase == open.String() {
		s.Until = time.Now().Add(time.Duration(b.until - now))
	}
	return s
}
