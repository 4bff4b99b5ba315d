package h1

import (
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gopura/exchange"
)

// attack is what a client sends on one connection: once, and then again and again.
type attack struct {
	name        string
	once, again string
	each        int  // bytes of a write; 0: as many as go
	open        bool // it breaks no rule: the connection may go on
	begun       int64
}

// attacks are floods of HTTP/1.1.
var attacks = []attack{
	{name: "a request line without an end", once: "GET /", again: "a"},
	{name: "a field without an end", once: "GET / HTTP/1.1\r\nHost: a\r\nA: ", again: "b"},
	{name: "a head without an end, of small fields", once: "GET / HTTP/1.1\r\nHost: a\r\n", again: "a: b\r\n"},
	{name: "a head byte by byte", once: "GET / HTTP/1.1\r\nHost: a\r\nA: ", again: "b", each: 1},
	{name: "empty lines in front of a request", again: "\r\n"},
	{name: "chunks of one byte", once: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", again: "1\r\nx\r\n", open: true, begun: 1},
	{name: "an extension of a chunk without an end", once: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", again: "a", begun: 1},
	{name: "a size of a chunk without an end", once: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", again: "0", begun: 1},
	{name: "trailers without an end", once: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", again: "a: b\r\n", begun: 1},
	{name: "requests one after the other, answers unread", again: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", open: true, begun: 1 << 20},
	{name: "requests that are malformed", again: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{name: "no HTTP at all", again: "\x00\xff\x16\x03"},
}

// TestAttacks: what breaks a rule ends its connection before it has cost much, what breaks none is
// bounded, and whoever else asks meanwhile is served. With -v it says what they cost: the figures of
// docs/security/abuse.md.
func TestAttacks(t *testing.T) {
	var begun atomic.Int64
	f := startFront(t, frontOptions{config: ServerConfig{HeadTimeout: 10 * time.Second, BodyTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		Root: proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
			begun.Add(1)
			if _, err := exchange.ReadAll(x.Request.Body, 1<<20); err != nil {
				return err
			}
			x.Response.Status, x.Response.Body = 200, exchange.BytesBody([]byte("ok"))
			return nil
		})}}})
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			stream := a.stream()
			c, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			before, memory, cpu := begun.Load(), allocated(), cpuTime()
			sent, closed := a.pour(c, stream)
			cpu = cpuTime() - cpu
			memory = allocated() - memory
			exchanges := begun.Load() - before
			if closed == a.open {
				t.Errorf("%d bytes went through, and the connection is closed: %v", sent, closed)
			}
			if exchanges > a.begun {
				t.Errorf("%d exchanges have begun", exchanges)
			}
			if memory > 8<<20 && !raceEnabled {
				t.Errorf("%d bytes were allocated", memory)
			}
			if cpu > time.Second && !raceEnabled {
				t.Errorf("it took %s of CPU time", cpu)
			}
			if r := dialWire(t, f.addr).get("/"); r.status != 200 {
				t.Errorf("others get %d", r.status)
			}
			t.Logf("| %s | %d KiB | %d | %.1f ms | %d KiB |", a.name, sent>>10, exchanges, cpu.Seconds()*1000, memory>>10)
		})
	}
}

func (a attack) stream() []byte {
	n := 512 << 10
	if a.each == 1 {
		n = 64 << 10 // most of what this costs is the client's own
	}
	return append([]byte(a.once), strings.Repeat(a.again, n/len(a.again))...)
}

// pour writes until all is written, the other side takes no more for a while, or the connection
// has ended; then it looks whether it has.
func (a attack) pour(c net.Conn, all []byte) (sent int, closed bool) {
	each := a.each
	if each == 0 {
		each = 64 << 10
	}
	for p := range slices.Chunk(all, each) {
		c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := c.Write(p)
		sent += n
		if err != nil {
			break
		}
	}
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if a.open {
		time.Sleep(200 * time.Millisecond) // for what has been taken to be served, as far as it goes
		_, err := c.Read(make([]byte, 1))
		return sent, err == io.EOF
	}
	_, err := io.Copy(io.Discard, c)
	timeout, ok := err.(net.Error)
	return sent, !ok || !timeout.Timeout()
}

// allocated is how much has been allocated so far: no less than what was held at once.
func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
