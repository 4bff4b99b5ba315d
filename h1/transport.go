package h1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"gopura/exchange"
)

// TransportConfig says how a target is reached. Zero durations mean no limit.
type TransportConfig struct {
	Network   string      // "tcp" (default) or "unix"
	Address   string      // host:port, or a path
	TLS       *tls.Config // nil: cleartext
	Authority string      // Host sent to the target; "": the client's
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)

	ConnectTimeout  time.Duration // TCP and TLS handshake
	ResponseTimeout time.Duration // for the response head, and between two reads of the body
	IdleTimeout     time.Duration // of a kept connection

	MaxConns int // connections at a time, 0: no limit
	MaxIdle  int // kept connections
	Limits   Limits
}

// Transport sends exchanges to one target over a pool of HTTP/1.1
// connections. It is safe for concurrent use.
type Transport struct {
	c TransportConfig

	mu     sync.Mutex
	idle   []*upConn // the longest idle first
	open   int
	closed bool
	reaper *time.Timer
}

// NewTransport returns a transport. It opens no connection.
func NewTransport(c TransportConfig) *Transport {
	if c.Network == "" {
		c.Network = "tcp"
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	c.Limits = c.Limits.withDefaults()
	return &Transport{c: c}
}

// Stats returns how many connections are open, and how many of them are idle.
func (t *Transport) Stats() (open, idle int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open, len(t.idle)
}

// Close closes the idle connections; those in use close when their exchange
// is done.
func (t *Transport) Close() error {
	t.mu.Lock()
	idle := t.idle
	t.idle, t.closed = nil, true
	t.open -= len(idle)
	if t.reaper != nil {
		t.reaper.Stop()
	}
	t.mu.Unlock()
	for _, c := range idle {
		c.link.nc.Close()
	}
	return nil
}

// Serve sends the request and reads the response head; the response's body is
// read as it is pulled. Its errors are *exchange.Error. Retry is set in one
// when no byte of the request has reached the target.
func (t *Transport) Serve(x *exchange.Exchange) error {
	for {
		c := t.take()
		fresh := c == nil
		if fresh {
			var err error
			if c, err = t.dial(x); err != nil {
				return err
			}
		}
		err := c.roundTrip(x)
		if err == nil {
			return nil
		}
		// A kept connection that had just been closed is nobody's failure: use
		// another, when the request has not begun or may be repeated.
		if fresh || err.Code != exchange.UpstreamStale.Name || err.Err != errNotIdle && !repeatable(&x.Request) {
			return err
		}
	}
}

// repeatable says whether a request may be sent twice and can be: RFC 9110
// §9.2.1 safe methods, without a body.
func repeatable(r *exchange.Request) bool {
	return (r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS") && r.Body == exchange.NoBody
}

// take returns the idle connection that was used last, or nil.
func (t *Transport) take() *upConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.idle)
	if n == 0 {
		return nil
	}
	c := t.idle[n-1]
	t.idle[n-1] = nil
	t.idle = t.idle[:n-1]
	return c
}

// keep puts a connection back that has been idle since then.
func (t *Transport) keep(c *upConn, since time.Time) {
	c.since = since
	t.mu.Lock()
	if t.closed || len(t.idle) >= t.c.MaxIdle {
		t.mu.Unlock()
		t.discard(c)
		return
	}
	t.idle = append(t.idle, c)
	if t.reaper == nil && t.c.IdleTimeout > 0 {
		t.reaper = time.AfterFunc(t.c.IdleTimeout, t.reap)
	}
	t.mu.Unlock()
}

// reap closes the connections that have been idle for too long.
func (t *Transport) reap() {
	t.mu.Lock()
	limit := time.Now().Add(-t.c.IdleTimeout)
	n := 0
	for n < len(t.idle) && !t.idle[n].since.After(limit) {
		n++
	}
	old := append([]*upConn(nil), t.idle[:n]...)
	t.idle = append(t.idle[:0], t.idle[n:]...)
	t.open -= n
	t.reaper = nil
	if len(t.idle) > 0 && !t.closed {
		t.reaper = time.AfterFunc(t.idle[0].since.Sub(limit), t.reap)
	}
	t.mu.Unlock()
	for _, c := range old {
		c.link.nc.Close()
	}
}

func (t *Transport) discard(c *upConn) {
	c.link.nc.Close()
	t.mu.Lock()
	t.open--
	t.mu.Unlock()
}

func (t *Transport) dial(x *exchange.Exchange) (*upConn, error) {
	t.mu.Lock()
	if t.c.MaxConns > 0 && t.open >= t.c.MaxConns {
		t.mu.Unlock()
		return nil, exchange.TargetBusy.Errorf("%s has %d connections", t.c.Address, t.c.MaxConns)
	}
	t.open++
	t.mu.Unlock()
	nc, err := t.connect(x)
	if err != nil {
		t.mu.Lock()
		t.open--
		t.mu.Unlock()
		return nil, t.dialError(x, err)
	}
	return newUpConn(t, nc), nil
}

func (t *Transport) connect(x *exchange.Exchange) (net.Conn, error) {
	ctx := x.Context()
	if t.c.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.c.ConnectTimeout)
		defer cancel()
	}
	nc, err := t.c.Dial(ctx, t.c.Network, t.c.Address)
	if err != nil || t.c.TLS == nil {
		return nc, err
	}
	tc := tls.Client(&records{Conn: nc}, t.c.TLS)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, tlsError{err}
	}
	return tc, nil
}

type tlsError struct{ error }

func (e tlsError) Unwrap() error { return e.error }

func (t *Transport) dialError(x *exchange.Exchange, err error) error {
	if cause := x.Cancelled(); cause != nil {
		return cancelled(cause)
	}
	var te tlsError
	var ne net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return exchange.ConnectTimeout.Because(err)
	case errors.As(err, &te):
		return exchange.UpstreamTLS.Because(err)
	}
	return exchange.ConnectFailed.Because(err)
}

// cancelled is the error of an exchange that was ended early.
func cancelled(cause error) *exchange.Error {
	var e *exchange.Error
	switch {
	case errors.As(cause, &e):
		return e
	case errors.Is(cause, context.DeadlineExceeded):
		return exchange.ExchangeTimeout.Because(cause)
	}
	return exchange.ClientGone.Because(cause)
}
