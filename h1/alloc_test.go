package h1

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// plainOrigin answers every read with the same answer and allocates nothing.
func plainOrigin(t testing.TB, answer string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				b, a := make([]byte, 32<<10), []byte(answer)
				for {
					n, err := nc.Read(b)
					if err != nil {
						return
					}
					for range bytes.Count(b[:n], []byte("\r\n\r\n")) {
						nc.Write(a)
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

const browser = "GET /api/v1/users/42?expand=orders HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\nX-Request-Id: 5f0c1c2e\r\n\r\n"

var kilobyte = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: test\r\nDate: Tue, 24 Nov 2026 06:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("k", 1024)

// roundTrips sends the request n times over one connection and reads an answer
// of size bytes each time, without allocating.
func roundTrips(t testing.TB, nc net.Conn, request, buf []byte, size, n int) {
	for range n {
		if _, err := nc.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, buf[:size]); err != nil {
			t.Fatal(err)
		}
	}
}

func answerSize(t testing.TB, nc net.Conn, request string, buf []byte) int {
	io.WriteString(nc, request)
	nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	size := 0
	for {
		n, err := nc.Read(buf[size:])
		size += n
		if err != nil {
			break
		}
	}
	nc.SetReadDeadline(time.Time{})
	if !strings.HasPrefix(string(buf), "HTTP/1.1 200") {
		t.Fatalf("got %q", buf[:size])
	}
	return size
}

// TestPlainProxiedRequestAllocatesNothing counts the allocations of the whole
// process: client, Server, Transport and origin.
func TestPlainProxiedRequestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, c := range map[string]struct{ request, answer string }{
		"GET":              {browser, kilobyte},
		"HEAD":             {strings.Replace(browser, "GET", "HEAD", 1), kilobyte[:strings.Index(kilobyte, "\r\n\r\n")+4]},
		"chunked answer":   {browser, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
		"POST with length": {"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", kilobyte},
		"answer of 64 KiB": {browser, "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat("x", 65536)},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := startProxy(t, plainOrigin(t, c.answer), nil)
			nc, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			buf := make([]byte, 128<<10)
			request := []byte(c.request)
			size := answerSize(t, nc, c.request, buf)
			roundTrips(t, nc, request, buf, size, 500)
			const n = 3000
			best := 1e9
			for range 3 { // a garbage collection that empties the pools is nobody's fault
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				roundTrips(t, nc, request, buf, size, n)
				runtime.ReadMemStats(&after)
				best = min(best, float64(after.Mallocs-before.Mallocs)/n)
			}
			t.Logf("%.3f allocations a request", best)
			if best > 0.05 {
				t.Errorf("%.3f allocations a request", best)
			}
		})
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	lim := Limits{}.withDefaults()
	var p requestParser
	var r exchange.Request
	var q responseParser
	var h exchange.Header
	request, answer := []byte(browser), []byte(kilobyte)
	if n := testing.AllocsPerRun(1000, func() {
		p.reset()
		r.Header.Truncate()
		p.parse(&r, request, &lim)
		q.reset()
		h.Truncate()
		q.parse(&h, answer, &lim)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	lim := Limits{}.withDefaults()
	for name, in := range map[string]string{"small": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "browser": browser} {
		b.Run(name, func(b *testing.B) {
			var p requestParser
			var r exchange.Request
			in := []byte(in)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				p.reset()
				r.Header.Truncate()
				if n, err := p.parse(&r, in, &lim); n != len(in) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkParseResponse(b *testing.B) {
	lim := Limits{}.withDefaults()
	var p responseParser
	var h exchange.Header
	in := []byte(kilobyte)
	b.ReportAllocs()
	for b.Loop() {
		p.reset()
		h.Truncate()
		if n, err := p.parse(&h, in, &lim); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	in := []byte(strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 64) + "0\r\n\r\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		body := bufferedBody(in, framing{length: -1, chunked: true})
		for {
			if _, err := body.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkProxy(b *testing.B) {
	f, _ := startProxy(b, plainOrigin(b, kilobyte), nil)
	nc, err := net.Dial("tcp", f.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	buf := make([]byte, 8<<10)
	size := answerSize(b, nc, browser, buf)
	request := []byte(browser)
	b.ReportAllocs()
	for b.Loop() {
		roundTrips(b, nc, request, buf, size, 1)
	}
}
