package h1

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// about fails unless d lies within want and a bit more.
func about(t *testing.T, d, want time.Duration) {
	t.Helper()
	if d < want-5*time.Millisecond || d > want+atOnce {
		t.Errorf("took %v, want about %v", d, want)
	}
}

func TestClientTimeouts(t *testing.T) {
	up := startOrigin(t, echo)
	f, _ := startProxy(t, up.addr, func(s *ServerConfig, _ *TransportConfig) {
		s.HeadTimeout, s.BodyTimeout, s.IdleTimeout, s.WriteTimeout = 200*time.Millisecond, 300*time.Millisecond, 400*time.Millisecond, 500*time.Millisecond
	})
	t.Run("a head that trickles in", func(t *testing.T) {
		c := dialWire(t, f.addr)
		start := time.Now()
		go func() {
			for i := 0; i < 20; i++ { // progress does not help
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nX-%d: y\r\n"[min(i, 1)*16:], i)
				time.Sleep(30 * time.Millisecond)
			}
		}()
		if r := c.want("GET", 408); r.code != "request_timeout" || !r.close {
			t.Errorf("got %+v", r)
		}
		about(t, time.Since(start), 200*time.Millisecond)
	})
	t.Run("a second head that stops", func(t *testing.T) {
		c := dialWire(t, f.addr)
		c.get("/")
		time.Sleep(250 * time.Millisecond)
		start := time.Now()
		c.send("GET / HTTP")
		if r := c.want("GET", 408); r.code != "request_timeout" {
			t.Errorf("got %+v", r)
		}
		about(t, time.Since(start), 200*time.Millisecond)
	})
	for _, body := range []string{"Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n"} {
		t.Run("a body that stops: "+body[:8], func(t *testing.T) {
			c := dialWire(t, f.addr)
			start := time.Now()
			c.send("POST / HTTP/1.1\r\nHost: a\r\n%s", body)
			if r := c.want("POST", 408); r.code != "request_timeout" || !r.close {
				t.Errorf("got %+v", r)
			}
			about(t, time.Since(start), 300*time.Millisecond)
		})
	}
	t.Run("a body that makes progress may take longer", func(t *testing.T) {
		c := dialWire(t, f.addr)
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
		for range 10 {
			time.Sleep(60 * time.Millisecond)
			c.send("x")
		}
		c.want("POST", 200)
	})
	t.Run("an idle connection is closed without a word", func(t *testing.T) {
		for _, requests := range []int{0, 1} {
			c := dialWire(t, f.addr)
			for range requests {
				c.get("/")
			}
			start := time.Now()
			if b, err := c.ended(); len(b) > 0 || err != nil {
				t.Errorf("got %q, %v", b, err)
			}
			about(t, time.Since(start), 400*time.Millisecond)
		}
	})
	t.Run("a busy connection lives on past every one of them", func(t *testing.T) {
		c := dialWire(t, f.addr)
		for range 8 {
			c.get("/")
			time.Sleep(150 * time.Millisecond)
		}
	})
}

// A client that does not take its answer is cut off, and the upstream with it.
func TestSlowReader(t *testing.T) {
	ended := make(chan time.Time, 1)
	up := startOrigin(t, func(c *originConn) {
		if _, ok := c.request(); ok {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
			io.CopyN(c, zeros{}, 100000000)
			ended <- time.Now()
		}
	})
	f, tr := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) { s.WriteTimeout = 200 * time.Millisecond })
	c := dialWire(t, f.addr)
	c.Conn.(*net.TCPConn).SetReadBuffer(4096)
	start := time.Now()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	select {
	case at := <-ended:
		if d := at.Sub(start); d < 200*time.Millisecond || d > atOnce {
			t.Errorf("cut off after %v", d)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still there")
	}
	if _, err := c.ended(); err == nil {
		t.Error("the client saw a clean end")
	}
	eventually(t, "upstream connection given up", func() bool { open, _ := tr.Stats(); return open == 0 })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUpstreamTimeouts(t *testing.T) {
	release := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		for {
			h, n, ok := c.readHead()
			if !ok {
				return
			}
			switch h.target {
			case "/silent":
				<-release
				return
			case "/drip":
				for i := range 1000 {
					if _, err := fmt.Fprintf(c, "%c", "HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"[min(i, 50)]); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			case "/steady":
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
				for range 10 {
					time.Sleep(50 * time.Millisecond)
					c.say("x")
				}
			case "/half":
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
				<-release
				return
			case "/deaf": // takes the request's head and no byte more
				<-release
				return
			default:
				c.readBody(&h, n)
				time.Sleep(100 * time.Millisecond)
				c.answer("ok")
			}
		}
	})
	var deadline time.Duration
	f, tr := startProxy(t, up.addr, func(s *ServerConfig, c *TransportConfig) { c.ResponseTimeout = 200 * time.Millisecond })
	next := exchange.HandlerFunc(func(x *exchange.Exchange) error {
		if deadline > 0 {
			x.Deadline = x.Start.Add(deadline)
		}
		return tr.Serve(x)
	})
	f.Configure(ServerConfig{Root: proxyRoot{next: next}, BodyTimeout: 2 * time.Second})
	t.Cleanup(func() { close(release) })

	refused := func(name, request string, status int, code string, after time.Duration) {
		t.Run(name, func(t *testing.T) {
			c := dialWire(t, f.addr)
			start := time.Now()
			go io.WriteString(c, request)
			if r := c.want("GET", status); r.code != code {
				t.Errorf("got %+v", r)
			}
			about(t, time.Since(start), after)
		})
	}
	refused("no answer", "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", 504, "upstream_timeout", 200*time.Millisecond)
	refused("a head that trickles in", "GET /drip HTTP/1.1\r\nHost: a\r\n\r\n", 504, "upstream_timeout", 200*time.Millisecond)
	t.Run("a request that is not taken", func(t *testing.T) {
		c := dialWire(t, f.addr)
		start := time.Now()
		go io.WriteString(c, "POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n"+strings.Repeat("x", 50000000))
		if r := c.want("POST", 504); r.code != "upstream_timeout" {
			t.Errorf("got %+v", r)
		}
		// The time begins when the kernel's buffers are full, which a busy machine
		// takes a while to do; without the timeout it would never end.
		if d := time.Since(start); d < 200*time.Millisecond || d > 10*time.Second {
			t.Errorf("took %v", d)
		}
	})
	t.Run("a body that makes progress may take longer", func(t *testing.T) {
		c := dialWire(t, f.addr)
		if r := c.get("/steady"); r.body != "xxxxxxxxxx" {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("a body that stops", func(t *testing.T) {
		c := dialWire(t, f.addr)
		start := time.Now()
		c.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
		if r, err := c.read("GET"); err == nil || r.body != "half" {
			t.Errorf("got %+v, %v", r, err)
		}
		about(t, time.Since(start), 200*time.Millisecond)
	})
	t.Run("an upload longer than the wait for the answer", func(t *testing.T) {
		for _, framing := range []string{"Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
			c := dialWire(t, f.addr)
			c.send("POST / HTTP/1.1\r\nHost: a\r\n%s", framing)
			for range 10 {
				time.Sleep(50 * time.Millisecond)
				if framing[0] == 'C' {
					c.send("x")
				} else {
					c.send("1\r\nx\r\n")
				}
			}
			if framing[0] == 'T' {
				c.send("0\r\n\r\n")
			}
			if r, err := c.read("POST"); err != nil || r.body != "ok" {
				t.Errorf("got %+v, %v", r, err)
			}
		}
	})
	t.Run("an upload, and then no answer", func(t *testing.T) {
		c := dialWire(t, f.addr)
		c.send("POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
		for range 10 {
			time.Sleep(30 * time.Millisecond)
			c.send("x")
		}
		start := time.Now()
		if r := c.want("POST", 504); r.code != "upstream_timeout" {
			t.Errorf("got %+v", r)
		}
		about(t, time.Since(start), 200*time.Millisecond)
	})
	deadline = 100 * time.Millisecond
	refused("the exchange's deadline before the answer", "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", 504, "exchange_timeout", deadline)
	refused("the exchange's deadline during the upload", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", 504, "exchange_timeout", deadline)
	refused("the exchange's deadline during an upload of chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 504, "exchange_timeout", deadline)
	t.Run("the exchange's deadline in the body", func(t *testing.T) {
		c := dialWire(t, f.addr)
		start := time.Now()
		c.send("GET /steady HTTP/1.1\r\nHost: a\r\n\r\n")
		if r, err := c.read("GET"); err == nil {
			t.Errorf("got %+v", r)
		}
		about(t, time.Since(start), deadline)
	})
}

func TestConnectTimeout(t *testing.T) {
	f, _ := startProxy(t, "127.0.0.1:1", func(s *ServerConfig, c *TransportConfig) {
		c.ConnectTimeout = 100 * time.Millisecond
		c.Dial = blackHole
	})
	c := dialWire(t, f.addr)
	start := time.Now()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := c.want("GET", 504); r.code != "upstream_connect_timeout" {
		t.Errorf("got %+v", r)
	}
	about(t, time.Since(start), 100*time.Millisecond)
}

// A deadline of an earlier request must not hurt a later one, however the
// connection is made: a TLS connection does not survive a write that times out.
func TestDeadlinesOfKeptConnections(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			up, conf := startOrigin(t, echo), TransportConfig{}
			if secure {
				up, conf = startTLSOrigin(t, echo)
			}
			conf.Address, conf.MaxIdle = up.addr, 1
			conf.ResponseTimeout = 100 * time.Millisecond
			tr := NewTransport(conf)
			t.Cleanup(func() { tr.Close() })
			o := frontOptions{config: ServerConfig{
				Root: proxyRoot{next: tr}, HeadTimeout: 80 * time.Millisecond, BodyTimeout: 80 * time.Millisecond,
				WriteTimeout: 100 * time.Millisecond, IdleTimeout: time.Minute,
			}}
			dial := dialWire
			if secure {
				o.tls, dial = selfSigned(t), dialTLS
			}
			f := startFront(t, o)
			c := dial(t, f.addr)
			for i := range 5 {
				path := fmt.Sprintf("/%d", i)
				c.send("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", path)
				time.Sleep(20 * time.Millisecond)
				c.send("hi")
				if r := c.want("POST", 200); r.body != path {
					t.Fatalf("got %+v", r)
				}
				time.Sleep(130 * time.Millisecond)
			}
			if n := up.accepted(); n != 1 {
				t.Errorf("%d upstream connections, want the first to be kept", n)
			}
		})
	}
}
