package h2

import (
	"errors"
	"io"
	"time"

	"gopura/exchange"
)

// serverBody is the body of a request: what its stream has received.
type serverBody struct {
	st     *serverStream
	length int64 // bytes left, -1: unknown
	expect bool  // the client waits for 100 before it sends anything
	silent bool  // it may take as long as it likes: a tunnel
	err    error // sticky: io.EOF, or why the body is broken
}

var errBodyGivenUp = errors.New("h2: read of a closed request body")

func (b *serverBody) start(length int64, expect bool) {
	b.length, b.expect, b.silent, b.err = length, expect, false, nil
}

// Next implements exchange.Body. It waits at most for the body timeout, and only
// for the client: the time that others take between two calls does not count.
func (b *serverBody) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	var by time.Time
	for {
		p, done, err := b.st.in.pull()
		switch {
		case err != nil:
			b.err = b.broken(err)
			return nil, b.err
		case len(p) > 0:
			b.expect = false
			if b.length >= 0 {
				b.length -= int64(len(p))
			}
			b.st.x.Received += int64(len(p))
			b.st.pulled(len(p))
			return p, nil
		case done:
			b.err = io.EOF
			return nil, io.EOF
		}
		if b.expect {
			b.expect = false
			b.st.sendContinue()
		}
		if by.IsZero() && !b.silent {
			by = time.Now().Add(b.st.c.conf.BodyTimeout)
		}
		if !b.st.in.await(by) {
			b.err = exchange.RequestTimeout.Errorf("no piece of the request body within %s", b.st.c.conf.BodyTimeout)
			return nil, b.err
		}
	}
}

// pulled gives windows back for n bytes that were taken.
func (st *serverStream) pulled(n int) {
	c := st.c
	more := st.in.repay(streamWindow)
	c.mu.Lock()
	if c.open[st.id] != st { // closed meanwhile: all of it has been given back
		c.mu.Unlock()
		return
	}
	n = min(n, st.held) // it may have been given up meanwhile
	st.held -= n
	said := c.repay(n)
	if more > 0 && !st.settled {
		c.framer.WriteWindowUpdate(st.id, uint32(more))
		said = true
	}
	c.mu.Unlock()
	if said {
		c.flush()
	}
}

func (b *serverBody) broken(err error) error {
	var e *exchange.Error
	switch {
	case err == errBodyGivenUp || errors.As(err, &e):
		return err
	}
	return exchange.ClientGone.Because(err)
}

// Len implements exchange.Body.
func (b *serverBody) Len() int64 { return b.length }

// Ready implements exchange.Ready.
func (b *serverBody) Ready() bool { return b.err != nil || b.st.in.ready() }

// Trailer implements exchange.Body.
func (b *serverBody) Trailer() *exchange.Header {
	if b.err != io.EOF || b.st.tail.Len() == 0 {
		return nil
	}
	return &b.st.tail
}

// Close implements exchange.Body: it ends a Next that is waiting, and gives the window
// of what was not pulled back, however long the answer takes.
func (b *serverBody) Close() error {
	st, c := b.st, b.st.c
	c.mu.Lock()
	said := c.open[st.id] == st && st.giveUp(errBodyGivenUp)
	c.mu.Unlock()
	if said {
		c.flush()
	}
	return nil
}
