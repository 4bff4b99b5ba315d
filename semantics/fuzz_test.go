package semantics_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/h1"
)

// echo is a target: it says how it has read the request.
type echo struct{ seen chan<- []string }

func (e echo) Serve(x *exchange.Exchange) {
	e.seen <- lines(&x.Request)
	x.Response.Status = 204
}

func (e echo) Refuse(x *exchange.Exchange, why *exchange.Error) {
	e.seen <- []string{"refused: " + why.Error()}
	x.Response.Status = why.Status
}

// lines is what a request says.
func lines(q *exchange.Request) []string {
	l := []string{q.Method, string(q.Authority), string(q.Host), string(q.Path) + " ? " + string(q.Query)}
	for _, f := range q.Header.Fields() {
		l = append(l, string(f.Name)+": "+string(f.Value))
	}
	return l
}

// FuzzDowngrade: a head that is let through is read back by our own HTTP/1 as the one
// request that it was, after it was written as HTTP/1.
func FuzzDowngrade(f *testing.F) {
	for _, h := range heads {
		if len(h.change) == 1 {
			name, value, _ := strings.Cut(h.change[0], ": ")
			f.Add("GET", "shop.test", "/a?b=c", name, value)
		}
	}
	f.Add("POST", "[::1]:80", "*", "te", "trailers")
	f.Add("GET / HTTP/1.1\r\n\r\nGET", "a\r\nb: c", "/ HTTP/1.1\r\nx: y\r\n\r\n", "x\r\ny", "z\r\n\r\nGET /admin HTTP/1.1")
	seen := make(chan []string, 16)
	s := h1.NewServer(h1.ServerConfig{Root: echo{seen}})
	f.Cleanup(func() { s.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.ServeConn(c, &exchange.Client{})
		}
	}()
	tr := h1.NewTransport(h1.TransportConfig{Address: l.Addr().String(), MaxIdle: 1, ResponseTimeout: 2 * time.Second})
	f.Cleanup(func() { tr.Close() })
	f.Fuzz(func(t *testing.T, method, authority, path, name, value string) {
		x := new(exchange.Exchange)
		x.Reset()
		x.Arm()
		defer x.Done()
		head := []field{{":method", method}, {":scheme", "http"}, {":authority", authority}, {":path", path}, {name, value}}
		if judge(x, head) != served || x.Request.Upgrade != nil {
			return
		}
		want := lines(&x.Request)
		if err := tr.Serve(x); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		if got := <-seen; !slices.Equal(got, want) {
			t.Errorf("%q: the target has read %q, not %q", head, got, want)
		}
		if len(seen) > 0 {
			t.Errorf("%q: the target has read another request: %q", head, <-seen)
		}
	})
}
