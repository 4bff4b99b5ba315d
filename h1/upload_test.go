package h1

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
)

// lateBody is a body that its sender takes a while for.
type lateBody struct {
	exchange.Body
	late time.Duration
}

func (b *lateBody) Next() ([]byte, error) {
	time.Sleep(b.late)
	b.late = 0
	return b.Body.Next()
}

func (b *lateBody) Len() int64 { return -1 }

// The time that a client takes to send its body is told apart from the time that
// the target takes to answer.
func TestUploadIsTheClientsTime(t *testing.T) {
	const late = 60 * time.Millisecond
	for _, c := range []struct {
		what          string
		serve         http.HandlerFunc
		body          exchange.Body
		upload, total time.Duration // at least
	}{
		{"a late body", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); time.Sleep(late) },
			&lateBody{exchange.BytesBody([]byte("hi")), late}, late, 2 * late},
		{"a body that is at hand", func(http.ResponseWriter, *http.Request) { time.Sleep(late) }, exchange.BytesBody([]byte("hi")), 0, late},
		{"none", func(http.ResponseWriter, *http.Request) { time.Sleep(late) }, exchange.NoBody, 0, late},
	} {
		t.Run(c.what, func(t *testing.T) {
			target := httptest.NewServer(c.serve)
			defer target.Close()
			tr := NewTransport(TransportConfig{Address: strings.TrimPrefix(target.URL, "http://"), ConnectTimeout: 10 * time.Second, ResponseTimeout: 10 * time.Second})
			defer tr.Close()
			root := proxyRoot{next: exchange.HandlerFunc(func(x *exchange.Exchange) error {
				x.Request.Method, x.Request.Body = "POST", c.body
				err := tr.Serve(x)
				if own := x.Upstream - x.Upload; x.Upload < c.upload || c.upload == 0 && x.Upload != 0 || own < c.total-c.upload {
					t.Errorf("%v of upload in %v, want %v in %v at least (%v)", x.Upload, x.Upstream, c.upload, c.total, err)
				}
				return err
			})}
			client := dialWire(t, startFront(t, frontOptions{config: ServerConfig{Root: root}}).addr)
			client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			client.want("GET", 200)
		})
	}
}

// An upload that never ends is the client's time to the end; an answer that does
// not wait for it is the target's.
func TestUploadThatIsNotOver(t *testing.T) {
	early := startOrigin(t, func(c *originConn) {
		c.readHead()
		c.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		c.take() // until the connection ends
	})
	silent := startOrigin(t, func(c *originConn) { c.request() })
	for address, answered := range map[string]bool{early.addr: true, silent.addr: false} {
		tr := NewTransport(TransportConfig{Address: address, ConnectTimeout: 10 * time.Second, ResponseTimeout: 10 * time.Second})
		x := &exchange.Exchange{Client: &exchange.Client{}, Deadline: time.Now().Add(200 * time.Millisecond)}
		if answered {
			x.Deadline = time.Time{}
		}
		x.Request.Method, x.Request.Target, x.Request.Host = "POST", []byte("/"), []byte("a")
		x.Request.Body = &stuckBody{over: make(chan struct{})}
		err := tr.Serve(x)
		if answered != (err == nil) || answered && x.Upload != 0 || !answered && x.Upload != x.Upstream {
			t.Errorf("answered %v: %v of upload in %v (%v)", answered, x.Upload, x.Upstream, err)
		}
		x.Request.Body.Close()
		x.Done()
		tr.Close()
	}
}

// stuckBody is a body of which nothing comes.
type stuckBody struct {
	over chan struct{}
	once sync.Once
}

func (b *stuckBody) Next() ([]byte, error)     { <-b.over; return nil, io.ErrUnexpectedEOF }
func (b *stuckBody) Len() int64                { return -1 }
func (b *stuckBody) Trailer() *exchange.Header { return nil }
func (b *stuckBody) Close() error              { b.once.Do(func() { close(b.over) }); return nil }
