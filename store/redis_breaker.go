package store

import (
	"sync"
	"sync/atomic"
	"time"
)

// breaker keeps calls away from a store that fails. It opens after a few
// failures in a row; from then on only its owner's probes reach the store, and
// the first one that succeeds closes it.
type breaker struct {
	isOpen atomic.Bool
	opened atomic.Uint64 // how often

	mu      sync.Mutex
	failing int   // in a row
	cause   error // of the last failure; nil: closed
	since   time.Time
	trip    chan struct{} // has one element when it opened and the prober has not seen it
}

const breakAfter = 3

func newBreaker() *breaker { return &breaker{trip: make(chan struct{}, 1)} }

// success of a call that was made while it was closed.
func (b *breaker) success() {
	b.mu.Lock()
	if !b.isOpen.Load() {
		b.failing = 0
	}
	b.mu.Unlock()
}

func (b *breaker) failure(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cause = err
	if b.failing++; b.failing >= breakAfter {
		b.open()
	}
}

// open is called with mu held.
func (b *breaker) open() {
	if b.isOpen.Swap(true) {
		return
	}
	b.opened.Add(1)
	b.since = time.Now()
	select {
	case b.trip <- struct{}{}:
	default:
	}
}

func (b *breaker) close() {
	b.mu.Lock()
	b.failing, b.cause = 0, nil
	b.isOpen.Store(false)
	b.mu.Unlock()
}

func (b *breaker) state() (open bool, since time.Time, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isOpen.Load(), b.since, b.cause
}
