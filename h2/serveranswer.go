package h2

import (
	"time"

	"gopura/exchange"
	"gopura/semantics"
)

// respond writes the answer. On an error it is not whole.
func (st *serverStream) respond() error {
	return semantics.Answer(&st.x, st, st.c.conf.Root)
}

// What follows makes a serverStream a semantics.Stream.

// Head appends the head of the response; end says that nothing follows.
func (st *serverStream) Head(p *exchange.Response, length int64, end bool) error {
	st.heading.Lock()
	st.headed = true
	st.heading.Unlock()
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.out.failure(); err != nil {
		return exchange.ClientGone.Because(err)
	}
	st.fields.Head(c, p, length, c.s.date.At(time.Now()))
	c.head(st.id, end)
	if end {
		st.said()
	}
	return nil
}

// Data appends a piece of the body, and waits for the client's windows, each time at
// most for the write timeout; in a tunnel for ever.
func (st *serverStream) Data(p []byte) error {
	timeout := st.c.conf.WriteTimeout
	if st.x.Response.Tunnel != nil {
		timeout = 0
	}
	rest, err := st.out.push(p)
	if err == nil && len(rest) > 0 {
		err = st.out.send(rest, timeout)
	}
	switch {
	case err == nil:
		st.x.Sent += int64(len(p))
		st.c.calm.earn(earnData + len(p)/earnPer)
		return nil
	case err == errSendTimeout:
		gone := exchange.ClientGone.Errorf("the client took nothing within %s", timeout)
		st.x.Cancel(gone)
		return gone
	case st.x.Cancelled() != nil:
		return st.x.Cancelled()
	}
	return exchange.ClientGone.Because(err)
}

// Flush writes what was appended to the connection, by this stream and others.
func (st *serverStream) Flush() error {
	st.c.flush()
	return nil
}

// Trailer appends the trailer section, and with it the end.
func (st *serverStream) Trailer(t *exchange.Header) error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := st.out.failure(); err != nil {
		return exchange.ClientGone.Because(err)
	}
	if st.fields.Trailer(c, t) == 0 {
		st.out.endLocked()
	} else {
		c.head(st.id, true)
	}
	st.said()
	return nil
}

// End appends END_STREAM.
func (st *serverStream) End() error {
	st.c.mu.Lock()
	st.out.endLocked()
	st.said()
	st.c.mu.Unlock()
	return nil
}

// Upload returns what the client sends.
func (st *serverStream) Upload() exchange.Body { return &st.body }

// Cut ends both directions, whatever they wait for.
func (st *serverStream) Cut(cause error) {
	st.in.fail(cause)
	st.out.stop(cause)
}

// sendInform passes an interim answer on.
func (st *serverStream) sendInform(status int, fields *exchange.Header) error {
	if semantics.Informs(status) {
		st.interim(status, fields)
	}
	return nil
}

// sendContinue tells the client that its body is wanted (RFC 9110 §10.1.1).
func (st *serverStream) sendContinue() { st.interim(100, nil) }

func (st *serverStream) interim(status int, fields *exchange.Header) {
	st.heading.Lock()
	defer st.heading.Unlock()
	if st.headed {
		return
	}
	c := st.c
	c.mu.Lock()
	if st.out.failure() != nil {
		c.mu.Unlock()
		return
	}
	st.fields.Interim(c, status, fields)
	c.head(st.id, false)
	c.mu.Unlock()
	c.flush()
}
