package gateway_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"gopura/internal/testca"
)

// caller3 is a client of HTTP/3 that asks for a server name and, over that
// connection, for whatever host. forget ends its connections.
func (g *gate) caller3(listener string, conf *tls.Config) (c *http.Client, forget func()) {
	g.t.Helper()
	tr := &http3.Transport{TLSClientConfig: conf, DisableCompression: true, Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
		t = t.Clone()
		t.ServerName = conf.ServerName
		return quic.DialAddr(ctx, g.Address(listener), t, q)
	}}
	g.t.Cleanup(func() { tr.Close() })
	return &http.Client{Transport: tr, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, func() { tr.Close() }
}

func (g *gate) reload(text string) {
	g.t.Helper()
	g.text = text
	if err := g.Reload(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

// HTTP/3 is one word, and comes and goes with reloads: the answers over TCP name
// it while it is there, and a client that uses it loses nothing when it goes.
func TestHTTP3ComesAndGoes(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Server("a.test")
	text := func(http string) string {
		return fmt.Sprintf(`
listen: {main: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}}, http: %s}}
access_log: off
routes:
  - {match: /via, answer: {body: "hello"}}
  - {match: /own, answer: {body: "x", headers: {Alt-Svc: 'h3=":8443"'}}} # ORIGIN
`, pair.Cert, pair.Key, http)
	}
	g := start(t, text("[1.1, 2]"))
	_, port, _ := net.SplitHostPort(g.Address("main"))
	conf := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()}
	over2 := g.caller("main", conf, true)
	over3, _ := g.caller3("main", conf)
	advert := func() string {
		_, _, h := get(t, over2, "https://a.test/via", "")
		return h.Get("Alt-Svc")
	}
	if got := advert(); got != "" {
		t.Errorf("it is off: %q", got)
	}
	for range 2 {
		g.reload(text("[1.1, 2, 3]"))
		if got, want := advert(), `h3=":`+port+`"; ma=86400`; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if code, body, h := get(t, over3, "https://a.test/via", ""); code != 200 || body != "hello" || h.Get("Alt-Svc") != "" {
			t.Error(code, body, h)
		}
		g.reload(text("[1.1, 2, 3]") + "\n# again")
		if code, body, _ := get(t, over3, "https://a.test/via", ""); code != 200 {
			t.Error("a reload should not touch it:", code, body)
		}
		g.reload(text("[1.1, 2]"))
		if got := advert(); got != "" {
			t.Errorf("it is off again: %q", got)
		}
	}
	waitFor(t, "the end of the socket", func() bool {
		udp, err := net.ListenPacket("udp", g.Address("main"))
		if err == nil {
			udp.Close()
		}
		return err == nil
	})
	g.reload(text("[1.1, 2, 3]"))
	if _, _, h := get(t, over2, "https://a.test/own", ""); h.Get("Alt-Svc") != `h3=":8443"` {
		t.Error("who says it himself knows better:", h)
	}
}

// When the port is taken for UDP, the reload is refused, says so, and changes
// nothing.
func TestHTTP3PortIsTaken(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Server("a.test")
	text := `
listen: {main: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}}, http: %s}}
access_log: off
routes: [{match: /*, answer: {body: hello}}] # ORIGIN
`
	g := start(t, fmt.Sprintf(text, pair.Cert, pair.Key, "[1.1, 2]"))
	udp, err := net.ListenPacket("udp", g.Address("main"))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	g.text = fmt.Sprintf(text, pair.Cert, pair.Key, "[1.1, 2, 3]")
	err = g.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), `listener "main" (gopura.yaml:2:`) || !strings.Contains(err.Error(), "HTTP/3: listen udp 127.0.0.1:") {
		t.Error(err)
	}
	client := g.caller("main", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()}, true)
	if code, body, h := get(t, client, "https://a.test/", ""); code != 200 || h.Get("Alt-Svc") != "" {
		t.Error(code, body, h)
	}
}

// The TLS of a listener is the same over UDP: certificates by name, 421 for the
// hosts of others, client certificates, sessions that are resumed.
func TestHTTP3TLS(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	public, private := ca.Server("public.test"), ca.Server("private.test")
	alice := clients.Client("alice")
	g := start(t, fmt.Sprintf(`
listen:
  main: {address: "127.0.0.1:0", http: [1.1, 2, 3], tls: {certificates: [{cert: %s, key: %s}, {cert: %s, key: %s}], client: {ca: %s, mode: optional}}}
  strict: {address: "127.0.0.1:0", http: [1.1, 2, 3], tls: {certificates: {cert: %s, key: %s}, client: {ca: %s, mode: required}}}
access_log: off
routes:
  - {match: public.test/*, redirect: "/public/{tls.client.subject}"}
  - {match: private.test/*, redirect: "/private/{tls.client.subject}"}
  # ORIGIN
`, public.Cert, public.Key, private.Cert, private.Key, clients.File, public.Cert, public.Key, clients.File))
	conf := func(name string, certs ...tls.Certificate) *tls.Config {
		return &tls.Config{ServerName: name, RootCAs: ca.Pool(), Certificates: certs}
	}
	for _, c := range []struct {
		sni, host string
		certs     []tls.Certificate
		code      int
		to        string
	}{
		{"public.test", "public.test", nil, 308, "/public/"},
		{"private.test", "private.test", []tls.Certificate{alice.TLS}, 308, "/private/CN%3Dalice"},
		{"public.test", "private.test", nil, 421, ""},
	} {
		client, _ := g.caller3("main", conf(c.sni, c.certs...))
		code, body, h := get(t, client, "https://"+c.host+"/", "")
		if code != c.code || h.Get("Location") != c.to {
			t.Errorf("%s over %s: %d %s %s", c.host, c.sni, code, h.Get("Location"), body)
		}
	}
	client, _ := g.caller3("strict", conf("public.test"))
	if code, body, _ := get(t, client, "https://public.test/", ""); code != 0 {
		t.Error("nobody may come in without a certificate:", code, body)
	}
	resumed := conf("public.test", alice.TLS)
	resumed.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		client, forget := g.caller3("strict", resumed)
		r, _ := http.NewRequest("GET", "https://public.test/", nil)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 308 || resp.TLS.DidResume != (i == 1) {
			t.Error(i, resp.Status, resp.TLS.DidResume)
		}
		time.Sleep(50 * time.Millisecond) // for the ticket
		forget()
	}
}

// limits.connections counts HTTP/3 too, and the count comes back.
func TestHTTP3ConnectionLimit(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Server("a.test")
	g := start(t, fmt.Sprintf(`
listen: {main: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}}, http: [1.1, 2, 3]}}
limits: {connections: 1}
access_log: off
routes: [{match: /*, answer: {body: hello}}] # ORIGIN
`, pair.Cert, pair.Key))
	conf := &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()}
	first, forget := g.caller3("main", conf)
	if code, body, _ := get(t, first, "https://a.test/", ""); code != 200 {
		t.Fatal(code, body)
	}
	second, _ := g.caller3("main", conf)
	if code, _, _ := get(t, second, "https://a.test/", ""); code != 0 {
		t.Error("a second connection is too many")
	}
	forget()
	waitFor(t, "room for another", func() bool {
		third, _ := g.caller3("main", conf)
		code, _, _ := get(t, third, "https://a.test/", "")
		return code == 200
	})
}

// Under load, reloads lose nobody, and a shutdown loses nobody who is let in.
func TestHTTP3ReloadUnderLoad(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Server("a.test")
	text := func(n int) string {
		return fmt.Sprintf(`
listen: {main: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}}, http: [1.1, 2, 3]}}
limits: {fields: %d}
access_log: off
services: {o: "http://ORIGIN"}
routes: [{match: /*, to: o}]
`, pair.Cert, pair.Key, 60+n)
	}
	g := start(t, text(0))
	origin := g.text[strings.Index(g.text, "services:"):]
	stop := make(chan struct{})
	var all sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		client, _ := g.caller3("main", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()})
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				code, body, _ := get(t, client, "https://a.test/1k", "")
				if code != 200 || len(body) != 1024 {
					t.Error(code, body)
					return
				}
				served.Add(1)
			}
		})
	}
	for n := range 8 {
		time.Sleep(50 * time.Millisecond)
		next := text(n + 1)
		g.reload(next[:strings.Index(next, "services:")] + origin)
	}
	close(stop)
	all.Wait()
	if served.Load() < 50 {
		t.Errorf("%d requests are no load", served.Load())
	}
}

// What a listener with HTTP/3 leaves when it goes: nothing.
func TestHTTP3LeavesNothing(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Server("a.test")
	const quiet = "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: 200}] # ORIGIN"
	text := fmt.Sprintf(`
listen: {main: "127.0.0.1:0", secure: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}}, http: [1.1, 2, 3]}}
access_log: off
routes: [{match: /*, answer: 200}]
`, pair.Cert, pair.Key)
	g := start(t, quiet)
	cycle := func() {
		g.reload(text)
		client, forget := g.caller3("secure", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()})
		if code, body, _ := get(t, client, "https://a.test/", ""); code != 200 {
			t.Fatal(code, body)
		}
		forget()
		g.reload(quiet)
	}
	cycle()
	time.Sleep(500 * time.Millisecond)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 5 {
		cycle()
	}
	settles(t, "goroutines", goroutines, runtime.NumGoroutine)
	settles(t, "files", files, func() int { return openFiles(t) })
}
