package h2

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gopura/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root lets a function be the gateway. It refuses in plain text: the code.
type root func(*exchange.Exchange)

func (f root) Serve(x *exchange.Exchange) { f(x) }
func (f root) Refuse(x *exchange.Exchange, e *exchange.Error) {
	x.Err = e
	x.Response.Status = e.Status
	x.Response.Body = exchange.BytesBody([]byte(e.Code))
}

func answer(x *exchange.Exchange, status int, body string) {
	x.Response.Status, x.Response.Body = status, exchange.BytesBody([]byte(body))
}

// front is a Server with a cleartext and a TLS listener.
type front struct {
	*Server
	plain, tls string
	close      func() // what the test's end does: Shutdown
}

func start(t testing.TB, c Config, serve func(*exchange.Exchange)) *front {
	t.Helper()
	c.Root = root(serve)
	s := New(c)
	f := &front{Server: s}
	var wg sync.WaitGroup
	listen := func(handshake func(net.Conn) (net.Conn, error)) (string, net.Listener) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if conn, err = handshake(conn); err != nil {
					continue
				}
				s.ServeConn(conn, &exchange.Client{Listener: "main"})
			}
		})
		return l.Addr().String(), l
	}
	var l1, l2 net.Listener
	f.plain, l1 = listen(func(c net.Conn) (net.Conn, error) { return c, nil })
	conf := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}}
	f.tls, l2 = listen(func(c net.Conn) (net.Conn, error) {
		tc := tls.Server(c, conf)
		if err := tc.Handshake(); err != nil {
			c.Close()
			return nil, err
		}
		return tc, nil
	})
	f.close = sync.OnceFunc(func() {
		l1.Close()
		l2.Close()
		wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	t.Cleanup(f.close)
	return f
}

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// client is net/http's, speaking HTTP/2 only.
func (f *front) client(t testing.TB) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p, DisableCompression: true, ExpectContinueTimeout: 5 * time.Second, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "a.test"}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func send(t testing.TB, c *http.Client, method, url string, body io.Reader, set func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// pieces is a body of scripted pieces; an error among them breaks it.
type pieces struct {
	list    []any // string, error, or chan to wait for
	n       int64
	trailer *exchange.Header
	closed  bool
}

func (p *pieces) Next() ([]byte, error) {
	for len(p.list) > 0 {
		v := p.list[0]
		p.list = p.list[1:]
		switch v := v.(type) {
		case string:
			return []byte(v), nil
		case error:
			return nil, v
		case chan struct{}:
			<-v
		}
	}
	return nil, io.EOF
}
func (p *pieces) Len() int64                { return p.n }
func (p *pieces) Trailer() *exchange.Header { return p.trailer }
func (p *pieces) Close() error              { p.closed = true; return nil }

func TestRequest(t *testing.T) {
	got := make(chan string, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		q := &x.Request
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s authority=%s host=%s target=%s path=%s query=%s len=%d trailers=%v", q.Method, q.Scheme, q.Authority, q.Host, q.Target, q.Path, q.Query, q.Body.Len(), q.Trailers)
		fields := slices.Clone(q.Header.Fields()) // net/http sends them in any order
		slices.SortStableFunc(fields, func(a, b exchange.Field) int { return bytes.Compare(a.Name, b.Name) })
		for _, h := range fields {
			fmt.Fprintf(&b, "|%s: %s", h.Name, h.Value)
		}
		c := x.Client
		fmt.Fprintf(&b, "|%s %s loopback=%v tls=%v", c.Protocol, c.Listener, c.Peer.Addr().IsLoopback() && c.Addr == c.Peer && c.Local.Port() > 0, c.TLS != nil)
		got <- b.String()
		answer(x, 200, "ok")
	})
	for _, c := range []struct{ url, scheme, tls string }{
		{"http://" + f.plain, "http", "false"},
		{"https://" + f.tls, "https", "true"},
	} {
		send(t, f.client(t), "POST", c.url+"/a%2Fb/../c?x=1&y=%20?", strings.NewReader("hello"), func(r *http.Request) {
			r.Host = "Shop.Example.COM.:8443"
			r.Header = http.Header{"X-B": {"2", "1"}, "X-A": {"v"}, "Cookie": {"a=1", "b=2", "c=3"}, "Te": {"trailers"},
				"Proxy-Authorization": {"secret"}, "User-Agent": {"t"}}
		})
		want := "POST " + c.scheme + " authority=Shop.Example.COM.:8443 host=shop.example.com target=/a%2Fb/../c?x=1&y=%20? path=/a%2Fb/../c query=x=1&y=%20? len=5 trailers=true" +
			"|cookie: a=1; b=2; c=3|user-agent: t|x-a: v|x-b: 2|x-b: 1" +
			"|HTTP/2.0 main loopback=true tls=" + c.tls
		if g := <-got; g != want {
			t.Errorf("got  %s\nwant %s", g, want)
		}
	}
}

func bytesBody(s string) func() exchange.Body {
	return func() exchange.Body { return exchange.BytesBody([]byte(s)) }
}

func piecesBody(trailer *exchange.Header, list ...any) func() exchange.Body {
	return func() exchange.Body { return &pieces{list: list, n: -1, trailer: trailer} }
}

func unread(n int64) func() exchange.Body {
	return func() exchange.Body { return exchange.Unread(n) }
}

func TestResponses(t *testing.T) {
	trailer := new(exchange.Header)
	trailer.Add("grpc-status", "0")
	trailer.Add("Content-Length", "7") // framing is not for trailers
	for _, c := range []struct {
		name, method string
		status       int
		body         func() exchange.Body
		header       [][2]string
		wantLen      int64
		wantBody     string
		wantHeader   http.Header
		wantTrailer  http.Header
	}{
		{name: "of known length", status: 200, body: bytesBody("hello"), wantLen: 5, wantBody: "hello"},
		{name: "empty", status: 200, wantLen: 0},
		{name: "of unknown length", status: 200, body: piecesBody(nil, "ab", "cd"), wantLen: -1, wantBody: "abcd"},
		{name: "with trailers", status: 200, body: piecesBody(trailer, "ab"), wantLen: -1, wantBody: "ab", wantTrailer: http.Header{"Grpc-Status": {"0"}}},
		{name: "trailers only", status: 200, body: piecesBody(trailer), wantLen: -1, wantTrailer: http.Header{"Grpc-Status": {"0"}}},
		{name: "HEAD", method: "HEAD", status: 200, body: unread(1234), wantLen: 1234},
		{name: "HEAD of unknown length", method: "HEAD", status: 200, body: unread(-1), wantLen: -1},
		{name: "no content", status: 204, wantLen: 0},
		{name: "not modified", status: 304, body: unread(99), header: [][2]string{{"etag", `"a"`}}, wantLen: 0, wantHeader: http.Header{"Etag": {`"a"`}}},
		{name: "unusual status", status: 599, body: bytesBody("x"), wantLen: 1, wantBody: "x"},
		{name: "repeated fields keep their order", status: 200, header: [][2]string{{"set-cookie", "b=1"}, {"X-Y", "1"}, {"Set-Cookie", "a=2"}}, wantLen: 0,
			wantHeader: http.Header{"Set-Cookie": {"b=1", "a=2"}, "X-Y": {"1"}}},
		{name: "no connection-specific fields", status: 200, header: [][2]string{{"connection", "close"}, {"Keep-Alive", "1"}, {"transfer-encoding", "chunked"}, {"upgrade", "x"}, {"trailer:x", "1"}},
			wantHeader: http.Header{"Connection": nil, "Keep-Alive": nil, "Transfer-Encoding": nil, "Upgrade": nil}},
		{name: "no status", status: 0, wantLen: 8, wantBody: "internal"},
		{name: "interim status", status: 103, wantLen: 8, wantBody: "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body exchange.Body
			f := start(t, Config{}, func(x *exchange.Exchange) {
				if c.body != nil {
					body = c.body()
				}
				x.Response.Status, x.Response.Body = c.status, body
				for _, h := range c.header {
					x.Response.Header.Add(h[0], h[1])
				}
			})
			for _, url := range []string{"http://" + f.plain, "https://" + f.tls} {
				method := c.method
				if method == "" {
					method = "GET"
				}
				resp, got := send(t, f.client(t), method, url, nil, nil)
				want := c.status
				if want < 200 {
					want = 500
				}
				if resp.StatusCode != want || resp.ContentLength != c.wantLen || got != c.wantBody {
					t.Errorf("status %d, length %d, body %q", resp.StatusCode, resp.ContentLength, got)
				}
				if resp.Header.Get("Date") == "" || resp.Header["Content-Type"] != nil {
					t.Errorf("header %v", resp.Header)
				}
				for k, v := range c.wantHeader {
					if fmt.Sprint(resp.Header[k]) != fmt.Sprint(v) {
						t.Errorf("%s: %q, want %q", k, resp.Header[k], v)
					}
				}
				if len(resp.Trailer) != len(c.wantTrailer) || resp.Trailer.Get("Grpc-Status") != c.wantTrailer.Get("Grpc-Status") {
					t.Errorf("trailer %v", resp.Trailer)
				}
				if p, ok := body.(*pieces); ok && !p.closed {
					t.Error("body not closed")
				}
			}
		})
	}
}

func TestPieceIsFlushedWhenTheNextIsNotReady(t *testing.T) {
	next := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &pieces{list: []any{next, "one", next, "two"}, n: -1}
	})
	resp, err := f.client(t).Get("http://" + f.plain) // returns though no piece is there
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 3)
	for _, want := range []string{"one", "two"} {
		next <- struct{}{}
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != want {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

func TestBodiesBothWays(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, x.Request.Body // full duplex
	})
	data := make([]byte, 8<<20)
	rand.Read(data)
	for _, url := range []string{"http://" + f.plain, "https://" + f.tls} {
		for _, body := range []io.Reader{bytes.NewReader(data), io.MultiReader(bytes.NewReader(data))} { // with Content-Length, without
			if _, got := send(t, f.client(t), "PUT", url, body, nil); got != string(data) {
				t.Errorf("%d bytes came back different", len(got))
			}
		}
	}
}

func TestRequestTrailers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		announced := string(x.Request.Header.Get("Trailer"))
		b, err := exchange.ReadAll(x.Request.Body, 100)
		answer(x, 200, fmt.Sprintf("%s %v %s %s", b, err, announced, x.Request.Body.Trailer().Get("X-Sum")))
	})
	_, got := send(t, f.client(t), "POST", "http://"+f.plain, io.MultiReader(strings.NewReader("abc")), func(r *http.Request) {
		r.Trailer = http.Header{"X-Sum": {"6"}}
	})
	if got != "abc <nil> X-Sum 6" {
		t.Error(got)
	}
}

func TestInterimAnswers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/hints" {
			var h exchange.Header
			h.Add("Link", "</s.css>; rel=preload")
			x.Inform(103, &h)
		}
		x.Inform(100, nil) // said when the body is read, and not before
		b, _ := exchange.ReadAll(x.Request.Body, 100)
		answer(x, 200, string(b))
	})
	for path, want := range map[string]string{
		"/hints": "103 </s.css>; rel=preload",
		"/":      "100",
	} {
		var seen []string
		trace := &httptrace.ClientTrace{
			Got100Continue: func() { seen = append(seen, "100") },
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code != 100 {
					seen = append(seen, fmt.Sprint(code, " ", h.Get("Link")))
				}
				return nil
			},
		}
		resp, got := send(t, f.client(t), "POST", "http://"+f.plain+path, strings.NewReader("abc"), func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(context.Background(), trace))
			if path == "/" {
				r.Header.Set("Expect", "100-continue")
			}
		})
		if got != "abc" || resp.Header.Get("Link") != "" || strings.Join(seen, ",") != want {
			t.Errorf("%s: %q %v %q", path, got, resp.Header, seen)
		}
	}
}

// waiter is a handler that waits like an upstream connection would.
type waiter chan struct{}

func (w waiter) Interrupt() { close(w) }

func TestClientThatLeavesCancelsTheExchange(t *testing.T) {
	cause := make(chan error, 1)
	serving := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		w := make(waiter)
		x.Interruptible(w)
		close(serving)
		<-w
		x.Release()
		x.OnDone(func(x *exchange.Exchange) { cause <- x.Err })
		answer(x, 499, "")
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-serving
		cancel()
	}()
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+f.plain, nil)
	if _, err := f.client(t).Do(r); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	select {
	case err := <-cause:
		if !exchange.ClientGone.Is(err) {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("not cancelled")
	}
}

func TestBrokenResponseIsReset(t *testing.T) {
	broken := exchange.UpstreamBroken.Because(io.ErrUnexpectedEOF)
	for name, body := range map[string]*pieces{
		"in the middle":           {list: []any{"abc", broken}, n: -1},
		"at once":                 {list: []any{broken}, n: -1},
		"of known length":         {list: []any{"abc", broken}, n: 10},
		"shorter than announced":  {list: []any{"abc"}, n: 10},
		"longer than announced":   {list: []any{"abcdef"}, n: 3},
		"a piece more":            {list: []any{"abc", "d"}, n: 3},
		"after its last byte":     {list: []any{"abc", broken}, n: 3},
		"large, after its middle": {list: []any{strings.Repeat("x", 40000), broken}, n: -1},
	} {
		t.Run(name, func(t *testing.T) {
			record := make(chan error, 1)
			f := start(t, Config{}, func(x *exchange.Exchange) {
				x.Response.Status, x.Response.Body = 200, body
				x.OnDone(func(x *exchange.Exchange) { record <- x.Err })
			})
			c := f.client(t)
			resp, err := c.Get("http://" + f.plain)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Error("a broken response ended cleanly")
			}
			if err := <-record; !exchange.UpstreamBroken.Is(err) || !body.closed {
				t.Error(err)
			}
		})
	}
}

func TestPanicIsThatStreamsProblemOnly(t *testing.T) {
	done := make(chan string, 1)
	var log strings.Builder
	f := start(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(x *exchange.Exchange) {
		switch string(x.Request.Path) {
		case "/panic":
			x.OnDone(func(x *exchange.Exchange) { done <- x.Err.Code })
			panic("oops")
		case "/late":
			x.OnDone(func(x *exchange.Exchange) { panic("late oops") })
		}
		answer(x, 200, "fine")
	})
	c := f.client(t)
	if _, err := c.Get("http://" + f.plain + "/panic"); err == nil {
		t.Error("no error")
	}
	if code := <-done; code != "internal" {
		t.Error(code)
	}
	for _, path := range []string{"/late", "/"} {
		if _, body := send(t, c, "GET", "http://"+f.plain+path, nil, nil); body != "fine" {
			t.Error(path, body)
		}
	}
	f.close()
	if !strings.Contains(log.String(), "panic=oops") || !strings.Contains(log.String(), "late oops") {
		t.Error(log.String())
	}
}

func TestShutdownLetsStreamsFinish(t *testing.T) {
	serving, finish := make(chan struct{}), make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		close(serving)
		<-finish
		answer(x, 200, "finished")
	})
	down := make(chan struct{})
	go func() {
		<-serving
		go func() {
			f.close()
			close(down)
		}()
		time.Sleep(50 * time.Millisecond)
		close(finish)
	}()
	if _, body := send(t, f.client(t), "GET", "http://"+f.plain, nil, nil); body != "finished" {
		t.Error(body)
	}
	<-down
	// What comes after is closed.
	a, b := net.Pipe()
	f.ServeConn(a, &exchange.Client{})
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

func TestShutdownBreaksOffWhatDoesNotEnd(t *testing.T) {
	serving, cause := make(chan struct{}), make(chan error, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		close(serving)
		<-x.Context().Done()
		cause <- x.Cancelled()
		answer(x, 499, "")
	})
	go f.client(t).Get("http://" + f.plain)
	<-serving
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Error(err)
	}
	if err := <-cause; !exchange.Draining.Is(err) {
		t.Error(err)
	}
}

func TestReplayedPreface(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		first := make([]byte, 24)
		io.ReadFull(c, first)
		f.ServeConn(&replay{c, io.MultiReader(bytes.NewReader(first), c)}, &exchange.Client{})
	}()
	if _, body := send(t, f.client(t), "GET", "http://"+l.Addr().String(), nil, nil); body != "ok" {
		t.Error(body)
	}
}

type replay struct {
	net.Conn
	r io.Reader
}

func (r *replay) Read(p []byte) (int, error)           { return r.r.Read(p) }
func (r *replay) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }
