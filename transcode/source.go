package transcode

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// Schemas is what a Handler learns its schema from: a Source, or who stands for
// one that comes later.
type Schemas interface {
	Schema() *Schema // the latest; nil: none is known
	Fault() error    // why the last attempt to learn it was none
	Refresh()        // it may have changed
}

// Source holds the latest Schema of a service. Those who look up something in it
// ask for it again each time: it may have changed.
type Source struct {
	schema atomic.Pointer[Schema]
	fault  atomic.Pointer[error] // of the last attempt; nil: none

	kick   chan struct{}
	tried  chan struct{} // closed after the first attempt; nil: there are none
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Fixed returns a source that always has s.
func Fixed(s *Schema) *Source {
	src := &Source{}
	src.schema.Store(s)
	return src
}

// Schema returns the latest schema, or nil when none is known yet.
func (s *Source) Schema() *Schema { return s.schema.Load() }

// Fault returns why the last attempt to learn the schema was none.
func (s *Source) Fault() error {
	if f := s.fault.Load(); f != nil {
		return *f
	}
	return nil
}

// ReflectOptions say how a service is asked.
type ReflectOptions struct {
	Authority string        // of the requests
	Refresh   time.Duration // between two times
	Timeout   time.Duration // of one time; 0: 10s
	Last      *Schema       // what was known before, until there is something newer; may be nil
	Changed   func(*Schema) // is told of a new schema; may be nil
	Failed    func(error)   // is told when it begins to fail; may be nil
}

// Watch learns the schema of a service by reflection, again and again. It does not
// wait for the first time, and keeps the last good schema. Close ends it.
func Watch(service exchange.Handler, o ReflectOptions) *Source {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	s := &Source{kick: make(chan struct{}, 1), tried: make(chan struct{})}
	s.schema.Store(o.Last)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.wg.Go(func() { s.watch(ctx, service, o) })
	return s
}

const (
	minWait = 100 * time.Millisecond // after a failure, growing
	maxWait = 5 * time.Second        // while nothing is known
)

func (s *Source) watch(ctx context.Context, service exchange.Handler, o ReflectOptions) {
	wait := minWait
	for first := true; ctx.Err() == nil; first = false {
		next := o.Refresh
		err := s.learn(ctx, service, o)
		if first {
			close(s.tried)
		}
		if err != nil {
			next = wait/2 + rand.N(wait)
			limit := maxWait
			if s.Schema() != nil {
				limit = max(o.Refresh, maxWait)
			}
			wait = min(2*wait, limit)
		} else {
			wait = minWait
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.kick:
			select { // not more often than this, whatever happens
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		timer.Stop()
	}
}

func (s *Source) learn(ctx context.Context, service exchange.Handler, o ReflectOptions) error {
	ctx2, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	set, err := Reflect(ctx2, service, o.Authority)
	var next *Schema
	if err == nil {
		old := s.Schema()
		sum, _ := digestOf(set)
		if old != nil && old.digest == sum {
			s.fault.Store(nil)
			return nil // what was made of it stays
		}
		next, err = NewSchema(set)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if s.fault.Swap(&err) == nil && o.Failed != nil {
			o.Failed(err)
		}
		return err
	}
	s.fault.Store(nil)
	s.schema.Store(next)
	if o.Changed != nil {
		o.Changed(next)
	}
	return nil
}

// Await waits until the schema is known or the first attempt has failed, or ctx ends.
func (s *Source) Await(ctx context.Context) {
	if s.tried == nil || s.Schema() != nil {
		return
	}
	select {
	case <-s.tried:
	case <-ctx.Done():
	}
}

// Refresh says that the service may have changed: it is asked again soon.
func (s *Source) Refresh() {
	if s.kick == nil {
		return
	}
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Close ends the watching, and waits until it has.
func (s *Source) Close() {
	if s.cancel != nil {
		s.cancel()
		s.wg.Wait()
	}
}

var errUnknown = errors.New("it has not been learned yet")
