package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// leave begins the end of the connection: it ends with its last stream. Any
// goroutine may call it, more than once.
func (c *serverConn) leave() {
	c.mu.Lock()
	if c.parting == staying {
		c.parting = asked
		c.poke()
	}
	c.mu.Unlock()
}

// poke lets the reader look at the time, and at what has changed, now. The
// caller holds mu.
func (c *serverConn) poke() {
	c.in.poked = true
	c.nc.SetReadDeadline(past)
}

var past = time.Unix(1, 0)

// part takes the steps to the end that can be taken at now; zero: the client has
// answered the PING behind the first GOAWAY.
func (c *serverConn) part(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parting == asked {
		// RFC 9113 §6.8: what the client sends before it knows is served.
		c.framer.WriteGoAway(maxStreamID, http2.ErrCodeNo, nil)
		c.framer.WritePing(false, partPing)
		c.parting, c.in.parted = warned, now
	}
	if c.parting == warned && (now.IsZero() || now.Sub(c.in.parted) >= partWait) {
		c.framer.WriteGoAway(c.last, http2.ErrCodeNo, nil)
		c.parting, c.final = gone, c.last
		if len(c.open) == 0 {
			c.poke()
		}
	}
	if c.parting == gone && len(c.open) == 0 && !now.IsZero() {
		return errParted
	}
	return nil
}

// tick is called when the reader has waited until its deadline: it acts on what
// is due, and says when it wants to be called next.
func (c *serverConn) tick(now time.Time) (next time.Time, err error) {
	if err := c.part(now); err != nil {
		return now, err
	}
	t := c.conf
	due := func(from time.Time, after time.Duration) bool {
		at := from.Add(after)
		if !at.After(now) {
			return true
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
		return false
	}
	if !c.greeted && due(c.in.since, t.HeadTimeout) {
		return now, errSlowHead
	}
	if c.in.inFrame {
		patience, from := t.HeadTimeout, c.in.frameAt
		if c.in.data {
			patience, from = t.BodyTimeout, c.in.now
		}
		if due(from, patience) {
			return now, errSlowHead
		}
	}
	c.mu.Lock()
	parting, idle, streams := c.parting, c.idle, len(c.open)
	c.mu.Unlock()
	switch {
	case parting == warned:
		due(c.in.parted, partWait)
	case parting == staying && streams == 0 && due(idle, t.IdleTimeout):
		c.leave()
		return now, nil
	}
	if !c.in.pinged.IsZero() {
		if due(c.in.pinged, t.WriteTimeout) {
			return now, errSilence
		}
	} else if due(c.in.now, t.PingAfter) {
		c.mu.Lock()
		c.framer.WritePing(false, livePing)
		c.mu.Unlock()
		c.in.pinged = now
		due(now, t.WriteTimeout)
	}
	c.flushAside()
	return next, nil
}
