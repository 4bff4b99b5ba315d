package transcode

import (
	"bytes"
	"encoding/base64"
	"io"

	"gopura/exchange"
)

// gRPC-Web (PROTOCOL-WEB.md): the messages of gRPC, and the trailers as a last
// frame of the body, whose flag has the highest bit. As text, all of it is base64.

const trailerFlag = 0x80

const (
	webType  = "application/grpc-web"
	textType = "application/grpc-web-text"
)

// lookWeb: the answer is as Accept wants it, else as the request is.
func (t *Talk) lookWeb(kind []byte, h *exchange.Header) {
	suffix := kind[len(webType):]
	t.text = prefixed(kind, textType)
	if t.text {
		suffix = kind[len(textType):]
	}
	if i := bytes.IndexAny(suffix, "; "); i >= 0 {
		suffix = suffix[:i]
	}
	if accept := h.Get("Accept"); prefixed(accept, textType) {
		t.text = true
	} else if prefixed(accept, webType) {
		t.text = false
	}
	base := webType
	if t.text {
		base = textType
	}
	t.kind = append([]byte(base), suffix...)
}

// beginWeb makes t.header, and returns the body.
func (t *Talk) beginWeb() exchange.Body {
	q := &t.x.Request
	kind := q.Header.Get("Content-Type")
	base := len(webType)
	asText := prefixed(kind, textType)
	if asText {
		base = len(textType)
	}
	for _, f := range q.Header.Fields() {
		switch {
		case exchange.EqualFold(f.Name, "content-type"):
			f.Value = append([]byte("application/grpc"), kind[base:]...)
		case exchange.EqualFold(f.Name, "accept"), exchange.EqualFold(f.Name, "accept-encoding"):
			continue
		}
		t.header.AddField(f)
	}
	if !asText {
		return q.Body
	}
	t.base64 = textBody{Body: q.Body, t: t, out: t.base64.out[:0]}
	return &t.base64
}

// textBody decodes base64. Each piece of a message may be padded for itself.
type textBody struct {
	exchange.Body
	t     *Talk
	carry [4]byte
	have  int
	out   []byte
}

// Next implements exchange.Body.
func (b *textBody) Next() ([]byte, error) {
	for {
		p, err := b.Body.Next()
		if err == io.EOF && b.have > 0 {
			return nil, b.t.refuse(exchange.BadBody.Errorf("base64 ends within four characters"))
		}
		if err != nil {
			return nil, err
		}
		if b.out, err = b.decode(b.out[:0], p); err != nil {
			return nil, b.t.refuse(exchange.BadBody.Because(err))
		}
		if len(b.out) > 0 {
			return b.out, nil
		}
	}
}

// decode appends what p, after what was carried, holds in whole quanta of four.
func (b *textBody) decode(dst, p []byte) ([]byte, error) {
	var err error
	if b.have > 0 {
		n := copy(b.carry[b.have:], p)
		b.have, p = b.have+n, p[n:]
		if b.have < 4 {
			return dst, nil
		}
		if dst, err = base64.StdEncoding.AppendDecode(dst, b.carry[:]); err != nil {
			return dst, err
		}
		b.have = 0
	}
	whole := p[:len(p)&^3]
	b.have = copy(b.carry[:], p[len(whole):])
	for len(whole) > 0 {
		run := len(whole)
		if i := bytes.IndexByte(whole, '='); i >= 0 {
			run = i&^3 + 4 // the padding ends a run
		}
		if dst, err = base64.StdEncoding.AppendDecode(dst, whole[:run]); err != nil {
			return dst, err
		}
		whole = whole[run:]
	}
	return dst, nil
}

// Len implements exchange.Body.
func (b *textBody) Len() int64 { return -1 }

// finishWeb makes the answer one of gRPC-Web. The status is always in the body,
// where pages of other origins may read it without leave.
func (t *Talk) finishWeb() {
	r := &t.x.Response
	status, only := t.head()
	a := &t.webbed
	*a = webAnswer{Body: r.Body, text: t.text}
	if only {
		r.Body.Close()
		a.Body, a.tail = exchange.NoBody, new(exchange.Header)
		for _, f := range r.Header.Fields() {
			if exchange.EqualFold(f.Name, "grpc-status") || exchange.EqualFold(f.Name, "grpc-message") || exchange.EqualFold(f.Name, "grpc-status-details-bin") {
				a.tail.AddField(f)
			}
		}
		if !a.tail.Has("grpc-status") {
			addStatus(a.tail, status)
		}
		r.Header.Filter(func(f exchange.Field) bool { return !spoken(f.Name) })
	}
	r.Status = 200
	r.Header.SetBytes("Content-Type", t.kind)
	r.Body = a
}

// addStatus adds the fields of a status without details.
func addStatus(h *exchange.Header, s Status) {
	h.AddBytes("grpc-status", appendCode(nil, s.Code))
	h.AddBytes("grpc-message", exchange.AppendGRPCMessage(nil, s.Message))
}

// webAnswer is the answer's body with its trailers as the last frame.
type webAnswer struct {
	exchange.Body
	text bool
	tail *exchange.Header // nil: the trailers of Body
	done bool
	raw  []byte
	out  []byte
}

// Next implements exchange.Body.
func (a *webAnswer) Next() ([]byte, error) {
	if a.done {
		return nil, io.EOF
	}
	p, err := a.Body.Next()
	if err == io.EOF {
		a.done = true
		p, err = a.trailer(), nil
	}
	if err != nil || !a.text {
		return p, err
	}
	a.out = base64.StdEncoding.AppendEncode(a.out[:0], p)
	return a.out, nil
}

// trailer returns the last frame: field lines in lower case.
func (a *webAnswer) trailer() []byte {
	h := a.tail
	if h == nil {
		h = a.Body.Trailer()
	}
	if h == nil || !h.Has("grpc-status") {
		h = new(exchange.Header)
		addStatus(h, Status{Code: exchange.GRPCUnknown, Message: errNoStatus.Error()})
	}
	a.raw = append(a.raw[:0], 0, 0, 0, 0, 0)
	for _, f := range h.Fields() {
		a.raw = append(append(a.raw, bytes.ToLower(f.Name)...), ": "...)
		a.raw = append(append(a.raw, f.Value...), "\r\n"...)
	}
	sealFrame(a.raw)
	a.raw[0] = trailerFlag
	return a.raw
}

// Len implements exchange.Body.
func (a *webAnswer) Len() int64 { return -1 }

// Trailer implements exchange.Body: they are in the body.
func (a *webAnswer) Trailer() *exchange.Header { return nil }

// Ready implements exchange.Ready as far as the body below does.
func (a *webAnswer) Ready() bool {
	r, ok := a.Body.(exchange.Ready)
	return a.done || ok && r.Ready()
}
