package h3

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"gopura/exchange"
	"gopura/semantics"
)

// requestBody is the body of a request: the DATA frames of its stream.
type requestBody struct {
	st     *stream
	length int64  // bytes left, -1: unknown
	frame  uint64 // bytes left of the frame that is being read
	expect bool   // the client waits for 100 before it sends anything
	silent bool   // it may take as long as it likes: a tunnel
	done   bool   // the end has come
	err    error  // sticky: io.EOF, or why the body is broken
	tail   exchange.Header
	closed atomic.Bool
}

var errBodyGivenUp = errors.New("h3: read of a closed request body")

func (b *requestBody) start(length int64) {
	b.length, b.frame, b.expect, b.silent, b.done, b.err = length, 0, false, false, false, nil
	b.tail = exchange.Header{}
	b.closed.Store(false)
}

// Next implements exchange.Body. It waits at most for the body timeout, and only
// for the client: the time that others take between two calls does not count.
func (b *requestBody) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	st := b.st
	if b.expect {
		b.expect = false
		if !b.Ready() {
			st.sendContinue()
		}
	}
	if b.silent {
		st.str.SetReadDeadline(time.Time{})
	} else {
		st.str.SetReadDeadline(time.Now().Add(st.c.conf.BodyTimeout))
	}
	err := b.advance()
	if err == nil && b.done {
		b.err = io.EOF
		return nil, io.EOF
	}
	var p []byte
	if err == nil {
		p, err = st.in.chunk(b.frame)
		err = unexpected(err)
	}
	if err != nil {
		b.err = b.broken(err)
		return nil, b.err
	}
	b.frame -= uint64(len(p))
	st.x.Received += int64(len(p))
	return p, nil
}

// advance reads up to the next data, or to the end.
func (b *requestBody) advance() error {
	st := b.st
	for b.frame == 0 && !b.done {
		kind, length, err := st.in.frame()
		switch {
		case err == io.EOF:
			if b.length > 0 {
				return semantics.TooLittle
			}
			b.done = true
			return nil
		case err != nil:
			return err
		case kind == frameData:
			if b.length >= 0 {
				if length > uint64(b.length) {
					return semantics.TooMuch
				}
				b.length -= int64(length)
			}
			b.frame = length
			if length == 0 {
				err = st.c.spend(costEmpty)
			}
		case kind == frameHeaders:
			err = b.trailer(length)
		case placed(kind):
			err = errUnexpectedFrame
		default: // RFC 9114 §9
			if err = st.c.spend(costUnknown); err == nil {
				err = st.in.skip(length)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trailer reads the trailer section, and the end that has to follow it.
func (b *requestBody) trailer(length uint64) error {
	st := b.st
	if b.length > 0 {
		return semantics.TooLittle
	}
	if err := st.gather(length); err != nil {
		return err
	}
	var block block
	if err := block.decode(st.raw, &b.tail, st.c.conf); err != nil {
		return err
	}
	if block.tail != nil {
		return block.tail
	}
	for {
		kind, length, err := st.in.frame()
		switch {
		case err == io.EOF:
			b.done = true
			return nil
		case err != nil:
			return err
		case placed(kind): // RFC 9114 §4.1
			return errUnexpectedFrame
		}
		if err := st.c.spend(costUnknown); err != nil {
			return err
		}
		if err := st.in.skip(length); err != nil {
			return err
		}
	}
}

// broken says what it means that the body ended in err, and resets the stream, or
// closes the connection, when the client has broken the protocol.
func (b *requestBody) broken(err error) error {
	st := b.st
	var ce *connError
	switch {
	case b.closed.Load():
		return errBodyGivenUp
	case errors.Is(err, os.ErrDeadlineExceeded):
		return exchange.RequestTimeout.Errorf("no piece of the request body within %s", st.c.conf.BodyTimeout)
	case err == io.ErrUnexpectedEOF:
		err = errTruncatedFrame
	}
	if errors.As(err, &ce) {
		broken := exchange.BadBody.Because(err)
		st.x.Cancel(broken)
		st.c.fail(ce)
		return broken
	}
	if _, malformed := err.(semantics.Flaw); malformed { // RFC 9114 §4.1.2
		broken := exchange.BadBody.Because(err)
		st.x.Cancel(broken)
		st.reset(codeMessage)
		return broken
	}
	if cause := st.x.Cancelled(); cause != nil {
		return cause
	}
	gone := st.c.lost(err)
	if byClient(err) {
		st.x.Cancel(gone)
	}
	return gone
}

// Len implements exchange.Body.
func (b *requestBody) Len() int64 {
	if b.length < 0 {
		return -1
	}
	return b.length + int64(b.frame)
}

// Ready implements exchange.Ready.
func (b *requestBody) Ready() bool {
	return b.err != nil || b.done || b.frame > 0 && b.st.in.r < b.st.in.w
}

// Trailer implements exchange.Body.
func (b *requestBody) Trailer() *exchange.Header {
	if b.err != io.EOF || b.tail.Len() == 0 {
		return nil
	}
	return &b.tail
}

// Close implements exchange.Body: it ends a Next that is waiting. The client is
// told that the rest is not wanted (RFC 9114 §4.1.1).
func (b *requestBody) Close() error {
	b.closed.Store(true)
	b.st.str.CancelRead(codeNo)
	return nil
}
