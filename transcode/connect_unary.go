package transcode

import (
	"errors"
	"io"

	"gopura/exchange"
)

// beginUnary makes the request of a unary call.
func (t *Talk) beginUnary() (exchange.Body, error) {
	q := &t.x.Request
	u := &t.unary
	u.t, u.inner = t, q.Body
	if err := t.connectHeader(); err != nil {
		return nil, err
	}
	encoding := q.Header.Get("Content-Encoding")
	if t.dialect == ConnectGet {
		p := getParams(q.Query)
		if string(p.encoding) != "json" && string(p.encoding) != "proto" {
			return nil, unsupported("encoding must be proto or json.")
		}
		message, ok := p.decode()
		if !ok || p.message == nil {
			return nil, exchange.BadTarget.Saying("message is no valid value: percent-encoded, or base64 with base64=1.")
		}
		encoding = p.compression
		u.inner = exchange.BytesBody(message)
	}
	var err error
	if u.gzip, err = checkEncoding(encoding); err != nil {
		return nil, err
	}
	if t.json || t.dialect == ConnectGet {
		if err := t.needMethod(); err != nil {
			return nil, err
		}
	}
	// Any page may make a browser send a GET.
	if t.dialect == ConnectGet && !t.method.harmless() {
		return nil, exchange.MethodNotAllowed.Saying("The method does not say that it has no side effects (idempotency_level), so it takes POST only.")
	}
	return u, nil
}

// unaryRequest is a request's one message as a frame. It is read when the
// service is asked: not before the policies have had their say.
type unaryRequest struct {
	t     *Talk
	inner exchange.Body
	gzip  bool
	done  bool
	in    []byte // what came
	plain []byte // decompressed
	wire  []byte // the frame
}

// Next implements exchange.Body.
func (u *unaryRequest) Next() ([]byte, error) {
	if u.done {
		return nil, io.EOF
	}
	u.done = true
	message, err := u.read()
	if err != nil && err != errMessageTooLarge {
		return nil, badBody(err)
	}
	if err == nil && u.gzip {
		u.plain, err = gunzip(u.plain[:0], message, u.t.max)
		message = u.plain
	}
	if err == nil {
		u.wire, err = u.t.appendRequest(u.wire[:0], message)
	}
	if err != nil {
		return nil, u.t.refuse(badEnvelope(err))
	}
	return u.wire, nil
}

// appendRequest appends a message of the client as a frame.
func (t *Talk) appendRequest(dst, message []byte) ([]byte, error) {
	if !t.json {
		return AppendFrame(dst, message), nil
	}
	dst = append(dst, 0, 0, 0, 0, 0)
	dst, err := t.codec.AppendWire(dst, t.method.Input, message)
	if err == nil {
		sealFrame(dst)
	}
	return dst, err
}

// badEnvelope is the error of the gateway for a message that can't be taken.
func badEnvelope(err error) error {
	var e *exchange.Error
	var f *FieldError
	switch {
	case errors.As(err, &e):
		return err
	case errors.As(err, &f):
		return f.refusal()
	case errors.Is(err, errMessageTooLarge):
		return exchange.MessageTooLarge.Because(err)
	}
	return exchange.BadBody.Because(err)
}

func (u *unaryRequest) read() ([]byte, error) {
	u.in = u.in[:0]
	if u.inner.Len() > int64(u.t.max) {
		return nil, errMessageTooLarge
	}
	for {
		p, err := u.inner.Next()
		if err == io.EOF {
			return u.in, nil
		}
		if err != nil {
			return nil, err
		}
		if len(u.in)+len(p) > u.t.max {
			return nil, errMessageTooLarge
		}
		u.in = append(u.in, p...)
	}
}

// Len implements exchange.Body.
func (u *unaryRequest) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (u *unaryRequest) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (u *unaryRequest) Close() error { return u.inner.Close() }

// finishUnary makes the answer of a unary call.
func (t *Talk) finishUnary() error {
	r := &t.x.Response
	status, only := t.head()
	var trailer *exchange.Header
	compressed := false
	if !only {
		var err error
		compressed, err = t.readAnswer()
		if t.x.Cancelled() != nil && err != nil {
			return t.Blame(err)
		}
		trailer = r.Body.Trailer()
		s, ok := readStatus(trailer)
		switch {
		case err != nil && err != errNoMessage:
			t.x.Err = exchange.GRPCMalformed.Because(err)
			status = *faultStatus(err)
		case !ok:
			status = Status{Code: exchange.GRPCInternal, Message: errNoStatus.Error()}
		case err == errNoMessage && s.Code == exchange.GRPCOK:
			status = Status{Code: exchange.GRPCInternal, Message: err.Error()}
		default:
			status = s
		}
	} else if status.Code == exchange.GRPCOK {
		status = Status{Code: exchange.GRPCInternal, Message: errNoMessage.Error()}
	}
	r.Body.Close()
	r.Header.Filter(func(f exchange.Field) bool { return !spoken(f.Name) })
	if trailer != nil {
		for _, f := range trailer.Fields() {
			if !spoken(f.Name) {
				r.Header.AddField(exchange.Field{Name: append([]byte("Trailer-"), f.Name...), Value: f.Value})
			}
		}
	}
	t.reply.b = t.out
	r.Status, r.Body = 200, &t.reply
	if status.Code != exchange.GRPCOK {
		t.out = appendConnectError(t.out[:0], &status)
		t.reply.b = t.out
		r.Status = status.Code.HTTPStatus() // the table of Connect is that of google.rpc
		r.Header.Set("Content-Type", "application/json")
		if after, ok := status.RetryAfter(); ok {
			r.Header.SetBytes("Retry-After", appendInt(nil, after))
		}
		if t.dialect == ConnectGet { // some of these statuses may be cached by default
			r.Header.Set("Cache-Control", "no-store")
		}
		return nil
	}
	r.Header.SetBytes("Content-Type", t.kind)
	if compressed {
		r.Header.Set("Content-Encoding", "gzip")
	}
	if t.dialect == ConnectGet {
		r.Header.Add("Vary", "Accept-Encoding")
	}
	return nil
}

var errNoMessage = errors.New("the service has sent no message")

// readAnswer puts the one message of the answer into t.out, as the client takes
// it. Compressed is what the service has compressed.
func (t *Talk) readAnswer() (compressed bool, err error) {
	r := &t.x.Response
	if err := t.frames.Reset(r.Body, t.max, r.Header.Get("grpc-encoding")); err != nil {
		return false, err
	}
	frame, err := t.frames.frame()
	if err == io.EOF {
		return false, errNoMessage
	}
	if err != nil {
		return false, err
	}
	if t.out, compressed, err = t.appendAnswer(t.out[:0], frame); err != nil {
		return false, err
	}
	if _, err := t.frames.frame(); err != io.EOF {
		if err == nil {
			err = errors.New("the service has sent more than one message")
		}
		return false, err
	}
	return compressed, nil
}

// appendAnswer appends the message of a frame of the service as the client takes
// it: what came compressed goes out compressed when the client takes that.
func (t *Talk) appendAnswer(dst, frame []byte) (out []byte, compressed bool, err error) {
	message := frame[prefixSize:]
	if frame[0] == 1 && t.gzip && !t.json && t.frames.gzip {
		return append(dst, message...), true, nil
	}
	if message, err = t.frames.open(frame); err != nil || !t.json {
		return append(dst, message...), false, err
	}
	if frame[0] == 0 || !t.gzip {
		dst, err = t.codec.AppendJSON(dst, t.method.Output, message)
		return dst, false, err
	}
	text, err := t.codec.AppendJSON(nil, t.method.Output, message)
	if err != nil {
		return dst, false, err
	}
	return appendGzip(dst, text), true, nil
}
