package h1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gopura/exchange"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// proxyRoot is the smallest gateway: every request goes to next, and an error
// becomes an answer whose X-Code says which.
type proxyRoot struct {
	next   exchange.Handler
	finish func(x *exchange.Exchange) // sees every exchange when it is done
}

func (p proxyRoot) Serve(x *exchange.Exchange) {
	if p.finish != nil {
		x.OnDone(p.finish)
	}
	if err := p.next.Serve(x); err != nil {
		p.Refuse(x, exchange.AsError(err))
	}
}

func (proxyRoot) Refuse(x *exchange.Exchange, e *exchange.Error) {
	x.Err = e
	x.DropResponse()
	r := &x.Response
	r.Status, r.Made, r.Body = e.Status, true, exchange.BytesBody([]byte("refused\n"))
	r.Header.Add("X-Code", e.Code)
}

// front is a Server with a listener on loopback.
type front struct {
	*Server
	addr string
}

type frontOptions struct {
	config ServerConfig
	tls    *tls.Config
}

func startFront(t testing.TB, o frontOptions) *front {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{NewServer(o.config), ln.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { f.serve(nc, o.tls) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		f.Close()
		all.Wait()
	})
	return f
}

func (f *front) serve(nc net.Conn, conf *tls.Config) {
	client := &exchange.Client{Protocol: "HTTP/1.1", Peer: nc.RemoteAddr().(*net.TCPAddr).AddrPort()}
	client.Addr = client.Peer
	if conf == nil {
		f.ServeConn(nc, client)
		return
	}
	tc := tls.Server(nc, conf)
	if err := tc.Handshake(); err != nil {
		nc.Close()
		return
	}
	state := tc.ConnectionState()
	client.TLS = &state
	f.ServeConn(tc, client)
}

// proxy is a front whose requests all go to one target.
func startProxy(t testing.TB, target string, edit func(*ServerConfig, *TransportConfig)) (*front, *Transport) {
	t.Helper()
	sc := ServerConfig{HeadTimeout: 10 * time.Second, BodyTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, WriteTimeout: 10 * time.Second}
	tc := TransportConfig{Address: target, ConnectTimeout: 5 * time.Second, ResponseTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxIdle: 64}
	if edit != nil {
		edit(&sc, &tc)
	}
	tr := NewTransport(tc)
	t.Cleanup(func() { tr.Close() })
	if sc.Root == nil {
		sc.Root = proxyRoot{next: tr}
	}
	return startFront(t, frontOptions{config: sc}), tr
}

// wireClient is a client that sends raw bytes.
type wireClient struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dialWire(t testing.TB, addr string) *wireClient {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newWireClient(t, nc)
}

func dialTLS(t testing.TB, addr string) *wireClient {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return newWireClient(t, nc)
}

func newWireClient(t testing.TB, nc net.Conn) *wireClient {
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { nc.Close() })
	return &wireClient{t, nc, bufio.NewReader(nc)}
}

func (c *wireClient) send(format string, args ...any) {
	c.t.Helper()
	s := format
	if len(args) > 0 {
		s = fmt.Sprintf(format, args...)
	}
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("client can't write: %v", err)
	}
}

type reply struct {
	status  int
	code    string // X-Code of a refusal
	body    string
	header  http.Header
	trailer http.Header
	close   bool
	length  int64
	interim []int // statuses of the 1xx answers before it
}

// read reads one answer to a request of that method.
func (c *wireClient) read(method string) (r reply, err error) {
	for {
		res, err := http.ReadResponse(c.r, &http.Request{Method: method})
		if err != nil {
			return r, err
		}
		if res.StatusCode < 200 && res.StatusCode != 101 {
			r.interim = append(r.interim, res.StatusCode)
			continue
		}
		r.status, r.code, r.header, r.close, r.length = res.StatusCode, res.Header.Get("X-Code"), res.Header, res.Close, res.ContentLength
		if r.status == 101 {
			return r, nil
		}
		b, err := io.ReadAll(res.Body)
		r.body, r.trailer = string(b), res.Trailer
		return r, err
	}
}

func (c *wireClient) want(method string, status int) reply {
	c.t.Helper()
	r, err := c.read(method)
	if err != nil || r.status != status {
		c.t.Fatalf("answer %d %s (%v), want %d", r.status, r.code, err, status)
	}
	return r
}

// get sends a GET and expects 200.
func (c *wireClient) get(path string) reply {
	c.t.Helper()
	c.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
	return c.want("GET", 200)
}

// ended reads on and reports how the connection ended: nil for a clean end.
func (c *wireClient) ended() (rest []byte, err error) { return io.ReadAll(c.r) }

// origin is a raw upstream: every connection is given to serve.
type origin struct {
	addr string
	ln   net.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	count int
	all   sync.WaitGroup
}

func startOrigin(t testing.TB, serve func(c *originConn)) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOriginOn(t, ln, serve)
}

func startOriginOn(t testing.TB, ln net.Listener, serve func(c *originConn)) *origin {
	o := &origin{addr: ln.Addr().String(), ln: ln, conns: map[net.Conn]struct{}{}}
	o.all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.count++
			n := o.count
			o.conns[nc] = struct{}{}
			o.mu.Unlock()
			o.all.Go(func() {
				c := &originConn{Conn: nc, number: n}
				c.r = bufio.NewReader(io.TeeReader(nc, &c.seen))
				serve(c)
				nc.Close()
				o.mu.Lock()
				delete(o.conns, nc)
				o.mu.Unlock()
			})
		}
	})
	t.Cleanup(o.close)
	return o
}

func (o *origin) close() {
	o.ln.Close()
	o.mu.Lock()
	for c := range o.conns {
		c.Close()
	}
	o.mu.Unlock()
	o.all.Wait()
}

// accepted returns how many connections there have been.
func (o *origin) accepted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}

// originConn is the upstream's side of a connection. It reads requests with a
// parser of its own, simple and without mercy, and remembers the raw bytes.
type originConn struct {
	net.Conn
	number int
	r      *bufio.Reader
	seen   bytes.Buffer
}

// heard is one request as the upstream got it.
type heard struct {
	raw     string
	method  string
	target  string
	host    string
	head    string // start line and fields with their CRLFs, and the empty line
	body    string // without chunk framing
	trailer string
	broken  bool // the connection ended inside
}

func (c *originConn) take() string {
	n := c.seen.Len() - c.r.Buffered()
	return string(c.seen.Next(n))
}

func (c *originConn) say(format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	io.WriteString(c, format)
}

func (c *originConn) line() (string, error) {
	s, err := c.r.ReadString('\n')
	if err == nil && !strings.HasSuffix(s, "\r\n") {
		return s, fmt.Errorf("bare LF")
	}
	return s, err
}

// readHead reads a request head; ok is false at the end of the connection.
func (c *originConn) readHead() (h heard, length int64, ok bool) {
	length = 0
	for {
		s, err := c.line()
		h.head += s
		if err != nil {
			h.raw, h.broken = c.take(), h.head != ""
			return h, 0, false
		}
		if s == "\r\n" {
			break
		}
	}
	lines := strings.Split(h.head, "\r\n")
	start := strings.SplitN(lines[0], " ", 3)
	h.method = start[0]
	if len(start) > 1 {
		h.target = start[1]
	}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			fmt.Sscan(value, &length)
		case "transfer-encoding":
			length = -1
		case "host":
			h.host = value
		}
	}
	return h, length, true
}

func (c *originConn) readBody(h *heard, length int64) bool {
	var body bytes.Buffer
	err := func() error {
		if length >= 0 {
			_, err := io.CopyN(&body, c.r, length)
			return err
		}
		for {
			s, err := c.line()
			if err != nil {
				return err
			}
			var n int64
			if _, err := fmt.Sscanf(s, "%x\r\n", &n); err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if _, err := io.CopyN(&body, c.r, n); err != nil {
				return err
			}
			if s, err := c.line(); err != nil || s != "\r\n" {
				return fmt.Errorf("chunk end %q %w", s, io.ErrUnexpectedEOF)
			}
		}
		for {
			s, err := c.line()
			if err != nil {
				return err
			}
			if s == "\r\n" {
				return nil
			}
			h.trailer += s
		}
	}()
	h.body, h.raw, h.broken = body.String(), c.take(), err != nil
	return err == nil
}

// request reads a whole request.
func (c *originConn) request() (h heard, ok bool) {
	h, n, ok := c.readHead()
	if !ok {
		return h, false
	}
	ok = c.readBody(&h, n)
	return h, ok
}

// answer sends 200 with that body.
func (c *originConn) answer(body string) {
	c.say("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// echo answers every request with its target.
func echo(c *originConn) {
	for {
		h, ok := c.request()
		if !ok {
			return
		}
		if h.method == "HEAD" {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
			continue
		}
		c.answer(h.target)
	}
}

// selfSigned returns a server configuration for 127.0.0.1.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gopura test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// atOnce is what "at once" may take on a busy machine: well below every time limit
// that would end the thing otherwise.
const atOnce = 3 * time.Second

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// tlsSocket is the TCP connection below an origin's TLS connection.
func tlsSocket(c *originConn) net.Conn { return c.Conn.(*tls.Conn).NetConn() }

// batch sends each part as a TLS record of its own, and all records in one
// packet.
func batch(nc net.Conn, c *originConn, parts ...string) {
	corked(nc, func() {
		for _, p := range parts {
			io.WriteString(c.Conn, p)
		}
	})
}
