package h1

import (
	"io"
	"sync"
	"time"

	"gopura/exchange"
)

// relay answers a handshake with 101 and then moves bytes both ways until
// both sides have ended, or one has failed. The connection ends with it.
func (c *conn) relay(ws *workspace) bool {
	x := &ws.x
	c.mu.Lock()
	c.tunnel = true
	c.mu.Unlock()
	up := x.Response.Tunnel
	out := appendStatus(ws.out[:0], x.Response.Status)
	out = appendFields(out, &x.Response.Header)
	out = append(append(append(out, "Connection: Upgrade\r\nUpgrade: "...), x.Request.Upgrade...), "\r\n\r\n"...)
	c.link.withinWrite(deadline(time.Now(), c.conf.WriteTimeout))
	if _, err := c.link.Write(out); err != nil {
		up.Close()
		x.Err = exchange.ClientGone.Because(err)
		return false
	}
	c.link.within(time.Time{})
	c.link.withinWrite(time.Time{})
	x.Interruptible(tunnelCut{c, up})
	defer x.Release()

	var both sync.WaitGroup
	var late *time.Timer
	both.Go(func() { // client to upstream
		if rest := ws.in.unread(); len(rest) > 0 {
			if _, err := up.Write(rest); err != nil {
				c.link.Interrupt()
				return
			}
			x.Received += int64(len(rest))
		}
		n, err := pipe(up, &c.link, func() { up.Close() })
		x.Received += n
		if err != nil {
			up.Close() // an end that was none must not look like one
			return
		}
		up.CloseWrite()
		late = time.AfterFunc(halfOpen, func() { up.Close() })
	})
	n, err := pipe(&c.link, up, c.link.Interrupt)
	x.Sent += n
	if err != nil {
		c.abort()
	} else if cw, ok := c.link.nc.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite()
	} else {
		c.link.Interrupt()
	}
	stop := time.AfterFunc(halfOpen, c.link.Interrupt)
	both.Wait()
	stop.Stop()
	if late != nil {
		late.Stop()
	}
	up.Close()
	return false
}

// halfOpen is how long one direction of a tunnel may outlive the other.
const halfOpen = 30 * time.Second

type tunnelCut struct {
	c  *conn
	up exchange.Tunnel
}

func (t tunnelCut) Interrupt() {
	t.c.link.Interrupt()
	t.up.Close()
}

type reader interface{ Read([]byte) (int, error) }
type writer interface{ Write([]byte) (int, error) }

// pipe copies from src to dst until src ends, and returns the error of a src
// that did not end but break. When dst fails, broken is called so that the
// other direction ends too.
func pipe(dst writer, src reader, broken func()) (n int64, err error) {
	b := exchange.NewBuffer()
	defer b.Release()
	for {
		m, err := src.Read(b.B[:])
		if m > 0 {
			if _, werr := dst.Write(b.B[:m]); werr != nil {
				broken()
				return n, nil
			}
			n += int64(m)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
