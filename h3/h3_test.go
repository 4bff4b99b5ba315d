package h3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"gopura/exchange"
	"gopura/internal/testca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is a server under test. Its root is a function; refusals are answered with
// their code. Every exchange leaves a record.
type front struct {
	*Server
	t       testing.TB
	address *net.UDPAddr
	serve   func(*exchange.Exchange)
	hooks   Hooks
	tls     *tls.Config // of clients

	mu      sync.Mutex
	records []string
	left    int
}

// Serve implements exchange.Root.
func (f *front) Serve(x *exchange.Exchange) {
	x.OnDone(f.record)
	f.serve(x)
}

// Refuse implements exchange.Root.
func (f *front) Refuse(x *exchange.Exchange, e *exchange.Error) {
	x.OnDone(f.record)
	x.Err = e
	answer(x, e.Status, e.Code)
}

func (f *front) record(x *exchange.Exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	code := "ok"
	if x.Err != nil {
		code = x.Err.Code
	}
	f.records = append(f.records, x.Request.Method+" "+code)
}

// recorded waits until a record is there.
func (f *front) recorded(want string) {
	f.t.Helper()
	eventually(f.t, "the record "+want, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, r := range f.records {
			if r == want {
				return true
			}
		}
		return false
	})
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come: %s", what)
		}
	}
}

func answer(x *exchange.Exchange, status int, body string) {
	x.Response.Status, x.Response.Body = status, exchange.BytesBody([]byte(body))
}

func start(t testing.TB, c Config, serve func(*exchange.Exchange)) *front {
	t.Helper()
	ca := testca.New(t, "root")
	leaf := ca.Server("shop.test", "127.0.0.1")
	cert, err := tls.LoadX509KeyPair(leaf.Cert, leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{t: t, serve: serve, tls: &tls.Config{RootCAs: ca.Pool(), ServerName: "shop.test", NextProtos: []string{"h3"}}}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	f.address = socket.LocalAddr().(*net.UDPAddr)
	c.Root = f
	f.hooks = Hooks{
		ResetKey: &[32]byte{1},
		TLS:      &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h3"}},
		Enter:    func(ctx context.Context, _ netip.AddrPort) (context.Context, bool) { return ctx, true },
		Client: func(_ context.Context, state tls.ConnectionState) (*exchange.Client, error) {
			return &exchange.Client{Listener: "main", TLS: &state}, nil
		},
		Left: func(context.Context) {
			f.mu.Lock()
			f.left++
			f.mu.Unlock()
		},
	}
	f.Server, err = Serve(socket, c, f.hooks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// client is quic-go's own, in every respect independent of us.
func (f *front) client() *http.Client {
	tr := &http3.Transport{QUICConfig: &quic.Config{EnableStreamResetPartialDelivery: true}, TLSClientConfig: f.tls, DisableCompression: true, Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
		return quic.DialAddr(ctx, f.address.String(), t, q)
	}}
	f.t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func body(r *http.Response) string {
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return string(b) + " then " + err.Error()
	}
	return string(b)
}

func TestRequestsAndAnswers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		b, err := exchange.ReadAll(x.Request.Body, 1<<20)
		if err != nil {
			t.Error(err)
		}
		x.Response.Header.Add("X-Seen", fmt.Sprintf("%s %s %s %s %s", x.Request.Method, x.Request.Host, x.Request.Path, x.Request.Query, x.Client.Protocol))
		x.Response.Header.Add("Connection", "x-not")
		x.Response.Header.Add("Set-Cookie", "a=1")
		x.Response.Header.Add("Set-Cookie", "b=2")
		answer(x, 201, fmt.Sprintf("%d bytes", len(b)))
	})
	c := f.client()
	for _, n := range []int{0, 5, 100_000} {
		r, _ := http.NewRequest("POST", "https://Shop.test/a?b=c", bytes.NewReader(make([]byte, n)))
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := body(resp), fmt.Sprintf("%d bytes", n); got != want || resp.StatusCode != 201 || resp.ContentLength != int64(len(want)) {
			t.Errorf("%d %q %d", resp.StatusCode, got, resp.ContentLength)
		}
		h := resp.Header
		if h.Get("X-Seen") != "POST shop.test /a b=c HTTP/3.0" || len(h["Set-Cookie"]) != 2 || h.Get("Connection") != "" || h.Get("Date") == "" {
			t.Errorf("%v", h)
		}
	}
	if n := f.Open(); n != 1 {
		t.Errorf("%d connections for a client", n)
	}
}

// Whoever asks for HEAD gets the length, and no body; 204 and 304 have neither.
func TestAnswersWithoutBody(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		switch string(x.Request.Path) {
		case "/204":
			x.Response.Status = 204
		case "/304":
			x.Response.Status, x.Response.Body = 304, exchange.Unread(42)
		default:
			x.Response.Status, x.Response.Body = 200, exchange.Unread(42)
		}
	})
	c := f.client()
	for _, q := range []struct{ method, path, want string }{{"HEAD", "/", "200 42"}, {"GET", "/204", "204 "}, {"GET", "/304", "304 "}} {
		r, _ := http.NewRequest(q.method, "https://shop.test"+q.path, nil)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d %s%s", resp.StatusCode, resp.Header.Get("Content-Length"), body(resp)); got != q.want {
			t.Errorf("%s %s: %s, want %s", q.method, q.path, got, q.want)
		}
	}
}

// trailing is a body with a trailer section.
type trailing struct {
	exchange.Body
	t exchange.Header
}

func (b *trailing) Len() int64                { return -1 }
func (b *trailing) Trailer() *exchange.Header { return &b.t }

func TestTrailersBothWays(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		exchange.ReadAll(x.Request.Body, 100)
		answer(x, 200, "body")
		b := &trailing{Body: x.Response.Body}
		b.t.Add("X-Echo", string(x.Request.Body.Trailer().Get("x-sum")))
		x.Response.Body = b
	})
	r, _ := http.NewRequest("POST", "https://shop.test/", io.NopCloser(strings.NewReader("abc")))
	r.Trailer = http.Header{"X-Sum": {"6"}}
	resp, err := f.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(resp); got != "body" || resp.Trailer.Get("X-Echo") != "6" {
		t.Errorf("%q %v", got, resp.Trailer)
	}
}

func TestInterimAnswers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		var h exchange.Header
		h.Add("Link", "</a.css>")
		x.Inform(103, &h)
		exchange.ReadAll(x.Request.Body, 100)
		answer(x, 200, "ok")
	})
	var mu sync.Mutex
	seen := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		mu.Lock()
		defer mu.Unlock()
		seen += fmt.Sprint(code, h.Get("Link"), " ")
		return nil
	}})
	r, _ := http.NewRequestWithContext(ctx, "POST", "https://shop.test/", strings.NewReader("x"))
	r.Header.Set("Expect", "100-continue")
	resp, err := f.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := body(resp); got != "ok" || !strings.HasPrefix(seen, "103</a.css>") {
		t.Errorf("%q %q", got, seen)
	}
}

// echo answers with what it is sent, while it is sent.
type echo struct{ exchange.Body }

func (e echo) Len() int64 { return -1 }

func TestFullDuplex(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, echo{x.Request.Body}
	})
	pr, pw := io.Pipe()
	r, _ := http.NewRequest("POST", "https://shop.test/", pr)
	resp, err := f.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 20 {
		fmt.Fprintf(pw, "%04d", i)
		var b [4]byte
		if _, err := io.ReadFull(resp.Body, b[:]); err != nil || string(b[:]) != fmt.Sprintf("%04d", i) {
			t.Fatal(string(b[:]), err)
		}
	}
	pw.Close()
	if b, err := io.ReadAll(resp.Body); len(b) > 0 || err != nil {
		t.Error(b, err)
	}
}

// When a client goes, its exchange is cancelled: the upstream must not work on.
func TestClientLeaves(t *testing.T) {
	began, gone := make(chan struct{}, 1), make(chan error, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		i := make(interrupter, 1)
		x.Interruptible(i)
		began <- struct{}{}
		<-i
		gone <- x.Cancelled()
		answer(x, 200, "late")
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "GET", "https://shop.test/", nil)
	go f.client().Do(r)
	<-began
	cancel()
	if err := <-gone; !exchange.ClientGone.Is(err) {
		t.Error(err)
	}
	f.recorded("GET client_gone")
}

type interrupter chan struct{}

func (i interrupter) Interrupt() { close(i) }

// An answer that breaks must not look as if it had ended.
func TestBrokenAnswer(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &breaking{}
	})
	resp, err := f.client().Get("https://shop.test/")
	if err != nil {
		t.Fatal(err)
	}
	if got := body(resp); !strings.Contains(got, "then") {
		t.Errorf("it came whole: %q", got)
	}
	f.recorded("GET " + exchange.UpstreamBroken.Name)
}

type breaking struct{ n int }

func (b *breaking) Next() ([]byte, error) {
	if b.n++; b.n > 2 {
		return nil, exchange.UpstreamBroken.Because(io.ErrUnexpectedEOF)
	}
	return []byte("piece"), nil
}
func (b *breaking) Len() int64                { return -1 }
func (b *breaking) Trailer() *exchange.Header { return nil }
func (b *breaking) Close() error              { return nil }

func TestPanicIsAReset(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/panic" {
			panic("on purpose")
		}
		answer(x, 200, "ok")
	})
	c := f.client()
	if _, err := c.Get("https://shop.test/panic"); err == nil {
		t.Error("there is an answer")
	}
	resp, err := c.Get("https://shop.test/")
	if err != nil || body(resp) != "ok" {
		t.Error("the connection should go on", err)
	}
}

// A body that panics when it is closed takes no limit and no record along.
func TestPanicOfABody(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		answer(x, 200, "ok")
		x.Response.Body = angryBody{x.Response.Body}
	})
	c := f.client()
	if resp, err := c.Get("https://shop.test/"); err == nil {
		body(resp)
	}
	f.recorded("GET ok")
}

type angryBody struct{ exchange.Body }

func (angryBody) Close() error { panic("on purpose") }

// Shutdown lets what is under way end, says so to clients, and takes nothing new.
func TestShutdown(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		close(began)
		<-finish
		answer(x, 200, strings.Repeat("x", 200_000))
	})
	c := f.client()
	got := make(chan string, 1)
	go func() {
		resp, err := c.Get("https://shop.test/")
		if err != nil {
			got <- err.Error()
			return
		}
		got <- body(resp)
	}()
	<-began
	done := make(chan error, 1)
	go func() { done <- f.Shutdown(t.Context()) }()
	time.Sleep(2 * partWait)
	select {
	case err := <-done:
		t.Fatal("it did not wait", err)
	default:
	}
	close(finish)
	if s := <-got; len(s) != 200_000 {
		t.Errorf("%.100q", s)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if f.mu.Lock(); f.left != 1 {
		t.Errorf("%d clients have left", f.left)
	}
	f.mu.Unlock()
}

func TestShutdownBreaksOffWhatTakesTooLong(t *testing.T) {
	began := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		i := make(interrupter)
		x.Interruptible(i)
		close(began)
		<-i
		x.Err = exchange.AsError(x.Cancelled())
		answer(x, 503, "")
	})
	go f.client().Get("https://shop.test/")
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	f.recorded("GET draining")
}

// A client that is asked to leave loses nothing: it goes on over a new connection.
func TestDrainUnderLoad(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		c := f.client()
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Get("https://shop.test/")
				if err != nil {
					t.Error(err)
					return
				}
				if got := body(resp); got != "ok" {
					t.Error(got)
				}
			}
		})
	}
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		f.Drain()
	}
	close(stop)
	all.Wait()
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	f := start(t, Config{IdleTimeout: 100 * time.Millisecond}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	resp, err := f.client().Get("https://shop.test/")
	if err != nil {
		t.Fatal(err)
	}
	body(resp)
	eventually(t, "the end of the connection", func() bool { return f.Open() == 0 })
}
