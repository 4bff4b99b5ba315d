package upstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// limiter bounds how many requests wait for a service to begin its answers, as
// soon as more of them would only wait for each other. While nothing is wrong
// there is no bound, and a request costs a handful of atomic operations; see
// control.go for how a bound is found, and queue.go for who waits for it.
//
// What is counted is the time to the response head: the time after it is ruled
// by the client, who may read as slowly as it likes, and by streams, event
// streams and upgraded connections, which live as long as they live. For the
// same reason requests that have waited for their head for longer than a
// generation, long polls above all, are no longer counted: they hold no slot,
// and say nothing about latency.
type limiter struct {
	Overload
	service string
	notify  func(kind string)

	limit     atomic.Int64 // unbounded, or how many
	vainAfter atomic.Int64 // who gives up after that has waited in vain
	due       atomic.Int64 // when control looks next
	now       atomic.Uint64
	_         [64]byte

	slots    [2]atomic.Uint64 // of the generation and the one before: generation<<32 | requests
	waiting  atomic.Int64
	took     latencies
	vain     atomic.Uint32 // were let in and have given up
	vainTime atomic.Int64  // for how long they waited
	left     atomic.Uint32 // have given up in the line
	_        [64]byte

	waited  atomic.Uint64
	refused [exchange.Importances]atomic.Uint64

	line    line
	spare   sync.Pool  // of *waiter
	mu      sync.Mutex // of line
	turn    sync.Mutex // of control
	control control
}

const (
	unbounded  = 1 << 40
	generation = 5 * time.Second
	largeBody  = 64 << 10 // requests with more of it take as long as their client takes
)

// noSlot is the generation of no slot.
const noSlot = ^uint64(0)

// ticket is what a request holds that was let in.
type ticket struct {
	generation uint64
	came, at   int64
}

func newLimiter(service string, o Overload, notify func(string)) *limiter {
	if o.Mode == "" || o.Mode == OverloadOff {
		return nil
	}
	l := &limiter{Overload: o, service: service, notify: notify}
	l.spare.New = newWaiter
	l.limit.Store(unbounded)
	l.now.Store(1)
	l.slots[1].Store(1 << 32)
	l.control.begin(0)
	return l
}

// enter lets a request in, at once or after a short wait (which is a span), or
// refuses it. Without a limiter everybody may enter.
func (l *limiter) enter(x *exchange.Exchange, now func() int64, at int64) (ticket, error) {
	if l == nil {
		return ticket{}, nil
	}
	if at >= l.due.Load() {
		l.tick(at)
	}
	if x.Request.Body.Len() > largeBody {
		return ticket{noSlot, at, at}, nil // were it counted, slow senders would keep everybody else out
	}
	if g, ok := l.take(l.limit.Load()); ok {
		return ticket{g, at, at}, nil
	}
	if l.Mode == OverloadShadow {
		l.refused[x.Importance.Index()].Add(1)
		return ticket{noSlot, at, at}, nil
	}
	span := x.BeginSpan(exchange.SpanWait, l.service, l.service)
	g, err := l.wait(x)
	x.EndSpan(span, err, exchange.WorthSpan)
	end := now()
	if err != nil {
		if l.inVain(end-at, err) {
			l.left.Add(1)
		}
		if end >= l.due.Load() {
			l.tick(end)
		}
		return ticket{}, err
	}
	return ticket{g, at, end}, nil
}

// take takes a slot if fewer than limit are taken.
func (l *limiter) take(limit int64) (generation uint64, ok bool) {
	for {
		g := l.now.Load()
		young := &l.slots[g&1]
		w := young.Load()
		if w>>32 != g&(1<<32-1) {
			continue // the next generation is beginning
		}
		if int64(uint32(w))+int64(uint32(l.slots[(g+1)&1].Load())) >= limit {
			return 0, false
		}
		if young.CompareAndSwap(w, w+1) {
			return g, true
		}
	}
}

// give gives a slot back. It reports whether there was still one to give back.
func (l *limiter) give(g uint64) bool {
	slots := &l.slots[g&1]
	for w := slots.Load(); w>>32 == g&(1<<32-1); w = slots.Load() {
		if slots.CompareAndSwap(w, w-1) {
			return true
		}
	}
	return false
}

// age begins a generation: what is left of the one before last holds no slots.
func (l *limiter) age() {
	g := l.now.Load() + 1
	l.slots[g&1].Store(g & (1<<32 - 1) << 32)
	l.now.Store(g)
}

// inFlight is how many hold a slot.
func (l *limiter) inFlight() int64 {
	return int64(uint32(l.slots[0].Load())) + int64(uint32(l.slots[1].Load()))
}

// leave reports how a request that was let in ended: with a response head or an
// error.
func (l *limiter) leave(t ticket, x *exchange.Exchange, v verdict, err error) {
	if l == nil {
		return
	}
	counted := l.give(t.generation)
	if l.waiting.Load() > 0 {
		l.serveNext()
	}
	end := t.at + int64(x.Upstream)
	own := x.Upstream - x.Upload // a client that takes long to send its body says nothing about the service
	switch {
	case !counted:
	case v == good:
		l.took.add(own)
	case err != nil && l.inVain(t.at-t.came+int64(own), err):
		l.vain.Add(1)
		l.vainTime.Add(int64(own))
	}
	if end >= l.due.Load() {
		l.tick(end)
	}
}

// inVain reports whether a request has waited in vain, for longer than answers
// take. Who leaves sooner, or is told at once that the service fails, says nothing
// about its latency.
func (l *limiter) inVain(waited int64, err error) bool {
	if waited < l.vainAfter.Load() {
		return false
	}
	var e *exchange.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case exchange.UpstreamTimeout.Name, exchange.ExchangeTimeout.Name, exchange.ClientGone.Name:
		return true
	}
	return false
}

// OverloadState is the state of what protects a service from too many requests.
type OverloadState struct {
	Mode     string            `json:"mode"`
	Phase    string            `json:"phase"`               // watching (nothing is bounded), bounded (others wait), refusing
	Limit    int64             `json:"limit,omitempty"`     // requests that may wait for a response head at a time
	InFlight int64             `json:"in_flight"`           // those that do
	Waiting  int64             `json:"waiting"`             // for a place among them
	Usual    float64           `json:"usual_ms,omitempty"`  // median time to the response head when nothing queues
	Latest   float64           `json:"latest_ms,omitempty"` // the same, lately
	Waited   uint64            `json:"waited"`              // requests that had to wait
	Refused  map[string]uint64 `json:"refused"`             // by importance; in shadow mode: would have been
}

func (l *limiter) state() *OverloadState {
	if l == nil {
		return nil
	}
	s := &OverloadState{Mode: l.Mode, InFlight: l.inFlight(), Waiting: l.waiting.Load(), Waited: l.waited.Load(), Refused: map[string]uint64{}}
	for i := range l.refused {
		s.Refused[(exchange.Background + exchange.Importance(i)).String()] = l.refused[i].Load()
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	s.Phase = l.control.phase.String()
	if n := l.limit.Load(); n < unbounded {
		s.Limit = n
	}
	s.Usual, s.Latest = l.control.usual/1e6, l.control.latest/1e6
	return s
}
