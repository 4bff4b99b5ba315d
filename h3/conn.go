package h3

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"gopura/exchange"
)

// conn is one connection of a client.
type conn struct {
	s      *Server
	conf   *Config
	qc     *quic.Conn
	client *exchange.Client
	calm   calm
	peer   peerStreams

	control *quic.SendStream // ours; only tick writes to it after greet

	mu      sync.Mutex
	open    map[*stream]struct{} // exchanges that can be broken off
	active  int                  // streams that are served
	next    quic.StreamID        // a request with this id or a higher one has not been seen
	parting parting
	ended   time.Time // when the last request ended
	timer   *time.Timer
	over    bool
}

// parting is how far a connection is on its way to the end.
type parting uint8

const (
	staying parting = iota
	asked           // somebody wants it to end
	warned          // a GOAWAY was sent that still lets every request in
	gone            // the last GOAWAY was sent
)

func newConn(s *Server, qc *quic.Conn, client *exchange.Client) *conn {
	c := &conn{s: s, conf: s.config.Load(), qc: qc, client: client, open: map[*stream]struct{}{}}
	c.calm.init(time.Now())
	return c
}

// serve takes the client's streams until the connection ends.
func (c *conn) serve() {
	var requests, others sync.WaitGroup
	defer func() {
		if p := recover(); p != nil {
			c.conf.Log.Error("panic while serving a connection", "panic", p, "stack", string(debug.Stack()))
			c.qc.CloseWithError(codeInternal, "")
		}
		c.stop()
		requests.Wait()
		others.Wait()
		c.s.remove(c)
	}()
	if err := c.greet(); err != nil {
		c.fail(err)
		return
	}
	others.Go(func() { c.takeOthers(&others) })
	for {
		str, err := c.qc.AcceptStream(context.Background())
		if err != nil {
			return
		}
		if st := c.admit(str); st != nil {
			requests.Go(st.run)
		}
	}
}

// greet sends what begins our side: the control stream and its SETTINGS (RFC 9114
// §6.2.1). The QPACK settings are left at none.
func (c *conn) greet() error {
	control, err := c.qc.OpenUniStream()
	if err != nil {
		return err
	}
	c.control = control
	settings := quicvarint.Append(quicvarint.Append(nil, settingMaxFieldSection), uint64(c.conf.MaxHead))
	settings = quicvarint.Append(quicvarint.Append(settings, settingConnectProtocol), 1)
	b := appendFrame(quicvarint.Append(nil, streamControl), frameSettings, uint64(len(settings)))
	if err := c.control.SetWriteDeadline(time.Now().Add(c.conf.HeadTimeout)); err != nil {
		return err
	}
	if _, err = c.control.Write(append(b, settings...)); err != nil {
		return err
	}
	c.mu.Lock()
	c.timer = time.AfterFunc(c.conf.IdleTimeout, c.tick)
	if c.parting == asked {
		c.timer.Reset(0)
	}
	c.mu.Unlock()
	return nil
}

// admit makes a stream for a request; nil: it is refused, and the client may try
// elsewhere (RFC 9114 §5.2).
func (c *conn) admit(str *quic.Stream) *stream {
	c.mu.Lock()
	refuse := c.parting == gone || c.over
	var st *stream
	if !refuse {
		st = c.s.streams.Get().(*stream)
		st.begin(c, str) // first: what is in open may be cancelled at any time
		c.open[st] = struct{}{}
		c.active++
		c.next = str.StreamID() + 4
		if c.parting == staying {
			c.timer.Stop()
		}
	}
	c.mu.Unlock()
	if refuse {
		str.ReleaseStreamCredit()
		str.CancelRead(codeRequestRejected)
		str.CancelWrite(codeRequestRejected)
		c.spend(costReset)
		return nil
	}
	return st
}

// forget takes an exchange off the list: it is about to be done.
func (c *conn) forget(st *stream) {
	c.mu.Lock()
	delete(c.open, st)
	c.mu.Unlock()
}

// leaveStream counts a stream out, and lets the client open another.
func (c *conn) leaveStream(st *stream) {
	c.mu.Lock()
	delete(c.open, st) // after a panic it is still there
	c.active--
	if c.active == 0 && !c.over {
		c.ended = time.Now()
		switch c.parting {
		case staying:
			c.timer.Reset(c.conf.IdleTimeout)
		case gone:
			c.timer.Reset(linger)
		}
	}
	c.mu.Unlock()
	st.str.ReleaseStreamCredit()
}

// leave begins the end of the connection: it ends with its last request. Any
// goroutine may call it, more than once.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parting == staying && !c.over {
		c.parting = asked
		if c.timer != nil {
			c.timer.Reset(0)
		}
	}
}

// tick takes the next step to the end of the connection: because it has been idle
// for too long, or was asked to leave.
func (c *conn) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
	case c.parting == staying && c.active > 0: // a request came just now
	case c.parting <= asked:
		// RFC 9114 §5.2: what the client sends before it knows is served.
		c.goAway(1<<62 - 4)
		c.parting = warned
		c.timer.Reset(partWait)
	case c.parting == warned:
		c.goAway(c.next)
		c.parting = gone
		if c.active == 0 {
			c.timer.Reset(max(0, linger-time.Since(c.ended)))
		}
	case c.active == 0:
		c.over = true
		go c.qc.CloseWithError(codeNo, "")
	}
}

// goAway tells the client which requests will not be served. A window that is
// closed to that is the client's loss. The caller holds mu.
func (c *conn) goAway(id quic.StreamID) {
	p := quicvarint.Append(nil, uint64(id))
	c.control.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	c.control.Write(append(appendFrame(nil, frameGoAway, uint64(len(p))), p...))
}

func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// spend charges the client for what brings nothing.
func (c *conn) spend(n int) error {
	if c.calm.spend(n) {
		return nil
	}
	return errFlood
}

// fail ends the connection because of err.
func (c *conn) fail(err error) {
	var ce *connError
	if errors.As(err, &ce) {
		c.conf.Log.Debug("HTTP/3 connection closed", "client", c.client.Peer, "error", err)
		c.qc.CloseWithError(ce.code, ce.why)
		return
	}
	c.qc.CloseWithError(codeInternal, "")
}

// cut breaks everything off.
func (c *conn) cut(cause error) {
	c.mu.Lock()
	for st := range c.open {
		st.x.Cancel(cause)
	}
	c.mu.Unlock()
	c.qc.CloseWithError(codeNo, "")
}

// lost is the cause when a stream ended under us.
func (c *conn) lost(err error) error {
	if c.qc.Context().Err() != nil {
		err = fmt.Errorf("the connection ended: %w", context.Cause(c.qc.Context()))
	}
	return exchange.ClientGone.Because(err)
}
