package transcode

import (
	"bytes"
	"io"

	"gopura/exchange"
)

// lineBody is the client's lines of JSON as the messages of a call. The
// transport pulls it, perhaps while the answer is being written.
type lineBody struct {
	c      *call
	inner  exchange.Body
	kind   []byte // the type of the body
	beside []byte // what path, query and templates set: part of each message
	buf    []byte // what has come and is no whole line yet
	used   int    // of buf
	eof    bool
}

// openLines prepares the request's body. What else the request says is looked at
// now: the transport may pull the body when the request looks otherwise.
func (c *call) openLines() error {
	d := &c.decoder
	d.out, d.depth = c.lines.beside[:0], c.t.codec.limits.Depth
	if err := c.beside(); err != nil {
		return err.refusal()
	}
	c.lines = lineBody{c: c, inner: c.x.Request.Body, beside: d.out, buf: c.lines.buf[:0], kind: c.x.Request.Header.Get("Content-Type")}
	return nil
}

// Next implements exchange.Body.
func (l *lineBody) Next() ([]byte, error) {
	for {
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return l.frame(line)
		}
	}
}

// line returns the next line.
func (l *lineBody) line() ([]byte, error) {
	searched := l.used
	for {
		if i := bytes.IndexByte(l.buf[searched:], '\n'); i >= 0 {
			line := l.buf[l.used : searched+i]
			l.used = searched + i + 1
			return line, nil
		}
		if l.eof {
			line := l.buf[l.used:]
			l.used = len(l.buf)
			if len(line) == 0 {
				return nil, io.EOF
			}
			return line, nil
		}
		if l.used > 0 {
			l.buf, l.used = append(l.buf[:0], l.buf[l.used:]...), 0
		}
		searched = len(l.buf)
		piece, err := l.inner.Next()
		if err == io.EOF {
			l.eof = true
			continue
		}
		if err != nil {
			return nil, badBody(err)
		}
		if l.buf = append(l.buf, piece...); len(l.buf) > 2*l.c.t.codec.limits.Message+exchange.BufferSize {
			return nil, l.refuse(exchange.BodyTooLarge.Errorf("a line is longer than allowed"))
		}
	}
}

// frame turns a line into a message of the call.
func (l *lineBody) frame(line []byte) ([]byte, error) {
	c := l.c
	d := &c.decoder
	d.out, d.depth = append(c.wire[:0], 0, 0, 0, 0, 0), c.t.codec.limits.Depth
	defer func() { c.wire = d.out }()
	if err := c.body(line, l.kind); err != nil {
		return nil, l.refuse(err.refusal())
	}
	d.out = append(d.out, l.beside...)
	if len(d.out)-prefixSize > c.t.codec.limits.Message {
		return nil, l.refuse(exchange.BodyTooLarge.Errorf("a message has %d bytes", len(d.out)-prefixSize))
	}
	sealFrame(d.out)
	return d.out, nil
}

// refuse remembers why the call can't go on: whatever becomes of it, this is why.
func (l *lineBody) refuse(err *exchange.Error) error {
	l.c.flaw.CompareAndSwap(nil, err)
	return err
}

// Len implements exchange.Body.
func (l *lineBody) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (l *lineBody) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (l *lineBody) Close() error { return l.inner.Close() }

// Ready implements exchange.Ready.
func (l *lineBody) Ready() bool { return bytes.IndexByte(l.buf[l.used:], '\n') >= 0 || l.eof }
