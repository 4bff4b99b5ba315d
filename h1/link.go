package h1

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection with deadlines that cost nearly nothing and reads and
// writes that another goroutine can break off.
//
// Moving a deadline at every request costs more than the parser. So a deadline
// that lies later than the armed one is only noted; when the armed one fires
// too early, it is armed again and the call goes on.
type link struct {
	nc net.Conn

	readBy  time.Time // when the current read has to be over; zero: never
	writeBy time.Time

	armedRead  time.Time // what nc has been told
	armedWrite time.Time

	exact   bool     // never leave an armed write deadline in place that is too early
	records *records // below an upstream's TLS, else nil

	fd uintptr // the socket plus 1 while it may be written to directly, else 0

	mu          sync.Mutex // orders the telling of nc: nothing is armed once interrupted
	interrupted atomic.Bool
	stopped     bool // no more reads
}

// use makes l the link over nc.
func (l *link) use(nc net.Conn) {
	l.nc = nc
	if tc, ok := nc.(*tls.Conn); ok {
		l.exact = true // its writes fail for ever once one has timed out
		l.records, _ = tc.NetConn().(*records)
	}
}

var (
	past   = time.Unix(1, 0)
	noTime time.Time
)

// Interrupt makes pending and later reads and writes fail. It implements
// exchange.Interrupter.
func (l *link) Interrupt() {
	l.mu.Lock()
	l.interrupted.Store(true)
	l.nc.SetDeadline(past)
	l.mu.Unlock()
}

// stopReading makes pending and later reads fail; writes go on.
func (l *link) stopReading() {
	l.mu.Lock()
	l.stopped = true
	l.nc.SetReadDeadline(past)
	l.mu.Unlock()
}

func (l *link) broken() bool { return l.interrupted.Load() }

// armRead reports whether reads may still go on.
func (l *link) armRead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupted.Load() || l.stopped {
		return false
	}
	l.nc.SetReadDeadline(l.readBy)
	l.armedRead = l.readBy
	return true
}

func (l *link) armWrite() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.interrupted.Load() {
		return false
	}
	l.nc.SetWriteDeadline(l.writeBy)
	l.armedWrite = l.writeBy
	return true
}

// within sets when the next reads have to be over. Zero means never.
func (l *link) within(by time.Time) {
	l.readBy = by
	if l.armedRead.IsZero() != by.IsZero() || l.armedRead.After(by) {
		l.armRead()
	}
}

// withinWrite is within for writes.
func (l *link) withinWrite(by time.Time) {
	l.writeBy = by
	if l.exact || l.armedWrite.IsZero() != by.IsZero() || l.armedWrite.After(by) {
		l.armWrite()
	}
}

// early reports whether err is an armed deadline that fired before the one in
// force, and arms that.
func (l *link) early(err error, by time.Time, arm func() bool) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && (by.IsZero() || time.Now().Before(by)) && arm()
}

func (l *link) Read(p []byte) (int, error) {
	for {
		n, err := l.nc.Read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		if err == io.EOF && l.records != nil && l.records.ended {
			return 0, io.ErrUnexpectedEOF // no close_notify came before it (RFC 8446 §6.1)
		}
		if !l.early(err, l.readBy, l.armRead) {
			return 0, err
		}
	}
}

// holds reports whether the TLS layer has bytes that nobody has asked for: part
// of a record, or a whole one that it would deliver without waiting.
func (l *link) holds() bool {
	if l.records == nil {
		return false
	}
	if l.records.partial() {
		return true
	}
	l.nc.SetReadDeadline(past)
	var b [1]byte
	n, err := l.nc.Read(b[:])
	l.mu.Lock()
	if !l.interrupted.Load() && !l.stopped {
		l.nc.SetReadDeadline(noTime)
		l.armedRead = noTime
	}
	l.mu.Unlock()
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
}

// open lets writes go to the socket directly. It is for a visit to the
// runtime's poller, which keeps the descriptor from being closed.
func (l *link) open(fd uintptr) { l.fd = fd + 1 }

func (l *link) shut() { l.fd = 0 }

// direct writes what the open socket takes at once, which is nearly always
// everything; the rest, and every error, is for Write.
func (l *link) direct(p []byte) int {
	if l.fd == 0 {
		return 0
	}
	n, errno := transmit(l.fd-1, p)
	if errno != 0 || n < 0 {
		return 0
	}
	return n
}

// Write writes all of p.
func (l *link) Write(p []byte) (int, error) {
	done := l.direct(p)
	if done == len(p) {
		return done, nil
	}
	for {
		n, err := l.nc.Write(p[done:])
		done += n
		if err == nil {
			return done, nil
		}
		if !l.early(err, l.writeBy, l.armWrite) {
			return done, err
		}
	}
}

// base returns the connection at the bottom of wrappers such as TLS.
func base(nc net.Conn) net.Conn {
	for {
		t, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = t.NetConn()
	}
}
