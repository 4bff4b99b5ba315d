package exchange

import (
	"context"
	"sync"
	"time"
)

// Interrupter is what a cancelled exchange breaks off: usually the upstream
// connection that its handler waits for. Interrupt is called at most once for
// each registration, from another goroutine, and must not block.
type Interrupter interface{ Interrupt() }

// signal is how an exchange is cancelled, without a goroutine for each
// request. It is also the exchange's context; once somebody has asked for
// that, the signal is not used for another exchange.
type signal struct {
	mu       sync.Mutex
	cause    error         // set: cancelled
	blocked  Interrupter   // what to break off
	channel  chan struct{} // made when somebody asks
	after    map[*afterFunc]struct{}
	timer    *time.Timer
	deadline time.Time
	shared   bool // Context was called
}

type afterFunc struct{ f func() }

func (x *Exchange) sig() *signal {
	if x.signal == nil {
		x.signal = new(signal)
	}
	return x.signal
}

// Arm makes x cancellable. A front end calls it before another goroutine may
// call Cancel.
func (x *Exchange) Arm() { x.sig() }

// Cancel ends the exchange early: its context is cancelled, and what it waits
// for is interrupted. The first cause wins. Any goroutine may call it, from
// Arm on until Done.
func (x *Exchange) Cancel(cause error) { x.sig().cancel(cause) }

func (s *signal) cancel(cause error) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	if cause == nil {
		cause = context.Canceled
	}
	s.cause = cause
	if s.channel != nil {
		close(s.channel)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	blocked, after := s.blocked, s.after
	s.blocked, s.after = nil, nil
	if blocked != nil {
		blocked.Interrupt() // under the lock: Release waits until it has returned
	}
	s.mu.Unlock()
	for f := range after {
		go f.f()
	}
}

// Cancelled returns the cause when the exchange was cancelled, else nil.
func (x *Exchange) Cancelled() error {
	if x.signal == nil {
		return nil
	}
	x.signal.mu.Lock()
	defer x.signal.mu.Unlock()
	return x.signal.cause
}

// Interruptible registers what Cancel has to break off while the caller
// waits. It returns the cause when x has been cancelled already. One waiter at
// a time; Release ends the registration.
func (x *Exchange) Interruptible(i Interrupter) error {
	s := x.sig()
	s.mu.Lock()
	cause := s.cause
	if cause == nil {
		s.blocked = i
	}
	s.mu.Unlock()
	return cause
}

// Release ends the registration made by Interruptible. After it has returned,
// Interrupt is not running and will not be called.
func (x *Exchange) Release() {
	s := x.sig()
	s.mu.Lock()
	s.blocked = nil
	s.mu.Unlock()
}

func (x *Exchange) endSignal() {
	s := x.signal
	if s == nil {
		return
	}
	s.mu.Lock()
	used := s.shared || s.cause != nil
	s.blocked = nil
	s.mu.Unlock()
	if used {
		s.cancel(context.Canceled)
		x.signal = nil
	}
}

// Context returns the context of the exchange: cancelled when the client goes
// away, at the deadline, and when the exchange is done. It costs allocations;
// the plain proxied path does without.
func (x *Exchange) Context() context.Context {
	s := x.sig()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shared {
		s.shared = true
		s.deadline = x.Deadline
		if !s.deadline.IsZero() && s.cause == nil {
			s.timer = time.AfterFunc(time.Until(s.deadline), func() { s.cancel(context.DeadlineExceeded) })
		}
	}
	return s
}

// Deadline implements context.Context.
func (s *signal) Deadline() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

// Done implements context.Context.
func (s *signal) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channel == nil {
		s.channel = make(chan struct{})
		if s.cause != nil {
			close(s.channel)
		}
	}
	return s.channel
}

// Err implements context.Context.
func (s *signal) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.cause {
	case nil:
		return nil
	case context.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Value implements context.Context: there is no bag of values.
func (s *signal) Value(any) any { return nil }

// AfterFunc lets package context derive from s without a goroutine.
func (s *signal) AfterFunc(f func()) func() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		go f()
		return func() bool { return false }
	}
	if s.after == nil {
		s.after = map[*afterFunc]struct{}{}
	}
	a := &afterFunc{f}
	s.after[a] = struct{}{}
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.after[a]
		delete(s.after, a)
		return ok
	}
}
