package h1

import (
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// pieces is a body of given pieces; a nil one panics.
type pieces []string

func (p *pieces) Next() ([]byte, error) {
	if len(*p) == 0 {
		return exchange.NoBody.Next()
	}
	s := (*p)[0]
	*p = (*p)[1:]
	if s == "panic" {
		panic("out of pieces")
	}
	return []byte(s), nil
}
func (p *pieces) Len() int64                { return -1 }
func (p *pieces) Trailer() *exchange.Header { return nil }
func (p *pieces) Close() error              { return nil }

// What panics when the answer is out takes neither the process nor the rest of
// the done stack with it.
func TestPanicInTheDoneStack(t *testing.T) {
	ended := make(chan *exchange.Error, 1)
	root := proxyRoot{
		finish: func(x *exchange.Exchange) { ended <- x.Err },
		next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
			x.OnDone(func(*exchange.Exchange) { panic("done") })
			x.Response.Status = 204
			return nil
		}),
	}
	f := startFront(t, frontOptions{config: ServerConfig{Root: root}})
	c := dialWire(t, f.addr)
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.want("GET", 204)
		if e := <-ended; !exchange.Internal.Is(e) || !strings.Contains(e.Error(), "done") {
			t.Errorf("the end of the stack saw %v", e)
		}
	}
}

// A request body that panics is sent by a goroutine of its own.
func TestPanicInTheRequestBody(t *testing.T) {
	up := startOrigin(t, func(c *originConn) { c.request() })
	tr := NewTransport(TransportConfig{Address: up.addr, ConnectTimeout: 5 * time.Second, ResponseTimeout: 5 * time.Second})
	defer tr.Close()
	root := proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Request.Body = &pieces{"one", "panic"}
		return tr.Serve(x)
	})}
	f := startFront(t, frontOptions{config: ServerConfig{Root: root}})
	c := dialWire(t, f.addr)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
	if r := c.want("POST", 500); r.code != "internal" {
		t.Errorf("got %+v", r)
	}
}

// An empty piece is no end: as a chunk it would be the last one, and what
// follows it would be read as the next message.
func TestEmptyPieces(t *testing.T) {
	bodies := make(chan string, 1)
	up := startOrigin(t, func(c *originConn) {
		for {
			h, ok := c.request()
			if !ok {
				return
			}
			bodies <- h.body
			c.answer("ok")
		}
	})
	tr := NewTransport(TransportConfig{Address: up.addr, ConnectTimeout: 5 * time.Second, ResponseTimeout: 5 * time.Second})
	defer tr.Close()
	root := proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Request.Body = &pieces{"one", "", "two"}
		if err := tr.Serve(x); err != nil {
			return err
		}
		x.Response.Body = &pieces{"three", "", "four"}
		return nil
	})}
	f := startFront(t, frontOptions{config: ServerConfig{Root: root}})
	c := dialWire(t, f.addr)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
		if r := c.want("POST", 200); r.body != "threefour" {
			t.Errorf("got %+v", r)
		}
		if b := <-bodies; b != "onetwo" {
			t.Errorf("the target got %q", b)
		}
	}
}
