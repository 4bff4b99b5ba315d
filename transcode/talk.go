package transcode

import (
	"sync/atomic"

	"gopura/exchange"
)

// Talk is a call in a dialect while it is made as gRPC. It is pooled with its
// memory, which lives until the exchange is done.
type Talk struct {
	i       *Interpreter
	x       *exchange.Exchange
	dialect Dialect
	json    bool   // messages are JSON for the client
	gzip    bool   // the client takes gzip
	text    bool   // of gRPC-Web: the client takes base64
	kind    []byte // Content-Type of the answer
	max     int
	method  *Method // of JSON and GET
	codec   *Codec

	was     asked
	header  exchange.Header // of the request as gRPC
	body    exchange.Body   // the client's, while ours stands in its place
	unary   unaryRequest
	stream  streamRequest
	base64  textBody
	frames  FrameReader // of the answer
	out     []byte      // the answer, or a part of it
	reply   messageBody
	answer  streamAnswer
	webbed  webAnswer
	flaw    atomic.Pointer[exchange.Error] // why the request can't be interpreted
	over    func(*exchange.Exchange)       // t.end, bound once
	swapped bool
}

// asked is what Begin changes of one.
type asked struct {
	method           string
	query            []byte
	header           exchange.Header
	trailers, expect bool
	upgrade          []byte
}

// Begin makes the request of x one of gRPC. Restore must follow.
func (i *Interpreter) Begin(x *exchange.Exchange, d Dialect) (*Talk, error) {
	t, _ := i.talks.Get().(*Talk)
	if t == nil {
		t = &Talk{i: i}
		t.over = t.end
	}
	x.OnDone(t.over)
	t.x, t.dialect, t.max = x, d, i.Max
	t.look()
	q := &x.Request
	t.body = q.Body
	var body exchange.Body
	var err error
	switch d {
	case Web:
		body = t.beginWeb()
	case ConnectStream:
		body, err = t.beginStream()
	default:
		body, err = t.beginUnary()
	}
	if err != nil {
		return t, err
	}
	t.was = asked{q.Method, q.Query, q.Header, q.Trailers, q.ExpectContinue, q.Upgrade}
	t.swapped = true
	q.Method, q.Header, q.Trailers, q.ExpectContinue, q.Upgrade, q.Body = "POST", t.header, true, false, nil, body
	if d == ConnectGet {
		q.Query = nil
	}
	return t, nil
}

// look reads from the request what its answer must look like.
func (t *Talk) look() {
	h := &t.x.Request.Header
	kind := h.Get("Content-Type")
	switch t.dialect {
	case Web:
		t.lookWeb(kind, h)
	case ConnectGet:
		p := getParams(t.x.Request.Query)
		t.json = string(p.encoding) == "json"
		t.gzip = h.HasToken("Accept-Encoding", "gzip")
	case ConnectUnary:
		t.json = isType(kind, "application/json")
		t.gzip = h.HasToken("Accept-Encoding", "gzip")
	case ConnectStream:
		t.json = isType(kind, "application/connect+json")
		t.gzip = h.HasToken("Connect-Accept-Encoding", "gzip")
	}
	if t.dialect == Web {
		return
	}
	name := "application/proto"
	switch {
	case t.dialect == ConnectStream && t.json:
		name = "application/connect+json"
	case t.dialect == ConnectStream:
		name = "application/connect+proto"
	case t.json:
		name = "application/json"
	}
	t.kind = bytesOf(name)
}

// Restore makes the request of x what it was, for those around; its body stays.
func (t *Talk) Restore() {
	if !t.swapped {
		return
	}
	t.swapped = false
	q := &t.x.Request
	q.Method, q.Query, q.Header = t.was.method, t.was.query, t.was.header
	q.Trailers, q.ExpectContinue, q.Upgrade = t.was.trailers, t.was.expect, t.was.upgrade
}

// Blame returns why the call failed: that the request could not be interpreted
// goes before what came of it. Pages of other origins may read it as well.
func (t *Talk) Blame(err error) error {
	flaw := t.flaw.Load()
	if flaw == nil {
		return err
	}
	h := &t.x.Response.Header
	if err != nil {
		h = &exchange.AsError(err).Header
	}
	e := flaw.With()
	for _, f := range h.Fields() {
		if prefixed(f.Name, "access-control-") || exchange.EqualFold(f.Name, "vary") {
			e.Header.AddField(f)
		}
	}
	return e
}

// refuse remembers why the call can't go on.
func (t *Talk) refuse(err error) error {
	e := exchange.AsError(err)
	t.flaw.CompareAndSwap(nil, e)
	return e
}

// Finish makes the gRPC answer that x has one of the dialect. Answers of others
// (a redirect of a policy) stay as they are.
func (t *Talk) Finish() error {
	r := &t.x.Response
	if r.Made && !exchange.IsGRPC(r.Header.Get("Content-Type")) {
		return nil
	}
	if r.Body == nil {
		r.Body = exchange.NoBody
	}
	switch t.dialect {
	case Web:
		t.finishWeb()
	case ConnectStream:
		t.finishStream()
	default:
		return t.finishUnary()
	}
	return nil
}

// Say makes an answer of gRPC, which holds no message, one of a dialect.
func Say(x *exchange.Exchange, d Dialect) {
	t := &Talk{x: x, dialect: d, max: DefaultLimits.Message}
	t.look()
	_ = t.Finish()
}

// head returns the status of an answer that has no messages. What is no gRPC
// has the status that gRPC makes of it.
func (t *Talk) head() (s Status, only bool) {
	r := &t.x.Response
	s, only = readStatus(&r.Header)
	if err := checkHead(r); err != nil {
		if !only || s.Code == exchange.GRPCOK {
			s = err.(*statusError).Status
		}
		r.Header.Filter(func(f exchange.Field) bool { return !prefixed(f.Name, "content-") })
		return s, true
	}
	return s, only
}

// spoken says which fields of a gRPC answer are the protocol's own.
func spoken(name []byte) bool {
	return prefixed(name, "grpc-") || exchange.EqualFold(name, "content-type") || exchange.EqualFold(name, "content-encoding")
}

func (t *Talk) end(x *exchange.Exchange) {
	// Nobody may find in x what the next call will use.
	t.Restore()
	if t.body != nil {
		x.Request.Body, t.body = t.body, nil
	}
	switch x.Response.Body {
	case &t.reply, &t.answer, &t.webbed:
		x.Response.Body = exchange.NoBody
	}
	exchange.Poison(t.out)
	exchange.Poison(t.unary.wire)
	t.header.Reset()
	_ = t.frames.Reset(exchange.NoBody, 0, nil)
	_ = t.stream.frames.Reset(exchange.NoBody, 0, nil)
	t.unary = unaryRequest{in: t.unary.in[:0], wire: t.unary.wire[:0], plain: t.unary.plain[:0]}
	t.stream = streamRequest{wire: t.stream.wire[:0], frames: t.stream.frames}
	t.base64 = textBody{out: t.base64.out[:0]}
	t.answer, t.webbed, t.reply = streamAnswer{}, webAnswer{}, messageBody{}
	t.x, t.method, t.codec, t.kind, t.was = nil, nil, nil, nil, asked{}
	t.json, t.gzip, t.text = false, false, false
	t.flaw.Store(nil)
	t.out = t.out[:0]
	held := cap(t.out) + cap(t.unary.in) + cap(t.unary.wire) + cap(t.unary.plain) + cap(t.stream.wire) + cap(t.base64.out)
	if held+cap(t.frames.pending)+cap(t.frames.plain)+cap(t.stream.frames.pending)+cap(t.stream.frames.plain) <= keepMemory {
		t.i.talks.Put(t)
	}
}
