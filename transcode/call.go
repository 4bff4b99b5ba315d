package transcode

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"gopura/exchange"
)

// call is one request on its way to a method and back. It is pooled with its
// memory, which lives until the exchange is done.
type call struct {
	h       *Handler
	x       *exchange.Exchange
	t       *table
	b       *binding
	inner   exchange.Body // the client's, while ours stands in its place
	spans   spans
	decoder decoder
	frames  FrameReader
	meta    exchange.Header // the metadata of the call
	in      []byte          // the request's body, where it came in pieces
	wire    []byte          // the message with its prefix
	text    []byte          // a value of a path
	json    []byte          // the answer
	kind    []byte          // the type of an answer that is a google.api.HttpBody
	request messageBody
	reply   messageBody
	lines   lineBody
	stream  streamBody
	flaw    atomic.Pointer[exchange.Error] // why a stream of requests can't be translated
	over    func(*exchange.Exchange)       // c.end, bound once
}

// keepMemory is how much a call keeps for the next one.
const keepMemory = 64 << 10

func (c *call) end(x *exchange.Exchange) {
	// Nobody may find in x what the next call will use.
	if c.inner != nil {
		x.Request.Body, c.inner = c.inner, nil
	}
	if b := x.Response.Body; b == &c.reply || b == &c.stream {
		x.Response.Body = exchange.NoBody
	}
	exchange.Poison(c.json)
	exchange.Poison(c.wire)
	c.x, c.t, c.b = nil, nil, nil
	c.flaw.Store(nil)
	c.decoder.in, c.decoder.out, c.decoder.codec = nil, nil, nil
	c.meta.Reset()
	_ = c.frames.Reset(exchange.NoBody, 0, nil)
	c.lines, c.stream = lineBody{lineReader: lineReader{buf: c.lines.buf[:0]}, beside: c.lines.beside[:0]}, streamBody{}
	c.request, c.reply = messageBody{}, messageBody{}
	if cap(c.in)+cap(c.wire)+cap(c.json)+cap(c.lines.buf)+cap(c.frames.pending)+cap(c.frames.plain) > keepMemory {
		return
	}
	c.in, c.wire, c.json = c.in[:0], c.wire[:0], c.json[:0]
	c.h.calls.Put(c)
}

// messageBody is a body of one piece in the call's memory.
type messageBody struct{ b []byte }

func (m *messageBody) Next() ([]byte, error) {
	if len(m.b) == 0 {
		return nil, io.EOF
	}
	b := m.b
	m.b = nil
	return b, nil
}
func (m *messageBody) Len() int64                { return int64(len(m.b)) }
func (m *messageBody) Trailer() *exchange.Header { return nil }
func (m *messageBody) Close() error              { m.b = nil; return nil }
func (m *messageBody) Ready() bool               { return true }

// serve makes the call.
func (c *call) serve() error {
	q := &c.x.Request
	if err := requestMetadata(&c.meta, &q.Header); err != nil {
		return err.refusal()
	}
	var body exchange.Body
	if c.b.method.ClientStreaming {
		if err := c.checkType(); err != nil {
			return err
		}
		if err := c.openLines(); err != nil {
			return err
		}
		body = &c.lines
	} else {
		c.wire = append(c.wire[:0], 0, 0, 0, 0, 0)
		if err := c.encode(); err != nil {
			return err
		}
		sealFrame(c.wire)
		c.request.b = c.wire
		body = &c.request
	}
	if err := c.send(body); err != nil {
		c.x.DropResponse()
		return c.blame(err)
	}
	if err := c.answer(); err != nil {
		c.x.DropResponse()
		return c.blame(err)
	}
	return nil
}

// blame returns why the call failed: that the request could not be translated
// goes before what came of it.
func (c *call) blame(err error) error {
	if flaw := c.flaw.Load(); flaw != nil {
		return flaw
	}
	var e *exchange.Error
	if errors.As(err, &e) {
		return err
	}
	return exchange.GRPCMalformed.Errorf("%s: %w", c.b.method.Path, err)
}

// send serves the exchange as the gRPC request that it means. For those around
// us, it then is what it was. The deadline is the exchange's: the transport tells
// the service what is left of it.
func (c *call) send(body exchange.Body) error {
	q := &c.x.Request
	method, path, query, header := q.Method, q.Path, q.Query, q.Header
	trailers, expect, upgrade := q.Trailers, q.ExpectContinue, q.Upgrade
	defer func() {
		q.Method, q.Path, q.Query, q.Header = method, path, query, header
		q.Trailers, q.ExpectContinue, q.Upgrade = trailers, expect, upgrade
	}()
	c.meta.Add("content-type", "application/grpc")
	c.meta.Add("grpc-accept-encoding", "gzip")
	q.Method, q.Path, q.Query, q.Header = "POST", bytesOf(c.b.method.Path), nil, c.meta
	q.Trailers, q.ExpectContinue, q.Upgrade = true, false, nil
	q.Body, c.inner = body, q.Body
	return c.h.o.Service.Serve(c.x)
}

// encode appends the message that the request means to c.wire: its body, then
// what the path, the query and the templates set.
func (c *call) encode() error {
	d := &c.decoder
	d.out, d.depth = c.wire, c.t.codec.limits.Depth
	defer func() { c.wire = d.out }()
	if c.b.whole || c.b.body != nil {
		if err := c.checkType(); err != nil {
			return err
		}
		body, err := c.readBody()
		if err != nil {
			return err
		}
		if err := c.body(body, c.x.Request.Header.Get("Content-Type")); err != nil {
			return err.refusal()
		}
	}
	if err := c.beside(); err != nil {
		return err.refusal()
	}
	if len(d.out)-prefixSize > c.t.codec.limits.Message {
		return exchange.BodyTooLarge.Errorf("the message has %d bytes", len(d.out)-prefixSize)
	}
	return nil
}

// body appends what a body of a type says.
func (c *call) body(body, kind []byte) *FieldError {
	d := &c.decoder
	if c.b.raw {
		return c.rawBody(body, kind)
	}
	d.in, d.at = body, 0
	if d.space() == 0 && d.at == len(d.in) {
		return nil // nothing is an empty message
	}
	if c.b.whole {
		return d.whole(func() *FieldError { return d.message(c.b.method.Input.shape) })
	}
	f := c.b.body
	err := d.whole(func() *FieldError {
		switch {
		case !f.nullable && d.word("null"):
			return nil
		case f.entry != nil:
			return d.mapping(f)
		case f.list:
			return d.list(f)
		}
		return d.singular(f)
	})
	return err
}

// beside appends what stands beside the body: path, query, templates.
func (c *call) beside() *FieldError {
	d, q := &c.decoder, &c.x.Request
	for i := range c.b.vars {
		v := &c.b.vars[i]
		raw := q.Param(v.field)
		if c.b.template != nil {
			raw = c.spans.value(c.b, &v.variable)
		}
		text, ok := raw, true
		for _, b := range raw {
			if b == '%' {
				c.text, ok = unescape(c.text[:0], raw, v.multi)
				text = c.text
				break
			}
		}
		var err *FieldError
		if ok {
			err = d.set(v.path, text)
		} else {
			err = flaw("has an invalid escape")
		}
		if err != nil {
			err.Where, err.steps = "path", []string{v.field}
			return err
		}
	}
	if len(q.Query) > 0 {
		if err := d.query(c.b, q.Query, c.h.o.IgnoreQuery); err != nil {
			return err
		}
	}
	for _, f := range c.t.fields {
		text, err := f.value.Append(c.x.Arena.Grow(64), c.x)
		if err != nil {
			return flaw("can't be set: a fact that it is made of is missing").within(f.path[len(f.path)-1].name)
		}
		if err := d.set(f.path, text); err != nil {
			return err.within(f.path[len(f.path)-1].name)
		}
	}
	return nil
}

// readBody returns the body of the request. One that is a single piece is not copied.
func (c *call) readBody() ([]byte, error) {
	body, limit := c.x.Request.Body, c.t.codec.limits.Message
	n := body.Len()
	if n > int64(limit) {
		return nil, exchange.ErrBodyTooLarge
	}
	c.in = c.in[:0]
	for {
		p, err := body.Next()
		if err == io.EOF {
			return c.in, nil
		}
		if err != nil {
			return nil, badBody(err)
		}
		if n >= 0 && int64(len(p)) == n && len(c.in) == 0 {
			return p, nil
		}
		if len(c.in)+len(p) > limit {
			return nil, exchange.ErrBodyTooLarge
		}
		c.in = append(c.in, p...)
	}
}

func badBody(err error) error {
	var e *exchange.Error
	if errors.As(err, &e) {
		return err
	}
	return exchange.BadBody.Because(err)
}

// answer turns what the service says into the response.
func (c *call) answer() error {
	r := &c.x.Response
	if err := checkHead(r); err != nil {
		if s, ok := readStatus(&r.Header); ok && s.Code != exchange.GRPCOK { // its words are better than ours
			return c.fail(&s)
		}
		return err
	}
	head, only := readStatus(&r.Header) // no messages, and no trailers but these
	if only && (head.Code != exchange.GRPCOK || !c.b.method.ServerStreams) {
		return c.finish(&head, nil)
	}
	if err := c.frames.Reset(r.Body, c.t.codec.limits.Message, r.Header.Get("grpc-encoding")); err != nil {
		return err
	}
	if c.b.method.ServerStreams {
		return c.startStream(only)
	}
	message, err := c.frames.Next()
	if err == io.EOF {
		return c.finishEmpty(r.Body.Trailer())
	}
	if err != nil {
		return err
	}
	if err := c.render(message); err != nil {
		return err
	}
	switch _, err := c.frames.Next(); err {
	case io.EOF:
	case nil:
		return errors.New("the service has sent more than one message")
	default:
		return err
	}
	s, ok := readStatus(r.Body.Trailer())
	if !ok {
		return errNoStatus
	}
	return c.finish(&s, r.Body.Trailer())
}

// finishEmpty makes the response of a unary call without a message: an error of
// the service, or none of gRPC.
func (c *call) finishEmpty(trailer *exchange.Header) error {
	s, ok := readStatus(trailer)
	if !ok {
		return errNoStatus
	}
	if s.Code == exchange.GRPCOK {
		return errors.New("the service has sent no message")
	}
	return c.finish(&s, trailer)
}

// finish makes the response of a unary call whose message is in c.json.
func (c *call) finish(s *Status, trailer *exchange.Header) error {
	r := &c.x.Response
	c.x.GRPC = exchange.GRPCOutcome{Code: s.Code, Known: true}
	if s.Code != exchange.GRPCOK {
		if trailer != nil {
			addMetadata(&r.Header, trailer)
		}
		return c.fail(s)
	}
	if trailer == nil {
		return errors.New("the service has sent no message")
	}
	responseHeader(&r.Header)
	addMetadata(&r.Header, trailer)
	r.Header.SetBytes("Content-Type", c.contentType())
	c.reply.b = c.json
	r.Status, r.Body = 200, &c.reply
	return nil
}

// contentType is the type of what is in c.json.
func (c *call) contentType() []byte {
	switch {
	case !c.b.rawReply:
		return bytesOf("application/json")
	case len(c.kind) > 0:
		return c.kind
	}
	return bytesOf("application/octet-stream")
}

// fail makes the response that the service's error is.
func (c *call) fail(s *Status) error {
	r := &c.x.Response
	if s.Code == exchange.GRPCUnimplemented {
		c.h.o.Source.Refresh() // it may have changed
	}
	if r.Body != nil {
		r.Body.Close()
	}
	responseHeader(&r.Header)
	c.json = append(c.t.codec.AppendProblem(c.json[:0], s, c.x.ID), '\n')
	r.Header.Set("Content-Type", "application/problem+json")
	if after, ok := s.RetryAfter(); ok {
		r.Header.Set("Retry-After", fmt.Sprint(after))
	}
	c.reply.b = c.json
	r.Status, r.Body = s.Code.HTTPStatus(), &c.reply
	return nil
}

// render turns a message of the service into c.json.
func (c *call) render(message []byte) error {
	var err error
	c.kind = c.kind[:0]
	c.json, err = c.appendMessage(c.json[:0], message)
	return err
}
