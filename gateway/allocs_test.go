package gateway_test

import (
	"bytes"
	"net"
	"runtime"
	"testing"
)

// TestPlainProxyAllocates0 is the promise of the hot path: a plain proxied
// request on kept connections allocates nothing, from socket to socket.
func TestPlainProxyAllocates0(t *testing.T) {
	proxyAllocates0(t, plainConfig)
}

// With a listener whose users could look at exchanges, and none who does, the
// same holds.
func TestNobodyLookingAllocates0(t *testing.T) {
	proxyAllocates0(t, plainConfig+"admin: 127.0.0.1:0\n")
}

func proxyAllocates0(t *testing.T, config string) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g := start(t, config)
	c := dial(t, g)
	request := []byte("GET /1k HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	one := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		n, want := 0, -1
		for want < 0 || n < want {
			m, err := c.Read(buf[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
			if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); want < 0 && i >= 0 {
				want = i + 4 + 1024
			}
		}
	}
	for range 500 {
		one()
	}
	const rounds = 5000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range rounds {
		one()
	}
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / rounds; per > 0.05 {
		t.Errorf("%.2f allocations a request, want 0", per)
	}
}

const plainConfig = `
listen: {main: "127.0.0.1:0"}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - {match: /*, to: o}
`

func dial(t testing.TB, g *gate) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.Address("main"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// BenchmarkPlainProxy is a whole exchange, client and upstream in one process.
func BenchmarkPlainProxy(b *testing.B) {
	g := start(b, plainConfig)
	c := dial(b, g)
	request := []byte("GET /1k HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(request)
		n, want := 0, -1
		for want < 0 || n < want {
			m, err := c.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += m
			if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); want < 0 && i >= 0 {
				want = i + 4 + 1024
			}
		}
	}
}
