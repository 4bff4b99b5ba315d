package h1

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopura/exchange"
)

// blackHole is a dial that goes nowhere until its context ends.
func blackHole(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// startTLSOrigin is startOrigin behind TLS, and how a transport reaches it.
func startTLSOrigin(t testing.TB, serve func(c *originConn)) (*origin, TransportConfig) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := startOriginOn(t, tls.NewListener(ln, selfSigned(t)), serve)
	return o, TransportConfig{Address: o.addr, MaxIdle: 8, TLS: &tls.Config{InsecureSkipVerify: true}}
}

// A client that goes away cancels the call to the upstream at once.
func TestClientGone(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, how := range []string{"closes", "resets", "closes in the middle of the answer", "closes while the upstream is dialled"} {
			t.Run(fmt.Sprintf("tls=%v, client %s", secure, how), func(t *testing.T) {
				asked, ended := make(chan struct{}), make(chan time.Time, 1)
				up := startOrigin(t, func(c *originConn) {
					if _, ok := c.request(); !ok {
						return
					}
					if strings.Contains(how, "middle") {
						c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
					}
					close(asked)
					io.Copy(io.Discard, c.r)
					ended <- time.Now()
				})
				tr := NewTransport(TransportConfig{Address: up.addr, MaxIdle: 8})
				if strings.Contains(how, "dialled") {
					tr = NewTransport(TransportConfig{Address: up.addr, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
						close(asked)
						nc, err := blackHole(ctx, network, addr)
						ended <- time.Now()
						return nc, err
					}})
				}
				defer tr.Close()
				done := make(chan *exchange.Error, 1)
				root := proxyRoot{next: tr, finish: func(x *exchange.Exchange) { done <- x.Err }}
				o, dial := frontOptions{config: ServerConfig{Root: root}}, dialWire
				if secure {
					o.tls, dial = selfSigned(t), dialTLS
				}
				f := startFront(t, o)
				c := dial(t, f.addr)
				c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				<-asked
				time.Sleep(20 * time.Millisecond)
				start := time.Now()
				if how == "resets" {
					nc := c.Conn
					if tc, ok := nc.(*tls.Conn); ok {
						nc = tc.NetConn()
					}
					nc.(*net.TCPConn).SetLinger(0)
					nc.Close()
				} else {
					c.Close()
				}
				select {
				case at := <-ended:
					d := at.Sub(start)
					t.Logf("cancelled after %v", d)
					if d > atOnce {
						t.Errorf("took %v", d)
					}
				case <-time.After(5 * time.Second):
					t.Fatal("the upstream call goes on")
				}
				if e := <-done; e == nil || e.Code != "client_gone" {
					t.Errorf("recorded as %v", e)
				}
				eventually(t, "no upstream connection", func() bool { open, _ := tr.Stats(); return open == 0 })
			})
		}
	}
}

// However an upload breaks off, the upstream must not take it for a whole one.
func TestAbortedUploadIsNeverCleanAtTheUpstream(t *testing.T) {
	heads := []string{
		"Content-Length: 100\r\n\r\n0123456789", "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000),
		"Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
	}
	for i, head := range heads {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d reset=%v", i, reset), func(t *testing.T) {
				got := make(chan heard, 1)
				up := startOrigin(t, func(c *originConn) {
					h, _ := c.request()
					got <- h
				})
				f, tr := startProxy(t, up.addr, nil)
				c := dialWire(t, f.addr)
				c.send("POST / HTTP/1.1\r\nHost: a\r\n%s", head)
				time.Sleep(20 * time.Millisecond)
				if reset {
					c.Conn.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
				start := time.Now()
				if h := <-got; !h.broken {
					t.Errorf("the upstream took it for whole: %q", h.raw)
				}
				if d := time.Since(start); d > atOnce {
					t.Errorf("the upstream learnt of it after %v", d)
				}
				eventually(t, "no upstream connection", func() bool { open, _ := tr.Stats(); return open == 0 })
			})
		}
	}
}

// The answer is reset, not ended, when it breaks: also where the end of the
// connection is the only sign of the end of the body, as with HTTP/1.0.
func TestBrokenAnswerOverTLS(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		if _, ok := c.request(); ok {
			c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
			time.Sleep(10 * time.Millisecond)
		}
	})
	tr := NewTransport(TransportConfig{Address: up.addr})
	defer tr.Close()
	f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: tr}}, tls: selfSigned(t)})
	for _, version := range []string{"1.0", "1.1"} {
		c := dialTLS(t, f.addr)
		c.send("GET / HTTP/%s\r\nHost: a\r\n\r\n", version)
		b, err := c.ended()
		if err == nil {
			t.Errorf("HTTP/%s: a clean end behind %q", version, b)
		}
	}
}

// A TLS upstream that is cut off in an answer without a length must not be
// taken for one that has ended (truncation attack).
func TestTruncatedAnswerFromATLSUpstream(t *testing.T) {
	_, conf := startTLSOrigin(t, func(c *originConn) {
		h, ok := c.request()
		if !ok {
			return
		}
		c.say("HTTP/1.1 200 OK\r\n\r\nhalf")
		if h.target == "/cut" {
			c.Conn.(*tls.Conn).NetConn().Close() // FIN without close_notify
		}
	})
	tr := NewTransport(conf)
	defer tr.Close()
	f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: tr}}})
	c := dialWire(t, f.addr)
	c.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")
	if r, err := c.read("GET"); err == nil {
		t.Errorf("a clean answer %+v", r)
	}
	c = dialWire(t, f.addr)
	if r := c.get("/whole"); r.body != "half" {
		t.Errorf("got %+v", r)
	}
}

// An upload in which nobody is at fault but the handler gave up reading.
func TestHandlerThatIgnoresTheBody(t *testing.T) {
	var calls atomic.Int32
	f := startFront(t, frontOptions{config: ServerConfig{Root: proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
		calls.Add(1)
		return exchange.BodyTooLarge.Because(nil)
	})}}})
	c := dialWire(t, f.addr)
	for range 3 { // small: read and dropped, the connection goes on
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /")
		if r := c.want("POST", 413); r.close {
			t.Error("closed because of 5 bytes")
		}
	}
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.want("POST", 413)
	b, err := c.ended()
	if err != nil {
		t.Errorf("closed with %v", err)
	}
	if n := calls.Load(); len(b) > 0 || n != 4 {
		t.Errorf("behind a body of unknown length: %q, %d requests served", b, n)
	}
	c = dialWire(t, f.addr) // large: the answer says close, and arrives whole
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 200000))
	if r := c.want("POST", 413); !r.close {
		t.Error("a megabyte is not read for nothing")
	}
}

// A client that leaves when it has its answer does not cost the connection to the
// upstream, whatever is done first: the end of the exchange, or the news of its leaving.
func TestLeavingWithTheAnswerKeepsTheConnection(t *testing.T) {
	left := exchange.ClientGone.Because(nil)
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			switch h.target {
			case "/chunked":
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
			case "/none":
				c.say("HTTP/1.1 204 No Content\r\n\r\n")
			default:
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			}
		}
	})
	for _, c := range []struct {
		path string
		read bool // the answer is read to its end before the client leaves
		kept bool
	}{{"/length", true, true}, {"/chunked", true, true}, {"/none", true, true}, {"/length", false, false}, {"/chunked", false, false}} {
		t.Run(fmt.Sprintf("%s read=%v", c.path, c.read), func(t *testing.T) {
			var tr *Transport
			f, tr := startProxy(t, up.addr, func(s *ServerConfig, _ *TransportConfig) {
				s.Root = proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
					if err := tr.Serve(x); err != nil {
						return err
					}
					body := x.Response.Body
					for c.read {
						if _, err := body.Next(); err != nil {
							break
						}
					}
					x.Cancel(left)
					x.Response.Body = exchange.NoBody
					return nil
				})}
			})
			wire := dialWire(t, f.addr)
			wire.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", c.path)
			wire.read("GET")
			want := 0
			if c.kept {
				want = 1
			}
			eventually(t, "the exchange is over", func() bool { open, idle := tr.Stats(); return open == want && idle == want })
		})
	}
}
