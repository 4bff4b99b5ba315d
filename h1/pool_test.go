package h1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
)

// A kept connection that the upstream closes while it is idle is nobody's failure.
func TestStaleConnections(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		if h, ok := c.request(); ok {
			c.answer(h.target)
		}
	})
	f, tr := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	for i := range 20 {
		c.send("POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", i)
		if r := c.want("POST", 200); r.body != fmt.Sprintf("/%d", i) {
			t.Fatalf("got %+v", r)
		}
		time.Sleep(5 * time.Millisecond)
	}
	eventually(t, "at most one connection left", func() bool { open, _ := tr.Stats(); return open <= 1 })
}

// The upstream closes at the moment when a request is on its way: what is safe
// to repeat is repeated, what is not gets a 502.
func TestConnectionClosedUnderARequest(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		if h, ok := c.request(); ok {
			c.answer(h.target)
			if _, ok := c.request(); ok && c.number == 2 {
				c.answer("never")
			}
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	c.get("/1")
	if r := c.get("/2"); r.body != "/2" { // by a second connection
		t.Errorf("got %+v", r)
	}
	eventually(t, "two connections", func() bool { return up.accepted() == 2 })

	up = startOrigin(t, func(c *originConn) {
		if h, ok := c.request(); ok {
			c.answer(h.target)
			c.request()
		}
	})
	f, _ = startProxy(t, up.addr, nil)
	c = dialWire(t, f.addr)
	c.get("/1")
	c.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	if r := c.want("POST", 502); r.code != "upstream_stale" {
		t.Errorf("got %+v", r)
	}
	if n := up.accepted(); n != 1 {
		t.Errorf("the POST went out on %d connections", n)
	}
}

// brokenPipe is a connection whose next write fails before a byte is out.
type brokenPipe struct {
	net.Conn
	mu     sync.Mutex
	broken bool
}

func (b *brokenPipe) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(p)
}

// A request of which no byte went out is sent again whole, or not at all.
func TestWriteFailsBeforeTheFirstByte(t *testing.T) {
	up := startRecorder(t)
	var kept []*brokenPipe
	f, _ := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			b := &brokenPipe{Conn: nc}
			kept = append(kept, b)
			return b, err
		}
	})
	for _, request := range []string{
		"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		c := dialWire(t, f.addr)
		c.get("/1")
		for _, b := range kept {
			b.mu.Lock()
			b.broken = true
			b.mu.Unlock()
		}
		kept = nil
		before := len(up.since(0))
		c.send("%s", request)
		r, err := c.read("POST")
		if err != nil {
			t.Fatal(err)
		}
		log := up.since(before)
		switch {
		case r.status == 200 && len(log) == 1 && log[0].raw == request:
		case r.status == 502 && len(log) == 0:
			t.Logf("refused: %q", request)
		default:
			t.Errorf("sent %q, answered %d %s, upstream got %+v", request, r.status, r.code, log)
		}
		c.Close()
	}
}

func TestMaxConns(t *testing.T) {
	release := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			if h.target == "/slow" {
				<-release
			}
			c.answer(h.target)
		}
	})
	f, tr := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) { c.MaxConns = 2 })
	a, b, c := dialWire(t, f.addr), dialWire(t, f.addr), dialWire(t, f.addr)
	a.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	b.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "two calls", func() bool { return up.accepted() == 2 })
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := c.want("GET", 503); r.code != "target_busy" || r.close {
		t.Errorf("got %+v", r)
	}
	close(release)
	a.want("GET", 200)
	b.want("GET", 200)
	c.get("/x")
	if open, _ := tr.Stats(); open != 2 || up.accepted() != 2 {
		t.Errorf("%d connections open, %d made", open, up.accepted())
	}
}

func TestIdleConnectionsAreReaped(t *testing.T) {
	up := startOrigin(t, echo)
	f, tr := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) { c.IdleTimeout, c.MaxIdle = 100*time.Millisecond, 2 })
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() { dialWire(t, f.addr).get("/") })
	}
	all.Wait()
	eventually(t, "at most two idle", func() bool { open, idle := tr.Stats(); return open <= 2 && idle == open })
	time.Sleep(250 * time.Millisecond)
	if open, idle := tr.Stats(); open != 0 || idle != 0 {
		t.Errorf("%d open, %d idle", open, idle)
	}
}

func TestTransportClose(t *testing.T) {
	release := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			if h.target == "/slow" {
				<-release
			}
			c.answer(h.target)
		}
	})
	f, tr := startProxy(t, up.addr, nil)
	idle, busy := dialWire(t, f.addr), dialWire(t, f.addr)
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "a call", func() bool { return up.accepted() == 1 })
	idle.get("/x")
	eventually(t, "an idle connection", func() bool { _, idle := tr.Stats(); return idle == 1 })
	tr.Close()
	if open, idle := tr.Stats(); open != 1 || idle != 0 {
		t.Errorf("%d open, %d idle", open, idle)
	}
	close(release)
	if r := busy.want("GET", 200); r.body != "/slow" {
		t.Errorf("got %+v", r)
	}
	eventually(t, "nothing open", func() bool { open, _ := tr.Stats(); return open == 0 })
}

// Response queue poisoning where a look at the socket does not show the
// surplus, because the TLS layer has read it already.
func TestSurplusOfATLSUpstream(t *testing.T) {
	answer := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for name, send := range map[string]func(c *originConn, nc net.Conn){
		"in the same record":   func(c *originConn, _ net.Conn) { c.say("%s", answer("/x")+answer("poison")) },
		"in the next record":   func(c *originConn, nc net.Conn) { batch(nc, c, answer("/x"), answer("poison")) },
		"half in the same one": func(c *originConn, nc net.Conn) { batch(nc, c, answer("/x")+"HTTP/1", ".1 200 OK\r\n") },
		"a moment later": func(c *originConn, _ net.Conn) {
			c.say("%s", answer("/x"))
			time.Sleep(10 * time.Millisecond)
			c.say("%s", answer("poison"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			up, conf := startTLSOrigin(t, func(c *originConn) {
				for {
					h, ok := c.request()
					if !ok {
						return
					}
					if h.target == "/x" {
						send(c, tlsSocket(c))
						continue
					}
					c.answer(h.target)
				}
			})
			tr := NewTransport(conf)
			defer tr.Close()
			f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: tr}}})
			c := dialWire(t, f.addr)
			if r := c.get("/warm"); r.body != "/warm" {
				t.Fatalf("got %+v", r)
			}
			if r := c.get("/x"); r.body != "/x" {
				t.Fatalf("got %+v", r)
			}
			time.Sleep(30 * time.Millisecond)
			if r := c.get("/next"); r.body != "/next" {
				t.Errorf("the next client got %q", r.body)
			}
			if n := up.accepted(); n != 2 {
				t.Errorf("%d connections, want the first given up", n)
			}
		})
	}
}

func TestTLSConnectionsAreKept(t *testing.T) {
	up, conf := startTLSOrigin(t, echo)
	tr := NewTransport(conf)
	defer tr.Close()
	f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: tr}}})
	c := dialWire(t, f.addr)
	for range 20 {
		c.get("/x")
	}
	if n := up.accepted(); n != 1 {
		t.Errorf("%d upstream connections", n)
	}
}

func TestShutdown(t *testing.T) {
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	asked := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			if h.target == "/slow" {
				close(asked)
				<-release
			}
			c.answer(h.target)
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	idle, busy, late := dialWire(t, f.addr), dialWire(t, f.addr), dialWire(t, f.addr)
	idle.get("/x")
	late.get("/x")
	busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	ended := make(chan error, 1)
	start := time.Now()
	go func() {
		ctx, cancel := within(5 * time.Second)
		defer cancel()
		ended <- f.Shutdown(ctx)
	}()
	time.Sleep(50 * time.Millisecond)
	if r := late.get("/y"); r.body != "/y" || !r.close { // it was on its way when the shutdown began
		t.Errorf("got %+v", r)
	}
	if b, err := idle.ended(); len(b) > 0 || err != nil {
		t.Errorf("an idle connection ended with %q, %v", b, err)
	}
	select {
	case err := <-ended:
		t.Fatalf("shutdown ended (%v) while a request was served", err)
	default:
	}
	free()
	if r := busy.want("GET", 200); r.body != "/slow" || !r.close {
		t.Errorf("got %+v", r)
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
	if n := f.Open(); n != 0 {
		t.Errorf("%d connections left", n)
	}
	again := dialWire(t, f.addr)
	again.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, _ := again.ended(); len(b) > 0 {
		t.Errorf("a new connection was served: %q", b)
	}
}

// Two that shut down the same server both see the end.
func TestShutdownTwice(t *testing.T) {
	f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Response.Status = 204
		return nil
	})}}})
	c := dialWire(t, f.addr)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.want("GET", 204)
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			ctx, cancel := within(3 * time.Second)
			defer cancel()
			ended <- f.Shutdown(ctx)
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	ended := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		c.request()
		io.Copy(io.Discard, c.r)
		close(ended)
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the call", func() bool { return up.accepted() == 1 })
	ctx, cancel := within(100 * time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(time.Second):
		t.Error("the upstream call goes on")
	}
	eventually(t, "no connection", func() bool { return f.Open() == 0 })
}
