package h2

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// upConn is one connection to a target. Its reader gives each frame to the call
// that it is for.
type upConn struct {
	link
	t *Transport

	// Under the transport's mu.
	active   int       // streams
	limit    int       // of them, as the target allows
	draining bool      // takes no more
	since    time.Time // idle since

	// Under the link's mu.
	open    map[uint32]*call
	next    uint32 // id of the next stream
	current *call  // the call that the reader looks at
	pinged  time.Time
	asked   bool // a PING is not answered

	heard  atomic.Bool  // since the last patrol
	silent time.Time    // of the patrol: since when nothing was heard
	credit atomic.Int64 // see charge

	// The reader's.
	owed  int // of the connection's window
	waste exchange.Header
	last  time.Time // when credit was last given for time
}

func newUpConn(t *Transport, nc net.Conn) *upConn {
	c := &upConn{t: t, limit: 100, next: 1, open: map[uint32]*call{}, since: time.Now(), last: time.Now()}
	c.link.init(nc, upConnBuffer, writeStall, blockLimits{t.c.MaxHead, t.c.MaxField})
	c.credit.Store(startCredit)
	// RFC 9113 §3.4. It goes out with the first request.
	c.out = append(c.out, http2.ClientPreface...)
	c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: callWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(t.c.MaxHead)},
	)
	c.framer.WriteWindowUpdate(0, upConnWindow-protocolWindow)
	return c
}

// writeStall is how long a target may keep us from writing at all: flow control
// is something else.
const writeStall = 30 * time.Second

// ResetError is the cause when a stream was reset, by either side.
type ResetError struct {
	Code http2.ErrCode
	By   string // "target" or "gateway"
	Why  error
}

func (e *ResetError) Error() string {
	s := fmt.Sprintf("the stream was reset by the %s: %s", e.By, e.Code)
	if e.Why != nil {
		s += ": " + e.Why.Error()
	}
	return s
}

func (e *ResetError) Unwrap() error { return e.Why }

// lostError is the cause when the connection ended.
type lostError struct{ err error }

func (e *lostError) Error() string { return "the connection was lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

var (
	errGoAway  = errors.New("the target takes no more requests on this connection")
	errRefused = errors.New("the target has refused the stream unseen")
	errSilent  = errors.New("the target does not answer a PING")
)

// read is the connection's one goroutine.
func (c *upConn) read() {
	var err error
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		c.end(err)
	}()
	c.flush()
	if err = c.greeted(); err != nil {
		return
	}
	for {
		var fh http2.FrameHeader
		if fh, err = c.framer.ReadFrameHeader(); err == nil {
			var f http2.Frame
			if f, err = c.payload(fh); err == nil {
				err = c.frame(f)
			}
		}
		if err != nil {
			if err = c.survive(err); err != nil {
				return
			}
		}
		if !c.heard.Load() {
			c.heard.Store(true)
		}
		if c.r.Buffered() == 0 {
			c.flushAside()
		}
	}
}

// survive resets the stream whose error err is; others end the connection.
func (c *upConn) survive(err error) error {
	var se http2.StreamError
	if errors.As(err, &se) {
		return c.reset(se)
	}
	return err
}

// greeted reads the target's preface: SETTINGS comes first.
func (c *upConn) greeted() error {
	f, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	s, ok := f.(*http2.SettingsFrame)
	if !ok || s.IsAck() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return c.settings(s)
}

// end is the end of the connection: of all calls on it too.
func (c *upConn) end(err error) {
	if own := c.broken(); own != nil {
		err = own // the cause, and not what closing led to
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	c.t.forget(c)
	var ce http2.ConnectionError
	c.mu.Lock()
	if errors.As(err, &ce) && c.err == nil {
		c.framer.WriteGoAway(0, http2.ErrCode(ce), nil)
		c.mu.Unlock()
		c.nc.SetWriteDeadline(time.Now().Add(time.Second))
		c.flush()
		c.mu.Lock()
	}
	c.breakLocked(&lostError{err})
	for _, k := range c.open { // under mu: whoever leaves is reused
		k.in.fail(&lostError{err})
	}
	c.open = nil
	c.unhand()
	c.mu.Unlock()
}

// find returns the open call with that id, nil when there is none, and holds it
// for the reader until the next time.
func (c *upConn) find(id uint32) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.open[id]
	if k == nil && (id%2 == 0 || id >= c.next) {
		return nil, http2.ConnectionError(http2.ErrCodeProtocol) // a stream that was never opened
	}
	if k != c.current {
		c.unhand()
		c.current = k
	}
	return k, nil
}

// unhand lets go of the call that the reader looked at. Its owner may have left
// meanwhile; then it can be used again. The caller holds mu.
func (c *upConn) unhand() {
	if k := c.current; k != nil {
		c.current = nil
		if k.orphan {
			k.orphan = false
			k.recycle()
		}
	}
}

func (c *upConn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		return c.data(f)
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.rst(f)
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.GoAwayFrame:
		return c.goneAway(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 §8.4: we forbade it
	}
	return c.charge(1) // PRIORITY, and what is unknown
}

func (c *upConn) data(f *http2.DataFrame) error {
	k, err := c.find(f.StreamID)
	if err != nil {
		return err
	}
	n := int(f.Length)
	if c.owed += n; c.owed >= upConnWindow/4 {
		c.mu.Lock()
		c.framer.WriteWindowUpdate(0, uint32(c.owed))
		c.mu.Unlock()
		c.owed = 0
	}
	if len(f.Data()) == 0 && !f.StreamEnded() || k == nil {
		if err := c.charge(1); err != nil || k == nil {
			return err
		}
	}
	return k.gotData(f.Data(), n, f.StreamEnded())
}

func (c *upConn) headers(f *http2.HeadersFrame) error {
	id, end := f.StreamID, f.StreamEnded() // f is overwritten
	k, err := c.find(id)
	if err != nil {
		return err
	}
	if k == nil {
		c.waste.Truncate()
		if err := c.block.read(&c.link, f, &c.waste); err != nil {
			return err
		}
		return c.charge(1)
	}
	return k.gotHeaders(c, f, end)
}

func (c *upConn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if f.Increment < 1<<10 {
		if err := c.charge(1); err != nil {
			return err
		}
	}
	if f.StreamID == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.widen(f.Increment)
	}
	k, err := c.find(f.StreamID)
	if err != nil || k == nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return k.out.widen(int64(f.Increment))
}

func (c *upConn) rst(f *http2.RSTStreamFrame) error {
	k, err := c.find(f.StreamID)
	if err != nil {
		return err
	}
	if err := c.charge(1); err != nil || k == nil {
		return err
	}
	why := error(&ResetError{Code: f.ErrCode, By: "target"})
	if f.ErrCode == http2.ErrCodeRefusedStream {
		why = errRefused
	}
	k.gotReset(why)
	return nil
}

// reset ends a stream on which the target has broken the protocol.
func (c *upConn) reset(se http2.StreamError) error {
	k, err := c.find(se.StreamID)
	if err != nil {
		return err
	}
	if err := c.charge(10); err != nil || k == nil {
		return err
	}
	k.refuse(se.Code, se)
	return nil
}

func (c *upConn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if err := c.charge(10); err != nil {
		return err
	}
	c.mu.Lock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		delta, err := c.setting(s)
		if err != nil || delta == 0 {
			return err
		}
		for _, k := range c.open {
			if err := k.out.widen(delta); err != nil {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
		}
		return nil
	})
	c.framer.WriteSettingsAck()
	limit := int(min(c.streams, 1<<30))
	c.mu.Unlock()
	c.t.mu.Lock()
	c.limit = limit
	c.t.mu.Unlock()
	return err
}

func (c *upConn) ping(f *http2.PingFrame) error {
	if err := c.charge(1); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.IsAck() {
		c.asked = false
		return nil
	}
	return c.framer.WritePing(true, f.Data)
}

// goneAway: streams above the last id have not been seen and never will be
// (RFC 9113 §6.8).
func (c *upConn) goneAway(f *http2.GoAwayFrame) error {
	if err := c.charge(10); err != nil {
		return err
	}
	var unseen []*call
	c.mu.Lock()
	for id, k := range c.open {
		if id > f.LastStreamID {
			unseen = append(unseen, k)
		}
	}
	for _, k := range unseen {
		k.out.stopLocked(errRefused)
		k.in.fail(errRefused)
	}
	c.mu.Unlock()
	c.t.drain(c)
	return nil
}

// goAway closes an idle connection in a way that the target understands.
func (c *upConn) goAway() {
	c.mu.Lock()
	c.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
	c.mu.Unlock()
	c.flush()
	c.fail(errTransportClosed)
}

// check asks a connection that has been silent for long whether it is there.
// It is called by the patrol.
func (c *upConn) check(now time.Time) {
	if c.heard.Swap(false) || c.silent.IsZero() {
		c.silent = now
	}
	c.mu.Lock()
	asked, pinged := c.asked, c.pinged
	c.mu.Unlock()
	switch {
	case asked && now.Sub(pinged) >= pingTimeout:
		c.fail(errSilent)
	case !asked && now.Sub(c.silent) >= silentFor && now.Sub(pinged) >= pingAgain:
		c.ask(now)
	}
}

// ask sends a PING, which has to be answered.
func (c *upConn) ask(now time.Time) {
	c.mu.Lock()
	if c.asked || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.asked, c.pinged = true, now
	c.framer.WritePing(false, [8]byte{'g', 'o', 'p', 'u', 'r', 'a'})
	c.mu.Unlock()
	c.flush()
}

// suspect looks after a connection on which a call has timed out: others must
// not meet a target that is gone.
func (c *upConn) suspect() {
	now := time.Now()
	c.mu.Lock()
	recent := now.Sub(c.pinged) < pingTimeout
	c.mu.Unlock()
	if !recent {
		c.ask(now)
	}
}

// What frames cost that bring nothing: a target has an allowance, which grows
// with each call and with time. Who exceeds it floods.
const (
	startCredit   = 10000
	creditPerCall = 20
	creditPerSec  = 1000
)

var errFlood = http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)

func (c *upConn) charge(n int64) error {
	if c.credit.Add(-n) >= 0 {
		return nil
	}
	now := time.Now()
	c.credit.Store(min(startCredit, int64(now.Sub(c.last).Seconds()*creditPerSec)))
	c.last = now
	if c.credit.Load() < n {
		return errFlood
	}
	return nil
}
