package h2

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What RFC 9113 fixes.
const (
	protocolWindow = 65535     // §6.9.2: of a connection, and of streams before SETTINGS
	maxWindow      = 1<<31 - 1 // §6.9.1
	maxStreamID    = 1<<31 - 1
)

// maxQueued is how many bytes wait to be written before senders of DATA wait
// too; maxUnsent is how many may wait at all: a peer that makes us answer and
// does not read is given up.
const (
	maxQueued = 64 << 10
	maxUnsent = 1 << 20
)

// minBatch is how much is worth a write at once, without asking whether other
// streams have something to add. With eight answers of 1 KB on their way it
// takes an eighth off the CPU time of a request.
const minBatch = 8 << 10

// link is one HTTP/2 connection, seen from either side: its frames, the
// compression of header blocks, and the windows for what is sent. One goroutine
// reads. Any goroutine writes:
//
//	l.mu.Lock()
//	l.framer.WritePing(…) // or l.head, l.data: appended to out
//	l.mu.Unlock()
//	l.flush()
//
// Whoever flushes writes everything that has been appended by then, for the
// others too; so frames of many streams go out in one write. What others append
// meanwhile is written by a goroutine that lives as long as there is something.
type link struct {
	nc      net.Conn
	r       *bufio.Reader
	framer  *http2.Framer // reads for the reader, writes under mu
	block   block         // of the reader
	timeout time.Duration // longest time a write may take

	mu       sync.Mutex
	out      []byte // frames to be written
	spare    []byte // the other buffer
	batch    uint64 // number of times that out was taken
	writing  bool   // somebody is in nc.Write
	crowd    int    // streams that may have something to add: flush lets them
	armed    time.Time
	err      error // set: nothing can be written any more
	enc      *hpack.Encoder
	encoded  bytes.Buffer
	window   int64 // bytes of DATA that the peer takes on this connection
	moved    int64 // bytes of DATA that it was sent
	initial  int64 // window of a new stream
	maxFrame int   // the peer's SETTINGS_MAX_FRAME_SIZE
	streams  uint32
	blocked  []*outflow // wait for their turn: for the window, or for out to be written
	starved  []*outflow // wait for their own window
}

// init makes l a link over nc that reads through a buffer of that size.
func (l *link) init(nc net.Conn, buffer int, timeout time.Duration, lim blockLimits) {
	l.nc, l.r, l.timeout = nc, bufio.NewReaderSize(nc, buffer), timeout
	l.framer = http2.NewFramer((*appender)(l), l.r)
	l.framer.SetReuseFrames()
	l.framer.SetMaxReadFrameSize(frameSize)
	l.enc = hpack.NewEncoder(&l.encoded)
	// Without a dynamic table the encoder keeps no string: what it encodes may
	// be borrowed. Proxied fields differ from message to message anyway.
	l.enc.SetMaxDynamicTableSizeLimit(0)
	l.window, l.initial, l.maxFrame, l.streams = protocolWindow, protocolWindow, frameSize, 100
	l.block.init(lim)
}

// payload reads the rest of a frame. HEADERS that can't be taken apart are the
// end of the connection, because HPACK has lost its state (RFC 9113 §4.3, §6.2).
func (l *link) payload(fh http2.FrameHeader) (http2.Frame, error) {
	f, err := l.framer.ReadFrameForHeader(fh)
	if se, ok := err.(http2.StreamError); ok && fh.Type == http2.FrameHeaders {
		return nil, http2.ConnectionError(se.Code)
	}
	return f, err
}

// appender is the framer's writer.
type appender link

func (a *appender) Write(p []byte) (int, error) {
	a.out = append(a.out, p...)
	return len(p), nil
}

var errUnread = errors.New("the peer does not read what it is sent")

// flush writes what has been appended, unless another goroutine is about to do
// so. It is called without mu.
func (l *link) flush() {
	l.mu.Lock()
	if l.writing || len(l.out) == 0 || l.err != nil {
		if l.err == nil && len(l.out) > maxUnsent {
			l.breakLocked(errUnread)
		}
		l.mu.Unlock()
		return
	}
	l.writing = true
	if l.crowd > 1 && len(l.out) < minBatch {
		// Others that are ready to run have something to add: a write costs
		// more than their turn.
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	l.write()
	if len(l.out) > 0 && l.err == nil {
		go l.writeOn() // for others: our stream goes on
	} else {
		l.writing = false
	}
	l.mu.Unlock()
}

// writeOn writes until there is nothing left to write.
func (l *link) writeOn() {
	l.mu.Lock()
	for len(l.out) > 0 && l.err == nil {
		l.write()
	}
	l.writing = false
	l.mu.Unlock()
}

// write writes what has been appended. It is called with mu, and lets go of it
// meanwhile.
func (l *link) write() {
	p := l.out
	l.out = l.spare[:0]
	l.batch++
	l.share()
	l.arm()
	l.mu.Unlock()
	_, err := l.nc.Write(p)
	l.mu.Lock()
	if cap(p) > 2*maxQueued {
		p = nil // one burst must not be paid for until the end
	}
	l.spare = p[:0]
	if err != nil {
		l.breakLocked(err)
	}
}

// flushAside is flush for the reader, which must not wait for a peer that does
// not read: it might be waiting for us to.
func (l *link) flushAside() {
	l.mu.Lock()
	idle := !l.writing && len(l.out) > 0 && l.err == nil
	over := len(l.out) > maxUnsent
	l.mu.Unlock()
	switch {
	case over:
		l.fail(errUnread)
	case idle:
		go l.flush()
	}
}

// arm sets the write deadline, which is moved only when it has come near.
func (l *link) arm() {
	if l.timeout <= 0 {
		return
	}
	if now := time.Now(); l.armed.Sub(now) < l.timeout {
		l.armed = now.Add(2 * l.timeout)
		l.nc.SetWriteDeadline(l.armed)
	}
}

// fail ends the link: its connection is closed, and whoever waits to send is
// woken. The first reason stays.
func (l *link) fail(err error) {
	l.mu.Lock()
	l.breakLocked(err)
	l.mu.Unlock()
}

func (l *link) breakLocked(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	l.out = nil
	l.wakeAll()
	go l.nc.Close() // TLS says goodbye first, to a peer that may not read
}

// broken returns why nothing can be written any more, nil when it can.
func (l *link) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// wakeAll wakes the streams that wait: there is nothing to wait for any more.
func (l *link) wakeAll() {
	for _, list := range [...][]*outflow{l.blocked, l.starved} {
		for _, o := range list {
			o.signal()
		}
	}
}

// setting takes over one of the peer's settings (RFC 9113 §6.5.2). Windows of
// open streams are the caller's: they change by the returned difference. The
// caller holds mu.
func (l *link) setting(s http2.Setting) (delta int64, err error) {
	if err := s.Valid(); err != nil {
		return 0, err
	}
	switch s.ID {
	case http2.SettingInitialWindowSize:
		delta = int64(s.Val) - l.initial
		l.initial = int64(s.Val)
	case http2.SettingMaxFrameSize:
		l.maxFrame = min(int(s.Val), frameSize)
	case http2.SettingMaxConcurrentStreams:
		l.streams = s.Val
	}
	return delta, nil
}

// widen takes over a WINDOW_UPDATE of the connection. The caller holds mu.
func (l *link) widen(by uint32) error {
	if l.window += int64(by); l.window > maxWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	l.share()
	return nil
}

// Field encodes one field of a header block (see semantics.FieldWriter). The caller
// holds mu, and encodes all fields of the block before it calls head.
func (l *link) Field(name, value string) {
	l.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
}

// head appends the encoded block as HEADERS and, where one frame does not hold
// it, CONTINUATION. The caller holds mu.
func (l *link) head(id uint32, end bool) {
	b := l.encoded.Bytes()
	first := b[:min(len(b), l.maxFrame)]
	b = b[len(first):]
	l.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(b) == 0})
	for len(b) > 0 {
		part := b[:min(len(b), l.maxFrame)]
		b = b[len(part):]
		l.framer.WriteContinuation(id, len(b) == 0, part)
	}
	if l.encoded.Cap() > maxQueued {
		l.encoded = bytes.Buffer{}
	} else {
		l.encoded.Reset()
	}
}
