package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"gopura/exchange"
)

// TransportConfig says how a target is reached. Zero durations mean no limit.
type TransportConfig struct {
	Network   string      // "tcp" (default) or "unix"
	Address   string      // host:port, or a path
	TLS       *tls.Config // nil: cleartext, with prior knowledge (RFC 9113 §3.3)
	Authority string      // :authority sent to the target; "": the client's
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)

	ConnectTimeout  time.Duration // TCP and TLS handshake
	ResponseTimeout time.Duration // for the response head, and between two reads of the body; see Serve
	IdleTimeout     time.Duration // of a connection without streams

	MaxConns int // connections at a time; 0: 100
	MaxHead  int // bytes of a response head, and of trailers: 32 KiB
	MaxField int // number of their fields: 100
}

// Windows that a target is given. A stream's bounds the memory that a client
// who reads slowly costs. The connection's is given back as soon as data
// arrives: a client that does not read must not stop the others.
const (
	callWindow    = 64 << 10
	upConnWindow  = 16 << 20
	upConnBuffer  = 32 << 10
	defaultConns  = 100
	patrolEvery   = 5 * time.Second  // how often connections are looked after
	silentFor     = 30 * time.Second // without a word while streams are open: is it still there?
	pingAgain     = 5 * time.Minute  // what gRPC servers allow a silent stream
	pingTimeout   = 10 * time.Second // an answer takes no longer
	freshAttempts = 3                // connections that are tried for a stream that was refused
)

// Transport sends exchanges to one target, many at a time over each of a few
// connections. It opens another when those it has carry as many streams as the
// target allows. It is safe for concurrent use.
type Transport struct {
	c     TransportConfig
	calls sync.Pool

	mu      sync.Mutex
	conns   []*upConn // the first with room is used
	dialing *dialing
	timer   *time.Timer // patrol; nil: there is nothing to look after
	closed  bool
}

// dialing is a connection that is being made; all who need one wait for it.
type dialing struct {
	done chan struct{}
	err  error
}

// NewTransport returns a transport. It opens no connection.
func NewTransport(c TransportConfig) *Transport {
	if c.Network == "" {
		c.Network = "tcp"
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
		c.TLS.NextProtos = []string{"h2"}
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&c.MaxConns, defaultConns}, {&c.MaxHead, 32 << 10}, {&c.MaxField, 100}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return &Transport{c: c}
}

// Stats returns how many connections are open, and how many of them are idle.
func (t *Transport) Stats() (open, idle int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		if c.active == 0 {
			idle++
		}
	}
	return len(t.conns), idle
}

// Close closes the idle connections; those in use close with their last stream.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	var idle []*upConn
	for _, c := range t.conns {
		if c.active == 0 {
			idle = append(idle, c)
		}
	}
	if t.timer != nil && len(idle) == len(t.conns) {
		t.timer.Stop()
	}
	t.mu.Unlock()
	for _, c := range idle {
		c.fail(errTransportClosed)
	}
	return nil
}

var errTransportClosed = errors.New("the transport is closed")

// Serve sends the request and waits for the response head; the response's body
// is read as it is pulled. Its errors are *exchange.Error. Retry is set in one
// when the target has not begun to process the request.
//
// ResponseTimeout begins when the whole request is out. It does not end a gRPC
// call once that has begun to answer: between the messages of a stream any time
// may pass.
func (t *Transport) Serve(x *exchange.Exchange) error {
	for attempt := 1; ; attempt++ {
		c, err := t.take(x)
		if err != nil {
			return err
		}
		k := t.call()
		e, again := k.roundTrip(c, x)
		if e == nil {
			return nil
		}
		if !again || !e.Retry || e.Code != exchange.UpstreamStale.Name || attempt == freshAttempts {
			return e
		}
	}
}

func (t *Transport) call() *call {
	k, _ := t.calls.Get().(*call)
	if k == nil {
		k = &call{t: t}
		k.over = k.done
	}
	return k
}

// take returns a connection with room for a stream, which is then counted.
func (t *Transport) take(x *exchange.Exchange) (*upConn, error) {
	for {
		t.mu.Lock()
		for _, c := range t.conns {
			if !c.draining && c.active < c.limit {
				c.active++
				t.mu.Unlock()
				return c, nil
			}
		}
		d := t.dialing
		if d == nil {
			if len(t.conns) >= t.c.MaxConns {
				t.mu.Unlock()
				return nil, exchange.TargetBusy.Errorf("%s has %d connections, and no room for a stream on them", t.c.Address, t.c.MaxConns)
			}
			d = &dialing{done: make(chan struct{})}
			t.dialing = d
			go t.dial(d)
		}
		t.mu.Unlock()
		ctx := x.Context()
		select {
		case <-d.done:
			if d.err != nil {
				return nil, dialError(d.err)
			}
		case <-ctx.Done():
			return nil, cancelled(causeOf(x, ctx))
		}
	}
}

// causeOf is why ctx, which is x's, has ended.
func causeOf(x *exchange.Exchange, ctx context.Context) error {
	if cause := x.Cancelled(); cause != nil {
		return cause
	}
	return ctx.Err()
}

// dial makes a connection and adds it.
func (t *Transport) dial(d *dialing) {
	ctx, cancel := context.Background(), func() {}
	if t.c.ConnectTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, t.c.ConnectTimeout)
	}
	defer cancel()
	nc, err := t.connect(ctx)
	var c *upConn
	if err == nil {
		c = newUpConn(t, nc)
	}
	t.mu.Lock()
	t.dialing, d.err = nil, err
	if c != nil {
		t.conns = append(t.conns, c)
		if t.timer == nil {
			t.timer = time.AfterFunc(patrolEvery, t.patrol)
		}
	}
	t.mu.Unlock()
	if c != nil {
		go c.read()
	}
	close(d.done)
}

func (t *Transport) connect(ctx context.Context) (net.Conn, error) {
	nc, err := t.c.Dial(ctx, t.c.Network, t.c.Address)
	if err != nil || t.c.TLS == nil {
		return nc, err
	}
	tc := tls.Client(nc, t.c.TLS)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, tlsError{err}
	}
	if p := tc.ConnectionState().NegotiatedProtocol; p != "h2" {
		nc.Close()
		return nil, tlsError{fmt.Errorf("the target does not speak HTTP/2: ALPN chose %q", p)}
	}
	return tc, nil
}

type tlsError struct{ error }

func (e tlsError) Unwrap() error { return e.error }

func dialError(err error) error {
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

// leave counts a stream out. A connection that takes no more closes with its
// last one.
func (t *Transport) leave(c *upConn, now time.Time) {
	t.mu.Lock()
	c.active--
	if c.active == 0 {
		c.since = now
	}
	end := c.active == 0 && (c.draining || t.closed)
	t.mu.Unlock()
	if end {
		c.fail(errTransportClosed)
	}
}

// drain makes a connection take no more streams.
func (t *Transport) drain(c *upConn) {
	t.mu.Lock()
	c.draining = true
	end := c.active == 0
	t.mu.Unlock()
	if end {
		c.fail(errGoAway)
	}
}

// forget takes out a connection that has ended.
func (t *Transport) forget(c *upConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.draining = true
	if i := slices.Index(t.conns, c); i >= 0 {
		t.conns = slices.Delete(t.conns, i, i+1)
	}
	if len(t.conns) == 0 && t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// patrol closes connections that have been idle for too long or don't answer a
// PING, and asks those that are silent.
func (t *Transport) patrol() {
	now := time.Now()
	t.mu.Lock()
	conns := slices.Clone(t.conns)
	if t.timer != nil {
		t.timer.Reset(patrolEvery)
	}
	var idle []*upConn
	conns = slices.DeleteFunc(conns, func(c *upConn) bool {
		old := c.active == 0 && (t.closed || t.c.IdleTimeout > 0 && now.Sub(c.since) >= t.c.IdleTimeout)
		if old {
			c.draining = true
			idle = append(idle, c)
		}
		return old || c.active == 0
	})
	t.mu.Unlock()
	for _, c := range idle {
		c.goAway()
	}
	for _, c := range conns {
		c.check(now)
	}
}
