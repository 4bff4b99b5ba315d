package gateway

import (
	"runtime/debug"
	"strings"

	"gopura/exchange"
	"gopura/policy"
	"gopura/route"
)

// Serve implements exchange.Root: the way of every request.
func (g *Gateway) Serve(x *exchange.Exchange) {
	pin := g.current.Enter()
	if pin == nil {
		answer(x, exchange.Draining.Because(nil))
		return
	}
	n := pin.Value.unrouted
	entered := false
	defer func() {
		if p := recover(); p != nil {
			if !entered {
				n.enter(x)
			}
			g.panicked(x, p)
		}
	}()
	s := n.snap
	token := s.introduce(x)
	err := s.admit(x)
	var w *witness // nil: nobody wants x explained
	if token != nil && err == nil {
		w = g.witness(s, x, token)
	}
	answered := false
	if err == nil {
		answered, err = s.greet(x)
	}
	if err == nil && !answered {
		n, err = s.match(x)
	}
	n.enter(x)
	entered = true
	if s.tracer != nil {
		s.tracer.Begin(x, s.trusts(x.Client.Peer.Addr()))
	}
	call := speaksGRPC(x)
	if call && err == nil {
		err = heedTimeout(x)
	}
	if err == nil && !answered && g.pressure.bar.Load() > 0 && !n.cheap {
		err = g.pressure.admit(x)
	}
	if err == nil && !answered {
		if w == nil {
			err = n.handler.Serve(x)
		} else {
			err = w.serve(x, n)
		}
	}
	if err != nil {
		answer(x, err)
	} else {
		finishResponse(x)
		if x.Response.Tunnel != nil && s.doc.Limits.TunnelIdle > 0 {
			limitTunnel(x, s.doc.Limits.TunnelIdle)
		}
		if call {
			sealGRPC(x)
		}
	}
	s.harden(x)
	if w != nil {
		w.answered(x)
	}
	if s.tracer != nil {
		s.tracer.Answered(x)
	}
}

// Refuse implements exchange.Root: the front end could not accept the request.
func (g *Gateway) Refuse(x *exchange.Exchange, e *exchange.Error) {
	pin := g.current.Enter()
	if pin != nil {
		pin.Value.unrouted.enter(x)
		if t := pin.Value.tracer; t != nil {
			t.Begin(x, false)
		}
	}
	x.ID = requestID(x, nil)
	answer(x, e)
	if pin != nil {
		pin.Value.harden(x)
	}
}

// panicked ends an exchange whose handler panicked: for this one a 500, for
// the log the stack, for everybody else nothing.
func (g *Gateway) panicked(x *exchange.Exchange, p any) {
	g.log.Error("panic while serving a request", "panic", p, "route", x.Route, "id", string(x.ID), "stack", string(debug.Stack()))
	answer(x, exchange.Internal.Errorf("panic: %v", p))
}

// admit normalises the path, once: what is matched is what is forwarded.
func (s *snapshot) admit(x *exchange.Exchange) error {
	path, err := route.Clean(&x.Arena, x.Request.Path, s.clean)
	if err != nil {
		return err
	}
	x.Request.Path = path
	return nil
}

// match finds the route of x.
func (s *snapshot) match(x *exchange.Exchange) (*node, error) {
	if n := s.reserved[string(x.Request.Path)]; n != nil {
		x.Route = n.name
		return n, nil
	}
	if n := s.matchPreflight(x); n != nil {
		return s.enterRoute(x, n), nil
	}
	n, outcome := s.table.Match(x)
	switch outcome {
	case route.Found:
		return s.enterRoute(x, n), nil
	case route.WrongMethod:
		x.Response.Header.Add("Allow", strings.Join(s.table.Allowed(x), ", "))
		return s.unrouted, exchange.MethodNotAllowed.Because(nil)
	}
	return s.unrouted, exchange.NoRoute.Because(nil)
}

func (s *snapshot) enterRoute(x *exchange.Exchange, n *node) *node {
	x.Route = n.name
	if x.Importance = n.importance; n.rank != nil {
		n.rank(x)
	}
	if n.timeout > 0 {
		x.Deadline = x.Start.Add(n.timeout)
	}
	return n
}

// matchPreflight finds the route whose cors policy answers x, if x is a CORS
// preflight: that of the request that it asks leave for. A route without cors
// would pass it on as a method that its match may not name, so it never counts.
func (s *snapshot) matchPreflight(x *exchange.Exchange) *node {
	method := policy.Preflight(&x.Request)
	if method == "" {
		return nil
	}
	asked := x.Request.Method
	x.Request.Method = method
	n, outcome := s.table.Match(x)
	x.Request.Method = asked
	if outcome == route.Found && n.preflights {
		return n
	}
	return nil
}

// finishResponse gives an ordinary answer what every answer has. Only the
// gateway may say that it made an answer.
func finishResponse(x *exchange.Exchange) {
	h := &x.Response.Header
	if !x.Response.Made {
		for _, f := range h.Fields() {
			if f.Name[0]|0x20 == 'g' && alias(f.Name, "gopura-answer") {
				h.DelAlias(madeHeader)
				break
			}
		}
	}
	h.SetBytes("X-Request-Id", x.ID)
}
