package gateway

import (
	"runtime/debug"
	"strings"

	"gopura/exchange"
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
	s.introduce(x)
	err := s.admit(x)
	if err == nil {
		n, err = s.match(x)
	}
	n.enter(x)
	entered = true
	if err == nil {
		err = n.handler.Serve(x)
	}
	if err != nil {
		answer(x, err)
		return
	}
	finishResponse(x)
}

// Refuse implements exchange.Root: the front end could not accept the request.
func (g *Gateway) Refuse(x *exchange.Exchange, e *exchange.Error) {
	if pin := g.current.Enter(); pin != nil {
		pin.Value.unrouted.enter(x)
	}
	x.ID = requestID(x, nil)
	answer(x, e)
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
	n, outcome := s.table.Match(x)
	switch outcome {
	case route.Found:
		x.Route = n.name
		if n.timeout > 0 {
			x.Deadline = x.Start.Add(n.timeout)
		}
		return n, nil
	case route.WrongMethod:
		x.Response.Header.Add("Allow", strings.Join(s.table.Allowed(x), ", "))
		return s.unrouted, exchange.MethodNotAllowed.Because(nil)
	}
	return s.unrouted, exchange.NoRoute.Because(nil)
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
