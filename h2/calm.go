package h2

import (
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// calm is a connection's allowance for frames that cost more than they bring:
// resets, PINGs, SETTINGS and their like. Work that was done for the client and
// time fill it again, so that busy connections may have many of them; whoever
// uses it up is flooding, and loses the connection (RFC 9113 §10.5).
type calm struct {
	left   int
	at     time.Time    // filled up to
	earned atomic.Int64 // by streams, since
}

const (
	calmFull      = 2000 // what a connection begins with, and may save
	calmPerSecond = 200

	costReset    = 10 // a stream that was opened for nothing, whoever ended it
	costSettings = 10
	costPing     = 5
	costEmpty    = 10 // DATA that brings nothing
	costPriority = 2
	costWindow   = 1
	costAck      = 2
	costLate     = 2 // a frame for a stream that is over
	costUnknown  = 2
	costGoAway   = 50

	earnAnswer = 12 // a response was written to its end
	earnData   = 2  // a piece of a body was written, and
	earnPer    = 256
)

func (a *calm) init(now time.Time) { a.left, a.at = calmFull, now }

// spend takes n off the allowance. Only the reader calls it.
func (a *calm) spend(n int) error {
	if a.left -= n; a.left >= 0 {
		return nil
	}
	now := time.Now()
	fresh := now.Sub(a.at)
	a.left = min(calmFull, a.left+int(a.earned.Swap(0))+int(min(fresh, time.Minute)*calmPerSecond/time.Second))
	a.at = now
	if a.left < 0 {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// earn adds to the allowance, or takes off it what a stream has cost. Any goroutine may
// call it.
func (a *calm) earn(n int) { a.earned.Add(int64(n)) }

// settle takes off the allowance what streams have cost more than they earned. Only the
// reader calls it.
func (a *calm) settle() error {
	if n := a.earned.Load(); n < 0 {
		a.earned.Add(-n)
		return a.spend(int(-n))
	}
	return nil
}

// closedStreams remembers how the streams that ended last have ended, so that
// frames which were on their way can be told from those that have no business.
type closedStreams struct {
	ring [64]closedStream
	next int
}

type closedStream struct {
	id  uint32
	how ending
}

type ending uint8

const (
	whole    ending = iota // both sides have said their END_STREAM
	byClient               // the client has reset it
	byUs                   // we have
)

// add notes how a stream has ended; what is known of it already is replaced.
func (c *closedStreams) add(id uint32, how ending) {
	if c.change(id, how) {
		return
	}
	c.ring[c.next%len(c.ring)] = closedStream{id, how}
	c.next++
}

// change replaces what is known of a stream that was over already.
func (c *closedStreams) change(id uint32, how ending) (known bool) {
	for i := range c.ring {
		if c.ring[i].id == id {
			c.ring[i].how = how
			return true
		}
	}
	return false
}

// full reports whether there are streams that it does not remember.
func (c *closedStreams) full() bool { return c.next > len(c.ring) }

func (c *closedStreams) find(id uint32) (ending, bool) {
	for _, s := range c.ring {
		if s.id == id {
			return s.how, true
		}
	}
	return 0, false
}
