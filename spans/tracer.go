package spans

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// Whom says of whom something holds.
type Whom uint8

const (
	Proxies   Whom = iota // peers that the configuration trusts
	Everybody             // every client
	Nobody
)

func (w Whom) includes(trusted bool) bool { return w == Everybody || w == Proxies && trusted }

// Ratio is a part of all exchanges.
type Ratio struct{ below uint64 }

// RatioOf returns the ratio of a number between 0 and 1.
func RatioOf(part float64) Ratio {
	switch {
	case part >= 1:
		return Ratio{math.MaxUint64}
	case part > 0:
		return Ratio{uint64(part * math.MaxUint64)}
	}
	return Ratio{}
}

// draw decides by dice of our own: a client that chooses its trace id must not
// be able to choose to be recorded.
func (r Ratio) draw() bool {
	return r.below == math.MaxUint64 || r.below > 0 && rand.Uint64() < r.below
}

// Rule decides about the exchanges for which it holds.
type Rule struct {
	When   func(*exchange.Exchange) bool
	Sample Ratio
}

// Tracer is what a configuration says about traces. It does not change.
type Tracer struct {
	Exporter *Exporter // nil: traces are passed on, and nothing is recorded
	Rules    []Rule    // the first that holds decides, whatever the caller says
	Sample   Ratio     // of the exchanges about which neither a rule nor a caller decides
	Trust    Whom      // whose word counts about what is sampled
	Continue Whom      // whose traces are continued; those of others begin anew

	Errors bool          // keep every exchange that fails
	Slow   time.Duration // and every one that takes so long to be answered; 0: none
	Most   *Throttle     // at most so many of these; nil: all

	pool sync.Pool // of *exchange.Spans
}

// Begin gives x its place in a trace, decides whether it is recorded, and says
// in its request who the caller is. Trusted: so is the peer of x.
func (t *Tracer) Begin(x *exchange.Exchange, trusted bool) {
	h, tr := &x.Request.Header, &x.Trace
	caller, ok := callerOf(h)
	continued := ok && t.Continue.includes(trusted)
	if continued {
		tr.ID, tr.Parent, tr.Random = caller.ID, caller.Parent, caller.Random
		if !exchange.ValidTracestate(h) {
			h.Del("tracestate")
		}
	} else {
		h.Del("tracestate") // W3C Trace Context §4.3: it belongs to the trace that ends here
		tr.ID = exchange.NewTraceID()
		if ok {
			tr.Link = exchange.Trail{ID: caller.ID, Span: caller.Parent}
		}
	}
	tr.Sampled = t.decide(x, continued && t.Trust.includes(trusted), caller.Sampled)
	switch {
	case t.Exporter != nil && (tr.Sampled || t.Errors || t.Slow > 0):
		if tr.Spans, _ = t.pool.Get().(*exchange.Spans); tr.Spans == nil {
			tr.Spans = new(exchange.Spans)
		}
	case continued && caller.Sampled == tr.Sampled:
		// Nothing of ours is in the trace: the caller's field goes on as it is.
		tr.Span = caller.Parent
		return
	}
	tr.Span = exchange.NewSpanID()
	x.TellTrace(tr.Span)
}

// callerOf reads where the request comes from. Two fields contradict each other.
func callerOf(h *exchange.Header) (t exchange.Trace, ok bool) {
	n := 0
	var field []byte
	for v := range h.Values("traceparent") {
		field, n = v, n+1
	}
	if n != 1 {
		return t, false
	}
	return exchange.ParseTraceparent(field)
}

func (t *Tracer) decide(x *exchange.Exchange, told, sampled bool) bool {
	for i := range t.Rules {
		if t.Rules[i].When(x) {
			return t.Rules[i].Sample.draw()
		}
	}
	if told {
		return sampled
	}
	return t.Sample.draw()
}

// Answered notes that there is an answer, whose body may still have to come.
func (t *Tracer) Answered(x *exchange.Exchange) {
	if s := x.Trace.Spans; s != nil {
		s.Head = time.Now()
	}
}

// Finish sends what was recorded about x, which has ended, if it is worth it,
// and takes the memory back. x and all that it borrows must still be alive.
// Route is the path that its route matches.
func (t *Tracer) Finish(x *exchange.Exchange, end time.Time, route string) {
	s := x.Trace.Spans
	if s == nil {
		return
	}
	if x.Trace.Sampled || t.notable(x, s) && t.Most.allow(end) {
		x.Trace.Kept = true
		x.EndAttempt(end, failureOf(x))
		t.Exporter.put(messages(x, end, route))
	}
	x.Trace.Spans = nil
	s.Reset()
	t.pool.Put(s)
}

func (t *Tracer) notable(x *exchange.Exchange, s *exchange.Spans) bool {
	if t.Errors && failed(x) {
		return true
	}
	return t.Slow > 0 && !s.Head.IsZero() && s.Head.Sub(x.Start) >= t.Slow
}

// failed reports whether somebody has to look after it, as the conventions for
// HTTP and gRPC servers have it: what a client did wrong is not a failure of ours.
func failed(x *exchange.Exchange) bool {
	if x.GRPC.Known {
		switch x.GRPC.Code {
		case exchange.GRPCUnknown, exchange.GRPCDeadlineExceeded, exchange.GRPCUnimplemented,
			exchange.GRPCInternal, exchange.GRPCUnavailable, exchange.GRPCDataLoss:
			return true
		}
	}
	if e := x.Err; e != nil && e.Side != exchange.ByClient && e.Status >= 500 {
		return true
	}
	return x.Response.Status >= 500
}

func failureOf(x *exchange.Exchange) error {
	if x.Err == nil {
		return nil
	}
	return x.Err
}

// Throttle lets so many pass in a time, counted from whenever one came after
// that time was over.
type Throttle struct {
	Count int64
	Per   time.Duration

	epoch atomic.Int64
	used  atomic.Int64
}

func (r *Throttle) allow(now time.Time) bool {
	if r == nil {
		return true
	}
	at := now.UnixNano()
	if since := r.epoch.Load(); at-since >= int64(r.Per) && r.epoch.CompareAndSwap(since, at) {
		r.used.Store(0)
	}
	return r.used.Add(1) <= r.Count
}
