package h2

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// serverConn is one connection of a client. One goroutine reads its frames;
// streams are served by the Server's workers.
type serverConn struct {
	link
	s      *Server
	conf   *Config
	client *exchange.Client
	scheme string
	in     inbox

	// The reader's.
	last    uint32 // the highest stream that the client has opened
	calm    calm
	void    exchange.Header // takes the fields of blocks that nobody wants
	greeted bool            // its SETTINGS have come

	// Under the link's mu.
	open    map[uint32]*serverStream
	serving int       // streams whose exchange is not done
	alive   int       // streams of open that the protocol counts (RFC 9113 §5.1.2)
	taken   int       // bytes of DATA that may still come on this connection
	owed    int       // bytes of DATA that were pulled or dropped, and not given back
	idle    time.Time // since when there has been no stream
	closed  closedStreams
	parting parting
	final   uint32 // the stream that the last GOAWAY has named, when gone
	cause   error  // why the connection was cut; nil: the client's doing
	over    bool   // the reader has ended
	off     bool   // is off the Server's list
}

// parting is how far the end of a connection has come (RFC 9113 §6.8).
type parting uint8

const (
	staying  parting = iota
	asked            // somebody wants it to end
	warned           // GOAWAY without a last stream is out, and a PING to learn when it has been seen
	gone             // GOAWAY with the last stream is out
	partWait = time.Second
)

// partPing is the payload of the PING behind the first GOAWAY, and livePing that
// of one that asks whether the client lives.
var (
	partPing = [8]byte{'p', 'a', 'r', 't', 'i', 'n', 'g'}
	livePing = [8]byte{'a', 'l', 'i', 'v', 'e'}
)

var (
	errParted   = errors.New("the connection has ended as agreed")
	errSilence  = errors.New("the client does not answer a PING")
	errPreface  = errors.New("the connection does not begin as HTTP/2 does")
	errSlowHead = errors.New("the client takes too long for the beginning of the connection or for a header block")
)

// tinyBuffer is what the link reads through; the inbox has a buffer of its own,
// which an idle connection gives back.
const tinyBuffer = 16

func newServerConn(s *Server, nc net.Conn, client *exchange.Client) *serverConn {
	conf := s.config.Load()
	c := &serverConn{s: s, conf: conf, client: client, scheme: "http", open: map[uint32]*serverStream{}, taken: connWindow}
	if client.TLS != nil {
		c.scheme = "https" // a fact of the connection; :scheme is not believed
	}
	c.link.init(nc, tinyBuffer, conf.WriteTimeout, blockLimits{conf.MaxHead, conf.MaxFields})
	c.start(time.Now())
	return c
}

// serve is the reader.
func (c *serverConn) serve() {
	err := c.begin()
	for err == nil {
		err = c.next()
	}
	c.end(err)
}

// begin says our SETTINGS and reads the client's preface (RFC 9113 §3.4).
func (c *serverConn) begin() error {
	c.mu.Lock()
	c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.conf.MaxStreams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.conf.MaxHead)},
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1},
	)
	c.framer.WriteWindowUpdate(0, connWindow-protocolWindow)
	c.mu.Unlock()
	var preface [len(http2.ClientPreface)]byte
	for n := 0; n < len(preface); {
		m, err := c.in.Read(preface[n:])
		n += m
		if string(preface[:n]) != http2.ClientPreface[:n] {
			return errPreface
		}
		if err != nil {
			return err
		}
	}
	c.flushAside()
	return nil
}

// next reads one frame and acts on it.
func (c *serverConn) next() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			c.conf.Log.Error("panic while reading a connection", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if err := c.in.between(); err != nil {
		return err
	}
	fh, err := c.framer.ReadFrameHeader()
	if err == nil {
		c.in.data = fh.Type == http2.FrameData
		if !c.greeted && fh.Type != http2.FrameSettings {
			return http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 §3.4
		}
		var f http2.Frame
		if f, err = c.payload(fh); err == nil {
			err = c.frame(f)
		}
	}
	if err != nil {
		var se http2.StreamError
		if errors.As(err, &se) {
			err = c.reject(se)
		}
	}
	if err == nil && c.in.buffered() == 0 {
		c.flushAside()
	}
	return err
}

// frame acts on a frame. A StreamError ends its stream, any other error the
// connection.
func (c *serverConn) frame(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		return c.data(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.rst(f)
	case *http2.SettingsFrame:
		return c.setting(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID { // RFC 7540 §5.3.1
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
		return c.calm.spend(costPriority)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 §8.4
	case *http2.GoAwayFrame:
		return c.calm.spend(costGoAway) // it opens nothing more; what is open ends as usual
	}
	return c.calm.spend(costUnknown) // RFC 9113 §5.5
}

// headers opens a stream, or ends a request with trailers.
func (c *serverConn) headers(f *http2.HeadersFrame) error {
	id, end, own := f.StreamID, f.StreamEnded(), f.HasPriority() && f.Priority.StreamDep == f.StreamID
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 §5.1.1
	}
	if id <= c.last {
		return c.trailers(f, id, end)
	}
	c.last = id
	if err := c.calm.settle(); err != nil {
		return err
	}
	st, refused := c.admit(id)
	if refused {
		c.void.Truncate()
		if err := c.block.read(&c.link, f, &c.void); err != nil {
			return err
		}
		if c.leaving(id) {
			return c.calm.spend(costLate) // RFC 9113 §6.8: it has been told, and tries elsewhere
		}
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	}
	if err := c.block.read(&c.link, f, &st.x.Request.Header); err != nil {
		c.forget(st)
		return err
	}
	if own {
		c.forget(st)
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol} // RFC 7540 §5.3.1
	}
	st.open(&c.block, end)
	c.mu.Lock()
	st.out.start(&c.link, id)
	c.open[id] = st
	st.counted = true
	c.alive++
	c.crowd = len(c.open)
	c.serving++
	c.mu.Unlock()
	c.s.work.start(st)
	return nil
}

// admit makes a stream for a request, unless there are too many. Streams that
// were reset count as long as they are served: opening and resetting must not
// pay (CVE-2023-44487).
func (c *serverConn) admit(id uint32) (st *serverStream, refused bool) {
	c.mu.Lock()
	full := c.alive >= c.conf.MaxStreams || c.serving >= 2*c.conf.MaxStreams || c.parting == gone
	c.mu.Unlock()
	if full {
		return nil, true
	}
	st = c.s.streams.Get().(*serverStream)
	st.begin(c, id, c.in.now)
	return st, false
}

// leaving reports whether the client has been told that stream id is not served.
// What follows on it is ignored.
func (c *serverConn) leaving(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parting == gone {
		c.closed.add(id, byUs)
	}
	return c.parting == gone
}

// forget gives a stream back that was never served.
func (c *serverConn) forget(st *serverStream) {
	st.x.Done()
	st.recycle()
}

// trailers acts on HEADERS of a stream that is open, or was.
func (c *serverConn) trailers(f *http2.HeadersFrame, id uint32, end bool) error {
	c.mu.Lock()
	st := c.open[id]
	c.mu.Unlock()
	if st == nil {
		c.void.Truncate()
		if err := c.block.read(&c.link, f, &c.void); err != nil {
			return err
		}
		return c.late(id, true)
	}
	// Nobody looks at the trailers before the body has ended, and the stream
	// can't be used again before it has left open.
	var tail exchange.Header
	if err := c.block.read(&c.link, f, &tail); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[id] != st {
		return nil // it has ended meanwhile
	}
	switch {
	case st.settled && st.how == byUs:
		return c.calm.spend(costLate)
	case st.ended || st.settled:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed} // RFC 9113 §5.1
	case !end || c.block.AsTrailer() != nil:
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol} // RFC 9113 §8.1
	}
	st.tail = tail
	return st.finishBody()
}

// late judges a frame for a stream that is not open (RFC 9113 §5.1): one that we
// have reset may have met it on its way.
func (c *serverConn) late(id uint32, headers bool) error {
	c.mu.Lock()
	how, known := c.closed.find(id)
	forgets := c.closed.full()
	c.mu.Unlock()
	switch {
	case known && how == byUs:
		return c.calm.spend(costLate)
	case !known && forgets: // we may have reset it long ago
	case headers && !known:
		return http2.ConnectionError(http2.ErrCodeProtocol) // §5.1.1: an id that was left out
	case headers:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
}

// data gives a piece of a body to its stream. Nothing that comes is lost for the
// connection's window.
func (c *serverConn) data(f *http2.DataFrame) error {
	id, flow := f.StreamID, int(f.Length)
	if id == 0 || id%2 == 0 || id > c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if len(f.Data()) == 0 && !f.StreamEnded() {
		if err := c.calm.spend(costEmpty); err != nil {
			return err
		}
	}
	c.mu.Lock()
	if flow > c.taken {
		c.mu.Unlock()
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	c.taken -= flow
	st := c.open[id]
	if st == nil {
		c.repay(flow)
		c.mu.Unlock()
		return c.late(id, false)
	}
	defer c.mu.Unlock()
	switch {
	case st.settled && st.how == byUs: // it has met our RST_STREAM on its way
		c.repay(flow)
		return c.calm.spend(costLate)
	case st.ended || st.settled:
		c.repay(flow)
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
	}
	return st.receive(f.Data(), flow, f.StreamEnded())
}

// repay gives n bytes back to the client's window, in frames that are worth it.
// The caller holds mu.
func (c *serverConn) repay(n int) (written bool) {
	if c.owed += n; c.owed < connWindow/4 {
		return false
	}
	c.framer.WriteWindowUpdate(0, uint32(c.owed))
	c.taken += c.owed
	c.owed = 0
	return true
}

func (c *serverConn) windowUpdate(f *http2.WindowUpdateFrame) error {
	if err := c.calm.spend(costWindow); err != nil {
		return err
	}
	if f.StreamID > c.last || f.StreamID != 0 && f.StreamID%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol) // RFC 9113 §5.1: idle
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		return c.widen(f.Increment)
	}
	if st := c.open[f.StreamID]; st != nil {
		return st.out.widen(int64(f.Increment))
	}
	return nil
}

func (c *serverConn) rst(f *http2.RSTStreamFrame) error {
	if f.StreamID > c.last || f.StreamID%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	st := c.open[f.StreamID]
	if st != nil {
		st.breakOff(exchange.ClientGone.Errorf("the client has reset the stream: %s", f.ErrCode), byClient)
	} else {
		c.closed.change(f.StreamID, byClient) // nothing of the client is on its way any more
	}
	c.mu.Unlock()
	if st == nil {
		return c.calm.spend(costLate)
	}
	return c.calm.spend(costReset)
}

func (c *serverConn) setting(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return c.calm.spend(costAck)
	}
	c.greeted = true
	// Each of them may change the windows of all streams.
	if err := c.calm.spend(costSettings + f.NumSettings()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		delta, err := c.link.setting(s)
		if err != nil || delta == 0 {
			return err
		}
		for _, st := range c.open {
			if st.out.widen(delta) != nil {
				return http2.ConnectionError(http2.ErrCodeFlowControl) // RFC 9113 §6.9.2
			}
		}
		return nil
	})
	c.framer.WriteSettingsAck()
	return err
}

func (c *serverConn) ping(f *http2.PingFrame) error {
	if f.IsAck() {
		c.in.pinged = time.Time{}
		if f.Data == partPing {
			c.part(time.Time{})
		}
		return c.calm.spend(costAck)
	}
	if err := c.calm.spend(costPing); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.framer.WritePing(true, f.Data)
}

// reject ends a stream on which the client has broken the protocol. It costs
// the client as much as resetting it would have.
func (c *serverConn) reject(e http2.StreamError) error {
	if e.StreamID > c.last || e.StreamID%2 == 0 {
		return http2.ConnectionError(e.Code) // RFC 9113 §5.1: idle, it can't be reset
	}
	if err := c.calm.spend(costReset); err != nil {
		return err
	}
	c.mu.Lock()
	if st := c.open[e.StreamID]; st != nil {
		st.breakOff(exchange.BadBody.Because(e), byUs)
	} else {
		c.closed.add(e.StreamID, byUs)
	}
	c.framer.WriteRSTStream(e.StreamID, e.Code)
	c.mu.Unlock()
	return nil
}
