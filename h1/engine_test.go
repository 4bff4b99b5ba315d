package h1

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

func TestKeepAlive(t *testing.T) {
	up := startOrigin(t, echo)
	f, tr := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	for i := range 50 {
		path := fmt.Sprintf("/%d", i)
		if r := c.get(path); r.body != path || r.close {
			t.Fatalf("asked for %s, got %+v", path, r)
		}
	}
	if n := up.accepted(); n != 1 {
		t.Errorf("50 requests took %d upstream connections", n)
	}
	eventually(t, "one idle connection", func() bool { open, idle := tr.Stats(); return open == 1 && idle == 1 })
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			if strings.HasSuffix(h.target, "7") {
				time.Sleep(2 * time.Millisecond)
			}
			if strings.HasSuffix(h.target, "3") {
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(h.target), h.target)
				continue
			}
			c.answer(h.target)
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	var all strings.Builder
	for i := range 100 {
		fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\nX-Pad: %s\r\n\r\n", i, strings.Repeat("x", i*20))
	}
	go c.send("%s", all.String())
	for i := range 100 {
		if r := c.want("GET", 200); r.body != fmt.Sprintf("/%d", i) {
			t.Fatalf("answer %d is for %s", i, r.body)
		}
	}
}

func TestBytesOneByOne(t *testing.T) {
	up := startRecorder(t)
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	in := "POST /x HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
	for i := range len(in) {
		c.send("%s", in[i:i+1])
		time.Sleep(100 * time.Microsecond)
	}
	c.want("POST", 200)
	h := up.since(0)[0]
	if h.body != "hello" || h.trailer != "X-Sum: 1\r\n" {
		t.Errorf("upstream got %q", h.raw)
	}
}

func TestBodiesAndTrailersBothWays(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			c.say("HTTP/1.1 200 OK\r\nTrailer: X-Got\r\nTransfer-Encoding: chunked\r\n\r\n")
			for _, word := range strings.SplitAfter(h.body, " ") {
				c.say("%x\r\n%s\r\n", len(word), word)
				time.Sleep(time.Millisecond)
			}
			c.say("0\r\nX-Got: %s\r\n\r\n", strings.TrimSpace(h.trailer))
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	for range 3 {
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for _, word := range []string{"so ", "it ", "goes"} {
			time.Sleep(2 * time.Millisecond)
			c.send("%x\r\n%s\r\n", len(word), word)
		}
		c.send("0\r\nX-Sum: 42\r\n\r\n")
		if r := c.want("POST", 200); r.body != "so it goes" || r.trailer.Get("X-Got") != "X-Sum: 42" {
			t.Fatalf("got %q with trailer %v", r.body, r.trailer)
		}
	}
	if n := up.accepted(); n != 1 {
		t.Errorf("%d upstream connections", n)
	}
}

// Nothing is held back while the next piece is waited for.
func TestPiecesTravelAtOnce(t *testing.T) {
	next := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		if _, ok := c.request(); !ok {
			return
		}
		c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for i := range 3 {
			c.say("2\r\n%02d\r\n", i)
			<-next
		}
		c.say("0\r\n\r\n")
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for i := range 3 {
		for {
			line, err := c.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(line) == fmt.Sprintf("%02d", i) {
				break
			}
		}
		next <- struct{}{}
	}
	if rest, _ := c.r.ReadString('0'); rest != "0" {
		t.Errorf("behind the last piece %q", rest)
	}
}

func TestHeadAnswersHaveNoBody(t *testing.T) {
	up := startOrigin(t, echo)
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	for range 3 {
		c.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := c.want("HEAD", 200); r.length != 9 || r.body != "" {
			t.Errorf("length %d, body %q", r.length, r.body)
		}
	}
	c.get("/y")
}

func TestEarlyHints(t *testing.T) {
	final := make(chan struct{})
	up := startOrigin(t, func(c *originConn) {
		for {
			if _, ok := c.request(); !ok {
				return
			}
			c.say("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
			<-final
			c.say("HTTP/1.1 200 OK\r\nLink: </x>\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	hint := ""
	for !strings.HasSuffix(hint, "\r\n\r\n") { // the hint comes before the answer is ready
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		hint += line
	}
	if hint != "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" {
		t.Errorf("hint %q", hint)
	}
	close(final)
	if r := c.want("GET", 200); r.header.Get("Link") != "</x>" {
		t.Errorf("headers of the hint and the answer mixed: %v", r.header)
	}
}

func TestHeaderCaseAndOrderOfAnswersIsKept(t *testing.T) {
	up := startOrigin(t, func(c *originConn) {
		for {
			if _, ok := c.request(); !ok {
				return
			}
			c.say("HTTP/1.1 200 Fine\r\nx-lOwEr: 1\r\nDATE: then\r\nSet-Cookie: a\r\nconnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nSet-Cookie: b\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	f, _ := startProxy(t, up.addr, nil)
	c := dialWire(t, f.addr)
	c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	got, _ := c.ended()
	want := "HTTP/1.1 200 OK\r\nx-lOwEr: 1\r\nDATE: then\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX-Empty: \r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	if string(got) != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// expecting is a client that sends a head with Expect: 100-continue.
func expecting(t *testing.T, f *front) *wireClient {
	c := dialWire(t, f.addr)
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	return c
}

func TestExpectContinue(t *testing.T) {
	t.Run("the upstream wants the body", func(t *testing.T) {
		up := startOrigin(t, func(c *originConn) {
			h, n, ok := c.readHead()
			if !ok {
				return
			}
			if !strings.Contains(h.head, "Expect: 100-continue\r\n") {
				t.Error("Expect was not passed on")
			}
			c.say("HTTP/1.1 100 Continue\r\n\r\n")
			c.readBody(&h, n)
			c.answer(h.body)
			echo(c)
		})
		f, _ := startProxy(t, up.addr, nil)
		c := expecting(t, f)
		if line, _ := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		c.r.ReadString('\n')
		c.send("hello")
		if r := c.want("POST", 200); r.body != "hello" || r.close {
			t.Errorf("got %+v", r)
		}
		c.get("/next")
		if up.accepted() != 1 {
			t.Error("the upstream connection was not kept")
		}
	})
	for _, status := range []string{"417 Expectation Failed", "401 Unauthorized"} {
		t.Run("the upstream says "+status, func(t *testing.T) {
			up := startOrigin(t, func(c *originConn) {
				if _, _, ok := c.readHead(); ok {
					c.say("HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\nno", status)
					b, _ := c.r.Peek(1)
					if len(b) > 0 {
						t.Error("the body was sent all the same")
					}
				}
			})
			f, _ := startProxy(t, up.addr, nil)
			c := expecting(t, f)
			start := time.Now()
			r, err := c.read("POST")
			if err != nil || !strings.HasPrefix(status, fmt.Sprint(r.status)) || len(r.interim) > 0 {
				t.Fatalf("got %+v, %v", r, err)
			}
			if !r.close {
				t.Error("the client can't know whether its body is still expected; want Connection: close")
			}
			if d := time.Since(start); d > atOnce {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Run("the upstream says nothing", func(t *testing.T) {
		up := startOrigin(t, func(c *originConn) {
			if h, ok := c.request(); ok {
				c.answer(h.body)
			}
		})
		f, _ := startProxy(t, up.addr, nil)
		c := expecting(t, f)
		start := time.Now()
		if line, _ := c.r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		if d := time.Since(start); d < 900*time.Millisecond || d > time.Second+atOnce {
			t.Errorf("the client waited %v", d)
		}
		c.r.ReadString('\n')
		c.send("hello")
		if r := c.want("POST", 200); r.body != "hello" {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("the upstream can't be reached", func(t *testing.T) {
		up := startOrigin(t, echo)
		up.close()
		f, _ := startProxy(t, up.addr, nil)
		c := expecting(t, f)
		if r := c.want("POST", 502); r.code != "upstream_connect_failed" || len(r.interim) > 0 || !r.close {
			t.Errorf("got %+v", r)
		}
	})
}

// The answer arrives while the request is still being sent.
func TestEarlyAnswerWhileTheUploadRuns(t *testing.T) {
	t.Run("and the upstream goes on reading", func(t *testing.T) {
		up := startOrigin(t, func(c *originConn) {
			for {
				h, n, ok := c.readHead()
				if !ok {
					return
				}
				c.answer("early")
				c.readBody(&h, n)
			}
		})
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 50000))
		if r := c.want("POST", 200); r.body != "early" {
			t.Fatalf("got %+v", r)
		}
		c.send("%s", strings.Repeat("x", 50000))
		if r := c.get("/next"); r.body != "early" {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("and the upstream closes", func(t *testing.T) {
		up := startOrigin(t, func(c *originConn) {
			if _, _, ok := c.readHead(); ok {
				c.say("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
				c.Conn.(interface{ CloseWrite() error }).CloseWrite()
				time.Sleep(50 * time.Millisecond)
			}
		})
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n%s", strings.Repeat("x", 50000))
		time.Sleep(20 * time.Millisecond)
		c.send("%s", strings.Repeat("x", 50000)) // a client that looks at the answer only later
		time.Sleep(20 * time.Millisecond)
		if r := c.want("POST", 413); r.body != "big" {
			t.Fatalf("got %+v", r)
		}
		if _, err := c.ended(); err != nil {
			t.Errorf("the connection was not closed in peace: %v", err)
		}
	})
	t.Run("and the upstream just stops reading", func(t *testing.T) {
		stop := make(chan struct{})
		up := startOrigin(t, func(c *originConn) {
			if _, _, ok := c.readHead(); ok {
				c.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
				<-stop
			}
		})
		defer close(stop)
		f, _ := startProxy(t, up.addr, nil)
		c := dialWire(t, f.addr)
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n%s", strings.Repeat("x", 50000))
		time.Sleep(1500 * time.Millisecond)
		if r := c.want("POST", 401); r.body != "no" {
			t.Fatalf("got %+v", r)
		}
		if _, err := c.ended(); err != nil {
			t.Errorf("the connection was not closed in peace: %v", err)
		}
	})
}

// A client in the middle of its upload learns at once that the upstream broke.
func TestUpstreamResetDuringTheUpload(t *testing.T) {
	up := startOrigin(t, func(c *originConn) { c.readHead() })
	f, _ := startProxy(t, up.addr, nil)
	for _, framing := range []string{"Content-Length: 100\r\n\r\n0123456789", "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"} {
		c := dialWire(t, f.addr)
		start := time.Now()
		c.send("POST /x HTTP/1.1\r\nHost: a\r\n%s", framing)
		r, err := c.read("POST")
		if err != nil || r.status != 502 || r.code != "upstream_reset" {
			t.Errorf("got %+v, %v", r, err)
		}
		if d := time.Since(start); d > atOnce {
			t.Errorf("took %v", d)
		}
	}
}

// Whatever the order in which the two sides notice, a bad body is the client's fault.
func TestBadBodyIsTheClientsFault(t *testing.T) {
	up := startOrigin(t, echo)
	f, _ := startProxy(t, up.addr, nil)
	for i := range 300 {
		c := dialWire(t, f.addr)
		c.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		if i%2 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		c.send("zz\r\n")
		if r := c.want("POST", 400); r.code != "bad_body" {
			t.Fatalf("round %d: %+v", i, r)
		}
		c.Close()
	}
}

// An upload that the upstream gave up can't be read to its end: the answer says
// that the connection ends, so that the client doesn't ask again over it.
func TestAnswerToAnUploadGivenUpSaysClose(t *testing.T) {
	giveUp := exchange.HandlerFunc(func(x *exchange.Exchange) error {
		if _, err := x.Request.Body.Next(); err != nil {
			return err
		}
		x.Request.Body.Close()
		return exchange.UpstreamReset.Because(io.EOF)
	})
	f, _ := startProxy(t, "127.0.0.1:1", func(sc *ServerConfig, _ *TransportConfig) { sc.Root = proxyRoot{next: giveUp} })
	for _, head := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
		c := dialWire(t, f.addr)
		c.send("POST / HTTP/1.1\r\nHost: a\r\n%s", head)
		if r := c.want("POST", 502); !r.close {
			t.Errorf("%q: the answer doesn't say that the connection ends", head)
		}
	}
}
