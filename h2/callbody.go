package h2

import (
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// responseBody is the body of a response as it is pulled from the target.
type responseBody struct {
	k    *call
	left int64 // of the announced length; -1: none was
	err  error // sticky
}

func (b *responseBody) start(k *call) { *b = responseBody{k: k, left: k.length} }

// Next implements exchange.Body.
func (b *responseBody) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	var by time.Time
	for {
		p, done, err := b.k.in.pull()
		switch {
		case len(p) > 0:
			b.k.repay()
			if b.left >= 0 {
				b.left -= int64(len(p))
			}
			return p, nil
		case err != nil:
			b.err = b.k.broken(err)
			return nil, b.err
		case done:
			b.err = io.EOF
			return nil, b.err
		}
		if by.IsZero() {
			by = b.k.bodyBy()
		}
		if !b.k.in.await(by) {
			b.err = b.k.broken(errTooLate)
			return nil, b.err
		}
	}
}

// Len implements exchange.Body.
func (b *responseBody) Len() int64 {
	if b.left >= 0 {
		return b.left
	}
	if b.err != nil {
		return 0
	}
	n, last := b.k.in.left()
	if last && b.k.tail.Len() == 0 {
		return int64(n)
	}
	return -1
}

// Ready implements exchange.Ready.
func (b *responseBody) Ready() bool { return b.err != nil || b.k.in.ready() }

// Trailer implements exchange.Body.
func (b *responseBody) Trailer() *exchange.Header {
	if b.err != io.EOF || b.k.tail.Len() == 0 {
		return nil
	}
	return &b.k.tail
}

// whole reports whether all that was announced has been pulled. The target may
// not have ended the stream yet: it may still be reading the request.
func (b *responseBody) whole() bool { return b.left == 0 && b.err == nil }

// Close implements exchange.Body: a response that is not whole is not wanted any
// more, and the target is told so.
func (b *responseBody) Close() error {
	k := b.k
	if b.whole() {
		return nil // what is left of the stream is done's
	}
	k.in.mu.Lock()
	cancel := !k.closed && !k.reset
	k.reset = k.reset || cancel
	k.in.mu.Unlock()
	if cancel {
		k.c.mu.Lock()
		k.c.framer.WriteRSTStream(k.id, http2.ErrCodeCancel)
		k.out.stopLocked(errReleased)
		k.c.mu.Unlock()
		k.c.flush()
		k.in.drop(errReleased)
	}
	return nil
}

// repay gives the target window for what was pulled.
func (k *call) repay() {
	n := k.in.repay(callWindow)
	if n == 0 {
		return
	}
	k.c.mu.Lock()
	if k.c.err == nil {
		k.c.framer.WriteWindowUpdate(k.id, uint32(n))
	}
	k.c.mu.Unlock()
	k.c.flush()
}

// bodyBy is when the next piece of the body has to be here.
func (k *call) bodyBy() time.Time {
	by := k.x.Deadline
	if t := k.t.c.ResponseTimeout; t > 0 && !k.grpc {
		if next := time.Now().Add(t); by.IsZero() || next.Before(by) {
			by = next
		}
	}
	return by
}

// broken says what broke the response body.
func (k *call) broken(err error) error {
	if cause := k.x.Cancelled(); cause != nil {
		return cancelled(cause)
	}
	var e *exchange.Error
	var be *bodyError
	switch {
	case errors.As(err, &be):
		if errors.As(be.err, &e) {
			return e
		}
		return exchange.BadBody.Because(be.err)
	case errors.As(err, &e) && e.Code == exchange.UpstreamMalformed.Name:
		return exchange.UpstreamBroken.Because(e.Err)
	case errors.As(err, &e):
		return e
	case err == errTooLate:
		k.c.suspect()
		if d := k.x.Deadline; !d.IsZero() && !time.Now().Before(d) {
			return exchange.ExchangeTimeout.Because(err)
		}
	}
	return exchange.UpstreamBroken.Because(err)
}
