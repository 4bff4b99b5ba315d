package transcode

import (
	"bytes"
	"errors"
	"io"
	"runtime/debug"
	"time"

	"gopura/exchange"
	"gopura/websocket"
)

// socketForm is what the messages of a WebSocket are: its subprotocol.
type socketForm uint8

const (
	jsonMessages  socketForm = iota // text; bytes of google.api.HttpBody are binary
	protoMessages                   // binary: the messages of the method as they are
)

// socketBinding finds the method that a WebSocket at the path of the request
// means: one that streams, whatever method of HTTP its rule has.
func (t *table) socketBinding(c *call) *binding {
	if t.full != nil {
		if b := t.full; b.method.ClientStreaming {
			return b
		}
		return t.bare
	}
	var found *binding
	for _, method := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if b := t.tree.find(method, &c.spans, nil); b != nil {
			if found == nil || !found.streams() && b.streams() {
				found = b
			}
		}
	}
	return found
}

func (b *binding) streams() bool { return b.method.ClientStreaming || b.method.ServerStreams }

// openSocket answers the handshake of a WebSocket and begins the call. What is
// wrong with the handshake has an ordinary answer; whatever comes later ends the
// WebSocket with a close code.
func (c *call) openSocket() error {
	q, r := &c.x.Request, &c.x.Response
	if !c.h.o.WebSocket {
		return exchange.BadRequest.Saying("This route takes no WebSocket.")
	}
	if !c.b.streams() {
		return exchange.BadRequest.Saying("The method does not stream: it is no WebSocket.")
	}
	if string(q.Header.Get("Sec-WebSocket-Version")) != "13" { // RFC 6455 §4.4
		e := exchange.BadRequest.Saying("Sec-WebSocket-Version must be 13.")
		e.Status = 426
		e.Header.Add("Sec-WebSocket-Version", "13")
		return e
	}
	key := q.Header.Get("Sec-WebSocket-Key")
	if !websocket.ValidKey(key) || q.Header.Count("Sec-WebSocket-Key") != 1 {
		return exchange.BadRequest.Saying("Sec-WebSocket-Key must be 16 bytes in base64.")
	}
	form, name, err := c.subprotocol()
	if err != nil {
		return err
	}
	if err := requestMetadata(&c.meta, &q.Header); err != nil {
		return err.refusal()
	}
	if err := c.openLines(); err != nil {
		return err
	}
	s := newSocket(c, form)
	s.prepare()
	r.Status, r.Body, r.Tunnel = 101, exchange.NoBody, s
	r.Header.Add("Sec-WebSocket-Accept", websocket.AcceptKey(key))
	if name != "" {
		r.Header.Add("Sec-WebSocket-Protocol", name)
	}
	c.x.LiftDeadline() // like any tunnel, it may last as long as it flows
	c.x.OnDone(s.done)
	go s.run()
	return nil
}

// subprotocol chooses among those that the client offers, in its order.
func (c *call) subprotocol() (form socketForm, name string, err error) {
	offered := false
	for v := range c.x.Request.Header.Values("Sec-WebSocket-Protocol") {
		for p := range bytes.SplitSeq(v, []byte(",")) {
			offered = true
			switch string(bytes.TrimSpace(p)) {
			case "json":
				return jsonMessages, "json", nil
			case "proto":
				// A rule that shows one field hides the others.
				if c.b.body == nil && c.b.response == nil {
					return protoMessages, "proto", nil
				}
			}
		}
	}
	if offered {
		return 0, "", exchange.BadRequest.Saying("None of the subprotocols is spoken here: offer json, proto or none.")
	}
	return jsonMessages, "", nil
}

// prepare makes the request of the call.
func (s *socket) prepare() {
	c := s.c
	x := &s.x
	x.ChildOf(c.x, time.Now())
	s.calling = true
	c.meta.Add("content-type", "application/grpc")
	c.meta.Add("grpc-accept-encoding", "gzip")
	q := &x.Request
	q.Method, q.Path, q.Header, q.Trailers = "POST", bytesOf(c.b.method.Path), c.meta, true
	if c.b.method.ClientStreaming || c.b.whole || c.b.body != nil {
		q.Body = &s.body
		return
	}
	// Path and query are all that there is to say.
	c.wire = append(append(c.wire[:0], 0, 0, 0, 0, 0), c.lines.beside...)
	sealFrame(c.wire)
	c.request.b = c.wire
	q.Body = &c.request
	close(s.finished)
}

// done runs when the client's exchange is over: then the call is, too.
func (s *socket) done(x *exchange.Exchange) {
	s.Close()
	<-s.over
	x.Service, x.Target, x.Attempts, x.Upstream = s.x.Service, s.x.Target, s.x.Attempts, s.x.Upstream
	if x.GRPC = s.grpc; x.Err == nil {
		x.Err = s.err
	}
	exchange.Poison(s.out)
}

// run makes the call and says how it ended.
func (s *socket) run() {
	defer close(s.over)
	err := s.call()
	s.mu.Lock()
	s.calling = false
	s.mu.Unlock()
	s.x.Done()
	if flaw := s.c.flaw.Load(); flaw != nil {
		err = flaw
	}
	s.conclude(err)
}

// call makes the call. What the service says goes to the client as it comes.
func (s *socket) call() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = exchange.Internal.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	c, r := s.c, &s.x.Response
	if err := c.h.o.Service.Serve(&s.x); err != nil {
		return err
	}
	status, only := readStatus(&r.Header) // no messages, and no trailers but these
	if err := checkHead(r); err != nil {
		if only && status.Code != exchange.GRPCOK {
			return status.err()
		}
		return err
	}
	if only {
		return status.err()
	}
	if err := c.frames.Reset(r.Body, c.t.codec.limits.Message, r.Header.Get("grpc-encoding")); err != nil {
		return err
	}
	for {
		message, err := c.frames.Next()
		if err == io.EOF {
			if status, only = readStatus(r.Body.Trailer()); !only {
				return errNoStatus
			}
			return status.err()
		}
		if err != nil {
			return err
		}
		op := byte(websocket.Binary)
		if s.form == jsonMessages {
			if err := c.render(message); err != nil {
				return err
			}
			message = c.json
			if !c.b.rawReply {
				op = websocket.Text
			}
		}
		c.in = websocket.AppendMessage(c.in[:0], op, message)
		if !s.give(c.in) {
			return exchange.ClientGone.Because(errHungUp)
		}
	}
}

// conclude makes the frames that end the WebSocket: after an error a last message
// that says all about it, and a close frame whose code is that of gRPC.
func (s *socket) conclude(err error) {
	s.grpc = exchange.GRPCOutcome{Code: exchange.GRPCOK, Known: true}
	if err == nil {
		s.last = websocket.AppendControl(nil, websocket.Close, false, websocket.ClosePayload(websocket.Normal, ""))
		return
	}
	c := s.c
	var said *statusError
	var e *exchange.Error
	status := Status{}
	switch {
	case errors.As(err, &e):
		status = Status{Code: e.GRPC(), Message: e.Detail}
		if status.Message == "" {
			status.Message = e.Sentence()
		}
		s.err = e
	case errors.As(err, &said):
		status = said.Status // an end like any other
		if said.Code == exchange.GRPCUnimplemented {
			c.h.o.Source.Refresh() // it may have changed
		}
	case errors.Is(err, errMessageTooLarge):
		s.err = exchange.GRPCMalformed.Errorf("%s: %w", c.b.method.Path, err)
		status = Status{Code: exchange.GRPCResourceExhausted, Message: "A message of the service is larger than allowed."}
	default:
		s.err = exchange.GRPCMalformed.Errorf("%s: %w", c.b.method.Path, err)
		status = Status{Code: s.err.GRPC(), Message: s.err.Sentence()}
	}
	s.grpc.Code = status.Code
	if exchange.ClientGone.Is(err) {
		s.err = nil // whoever closes a WebSocket has done nothing wrong
	}
	c.json = append(c.t.codec.AppendProblem(append(c.json[:0], `{"error":`...), &status, c.x.ID), '}')
	s.last = websocket.AppendMessage(nil, websocket.Text, c.json)
	s.last = websocket.AppendControl(s.last, websocket.Close, false, websocket.ClosePayload(4000+uint16(status.Code), status.Message))
}

// frameOf turns a message of a WebSocket into one of the call. It may run while
// the answer is written.
func (c *call) frameOf(m websocket.Message, form socketForm) ([]byte, error) {
	switch {
	case form == protoMessages && m.Op != websocket.Binary:
		return nil, c.lines.refuse(exchange.RequestInvalid.Saying("A message of the subprotocol proto is binary."))
	case form == protoMessages:
		c.wire = append(append(append(c.wire[:0], 0, 0, 0, 0, 0), m.Payload...), c.lines.beside...)
		if n := len(c.wire) - prefixSize; n > c.t.codec.limits.Message {
			return nil, c.lines.refuse(exchange.BodyTooLarge.Errorf("a message has %d bytes", n))
		}
		sealFrame(c.wire)
		return c.wire, nil
	case m.Op == websocket.Binary && !c.b.raw:
		return nil, c.lines.refuse(exchange.RequestInvalid.Saying("A message is JSON, as text; for binary ones offer the subprotocol proto."))
	}
	c.lines.kind = rawKinds[m.Op]
	return c.lines.frame(m.Payload)
}

// rawKinds are the types of messages that are a google.api.HttpBody.
var rawKinds = [...][]byte{websocket.Text: []byte("text/plain; charset=utf-8"), websocket.Binary: []byte("application/octet-stream")}
