package identity

import (
	"context"
	"net/http"
	"net/url"

	"gopura/exchange"
)

// inquiry is a question to somebody outside that an exchange waits for: a span of
// its trace, of which whoever is asked is told.
type inquiry struct {
	x     *exchange.Exchange
	span  exchange.SpanRef
	trail trail
}

// trail is where a question stands in a trace, as traceparent and tracestate
// have it.
type trail struct{ parent, state string }

type trailKey struct{}

// inquire begins a question of x to whom, at an address.
func inquire(x *exchange.Exchange, whom, address string) inquiry {
	a := inquiry{x: x, span: x.BeginAsk(whom, address)}
	a.trail.parent, a.trail.state = x.Caller(a.span)
	return a
}

// in is ctx for the calls that the question is made of. It keeps nothing of the
// exchange, so it may be of a call that outlasts it.
func (a *inquiry) in(ctx context.Context) context.Context {
	if a.trail.parent == "" {
		return ctx
	}
	return context.WithValue(ctx, trailKey{}, a.trail)
}

// over ends the question, which has failed or has been answered.
func (a *inquiry) over(err error) {
	if err != nil {
		err = exchange.IdentityUnavailable.Because(err)
	}
	a.x.EndSpan(a.span, err, 0)
}

// traced is r with what its context says about its place in a trace.
func traced(r *http.Request) *http.Request {
	p, ok := r.Context().Value(trailKey{}).(trail)
	if !ok {
		return r
	}
	with := *r // a RoundTripper leaves the request as it is
	if with.Header = r.Header.Clone(); with.Header == nil {
		with.Header = http.Header{}
	}
	with.Header.Set("Traceparent", p.parent)
	if p.state != "" {
		with.Header.Set("Tracestate", p.state)
	}
	return &with
}

// hostOf is the host of a URL that was checked, with its port.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
