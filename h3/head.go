package h3

import (
	"errors"
	"io"
	"os"
	"time"

	"gopura/exchange"
	"gopura/semantics"
)

// errNothing: the stream ended, or was reset, before there was a request.
var errNothing = errors.New("no request came")

// readHead reads up to the end of the header block. An *exchange.Error refuses the
// request; a connError ends the connection; errNothing is not worth a record.
func (st *stream) readHead() error {
	c := st.c
	st.str.SetReadDeadline(time.Now().Add(c.conf.HeadTimeout))
	for {
		kind, length, err := st.in.frame()
		if err != nil {
			return st.noHead(err)
		}
		switch {
		case kind == frameHeaders:
			return st.readBlock(length)
		case placed(kind):
			return errUnexpectedFrame // RFC 9114 §4.1
		}
		if err := c.spend(costUnknown); err != nil {
			return err
		}
		if err := st.in.skip(length); err != nil {
			return st.noHead(err)
		}
	}
}

func (st *stream) noHead(err error) error {
	switch {
	case !st.in.any:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return exchange.RequestTimeout.Errorf("no request head within %s", st.c.conf.HeadTimeout)
	case err == io.ErrUnexpectedEOF:
		return errTruncatedFrame // RFC 9114 §7.1
	}
	return errNothing
}

// readBlock reads a HEADERS frame, and decodes it.
func (st *stream) readBlock(length uint64) error {
	x := &st.x
	x.Start = time.Now()
	x.Now = x.Start
	err := st.gather(length)
	switch {
	case err == semantics.TooLarge:
		return exchange.HeaderTooLarge.Because(err)
	case err != nil:
		return st.noHead(err)
	}
	return st.block.decode(st.raw, &x.Request.Header, st.c.conf)
}

// gather reads a header block into raw. What is announced need not come.
func (st *stream) gather(length uint64) error {
	st.raw = st.raw[:0]
	if length > 4*uint64(st.c.conf.MaxHead) {
		return semantics.TooLarge
	}
	for left := length; left > 0; {
		p, err := st.in.chunk(left)
		if err != nil {
			return unexpected(err)
		}
		st.raw = append(st.raw, p...)
		left -= uint64(len(p))
	}
	return nil
}

// fill makes the exchange's request of what the header block said. What it
// returns refuses the request; the exchange then holds what was understood. A
// malformed one is reset and not answered (RFC 9114 §4.1.2).
func (st *stream) fill() (e *exchange.Error, malformed bool) {
	if e, malformed := st.block.head.Request(&st.x, st.block.flaw, st.c.conf.MaxTarget); e != nil {
		return e, malformed
	}
	return st.framing(), false
}

// framing gives the request its body, and a tunnel its place for one.
func (st *stream) framing() *exchange.Error {
	q, h := &st.x.Request, &st.block.head
	if h.Tunnels() {
		st.body.start(-1)
		st.body.silent = true
		return h.Upgrade(&st.x, st.in.ended())
	}
	st.body.start(h.Length)
	if h.Length == 0 || h.Length < 0 && bodiless(q.Method) || st.in.ended() {
		// In HTTP/3 only the end of the stream tells that no data follows. It comes
		// with the head or soon after.
		if e := st.peek(); e != nil {
			return e
		}
		if st.body.done && st.body.tail.Len() == 0 {
			st.letGo()
			return nil
		}
	}
	q.ExpectContinue = h.Expects()
	st.body.expect = q.ExpectContinue
	// Between the messages of a stream any time may pass; the connection tells
	// whether the client is there.
	st.body.silent = q.Method == "POST" && exchange.IsGRPC(q.Header.Get("Content-Type"))
	q.Body = &st.body
	return nil
}

// bodiless says which requests have no body, as a rule.
func bodiless(method string) bool {
	switch method {
	case "GET", "HEAD", "DELETE", "OPTIONS":
		return true
	}
	return false
}

// peek waits for what follows the head: the end, or something.
func (st *stream) peek() *exchange.Error {
	switch err := st.body.advance(); {
	case err == nil:
		return nil
	case errors.Is(err, semantics.TooLittle), errors.Is(err, semantics.TooMuch):
		return exchange.BadFraming.Saying("The body of the request is not as long as Content-Length announces.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return exchange.RequestTimeout.Errorf("no end of the request head within %s", st.c.conf.HeadTimeout)
	default:
		return exchange.AsError(st.body.broken(err))
	}
}
