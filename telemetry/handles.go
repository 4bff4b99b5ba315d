package telemetry

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

// Counter is a number that only grows. Set is for the hook of OnScrape, when
// somebody else does the counting.
type Counter struct{ n atomic.Uint64 }

func (c *Counter) Inc()         { c.n.Add(1) }
func (c *Counter) Add(n uint64) { c.n.Add(n) }
func (c *Counter) Set(n uint64) { c.n.Store(n) }

// Gauge is a number that comes and goes.
type Gauge struct{ n atomic.Int64 }

func (g *Gauge) Add(n int64) { g.n.Add(n) }
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Route is the handle of a route.
type Route struct {
	InFlight Gauge // Add(1) when an exchange has found its route, Add(-1) when it is done

	codes          *codes
	name           string
	answered       [classes]atomic.Uint64 // without an error
	failed         atomic.Pointer[[]atomic.Uint64]
	duration       histogram
	received, sent atomic.Uint64
}

// Observe counts a finished exchange that took that long. It allocates nothing
// but, once a route, the cells of its errors.
func (r *Route) Observe(x *exchange.Exchange, took time.Duration) {
	class := classOf(statusOf(x))
	if x.Err == nil {
		r.answered[class].Add(1)
	} else {
		r.errors()[class*len(r.codes.list)+r.codes.index(x.Err.Code)].Add(1)
	}
	i := r.duration.observe(took)
	if x.Trace.Kept {
		r.duration.exemplify(i, took, x)
	}
	if x.Received > 0 {
		r.received.Add(uint64(x.Received))
	}
	if x.Sent > 0 {
		r.sent.Add(uint64(x.Sent))
	}
}

// errors returns the cells by class and code. Most routes of a large
// configuration never need them.
func (r *Route) errors() []atomic.Uint64 {
	if p := r.failed.Load(); p != nil {
		return *p
	}
	cells := make([]atomic.Uint64, classes*len(r.codes.list))
	r.failed.CompareAndSwap(nil, &cells)
	return *r.failed.Load()
}

// Service is the handle of a service.
type Service struct {
	Retries        Counter
	RetriesRefused Counter // the budget was used up
	Breaker        Gauge   // BreakerClosed, BreakerHalfOpen, BreakerOpen
	Limit          Gauge   // of the protection from overload; 0: none
	Waiting        Gauge   // for a place below it
	Shed           Shed

	name string
}

// States of a breaker, as the metric shows them.
const (
	BreakerClosed = iota
	BreakerHalfOpen
	BreakerOpen
)

// Target is the handle of a target of a service.
type Target struct {
	InFlight  Gauge
	Healthy   Gauge // 1 or 0; a new handle says 1
	Ejections Counter
	Active    Gauge // connections that carry an exchange
	Idle      Gauge // connections that wait for one

	codes         *codes
	service, name string
	outcomes      []atomic.Uint64 // by class, then by code
	duration      histogram
}

// Attempt counts an attempt: the status of its answer and the time to its
// head, or the error. It allocates nothing.
func (t *Target) Attempt(status int, e *exchange.Error, took time.Duration) {
	if e != nil {
		t.outcomes[classes+t.codes.index(e.Code)].Add(1)
		return
	}
	t.outcomes[classOf(status)].Add(1)
	t.duration.observe(took)
}

// Exemplify makes the attempt of a recorded exchange the example of its bucket.
func (t *Target) Exemplify(x *exchange.Exchange, took time.Duration) {
	t.duration.exemplify(bucketOf(took), took, x)
}

// Listener is the handle of a listener. A connection is Accepted and later
// Closed, or it is Refused. One that is Unannounced lacks the header that
// balancers send; it counts as Accepted, too.
type Listener struct {
	Accepted, Closed, Refused, Unannounced Counter

	Full, Resumed, Failed Counter // TLS handshakes

	Requests, Errors Counter // exchanges, and those that ended with 5xx or without a status

	name string
}

// Limited is the handle of a policy that limits.
type Limited struct {
	Counter
	key limitKey
}

// Shadowed is the handle of refusals that a policy in shadow mode did not make.
type Shadowed struct {
	Counter
	key shadowKey
}

// classes is the number of status classes: none, 1xx to 5xx.
const classes = 6

var classNames = [classes]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func classOf(status int) int {
	if c := status / 100; 1 <= c && c < classes {
		return c
	}
	return 0
}

// codes numbers the error codes. A code that is in no list counts as "other".
type codes struct {
	list   []*exchange.Code
	number map[string]int
}

func newCodes(list []*exchange.Code) *codes {
	c := &codes{list: append([]*exchange.Code{{Name: "other"}}, list...), number: make(map[string]int, len(list))}
	for i, code := range c.list {
		c.number[code.Name] = i
	}
	return c
}

func (c *codes) index(name string) int { return c.number[name] }

// bounds are the upper bounds of the buckets of histograms.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	5 * time.Second, 10 * time.Second, 30 * time.Second,
}

func bucketOf(d time.Duration) (i int) {
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	return i
}

// histogram counts durations. A scrape in the middle of an observation may see
// the bucket without the sum; the next one sees both.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64
	sum     atomic.Uint64 // nanoseconds

	exemplars atomic.Pointer[exemplars] // nil: there are none
}

// observe counts d and returns its bucket.
func (h *histogram) observe(d time.Duration) (bucket int) {
	d = max(d, 0)
	i := bucketOf(d)
	h.buckets[i].Add(1)
	h.sum.Add(uint64(d))
	return i
}

// handles are values that scopes hold by key.
type handles[K comparable, T any] struct {
	mu   sync.Mutex
	held map[K]*held[T]
}

type held[T any] struct {
	value *T
	refs  int
}

// hold returns the value under key, made when nobody holds it. It is forgotten
// when the last scope that holds it is closed.
func (h *handles[K, T]) hold(s *lifetime.Scope, key K, open func() *T) *T {
	h.mu.Lock()
	e := h.held[key]
	if e == nil {
		if h.held == nil {
			h.held = map[K]*held[T]{}
		}
		e = &held[T]{value: open()}
		h.held[key] = e
	}
	e.refs++
	h.mu.Unlock()
	s.Add(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if e.refs--; e.refs == 0 {
			delete(h.held, key)
		}
	})
	return e.value
}

func (h *handles[K, T]) all() []*T {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*T, 0, len(h.held))
	for _, e := range h.held {
		out = append(out, e.value)
	}
	return out
}

// label makes a label value of a name: the exposition refuses invalid UTF-8.
func label(name string) string { return strings.ToValidUTF8(name, "\ufffd") }
