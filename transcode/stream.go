package transcode

import (
	"io"

	"gopura/exchange"
)

// streamForm is how the messages of a stream follow each other in a response.
type streamForm uint8

const (
	ndjson streamForm = iota // a message a line
	events                   // server-sent events
	array                    // one JSON array
	chunks                   // the bytes of google.api.HttpBody messages, one behind the other
)

var streamTypes = [...]string{ndjson: "application/x-ndjson", events: "text/event-stream", array: "application/json"}

// startStream begins the response of a stream of messages. It waits for the first
// one, so that a call that fails at once has a status of its own; server-sent
// events begin at once, since whoever listens wants to know that they may. over
// says that the stream has ended well already.
func (c *call) startStream(over bool) error {
	r := &c.x.Response
	s := &c.stream
	*s = streamBody{c: c, inner: r.Body, form: accepted(&c.x.Request.Header)}
	if c.b.rawReply {
		s.form = chunks
	}
	s.last = over
	if s.form != events && !over {
		message, err := c.frames.Next()
		switch {
		case err == io.EOF:
			c.x.EndGRPC(r.Body.Trailer())
			status, ok := readStatus(r.Body.Trailer())
			if !ok {
				return errNoStatus
			}
			if status.Code != exchange.GRPCOK {
				addMetadata(&r.Header, r.Body.Trailer())
				return c.fail(&status)
			}
			s.last = true
		case err != nil:
			return err
		default:
			if err := s.render(message); err != nil {
				return err
			}
			s.first = true
		}
	}
	responseHeader(&r.Header)
	if s.form == chunks {
		r.Header.SetBytes("Content-Type", c.contentType())
	} else {
		r.Header.Set("Content-Type", streamTypes[s.form])
	}
	if s.form == events {
		r.Header.Set("Cache-Control", "no-cache") // HTML §9.2.1
	}
	r.Status, r.Body = 200, s
	return nil
}

// accepted chooses the form of a stream by Accept; NDJSON when it does not matter.
func accepted(h *exchange.Header) streamForm {
	best, form := 0, ndjson
	for kind, q := range exchange.Accepted(h) {
		f := ndjson
		switch {
		case exchange.EqualFold(kind, "text/event-stream"):
			f = events
		case exchange.EqualFold(kind, "application/json"):
			f = array
		case exchange.EqualFold(kind, "application/x-ndjson"), exchange.EqualFold(kind, "application/jsonl"), exchange.EqualFold(kind, "*/*"), exchange.EqualFold(kind, "application/*"):
		default:
			continue
		}
		if q > best {
			best, form = q, f
		}
	}
	return form
}

// streamBody is a stream of messages as a body: each message is a piece, so that
// it goes out as it comes.
type streamBody struct {
	c     *call
	inner exchange.Body
	form  streamForm
	begun bool // the array is open
	first bool // c.json holds the first message, not given out yet
	last  bool // the stream has ended well
	ended bool
}

// Next implements exchange.Body.
func (s *streamBody) Next() ([]byte, error) {
	c := s.c
	switch {
	case s.ended:
		return nil, io.EOF
	case s.first:
		s.first = false
		return c.json, nil
	case s.last:
		return s.end()
	}
	for {
		message, err := c.frames.Next()
		if err == io.EOF {
			c.x.EndGRPC(s.inner.Trailer())
			status, ok := readStatus(s.inner.Trailer())
			switch {
			case !ok:
				return s.broken(errNoStatus)
			case status.Code != exchange.GRPCOK:
				return s.failed(&status)
			}
			return s.end()
		}
		if err == nil {
			err = s.render(message)
		}
		if err != nil {
			return s.broken(err)
		}
		if len(c.json) > 0 {
			return c.json, nil
		}
	}
}

// render puts a message into c.json, with what is around it.
func (s *streamBody) render(message []byte) error {
	c := s.c
	c.json = c.json[:0]
	switch s.form {
	case events:
		c.json = append(c.json, "data: "...)
	case array:
		if s.begun {
			c.json = append(c.json, ',', '\n')
		} else {
			c.json = append(c.json, '[')
		}
		s.begun = true
	}
	var err error
	if c.json, err = c.appendMessage(c.json, message); err != nil {
		return err
	}
	switch s.form {
	case events:
		c.json = append(c.json, '\n', '\n')
	case ndjson:
		c.json = append(c.json, '\n')
	}
	return nil
}

// end ends a stream that has ended well.
func (s *streamBody) end() ([]byte, error) {
	s.ended = true
	if s.form != array {
		return nil, io.EOF
	}
	if !s.begun {
		return bytesOf("[]\n"), nil
	}
	return bytesOf("]\n"), nil
}

// failed marks a stream that the service has ended with an error: by a last
// record, or, where there is no place for one, by breaking it off, so that nobody
// takes it for whole.
func (s *streamBody) failed(status *Status) ([]byte, error) {
	c := s.c
	e := exchange.UpstreamBroken.Errorf("%s: %w", c.b.method.Path, status.err())
	c.x.Err = e
	s.ended = true
	c.json = c.json[:0]
	switch s.form {
	case events:
		c.json = append(c.json, "event: error\ndata: "...)
	case ndjson:
		c.json = append(c.json, `{"error":`...)
	default:
		return nil, e
	}
	c.json = c.t.codec.AppendProblem(c.json, status, c.x.ID)
	if s.form == events {
		c.json = append(c.json, '\n', '\n')
	} else {
		c.json = append(c.json, '}', '\n')
	}
	return c.json, nil
}

// broken ends a stream that the service has not ended.
func (s *streamBody) broken(err error) ([]byte, error) {
	c := s.c
	if c.x.Cancelled() != nil || s.form == array || s.form == chunks {
		s.ended = true
		return nil, c.blame(err)
	}
	e := exchange.AsError(c.blame(err))
	status := Status{Code: e.GRPC(), Message: e.Detail}
	if status.Message == "" {
		status.Message = "The service broke off in the middle of its answer."
	}
	piece, _ := s.failed(&status)
	c.x.Err = e
	return piece, nil
}

// Len implements exchange.Body.
func (s *streamBody) Len() int64 { return -1 }

// Trailer implements exchange.Body: what the service says at the end stands in
// no other place.
func (s *streamBody) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (s *streamBody) Close() error { return s.inner.Close() }

// Ready implements exchange.Ready.
func (s *streamBody) Ready() bool { return s.ended || s.first || s.last || s.c.frames.Ready() }
