package spans

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"gopura/exchange"
	"gopura/telemetry"
)

// The longest that texts of clients may be in a span.
const (
	maxText   = 256
	maxTarget = 2048
)

// Flags of a span beside those of W3C: whether its parent is in another process
// is known, and whether it is.
const (
	parentKnown  = uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	parentRemote = uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
)

// messages makes the spans of an exchange that has ended: its own, and what was
// recorded below it. Nothing borrowed is left in them.
func messages(x *exchange.Exchange, end time.Time, route string) []*tracepb.Span {
	s := x.Trace.Spans
	list := make([]*tracepb.Span, 1, 1+len(s.All()))
	list[0] = server(x, end, route)
	if s.Lost > 0 {
		list[0].Attributes = append(list[0].Attributes, number("gopura.spans_lost", s.Lost))
	}
	for i := range s.All() {
		p := &s.All()[i]
		if p.Kind == 0 {
			continue // it had nothing to tell
		}
		m := &tracepb.Span{
			TraceId: bytes.Clone(x.Trace.ID[:]), SpanId: bytes.Clone(p.ID[:]), ParentSpanId: bytes.Clone(p.Parent[:]),
			Flags: flags(&x.Trace) | parentKnown, StartTimeUnixNano: nanos(p.Start), EndTimeUnixNano: nanos(latest(p.Start, p.End, end)),
		}
		part(m, p, s)
		list = append(list, m)
	}
	return list
}

// latest is the end of a span: one that was still open ends with the exchange.
func latest(start, end, whole time.Time) time.Time {
	if end.Before(start) {
		return whole
	}
	return end
}

func flags(t *exchange.Trace) (f uint32) {
	if t.Sampled {
		f |= 1
	}
	if t.Random {
		f |= 2
	}
	return f
}

// server is the span of the exchange as a whole, by the semantic conventions for
// HTTP and gRPC servers.
func server(x *exchange.Exchange, end time.Time, route string) *tracepb.Span {
	q, t := &x.Request, &x.Trace
	m := &tracepb.Span{
		TraceId: bytes.Clone(t.ID[:]), SpanId: bytes.Clone(t.Span[:]), Kind: tracepb.Span_SPAN_KIND_SERVER,
		Flags: flags(t) | parentKnown, TraceState: tracestate(&q.Header), StartTimeUnixNano: nanos(x.Start), EndTimeUnixNano: nanos(end),
	}
	if t.Parent != (exchange.SpanID{}) {
		m.ParentSpanId, m.Flags = bytes.Clone(t.Parent[:]), m.Flags|parentRemote
	}
	if t.Link != (exchange.Trail{}) {
		m.Links = []*tracepb.Span_Link{{TraceId: bytes.Clone(t.Link.ID[:]), SpanId: bytes.Clone(t.Link.Span[:]), Flags: parentKnown | parentRemote}}
	}
	method, original := known(q.Method)
	a := &attributes{&m.Attributes}
	a.add("http.request.method", method)
	a.add("http.request.method_original", original)
	a.add("url.scheme", q.Scheme)
	path, query := masked(q.Target)
	a.add("url.path", path)
	a.add("url.query", query)
	a.add("server.address", string(q.Host))
	if _, port, err := net.SplitHostPort(string(q.Authority)); err == nil {
		a.port("server.port", port)
	}
	client(a, x)
	a.add("user_agent.original", string(clip(q.Header.Get("User-Agent"), maxText)))
	m.Name = strings.TrimPrefix(method, "_OTHER")
	if m.Name == "" {
		m.Name = "HTTP"
	}
	if route != "" {
		a.add("http.route", route)
		m.Name += " " + route
	}
	if q.Method == "POST" && exchange.IsGRPC(q.Header.Get("Content-Type")) && len(q.Path) > 1 {
		rpc := valid(q.Path[1:])
		a.add("rpc.system.name", "grpc")
		a.add("rpc.method", rpc)
		if x.Route != "" {
			m.Name = rpc
		}
	}
	outcome(a, m, x)
	a.add("gopura.route", x.Route)
	a.add("gopura.service", x.Service)
	a.add("gopura.request_id", string(clip(x.ID, maxText)))
	if x.Attempts > 1 {
		*a.list = append(*a.list, number("gopura.attempts", x.Attempts))
	}
	if x.Identity != nil {
		a.add("gopura.identity", x.Identity.Name)
	}
	return m
}

func client(a *attributes, x *exchange.Exchange) {
	c := x.Client
	if c == nil {
		return
	}
	if addr := c.Addr.Addr(); addr.IsValid() {
		a.add("client.address", addr.Unmap().WithZone("").String())
	}
	if peer := c.Peer.Addr(); peer.IsValid() {
		a.add("network.peer.address", peer.Unmap().WithZone("").String())
		*a.list = append(*a.list, number("network.peer.port", int(c.Peer.Port())))
	}
	version := strings.TrimPrefix(c.Protocol, "HTTP/")
	a.add("network.protocol.version", strings.TrimSuffix(version, ".0"))
	a.add("gopura.listener", c.Listener)
}

// outcome says how it ended.
func outcome(a *attributes, m *tracepb.Span, x *exchange.Exchange) {
	status := x.Response.Status
	if status == 0 && x.Err != nil {
		status = x.Err.Status
	}
	if status > 0 {
		*a.list = append(*a.list, number("http.response.status_code", status))
	}
	if x.GRPC.Known {
		a.add("rpc.response.status_code", x.GRPC.Code.String())
	}
	*a.list = append(*a.list, number("http.request.body.size", int(x.Received)), number("http.response.body.size", int(x.Sent)))
	if x.Err != nil {
		a.add("gopura.code", x.Err.Code)
		a.add("gopura.side", x.Err.Side.String())
	}
	if !failed(x) {
		return
	}
	kind := strconv.Itoa(status)
	switch {
	case x.Err != nil:
		kind = x.Err.Code
	case x.GRPC.Known:
		kind = x.GRPC.Code.String()
	}
	failure(a, m, kind)
	if x.Err != nil && x.Err.Err != nil {
		m.Status.Message = valid([]byte(x.Err.Err.Error()))
	}
}

func failure(a *attributes, m *tracepb.Span, kind string) {
	a.add("error.type", kind)
	m.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
}

// part says what a span below the exchange's own is about.
func part(m *tracepb.Span, p *exchange.Span, s *exchange.Spans) {
	a := &attributes{&m.Attributes}
	m.Kind = tracepb.Span_SPAN_KIND_INTERNAL
	switch p.Kind {
	case exchange.SpanPolicy:
		m.Name = "policy " + p.Name
		a.add("gopura.policy", p.Name)
		if p.Code != "" {
			a.add("gopura.code", p.Code)
			if p.Status >= 500 {
				failure(a, m, p.Code)
			}
		}
		return
	case exchange.SpanWait:
		m.Name = "wait " + p.Name
		a.add("gopura.service", p.Service)
	case exchange.SpanStore:
		m.Name, m.Kind = "store "+p.Name, tracepb.Span_SPAN_KIND_CLIENT
	case exchange.SpanAsk:
		m.Name, m.Kind = "ask "+p.Name, tracepb.Span_SPAN_KIND_CLIENT
		a.add("gopura.asked", p.Name)
		a.target(p.Target)
	case exchange.SpanCall:
		m.Name = "call " + p.Name
		a.add("gopura.call", p.Name)
		a.add("gopura.service", p.Service)
	case exchange.SpanAttempt:
		attempt(a, m, p, s)
	}
	if p.Code != "" {
		failure(a, m, p.Code)
	}
}

// attempt is a request that was sent, by the semantic conventions for clients:
// to these, every status from 400 on is an error.
func attempt(a *attributes, m *tracepb.Span, p *exchange.Span, s *exchange.Spans) {
	m.Kind = tracepb.Span_SPAN_KIND_CLIENT
	method, original := known(p.Method)
	m.Name = method + " " + p.Service
	path, query := masked(s.TargetOf(p))
	if p.RPC {
		m.Name = strings.TrimPrefix(path, "/")
		a.add("rpc.system.name", "grpc")
		a.add("rpc.method", m.Name)
	}
	a.add("http.request.method", method)
	a.add("http.request.method_original", original)
	full := p.Scheme + "://" + p.Target + path
	if _, _, err := net.SplitHostPort(p.Target); err != nil { // the path of a socket
		full = p.Scheme + "://localhost" + path
	}
	if query != "" {
		full += "?" + query
	}
	a.add("url.full", full)
	a.target(p.Target)
	a.add("gopura.service", p.Service)
	if p.Resend > 0 {
		*a.list = append(*a.list, number("http.request.resend_count", p.Resend))
	}
	if p.Status > 0 {
		*a.list = append(*a.list, number("http.response.status_code", p.Status))
	}
	if p.GRPC.Known {
		a.add("rpc.response.status_code", p.GRPC.Code.String())
	}
	switch {
	case p.Code != "": // who calls says so
	case p.GRPC.Known && p.GRPC.Code != exchange.GRPCOK:
		failure(a, m, p.GRPC.Code.String())
	case p.Status >= 400:
		failure(a, m, strconv.Itoa(p.Status))
	}
}

// known returns the method, or _OTHER and what it was: methods that clients make
// up must not become names.
func known(method string) (name, original string) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY":
		return method, ""
	}
	return "_OTHER", string(clip([]byte(method), maxText))
}

// masked splits a target as it was sent into path and query, credentials
// masked.
func masked(target []byte) (path, query string) {
	text := strings.ToValidUTF8(telemetry.Masked(clip(target, maxTarget)), "\ufffd")
	if _, rest, absolute := strings.Cut(text, "://"); absolute && text[0] != '/' { // absolute form: the authority is told elsewhere
		if text = "/"; strings.IndexByte(rest, '/') >= 0 {
			text = rest[strings.IndexByte(rest, '/'):]
		}
	}
	path, query, _ = strings.Cut(text, "?")
	return path, query
}

func tracestate(h *exchange.Header) string {
	var b []byte
	for v := range h.Values("tracestate") {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return string(b)
}

func clip(b []byte, most int) []byte { return b[:min(len(b), most)] }

// valid makes a text of b that a message may hold.
func valid(b []byte) string { return strings.ToValidUTF8(string(clip(b, maxText)), "\ufffd") }

func nanos(t time.Time) uint64 { return uint64(t.UnixNano()) }

type attributes struct{ list *[]*commonpb.KeyValue }

// add adds a text that is there.
func (a *attributes) add(key, value string) {
	if value != "" {
		*a.list = append(*a.list, text(key, strings.ToValidUTF8(value, "\ufffd")))
	}
}

// target tells whom a span has to do with.
func (a *attributes) target(at string) {
	address, port := at, ""
	if host, number, err := net.SplitHostPort(at); err == nil {
		address, port = host, number
	}
	a.add("server.address", address)
	a.port("server.port", port)
}

func (a *attributes) port(key, value string) {
	if n, err := strconv.ParseUint(value, 10, 16); err == nil {
		*a.list = append(*a.list, number(key, int(n)))
	}
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value int) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(value)}}}
}
