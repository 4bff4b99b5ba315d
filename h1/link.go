package h1

import (
	"errors"
	"net"
	"os"
	"sync"
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

	mu          sync.Mutex // guards interrupted and the telling of nc
	interrupted bool
}

var (
	past   = time.Unix(1, 0)
	noTime time.Time
)

// Interrupt makes pending and later reads and writes fail. It implements
// exchange.Interrupter.
func (l *link) Interrupt() {
	l.mu.Lock()
	l.interrupted = true
	l.nc.SetDeadline(past)
	l.mu.Unlock()
}

func (l *link) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.interrupted
}

func (l *link) armRead() {
	l.mu.Lock()
	if !l.interrupted {
		l.nc.SetReadDeadline(l.readBy)
		l.armedRead = l.readBy
	}
	l.mu.Unlock()
}

func (l *link) armWrite() {
	l.mu.Lock()
	if !l.interrupted {
		l.nc.SetWriteDeadline(l.writeBy)
		l.armedWrite = l.writeBy
	}
	l.mu.Unlock()
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
	if l.armedWrite.IsZero() != by.IsZero() || l.armedWrite.After(by) {
		l.armWrite()
	}
}

// early reports whether err is an armed deadline that fired before the one in
// force, and arms that.
func (l *link) early(err error, by time.Time, arm func()) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || l.broken() || !by.IsZero() && !time.Now().Before(by) {
		return false
	}
	arm()
	return true
}

func (l *link) Read(p []byte) (int, error) {
	for {
		n, err := l.nc.Read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		if !l.early(err, l.readBy, l.armRead) {
			return 0, err
		}
	}
}

// Write writes all of p.
func (l *link) Write(p []byte) (int, error) {
	done := 0
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

// writev writes a, then b, in one system call where the connection has one.
func (l *link) writev(a, b []byte) (int, error) {
	if _, tcp := l.nc.(*net.TCPConn); !tcp {
		n, err := l.Write(a)
		if err != nil {
			return n, err
		}
		m, err := l.Write(b)
		return n + m, err
	}
	vec := net.Buffers{a, b}
	done := 0
	for {
		n, err := vec.WriteTo(l.nc)
		done += int(n)
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
