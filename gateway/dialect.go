package gateway

import (
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/route"
	"gopura/transcode"
)

// interpreted is a route to gRPC services for clients that speak gRPC-Web or
// Connect, too. The policies of the route, and what is behind them, see gRPC.
type interpreted struct {
	transcode.Interpreter
	next exchange.Handler
}

// Serve implements exchange.Handler.
func (h *interpreted) Serve(x *exchange.Exchange) error {
	d := h.Dialect(&x.Request)
	if d == transcode.NoDialect {
		return h.next.Serve(x)
	}
	if err := h.call(x, d); err != nil {
		answerIn(x, err, d)
	}
	return nil
}

func (h *interpreted) call(x *exchange.Exchange, d transcode.Dialect) error {
	t, err := h.Begin(x, d)
	if err != nil {
		return err
	}
	defer t.Restore() // in a panic, too: the answer to it is in the dialect
	if err := heedTimeout(x); err != nil {
		return err
	}
	if err := t.Blame(h.next.Serve(x)); err != nil {
		return err
	}
	sealGRPC(x)
	return t.Finish()
}

// answerIn is answer for clients that speak a dialect.
func answerIn(x *exchange.Exchange, err error, d transcode.Dialect) {
	e := exchange.AsError(err)
	x.Err = e
	x.DropResponse()
	answerGRPC(x, e)
	transcode.Say(x, d)
}

// interpret puts an interpreter in front of a route that sends calls to gRPC
// services. One that sends other requests there is left alone.
func (c *compiler) interpret(r *config.Route, next exchange.Handler, path string) (exchange.Handler, bool) {
	s := r.Speaks
	if r.GRPC != nil && r.GRPC.OneMethod() || len(r.To) == 0 && len(r.Reflection) == 0 {
		if s != nil {
			c.doc.Problem(s.Pos, path+".speaks", "only a route that passes calls on to gRPC services has protocols to choose")
			return nil, false
		}
		return next, true
	}
	h := &interpreted{next: next, Interpreter: transcode.Interpreter{Web: true, Connect: true, Only: r.GRPC == nil, Max: transcode.DefaultLimits.Message}}
	for _, to := range r.To {
		conf := c.serviceConf(to.Service)
		switch {
		case conf == nil, s == nil && !namedGRPC(conf):
			return next, true // it may speak all of them itself
		case !speaksHTTP2(conf):
			c.doc.Add(config.Problem{
				Pos: s.Pos, Path: path + ".speaks", Message: fmt.Sprintf("the service %q is not spoken to in HTTP/2, which gRPC needs", to.Service),
				Hint: "write its targets as grpc://host:port or grpcs://host:port",
			})
			return nil, false
		}
		h.Sources = append(h.Sources, &lateSchema{c.services[to.Service]})
		if conf.GRPC != nil && c.schemaOf(c.services[to.Service], conf) == nil {
			return nil, false
		}
	}
	if s != nil {
		h.Web, h.Connect = slices.Contains(s.Protocols, "grpc-web"), slices.Contains(s.Protocols, "connect")
		h.Max = int(s.MaxMessage)
	}
	if !h.Web && !h.Connect {
		return next, true
	}
	return h, true
}

// namedGRPC reports whether a service is said to speak gRPC: its targets have
// that scheme. What speaks HTTP/2 may speak something else.
func namedGRPC(s *config.Service) bool {
	for _, t := range s.Targets {
		if scheme, _, _ := strings.Cut(t.URL, ":"); scheme != "grpc" && scheme != "grpcs" {
			return false
		}
	}
	return true
}

// lateSchema is what is known of a service when a request comes: that it is
// needed, another route may have said.
type lateSchema struct{ svc *service }

// Schema implements transcode.Schemas.
func (l *lateSchema) Schema() *transcode.Schema {
	if l.svc.schema == nil {
		return nil
	}
	return l.svc.schema.Schema()
}

// Fault implements transcode.Schemas.
func (l *lateSchema) Fault() error {
	if l.svc.schema == nil {
		return nil
	}
	return l.svc.schema.Fault()
}

// Refresh implements transcode.Schemas.
func (l *lateSchema) Refresh() {
	if l.svc.schema != nil {
		l.svc.schema.Refresh()
	}
}

// reflection compiles a route that tells clients what they may call.
func (c *compiler) reflection(r *config.Route, path string) (exchange.Handler, bool) {
	h := &transcode.Reflection{}
	for i, name := range r.Reflection {
		svc, conf := c.services[name], c.serviceConf(name)
		if svc == nil || conf == nil {
			return nil, false // the document has said so already
		}
		if !speaksHTTP2(conf) && (conf.GRPC == nil || len(conf.GRPC.Proto) == 0 && conf.GRPC.Descriptors == "") {
			c.doc.Problem(r.Pos, fmt.Sprintf("%s.reflection[%d]", path, i), "the methods of the service %q are not known: it is not spoken to in HTTP/2, and no file describes it", name)
			return nil, false
		}
		s := c.schemaOf(svc, conf)
		if s == nil {
			return nil, false
		}
		h.Sources = append(h.Sources, s)
	}
	h.Reach = func(x *exchange.Exchange, i int, method string) bool { return c.s.reaches(x, r.Reflection[i], method) }
	return h, true
}

// reaches reports whether a call of a method by the client of x would come to a
// service.
func (s *snapshot) reaches(x *exchange.Exchange, service, method string) bool {
	q := &x.Request
	path, params := q.Path, q.Params
	defer func() { q.Path, q.Params = path, params }()
	q.Path, q.Params = []byte(method), nil
	n, outcome := s.table.Match(x)
	if outcome != route.Found || n.route == nil || n.route.GRPC != nil && n.route.GRPC.OneMethod() {
		return false
	}
	if g := n.route.GRPC; g != nil && g.ToREST == "" && g.Call != "annotations" && !strings.HasPrefix(method, "/"+g.Call+"/") {
		return false
	}
	return slices.ContainsFunc(n.route.To, func(t config.Split) bool { return t.Service == service && t.Weight > 0 })
}
