package h1

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
)

// noise is a reader of n reproducible bytes that hashes what it gives.
type noise struct {
	src *rand.ChaCha8
	n   int64
	sum hash.Hash
}

func newNoise(seed byte, n int64) *noise {
	return &noise{rand.NewChaCha8([32]byte{seed}), n, sha256.New()}
}

func (r *noise) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.n)]
	r.src.Read(p)
	r.sum.Write(p)
	r.n -= int64(len(p))
	return len(p), nil
}

// chunkWriter writes HTTP/1.1 chunks.
type chunkWriter struct{ w io.Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	_, err := fmt.Fprintf(c.w, "%x\r\n%s\r\n", len(p), p)
	return len(p), err
}

// 64 MiB travel both ways at the same time, in both framings, through a
// bounded piece of memory.
func TestStreamsBothWays(t *testing.T) {
	const size = 64 << 20
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			head := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
			if chunked {
				head = "Transfer-Encoding: chunked\r\n\r\n"
			}
			done := make(chan struct{})
			up := startRawOrigin(t, func(nc net.Conn, r *bufio.Reader) {
				defer close(done)
				stream(t, nc, r, "HTTP/1.1 200 OK\r\n"+head, chunked, 1, 2, size)
			})
			var failed *exchange.Error
			tr := NewTransport(TransportConfig{Address: up, MaxIdle: 1})
			defer tr.Close()
			f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: tr, finish: func(x *exchange.Exchange) { failed = x.Err }}}})
			defer func() {
				f.Close()
				if failed != nil {
					t.Errorf("recorded as %v", failed)
				}
			}()
			nc, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			stop, peak := watchHeap()
			stream(t, nc, bufio.NewReader(nc), "POST / HTTP/1.1\r\nHost: a\r\n"+head, chunked, 2, 1, size)
			<-done // a client that closes earlier has given up what is still on its way
			stop()
			if n := *peak; n > 16<<20 {
				t.Errorf("the heap grew by %d MiB", n>>20)
			} else {
				t.Logf("the heap grew by %d KiB", n>>10)
			}
		})
	}
}

// stream sends a head and a body while it reads the other side's.
func stream(t *testing.T, nc net.Conn, r *bufio.Reader, head string, chunked bool, send, expect byte, size int64) {
	var all sync.WaitGroup
	all.Go(func() {
		io.WriteString(nc, head)
		var w io.Writer = nc
		if chunked {
			w = chunkWriter{nc}
		}
		if _, err := io.CopyBuffer(w, struct{ io.Reader }{newNoise(send, size)}, make([]byte, 64<<10)); err != nil {
			t.Errorf("sending %d: %v", send, err)
		}
		if chunked {
			io.WriteString(nc, "0\r\n\r\n")
		}
	})
	all.Go(func() {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Errorf("reading the head of %d: %v", expect, err)
				return
			}
			if line == "\r\n" {
				break
			}
		}
		got, want := sha256.New(), newNoise(expect, size)
		io.Copy(io.Discard, want)
		if err := copyBody(got, r, chunked, size); err != nil {
			t.Errorf("reading the body of %d: %v", expect, err)
		}
		if string(got.Sum(nil)) != string(want.sum.Sum(nil)) {
			t.Errorf("the body of %d is not the one that was sent", expect)
		}
	})
	all.Wait()
}

func copyBody(w io.Writer, r *bufio.Reader, chunked bool, size int64) error {
	if !chunked {
		_, err := io.CopyN(w, r, size)
		return err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		var n int64
		if _, err := fmt.Sscanf(line, "%x\r\n", &n); err != nil {
			return err
		}
		if _, err := io.CopyN(w, r, n); err != nil {
			return err
		}
		if line, err := r.ReadString('\n'); err != nil || line != "\r\n" {
			return fmt.Errorf("behind a chunk: %q, %w", line, err)
		}
		if n == 0 {
			return nil
		}
	}
}

func startRawOrigin(t testing.TB, serve func(nc net.Conn, r *bufio.Reader)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				serve(nc, bufio.NewReader(nc))
				nc.Close()
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().String()
}

// watchHeap measures by how much the heap grows at most until stop.
func watchHeap() (stop func(), peak *uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, max := m.HeapAlloc, uint64(0)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				if m.HeapAlloc > base && m.HeapAlloc-base > max {
					max = m.HeapAlloc - base
				}
			}
		}
	}()
	return func() { close(quit); <-done }, &max
}

// What a stalled origin does not take, the gateway does not buffer.
func TestBackPressure(t *testing.T) {
	release := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		if _, _, ok := c.readHead(); ok {
			<-release
		}
	})
	defer close(release)
	f, _ := startProxy(t, up.addr, nil)
	stop, peak := watchHeap()
	const clients = 50
	for range clients {
		c := dialWire(t, f.addr)
		defer c.Close()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
		go c.Write(make([]byte, 1<<20))
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	// The test's own client buffers are part of it.
	if n := int64(*peak) - clients<<20; n > clients*128<<10 {
		t.Errorf("%d clients take %d KiB each", clients, n/clients>>10)
	}
}

// However the ends come, no goroutine, descriptor or connection is left.
func TestNothingLeaks(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			switch h.target {
			case "/broken":
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
				return
			case "/close":
				c.say("HTTP/1.1 200 OK\r\n\r\nx")
				return
			case "/none":
				return
			}
			c.answer(h.target)
		}
	})
	f, tr := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) { c.MaxIdle = 4 })
	requests := []string{
		"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /broken HTTP/1.1\r\nHost: a\r\n\r\n", "GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n", "GET /x HTT",
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", handshake,
	}
	before := -1
	goroutines := 0
	for round := range 4 {
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				nc, err := net.Dial("tcp", f.addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(5 * time.Second))
				io.WriteString(nc, requests[i%len(requests)])
				if i%3 > 0 {
					nc.Read(make([]byte, 1000))
				}
				if i%4 == 0 {
					nc.(*net.TCPConn).SetLinger(0)
				}
			})
		}
		all.Wait()
		eventually(t, "all connections closed", func() bool { open, idle := tr.Stats(); return f.Open() == 0 && open == idle && open <= 4 })
		eventually(t, "as many descriptors as before", func() bool {
			if round == 0 {
				before, goroutines = descriptors(), runtime.NumGoroutine()
				return true
			}
			return descriptors() <= before+8 && runtime.NumGoroutine() <= goroutines+8
		})
	}
}

func descriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names)
}

// Many clients at once, each with all kinds of requests: every one gets its own.
func TestManyClients(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			if len(h.body)%2 == 0 {
				c.answer(h.target + h.body)
			} else {
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", len(h.target), h.target, len(h.body), h.body)
			}
			if len(h.body)%17 == 5 {
				return
			}
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	var all sync.WaitGroup
	for id := range 16 {
		all.Go(func() {
			var c *wireClient
			connect := func() bool {
				nc, err := net.Dial("tcp", f.addr)
				if err != nil {
					t.Error(err)
					return false
				}
				c = newWireClient(t, nc)
				return true
			}
			if !connect() {
				return
			}
			rnd := rand.New(rand.NewPCG(1, uint64(id)))
			for i := range 100 {
				path := fmt.Sprintf("/%d/%d", id, i)
				body := strings.Repeat(fmt.Sprintf("%d-", id), rnd.IntN(5)*rnd.IntN(8000)) + "."
				method := "POST"
				switch rnd.IntN(3) {
				case 0:
					method, body = "GET", ""
					c.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"))
				case 1:
					fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
				default:
					fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", path, len(body), body)
				}
				r, err := c.read(method)
				if err == nil && r.code == "upstream_stale" && method != "GET" {
					// The upstream closed as it was sent, and it may not be repeated. A body that was not
					// read whole ends the connection, and the answer says so.
					if r.close && !connect() {
						return
					}
					continue
				}
				if err != nil || r.body != path+body {
					t.Errorf("client %d asked for %s with %d bytes, got %d %s with %d bytes, %v", id, path, len(body), r.status, r.code, len(r.body), err)
					return
				}
			}
		})
	}
	all.Wait()
}
