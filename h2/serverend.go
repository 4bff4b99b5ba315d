package h2

import (
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// end is the end of the connection, and of all its streams.
func (c *serverConn) end(err error) {
	var ce http2.ConnectionError
	c.mu.Lock()
	c.over = true
	own := c.err // why it was given up; reading only followed
	if own == nil {
		own = err
	}
	cause := c.cause
	if cause == nil {
		cause = exchange.ClientGone.Because(own)
	}
	for _, st := range c.open {
		st.breakOff(cause, byClient)
	}
	last := c.last
	if c.parting == gone {
		last = c.final // RFC 9113 §6.8: it must not rise
	}
	if errors.As(err, &ce) {
		c.framer.WriteGoAway(last, http2.ErrCode(ce), nil)
	}
	if errors.Is(err, http2.ErrFrameTooLarge) {
		c.framer.WriteGoAway(last, http2.ErrCodeFrameSize, nil)
	}
	said := len(c.out) > 0 && err != io.EOF && c.err == nil
	c.mu.Unlock()
	if said || errors.Is(err, errParted) {
		c.linger()
	}
	c.fail(own)
	c.in.release()
	c.settle(0)
	c.conf.Log.Debug("HTTP/2 connection ended", "client", c.client.Peer, "error", err)
}

// settle notes that so many streams are done, and takes the connection off the
// server's list when nothing of it is left.
func (c *serverConn) settle(streams int) {
	c.mu.Lock()
	c.serving -= streams
	left := c.over && c.err != nil && c.serving == 0 && !c.off
	c.off = c.off || left
	c.mu.Unlock()
	if left {
		c.s.remove(c)
	}
}

const (
	lingerTime  = 250 * time.Millisecond
	lingerBytes = 1 << 20
)

// linger writes what is to be said last and reads on for a moment: closing with
// unread bytes would reset the connection, and the client might never see it.
func (c *serverConn) linger() {
	c.mu.Lock()
	c.timeout = lingerTime
	c.nc.SetDeadline(time.Now().Add(lingerTime))
	c.armed = time.Now().Add(time.Hour)
	c.mu.Unlock()
	c.drained()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if below, is := c.nc.(interface{ NetConn() net.Conn }); !ok && is {
		half, ok = below.NetConn().(interface{ CloseWrite() error })
	}
	if !ok || half.CloseWrite() != nil {
		return
	}
	b := exchange.NewBuffer()
	defer b.Release()
	for n := 0; n < lingerBytes; {
		m, err := c.nc.Read(b.B[:])
		if err != nil {
			return
		}
		n += m
	}
}

// drained writes what is left, or waits for whoever is doing so.
func (c *serverConn) drained() {
	for {
		c.flush()
		c.mu.Lock()
		done := !c.writing && len(c.out) == 0 || c.err != nil
		c.mu.Unlock()
		if done {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// cut breaks the connection off.
func (c *serverConn) cut(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	c.fail(cause)
}
