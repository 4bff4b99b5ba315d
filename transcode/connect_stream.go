package transcode

import (
	"encoding/binary"
	"io"
	"strconv"

	"gopura/exchange"
)

// endFlag marks the envelope that ends a stream.
const endFlag = 2

// beginStream makes the request of a stream.
func (t *Talk) beginStream() (exchange.Body, error) {
	q := &t.x.Request
	kind := q.Header.Get("Content-Type")
	if !t.json && !isType(kind, "application/connect+proto") {
		return nil, unsupported("Messages may be proto or JSON: application/connect+proto, application/connect+json.")
	}
	if err := t.connectHeader(); err != nil {
		return nil, err
	}
	if t.json {
		if err := t.needMethod(); err != nil {
			return nil, err
		}
	}
	encoding := q.Header.Get("Connect-Content-Encoding")
	if _, err := checkEncoding(encoding); err != nil {
		return nil, err
	}
	s := &t.stream
	s.t, s.client = t, clientBody{Body: q.Body}
	return s, s.frames.Reset(&s.client, t.max, encoding)
}

// streamRequest is the envelopes of the client as frames. The transport pulls
// it, perhaps while the answer is being written.
type streamRequest struct {
	t      *Talk
	client clientBody
	frames FrameReader
	wire   []byte
}

// Next implements exchange.Body.
func (s *streamRequest) Next() ([]byte, error) {
	message, err := s.frames.Next()
	switch {
	case err == io.EOF:
		return nil, err
	case s.client.err != nil:
		return nil, badBody(s.client.err)
	}
	if err == nil {
		s.wire, err = s.t.appendRequest(s.wire[:0], message)
	}
	if err != nil {
		return nil, s.t.refuse(badEnvelope(err))
	}
	return s.wire, nil
}

// clientBody remembers that the body itself broke, or was given up: then there is
// nothing wrong with what is in it.
type clientBody struct {
	exchange.Body
	err error
}

// Next implements exchange.Body.
func (b *clientBody) Next() ([]byte, error) {
	p, err := b.Body.Next()
	if err != nil && err != io.EOF {
		b.err = err
	}
	return p, err
}

// Ready implements exchange.Ready as far as the body below does.
func (b *clientBody) Ready() bool {
	r, ok := b.Body.(exchange.Ready)
	return ok && r.Ready()
}

// Len implements exchange.Body.
func (s *streamRequest) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (s *streamRequest) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (s *streamRequest) Close() error { return s.client.Close() }

// Ready implements exchange.Ready.
func (s *streamRequest) Ready() bool { return s.frames.Ready() }

// finishStream makes the answer of a stream: always 200, the status comes last.
func (t *Talk) finishStream() {
	r := &t.x.Response
	a := &t.answer
	*a = streamAnswer{t: t, inner: r.Body}
	status, only := t.head()
	encoding := r.Header.Get("grpc-encoding")
	if !only {
		if err := t.frames.Reset(r.Body, t.max, encoding); err != nil {
			status, only = *faultStatus(err), true
		}
	}
	if only {
		r.Body.Close()
		a.inner, a.status = exchange.NoBody, &status
	}
	r.Header.Filter(func(f exchange.Field) bool { return !spoken(f.Name) })
	r.Status = 200
	r.Header.SetBytes("Content-Type", t.kind)
	if t.gzip && t.frames.gzip && !only {
		r.Header.Set("Connect-Content-Encoding", "gzip")
	}
	r.Body = a
}

// streamAnswer is the frames of the service as envelopes.
type streamAnswer struct {
	t      *Talk
	inner  exchange.Body
	status *Status // how it ends, when that is known already
	done   bool
}

// Next implements exchange.Body.
func (a *streamAnswer) Next() ([]byte, error) {
	t := a.t
	switch {
	case a.done:
		return nil, io.EOF
	case a.status != nil:
		return a.end(a.status, nil)
	}
	frame, err := t.frames.frame()
	if err == io.EOF {
		trailer := a.inner.Trailer()
		s, ok := readStatus(trailer)
		if flaw := t.flaw.Load(); flaw != nil {
			t.x.Err = flaw
			s, ok = *faultStatus(flaw), true
		}
		if !ok {
			s = Status{Code: exchange.GRPCInternal, Message: errNoStatus.Error()}
		}
		return a.end(&s, trailer)
	}
	if err == nil {
		frame, err = a.envelope(frame)
	}
	if err == nil {
		return frame, nil
	}
	if exchange.ClientGone.Is(err) || t.x.Cancelled() != nil {
		a.done = true
		return nil, t.Blame(err)
	}
	if err = t.Blame(err); t.x.Err == nil {
		t.x.Err = exchange.AsError(err)
	}
	a.inner.Close()
	return a.end(faultStatus(err), nil)
}

// envelope returns a frame as the client takes it. One of protobuf is the same.
func (a *streamAnswer) envelope(frame []byte) ([]byte, error) {
	t := a.t
	if !t.json && (frame[0] == 0 || frame[0] == 1 && t.gzip && t.frames.gzip) {
		return frame, nil
	}
	t.out = append(t.out[:0], 0, 0, 0, 0, 0)
	out, compressed, err := t.appendAnswer(t.out, frame)
	if err != nil {
		return nil, err
	}
	t.out = out
	sealFrame(t.out)
	if compressed {
		t.out[0] = 1
	}
	return t.out, nil
}

// end returns the envelope that ends the stream.
func (a *streamAnswer) end(s *Status, trailer *exchange.Header) ([]byte, error) {
	t := a.t
	a.done = true
	out := append(t.out[:0], endFlag, 0, 0, 0, 0, '{')
	if s.Code != exchange.GRPCOK {
		out = append(out, `"error":`...)
		out = appendConnectError(out, s)
	}
	out = appendMetadata(out, trailer)
	t.out = append(out, '}')
	binary.BigEndian.PutUint32(t.out[1:], uint32(len(t.out)-prefixSize))
	return t.out, nil
}

// appendMetadata appends the trailers as the member metadata: of each name the
// list of its values.
func appendMetadata(dst []byte, h *exchange.Header) []byte {
	if h == nil {
		return dst
	}
	any := false
	for i, f := range h.Fields() {
		if spoken(f.Name) || earlier(h, i) {
			continue
		}
		switch {
		case !any && dst[len(dst)-1] != '{':
			dst = append(dst, `,"metadata":{`...)
		case !any:
			dst = append(dst, `"metadata":{`...)
		default:
			dst = append(dst, ',')
		}
		any = true
		dst = append(appendString(dst, f.Name), ':', '[')
		first := true
		for v := range h.Values(string(f.Name)) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendString(dst, v)
		}
		dst = append(dst, ']')
	}
	if any {
		dst = append(dst, '}')
	}
	return dst
}

// earlier reports whether the name of field i has been seen before it.
func earlier(h *exchange.Header, i int) bool {
	for j := range i {
		if exchange.EqualFold(h.At(j).Name, string(h.At(i).Name)) {
			return true
		}
	}
	return false
}

// Len implements exchange.Body.
func (a *streamAnswer) Len() int64 { return -1 }

// Trailer implements exchange.Body: they are in the body.
func (a *streamAnswer) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (a *streamAnswer) Close() error { return a.inner.Close() }

// Ready implements exchange.Ready.
func (a *streamAnswer) Ready() bool { return a.done || a.status != nil || a.t.frames.Ready() }

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
