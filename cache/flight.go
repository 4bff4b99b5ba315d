package cache

import (
	"sync"
	"time"

	"gopura/exchange"
)

// flights are the requests that others wait for, by key.
type flights struct {
	mu sync.Mutex
	m  map[string]*flight
}

// flight is one request that others wait for. What they are told is written
// before done is closed.
type flight struct {
	all     *flights
	key     string
	done    chan struct{}
	outcome outcome
	err     *exchange.Error // of failed
	stale   *entry          // of given
}

type outcome uint8

const (
	again  outcome = iota // look once more: there is an answer now, or somebody else has to ask
	alone                 // each asks for itself: the answer is for one client
	failed                // the service could not be asked
	given                 // it could not, but there is an old answer
)

// join returns the flight of a key, and whether the caller is the one who asks.
func (f *flights) join(key []byte) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.m[string(key)]; fl != nil {
		return fl, false
	}
	fl := &flight{all: f, key: string(key), done: make(chan struct{})}
	if f.m == nil {
		f.m = map[string]*flight{}
	}
	f.m[fl.key] = fl
	return fl, true
}

// end tells those who wait. Only the first call counts; nil: nobody waits.
func (f *flight) end(o outcome) {
	if f == nil || f.all == nil {
		return
	}
	f.outcome = o
	f.all.mu.Lock()
	delete(f.all.m, f.key)
	f.all.mu.Unlock()
	f.all = nil
	close(f.done)
}

// wait waits for the end of f, at most so long. Whoever does not want to wait
// any longer asks alone; an error: x is over.
func (f *flight) wait(x *exchange.Exchange, most time.Duration) (outcome, error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	ctx := x.Context()
	select {
	case <-f.done:
		return f.outcome, nil
	case <-timer.C:
		return alone, nil
	case <-ctx.Done():
		if !x.Deadline.IsZero() && !time.Now().Before(x.Deadline) {
			return alone, exchange.ExchangeTimeout.Because(ctx.Err())
		}
		return alone, exchange.ClientGone.Because(ctx.Err())
	}
}
