package transcode

import (
	"bytes"
	"errors"
	"io"

	"gopura/exchange"
)

// lineBody is the client's lines of JSON as the messages of a call. The
// transport pulls it, perhaps while the answer is being written.
type lineBody struct {
	lineReader
	c      *call
	kind   []byte // the type of the body
	beside []byte // what path, query and templates set: part of each message
}

// openLines prepares the request's body. What else the request says is looked at
// now: the transport may pull the body when the request looks otherwise.
func (c *call) openLines() error {
	d := &c.decoder
	d.out, d.depth = c.lines.beside[:0], c.t.codec.limits.Depth
	if err := c.beside(); err != nil {
		return err.refusal()
	}
	lines := lineReader{inner: c.x.Request.Body, buf: c.lines.buf[:0], max: c.t.codec.limits.line()}
	c.lines = lineBody{lineReader: lines, c: c, beside: d.out, kind: c.x.Request.Header.Get("Content-Type")}
	return nil
}

// Next implements exchange.Body.
func (l *lineBody) Next() ([]byte, error) {
	line, err := l.line()
	switch {
	case err == errLongLine:
		return nil, l.refuse(exchange.BodyTooLarge.Because(err))
	case err == io.EOF:
		return nil, err
	case err != nil:
		return nil, badBody(err)
	}
	return l.frame(line)
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

// lineReader takes the lines out of a body, but those that are empty.
type lineReader struct {
	inner exchange.Body
	buf   []byte // what has come and is no whole line yet
	used  int    // of buf
	max   int    // bytes of a line
	eof   bool
}

var errLongLine = errors.New("a line is longer than allowed")

// line returns the next line, which is valid until the next call.
func (l *lineReader) line() ([]byte, error) {
	searched := l.used
	for {
		if i := bytes.IndexByte(l.buf[searched:], '\n'); i >= 0 {
			line := bytes.TrimSpace(l.buf[l.used : searched+i])
			l.used = searched + i + 1
			if searched = l.used; len(line) > 0 {
				return line, nil
			}
			continue
		}
		if l.eof {
			line := bytes.TrimSpace(l.buf[l.used:])
			if l.used = len(l.buf); len(line) == 0 {
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
			return nil, err
		}
		if l.buf = append(l.buf, piece...); len(l.buf) > l.max+exchange.BufferSize {
			return nil, errLongLine
		}
	}
}

// line is how long the JSON of a message may be.
func (l Limits) line() int { return 2 * l.Message }

// Ready implements exchange.Ready.
func (l *lineReader) Ready() bool { return bytes.IndexByte(l.buf[l.used:], '\n') >= 0 || l.eof }
