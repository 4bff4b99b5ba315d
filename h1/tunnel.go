package h1

import (
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
	both.Go(func() { // client to upstream
		if rest := ws.in.unread(); len(rest) > 0 {
			if _, err := up.Write(rest); err != nil {
				c.link.Interrupt()
				return
			}
			x.Received += int64(len(rest))
		}
		x.Received += pipe(up, &c.link, func() { up.Close() })
		up.CloseWrite()
		time.AfterFunc(halfOpen, func() { up.Close() })
	})
	x.Sent += pipe(&c.link, up, c.link.Interrupt)
	if cw, ok := c.link.nc.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite()
	} else {
		c.link.Interrupt()
	}
	stop := time.AfterFunc(halfOpen, c.link.Interrupt)
	both.Wait()
	stop.Stop()
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

// pipe copies from src to dst until src ends. When dst fails, broken is called
// so that the other direction ends too.
func pipe(dst writer, src reader, broken func()) (n int64) {
	b := exchange.NewBuffer()
	defer b.Release()
	for {
		m, err := src.Read(b.B[:])
		if m > 0 {
			if _, werr := dst.Write(b.B[:m]); werr != nil {
				broken()
				return n
			}
			n += int64(m)
		}
		if err != nil {
			return n
		}
	}
}
