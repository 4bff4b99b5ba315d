package exchange

import (
	"sync"
	"time"
)

// SpanKind is what a span is about.
type SpanKind uint8

const (
	SpanPolicy  SpanKind = iota + 1 // a policy that took its time, or refused
	SpanWait                        // for a place in front of a service
	SpanAttempt                     // a request that was sent to a target
	SpanCall                        // a call of a composed answer
	SpanAsk                         // a question to somebody outside, before the request may pass
	SpanStore                       // the shared store
)

// Span is a part of an exchange that took its time. Its strings are owned, as
// everywhere.
type Span struct {
	Kind       SpanKind
	ID, Parent SpanID
	Name       string // of the policy or the call
	Start, End time.Time

	Service, Target string
	Method, Scheme  string
	RPC             bool        // it is a gRPC call
	Status          int         // of the answer; 0: there was none
	Code            string      // of the error; empty: there was none
	GRPC            GRPCOutcome // of a gRPC call
	Resend          int         // how many attempts were before
	from, to        int         // its target, in the text of all
	below           SpanRef     // the policy that it is a part of; 0: none
	whole           bool        // it has parts, and is told however short it was
}

// Spans is what is recorded about one exchange and the calls that are made on
// its behalf, in memory that is used again. Its methods are safe for concurrent
// use.
type Spans struct {
	// Head is when there was an answer; zero: not yet. The exchange's own.
	Head time.Time
	// Lost is how many spans were too many.
	Lost int

	mu   sync.Mutex
	list []Span
	text []byte
}

// The limits of what is recorded about one exchange.
const (
	maxSpans      = 200
	maxSpanText   = 32 << 10
	maxSpanTarget = 1024
)

// WorthSpan is how long what mostly takes no time has to take to be worth a span.
const WorthSpan = 200 * time.Microsecond

// SpanRef names a span of an exchange; 0 names none.
type SpanRef int32

// All returns the spans, in the order in which they began. They are the
// recorder's own.
func (s *Spans) All() []Span { return s.list }

// TargetOf returns path and query of an attempt, as they were sent.
func (s *Spans) TargetOf(p *Span) []byte { return s.text[p.from:p.to] }

// Reset makes s ready for the next exchange.
func (s *Spans) Reset() {
	clear(s.list)
	s.list, s.text, s.Lost, s.Head = s.list[:0], s.text[:0], 0, time.Time{}
}

func (s *Spans) add(p *Span, path, query []byte) SpanRef {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == maxSpans {
		s.Lost++
		return 0
	}
	if p.from = len(s.text); p.from < maxSpanText {
		s.text = append(s.text, path[:min(len(path), maxSpanTarget)]...)
		if len(query) > 0 {
			s.text = append(append(s.text, '?'), query[:min(len(query), maxSpanTarget)]...)
		}
	}
	p.to = len(s.text)
	s.list = append(s.list, *p)
	return SpanRef(len(s.list))
}

// BeginSpan begins a span where something is recorded: below the policy that is
// at work, or else below the exchange's own. Service is the one that it is about,
// if any.
func (x *Exchange) BeginSpan(kind SpanKind, name, service string) SpanRef {
	if x.Trace.Spans == nil {
		return 0
	}
	p := Span{Kind: kind, ID: NewSpanID(), Parent: x.Trace.Span, Name: name, Start: time.Now(), Service: service}
	if p.below = x.Trace.open; p.below != 0 {
		p.Parent = x.SpanOf(p.below)
	}
	return x.Trace.Spans.add(&p, nil, nil)
}

// BeginAsk begins the span of a question to somebody outside, at an address.
func (x *Exchange) BeginAsk(name, address string) SpanRef {
	ref := x.BeginSpan(SpanAsk, name, "")
	if ref != 0 {
		x.Trace.Spans.mu.Lock()
		x.Trace.Spans.list[ref-1].Target = address
		x.Trace.Spans.mu.Unlock()
	}
	return ref
}

// Caller is what somebody is told who is asked in a span about who asks: the
// values of traceparent and tracestate, empty when there is nothing to tell. Where
// the span is not recorded it is what services are told.
func (x *Exchange) Caller(ref SpanRef) (parent, state string) {
	h := &x.Request.Header
	if ref != 0 {
		parent = string(x.Trace.appendTraceparent(nil, x.SpanOf(ref)))
	} else if v := h.Get("traceparent"); v != nil {
		if _, ok := ParseTraceparent(v); !ok {
			return "", ""
		}
		parent = string(v)
	}
	if parent == "" || !ValidTracestate(h) {
		return parent, ""
	}
	for v := range h.Values("tracestate") {
		if state != "" {
			state += ","
		}
		state += string(v)
	}
	return parent, state
}

// EndSpan ends a span, with an error or without. One that took less than least
// and has no error is forgotten: it would tell nothing.
func (x *Exchange) EndSpan(ref SpanRef, err error, least time.Duration) {
	if ref == 0 {
		return
	}
	s := x.Trace.Spans
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.list[ref-1]
	p.End = time.Now()
	if err != nil {
		p.Code = AsError(err).Code
		p.Status = AsError(err).Status
	} else if p.End.Sub(p.Start) < least && !p.whole {
		if p.Kind = 0; int(ref) == len(s.list) {
			s.list = s.list[:ref-1]
		}
		return
	}
	if p.below != 0 {
		s.list[p.below-1].whole = true
	}
}

// BeginAttempt begins the span of an attempt at x.Target, which is told that it
// is the caller.
func (x *Exchange) BeginAttempt(now time.Time, scheme string) {
	if x.Trace.attempt = 0; x.Trace.Spans == nil {
		return
	}
	p := Span{Kind: SpanAttempt, ID: NewSpanID(), Parent: x.Trace.Span, Start: now, Service: x.Service, Target: x.Target,
		Method: x.Request.Method, Scheme: scheme, Resend: x.Attempts - 1, RPC: IsGRPC(x.Request.Header.Get("Content-Type"))}
	x.Trace.attempt = x.Trace.Spans.add(&p, x.Request.Path, x.Request.Query)
	x.TellTrace(p.ID)
}

// HeadAttempt notes how the last attempt went, when the head of its answer is
// there or there is none.
func (x *Exchange) HeadAttempt(now time.Time, err error) {
	ref := x.Trace.attempt
	if ref == 0 {
		return
	}
	s := x.Trace.Spans
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.list[ref-1]
	p.End = now
	if err != nil {
		p.Code = AsError(err).Code
		return
	}
	p.Status = x.Response.Status
	if v := x.Response.Header.Get("grpc-status"); v != nil {
		p.GRPC = GRPCOutcome{ParseGRPCStatus(v), true}
	}
}

// EndAttempt says that the answer of the last attempt is over, with its body,
// which may have broken off: that is the error of the attempt, too.
func (x *Exchange) EndAttempt(now time.Time, err error) {
	ref := x.Trace.attempt
	if ref == 0 {
		return
	}
	x.Trace.attempt = 0
	s := x.Trace.Spans
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.list[ref-1]
	if p.Code != "" {
		return // it was over before
	}
	p.End = now
	if err != nil && UpstreamBroken.Is(err) {
		p.Code = UpstreamBroken.Name
	}
	if x.GRPC.Known && !p.GRPC.Known {
		p.GRPC = x.GRPC
	}
}

// BeginPolicy says that a policy which may wait is at work.
func (x *Exchange) BeginPolicy(name string) { x.Trace.open = x.BeginSpan(SpanPolicy, name, "") }

// EndPolicy says that the policy which is at work has let the request pass, or
// has ended it with an error. It tells nothing when no policy is.
func (x *Exchange) EndPolicy(err error) {
	ref := x.Trace.open
	x.Trace.open = 0
	x.EndSpan(ref, err, WorthSpan)
}

// SpanOf returns the id of a span; zero: it names none.
func (x *Exchange) SpanOf(ref SpanRef) SpanID {
	if ref == 0 {
		return SpanID{}
	}
	s := x.Trace.Spans
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list[ref-1].ID
}
