package h2

import (
	"errors"
	"os"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// inbox is what a server's framer reads from: the connection, through a buffer
// that is there only while something arrives, and with all of the connection's
// clocks in one read deadline. A deadline is armed when the last one has fired
// or something new has begun; not for each frame.
type inbox struct {
	c    *serverConn
	buf  *exchange.Buffer
	r, w int

	now   time.Time // something arrived last
	since time.Time // the connection began
	warm  bool      // the deadline is near: the clocks are looked at soon

	inFrame bool // in the middle of a frame or a header block
	frameAt time.Time
	data    bool // a DATA frame

	pinged time.Time // a PING has to be answered since
	parted time.Time // the first GOAWAY went out

	poked bool // under the link's mu: the deadline has been set to the past
}

// warmFor is how long after its last byte a connection is looked at: by then
// it gives its buffers back.
const warmFor = time.Second

func (c *serverConn) start(now time.Time) {
	c.in = inbox{c: c, since: now, now: now}
	c.idle = now
	c.calm.init(now)
	c.framer = c.newFramer()
	c.in.warm = true
	c.in.arm(now.Add(c.in.soon()))
}

// newFramer returns a framer without a buffer.
func (c *serverConn) newFramer() *http2.Framer {
	f := http2.NewFramer((*appender)(&c.link), &c.in)
	f.SetReuseFrames()
	f.SetMaxReadFrameSize(frameSize)
	return f
}

// between says that what is read next is a frame's beginning, and waits for it:
// the framer must not be replaced (see cool) once it has begun to read one.
func (in *inbox) between() error {
	in.inFrame = false
	if in.r == in.w {
		return in.fill()
	}
	return nil
}

func (in *inbox) buffered() int { return in.w - in.r }

// Read implements io.Reader.
func (in *inbox) Read(p []byte) (int, error) {
	if in.r == in.w {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	if !in.inFrame {
		in.inFrame, in.frameAt, in.data = true, in.now, false
	}
	n := copy(p, in.buf.B[in.r:in.w])
	in.r += n
	return n, nil
}

// fill waits until something arrives.
func (in *inbox) fill() error {
	var one [1]byte
	for {
		to := one[:] // a connection that has gone cold has no buffer
		if in.buf == nil && in.warm {
			in.buf = exchange.NewBuffer()
		}
		if in.buf != nil {
			to = in.buf.B[:]
		}
		n, err := in.c.nc.Read(to)
		if n > 0 {
			if in.buf == nil {
				in.buf = exchange.NewBuffer()
				in.buf.B[0] = one[0]
			}
			in.r, in.w = 0, n
			in.now = time.Now()
			if !in.warm {
				in.warm = true
				in.arm(in.now.Add(in.soon()))
			}
			return nil
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := in.look(); err != nil {
			return err
		}
	}
}

// look looks at the clocks.
func (in *inbox) look() error {
	c := in.c
	c.mu.Lock()
	in.poked = false
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	now := time.Now()
	next, err := c.tick(now)
	if err != nil {
		return err
	}
	if in.warm && now.Sub(in.now) >= in.soon() {
		in.cool()
	}
	if in.warm && (next.IsZero() || next.Sub(now) > in.soon()) {
		next = now.Add(in.soon())
	}
	in.arm(next)
	return nil
}

// soon is how exact the clocks of a busy connection are.
func (in *inbox) soon() time.Duration {
	c := in.c.conf
	return min(warmFor, c.HeadTimeout, c.IdleTimeout, c.PingAfter, c.BodyTimeout)
}

// cool gives back what a connection without traffic does not need.
func (in *inbox) cool() {
	in.warm = false
	if in.r != in.w || in.inFrame {
		return
	}
	in.release()
	c := in.c
	c.mu.Lock()
	c.framer = c.newFramer()
	if !c.writing && len(c.out) == 0 {
		c.out, c.spare = nil, nil
	}
	c.mu.Unlock()
}

func (in *inbox) release() {
	if in.buf != nil {
		in.buf.Release()
		in.buf = nil
	}
}

// arm sets when the wait for bytes is to be interrupted.
func (in *inbox) arm(at time.Time) {
	c := in.c
	c.mu.Lock()
	if in.poked {
		at = past
	}
	c.nc.SetReadDeadline(at)
	c.mu.Unlock()
}
