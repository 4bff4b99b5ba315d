package exchange

import (
	"context"
	"crypto/tls"
	"net/netip"
	"runtime/debug"
	"time"
)

// Handler is the one shape of everything that serves an exchange: policy
// chain, upstream, transport, aggregation plan, static answer. It fills
// x.Response, or returns an error and leaves the response empty.
type Handler interface{ Serve(*Exchange) error }

// HandlerFunc lets a function be a Handler.
type HandlerFunc func(*Exchange) error

// Serve calls f.
func (f HandlerFunc) Serve(x *Exchange) error { return f(x) }

// Middleware wraps a handler. It runs when a configuration is compiled; what
// it returns runs for each request.
type Middleware func(next Handler) Handler

// Exchange is one request and its response. One goroutine at a time owns it:
// the front end, then whoever's Serve is running. Only Cancel, Interruptible
// and the context may be used by others.
type Exchange struct {
	Request  Request
	Response Response
	Client   *Client   // who asks; never nil
	Identity *Identity // set by an identity policy, nil before

	// Facts for policies and records, set by the one that knows.
	ID       []byte        // request id, as upstream and client are told
	Route    string        // name of the matched route, "" before
	Service  string        // service that answered or was tried last
	Target   string        // address of its target
	Attempts int           // upstream attempts
	Reached  bool          // one of them may have got the request to a service
	Start    time.Time     // the first byte of the request was here
	Now      time.Time     // the latest look at the clock: at the start, at the response head, at the end
	Deadline time.Time     // end of the whole exchange; zero: none
	Upstream time.Duration // from the start of the last attempt to its response head
	Upload   time.Duration // of Upstream, how long the request body was on its way: the client's time; 0: it was at hand
	Received int64         // bytes of request body read from the client
	Sent     int64         // bytes of response body written to the client
	Err      *Error        // why the exchange failed; nil when it did not
	Calls    []Call        // what was asked for its composed answer; none otherwise
	GRPC     GRPCOutcome   // how a gRPC call ended, the client's or the one that was made for it
	Trace    Trace         // where it stands in a distributed trace

	Costs []StatedCost // that a limit of the service has taken out of the response

	Importance Importance // who is given up first when not all can be served
	Watched    bool       // somebody wants to know what becomes of it, attempt by attempt

	Arena Arena // memory that lives as long as the exchange

	inform func(status int, h *Header) error
	done   []func(*Exchange)
	bufs   []*Buffer
	signal *signal
	self   Client
}

// StatedCost is what a response field said that the request did cost.
type StatedCost struct {
	Field string
	Cost  int64
}

// Request is what the client asks for, after the front end has checked it.
type Request struct {
	Method    string // a token, case-sensitive
	Scheme    string // "http" or "https", as the client sees it
	Authority []byte // host and port as sent
	Host      []byte // host without port and trailing dot, lower case
	Target    []byte // path and query exactly as sent, for records
	Path      []byte // normalised, still percent-encoded: what is matched is what is forwarded
	Query     []byte // without the "?"; nil when there was none
	Header    Header
	Body      Body    // never nil
	Params    []Param // path parameters of the matched route

	Upgrade        []byte // protocol of a Connection: upgrade handshake, nil when there is none
	ExpectContinue bool   // the client waits for 100 before it sends the body
	Trailers       bool   // the client said TE: trailers
}

// Param is a path parameter: of /users/{id} the name is "id". The value is
// percent-encoded as in the path.
type Param struct {
	Name  string
	Value []byte
}

// Param returns the value of a path parameter, or nil.
func (r *Request) Param(name string) []byte {
	for i := range r.Params {
		if r.Params[i].Name == name {
			return r.Params[i].Value
		}
	}
	return nil
}

// Response is what goes back. Whoever changes it after next.Serve changes
// what the client gets; to change the body, wrap it.
type Response struct {
	Status int // 0: no response yet
	Header Header
	Body   Body   // nil means NoBody
	Tunnel Tunnel // with status 101 (or 200 to an extended CONNECT): bytes both ways from here on
	Made   bool   // made by the gateway, not by an upstream
}

// Tunnel carries the bytes of an upgraded connection.
type Tunnel interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	CloseWrite() error // the peer sees the end of what we send
	Close() error
}

// Client is who asks.
type Client struct {
	Addr     netip.AddrPort // the client: the peer, or what a trusted proxy says
	Peer     netip.AddrPort // the other end of the connection
	Local    netip.AddrPort // our end of it
	Protocol string         // "HTTP/1.1", "HTTP/2.0", …
	Listener string         // name of the listener
	TLS      *tls.ConnectionState

	// Admits says whether a request for host (as Request.Host; empty: whatever
	// the host) may come over this connection at that time; nil: any may.
	Admits func(host []byte, now time.Time) bool
}

// Identity is who the client was proven to be.
type Identity struct {
	Name   string         // what proved it: the name of the identity block
	Sub    string         // the subject
	Claims map[string]any // what is known of it; read-only

	Anonymous bool // nothing was proven: the route lets such clients in
}

// OnDone registers f to run once, after the last byte of the response or the
// abort; last registered runs first. A func made when the configuration is
// compiled costs no allocation here.
func (x *Exchange) OnDone(f func(*Exchange)) { x.done = append(x.done, f) }

// Done runs the done stack, cancels the context and gives the memory back.
// Only the front end that owns x calls it. A panic in the stack becomes the
// exchange's error, which those that are registered earlier still see.
func (x *Exchange) Done() {
	for !x.unwind() {
	}
	x.endSignal()
	for i, b := range x.bufs {
		b.Release()
		x.bufs[i] = nil
	}
	x.bufs = x.bufs[:0]
}

// unwind runs the done stack until it has ended or one of it panics.
func (x *Exchange) unwind() (ended bool) {
	defer func() {
		if p := recover(); p != nil {
			x.Err = Internal.Errorf("panic after the answer: %v\n%s", p, debug.Stack())
		}
	}()
	for n := len(x.done); n > 0; n = len(x.done) {
		f := x.done[n-1]
		x.done[n-1] = nil
		x.done = x.done[:n-1]
		f(x)
	}
	return true
}

// Reset makes x ready for the next request of the same owner. It keeps memory.
func (x *Exchange) Reset() {
	x.Request.Header.Truncate()
	x.Response.Header.Truncate()
	x.Arena.reset()
	rh, sh, params := x.Request.Header, x.Response.Header, x.Request.Params[:0]
	x.Request = Request{Header: rh, Params: params, Body: NoBody}
	x.Response = Response{Header: sh}
	x.Client, x.Identity = nil, nil
	x.ID, x.Route, x.Service, x.Target = nil, "", "", ""
	x.Attempts, x.Upstream, x.Upload, x.Received, x.Sent, x.Err = 0, 0, 0, 0, 0, nil
	x.Reached = false
	x.Calls, x.GRPC = x.Calls[:0], GRPCOutcome{}
	if x.Trace.ID != (TraceID{}) {
		x.Trace = Trace{}
	}
	x.Start, x.Now, x.Deadline = time.Time{}, time.Time{}, time.Time{}
	x.Costs, x.Importance, x.Watched = x.Costs[:0], Normal, false
	x.inform = nil
}

// SetClientAddr gives x a client of its own whose address is addr: what a
// trusted proxy said about this one request.
func (x *Exchange) SetClientAddr(addr netip.AddrPort) {
	x.self = *x.Client
	x.self.Addr = addr
	x.Client = &x.self
}

// OnInform is how a front end says where interim (1xx) answers go.
func (x *Exchange) OnInform(f func(status int, h *Header) error) { x.inform = f }

// Inform sends an interim answer (103 Early Hints, …) to the client, where its
// protocol has them. The header is not kept.
func (x *Exchange) Inform(status int, h *Header) error {
	if x.inform == nil {
		return nil
	}
	return x.inform(status, h)
}

// Child returns the exchange of a call that the gateway makes on behalf of x.
// It has a client and an identity in common with x, is cancelled with ctx, and
// is the caller's: call Done when its response has been used. Nothing is
// recorded about it: it may outlive x.
func (x *Exchange) Child(ctx context.Context, req Request) *Exchange {
	c := &Exchange{Request: req, Client: x.Client, Identity: x.Identity, ID: x.ID, Route: x.Route, Importance: x.Importance, Watched: x.Watched, Start: time.Now(), Trace: x.Trace}
	c.Trace.Spans, c.Trace.open, c.Trace.attempt = nil, 0, 0
	if c.Request.Body == nil {
		c.Request.Body = NoBody
	}
	if d, ok := ctx.Deadline(); ok {
		c.Deadline = d
	}
	s := c.sig() // not through c, whose Done may be running
	stop := context.AfterFunc(ctx, func() { s.cancel(context.Cause(ctx)) })
	c.OnDone(func(*Exchange) { stop() })
	return c
}

// DropResponse closes and empties the response, so that another can be made.
func (x *Exchange) DropResponse() {
	if x.Response.Body != nil {
		x.Response.Body.Close()
	}
	if x.Response.Tunnel != nil {
		x.Response.Tunnel.Close()
	}
	x.Response.Header.Truncate()
	h := x.Response.Header
	x.Response = Response{Header: h}
}

// Root is what front ends serve: the gateway as a whole. Serve always leaves
// an answer in x.Response. Refuse fills x.Response for a request that the front
// end could not accept; x holds what was understood of it.
type Root interface {
	Serve(x *Exchange)
	Refuse(x *Exchange, e *Error)
}
