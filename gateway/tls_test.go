package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/acmeca"
	"gopura/internal/freeport"
	"gopura/internal/testca"
)

// caller is a client that asks for a server name and, over that connection,
// for whatever host.
func (g *gate) caller(listener string, conf *tls.Config, h2 bool) *http.Client {
	g.t.Helper()
	p := new(http.Protocols)
	p.SetHTTP1(!h2)
	p.SetHTTP2(h2)
	tr := &http.Transport{TLSClientConfig: conf, Protocols: p, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, g.Address(listener))
	}}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t testing.TB, c *http.Client, url, host string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), resp.Header
}

// A request for a host that is not the certificate's is misdirected: the
// client asked for the name of a public host and then for a protected one.
func TestMisdirected(t *testing.T) {
	ca := testca.New(t, "root")
	public, private := ca.Server("public.test", "*.public.test"), ca.Server("private.test")
	text := fmt.Sprintf(`
listen: {main: {address: "127.0.0.1:0", tls: {certificates: [{cert: %s, key: %s}, {cert: %s, key: %s}]}}}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - {match: public.test/*, answer: {body: public}}
  - {match: "*.public.test/*", answer: {body: wild}}
  - {match: private.test/*, answer: {body: private}}
`, public.Cert, public.Key, private.Cert, private.Key)
	g := start(t, text+"# ORIGIN")
	for _, h2 := range []bool{false, true} {
		for _, c := range []struct {
			sni, host string
			want      int
			body      string
		}{
			{"public.test", "public.test", 200, "public"},
			{"public.test", "PUBLIC.test.:8443", 200, "public"},
			{"PUBLIC.test", "public.test", 200, "public"},
			{"public.test", "www.public.test", 200, "wild"},
			{"www.public.test", "public.test", 200, "public"},
			{"public.test", "private.test", 421, "misdirected_request"},
			{"public.test", "Private.Test", 421, "misdirected_request"},
			{"public.test", "private.test.", 421, "misdirected_request"},
			{"www.public.test", "private.test", 421, "misdirected_request"},
			{"private.test", "public.test", 421, "misdirected_request"},
			{"private.test", "private.test", 200, "private"},
			{"unknown.test", "private.test", 421, "misdirected_request"},
			{"unknown.test", "unknown.test", 421, "misdirected_request"},
			{"public.test", "127.0.0.1", 421, "misdirected_request"},
		} {
			client := g.caller("main", &tls.Config{ServerName: c.sni, InsecureSkipVerify: true}, h2)
			if code, body, _ := get(t, client, "https://x/", c.host); code != c.want || !strings.Contains(body, c.body) {
				t.Errorf("h2=%v: %s for %s: %d %s", h2, c.sni, c.host, code, body)
			}
		}
	}
	// A trusted proxy multiplexes hosts over its connections.
	g.text += "\ntrusted_proxies: 127.0.0.1"
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	client := g.caller("main", &tls.Config{ServerName: "public.test", InsecureSkipVerify: true}, true)
	if code, body, _ := get(t, client, "https://x/", "private.test"); code != 200 || body != "private" {
		t.Errorf("from a trusted proxy: %d %s", code, body)
	}
}

// A cleartext listener that sends everybody to https.
func TestRedirectToHTTPS(t *testing.T) {
	g := start(t, `
listen:
  main: {address: "127.0.0.1:0", redirect: https}
  odd: {address: "127.0.0.1:0", redirect: {port: 8443}}
  secure: {address: "127.0.0.1:0", tls: {self_signed: true, hsts: {max_age: 1y, subdomains: true}}}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - {match: /*, answer: {body: secret}}
  - {match: /up, to: o}
`)
	client := func(listener string) *http.Client {
		return g.caller(listener, &tls.Config{InsecureSkipVerify: true}, false)
	}
	for _, c := range []struct{ listener, url, host, want string }{
		{"main", "http://x/a/b?c=d%20e", "shop.test", "https://shop.test/a/b?c=d%20e"},
		{"main", "http://x/", "Shop.Test:8080", "https://shop.test/"},
		{"main", "http://x//evil.test/", "shop.test", "https://shop.test/evil.test/"},
		{"main", "http://x/?", "shop.test", "https://shop.test/?"},
		{"odd", "http://x/a", "[::1]:80", "https://[::1]:8443/a"},
	} {
		code, body, h := get(t, client(c.listener), c.url, c.host)
		if code != 308 || h.Get("Location") != c.want || strings.Contains(body, "secret") || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s %s: %d %q %v", c.url, c.host, code, body, h)
		}
	}
	for _, request := range []string{
		"GET / HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.test/evil\r\n\r\n",
		"GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: a b\r\n\r\n",
	} {
		c, err := net.Dial("tcp", g.Address("main"))
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte(request))
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		answer := make([]byte, 64)
		n, _ := c.Read(answer)
		c.Close()
		if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 400 ") {
			t.Errorf("%q: %q", request, answer[:n])
		}
	}
	// Who forgets the s gets a hint.
	if resp, err := http.Get("http://" + g.Address("secure")); err != nil || resp.StatusCode != 400 {
		t.Errorf("http to an https port: %v %v", resp, err)
	}
	// HSTS is on every answer over https, whoever made it, and only ours counts.
	const want = "max-age=31536000; includeSubDomains"
	for _, path := range []string{"/", "/up", "/%00", "/%2f"} {
		if code, body, h := get(t, client("secure"), "https://x"+path, ""); len(h["Strict-Transport-Security"]) != 1 || h.Get("Strict-Transport-Security") != want {
			t.Errorf("%s: %d %s %v", path, code, body, h)
		}
	}
	// What a trusted proxy had over https is not sent there again.
	g.text += "\ntrusted_proxies: 127.0.0.1"
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", "http://x/", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	resp, err := client("main").Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
}

// Certificates are got by ACME through the gateway's own listeners: http-01 on
// one that otherwise redirects, tls-alpn-01 on one that wants certificates of
// clients.
func TestACME(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			ca := acmeca.Start(t)
			web, secure := freeport.Address(t), freeport.Address(t)
			ca.HTTP, ca.TLS = web, secure
			g := start(t, fmt.Sprintf(`
listen:
  main: {address: %q, redirect: https}
  secure:
    address: %q
    tls:
      acme: {domains: shop.test, ca: %q, ca_root: %s, storage: %s, challenge: %s}
      client: {ca: %s}
access_log: off
services: {o: "http://ORIGIN"}
routes: [{match: /*, to: o}]
`, web, secure, ca.URL, ca.Root, filepath.Join(t.TempDir(), "acme"), kind, ca.Issuer.File))
			own := ca.Issuer.Client("alice")
			client := g.caller("secure", &tls.Config{ServerName: "shop.test", RootCAs: ca.Issuer.Pool(), Certificates: []tls.Certificate{own.TLS}}, true)
			code, body := 0, ""
			for end := time.Now().Add(15 * time.Second); code != 200 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				code, body, _ = get(t, client, "https://shop.test/1k", "")
			}
			if v := ca.Validations(); code != 200 || !slices.Equal(v, []string{kind + " shop.test"}) {
				t.Fatalf("%d %s; validated by %q; faults %q", code, body, v, ca.Faults())
			}
			// A challenge is no way around the certificate of the client.
			nc, err := tls.Dial("tcp", secure, &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
			if err == nil {
				nc.Write([]byte("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
				nc.SetReadDeadline(time.Now().Add(2 * time.Second))
				if n, _ := nc.Read(make([]byte, 1)); n > 0 {
					t.Error("an answer over acme-tls/1")
				}
				nc.Close()
			}
		})
	}
}

// Certificates are read again when their files change. A bad pair changes
// nothing but the log; connections and sessions live on.
func TestCertificateFilesChange(t *testing.T) {
	ca := testca.New(t, "root")
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	install := func(p testca.Pair, parts ...string) {
		for _, part := range parts {
			from, to := p.Cert, cert
			if part == "key" {
				from, to = p.Key, key
			}
			text, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	first, second := ca.Server("a.test"), ca.Server("a.test")
	install(first, "cert", "key")
	g := start(t, fmt.Sprintf(`
listen: {main: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}}}}
access_log: off
services: {o: "http://ORIGIN"}
routes: [{match: /*, to: o}]
`, cert, key))
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { g.Watch(ctx, g.Files); close(watched) }()
	defer func() { cancel(); <-watched }()

	sessions := tls.NewLRUClientSessionCache(4)
	presented := func() (*x509.Certificate, bool) {
		nc, err := tls.Dial("tcp", g.Address("main"), &tls.Config{ServerName: "a.test", RootCAs: ca.Pool(), ClientSessionCache: sessions})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "GET /1k HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
		if text, _ := io.ReadAll(nc); !strings.HasPrefix(string(text), "HTTP/1.1 200") {
			t.Fatalf("%.100s", text)
		}
		s := nc.ConnectionState()
		return s.PeerCertificates[0], s.DidResume
	}
	kept := g.caller("main", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()}, true)
	if code, body, _ := get(t, kept, "https://a.test/1k", ""); code != 200 {
		t.Fatal(code, body)
	}
	if c, _ := presented(); !c.Equal(first.Leaf) {
		t.Fatal("another certificate")
	}
	install(second, "cert") // its key is still to come
	waitFor(t, "the refusal", func() bool { return g.Info().LastError != "" })
	if text := g.Info().LastError; !strings.Contains(text, "does not match") || !strings.Contains(text, "cert.pem") {
		t.Errorf("refused with %q", text)
	}
	if c, resumed := presented(); !c.Equal(first.Leaf) || !resumed {
		t.Errorf("while the pair is bad: %v, resumed %v", c.SerialNumber, resumed)
	}
	install(second, "key")
	waitFor(t, "the new pair", func() bool { return g.Info().LastError == "" }) // the text is the same, and so is its generation
	if _, resumed := presented(); !resumed {
		t.Error("the session did not outlive the new certificate")
	}
	sessions = tls.NewLRUClientSessionCache(4)
	if c, _ := presented(); !c.Equal(second.Leaf) {
		t.Error("the old certificate is still presented")
	}
	if code, body, _ := get(t, kept, "https://a.test/1k", ""); code != 200 {
		t.Errorf("on the kept connection: %d %s", code, body)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// Facts of the client's certificate are for expressions; what is not verified
// is not there.
func TestClientCertificateFacts(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	server := ca.Server("a.test")
	alice := clients.Issue(testca.Leaf{CommonName: "alice", Names: []string{"alice.test"}, URI: "spiffe://test/alice", Client: true})
	mallory := testca.New(t, "foreign").Client("alice")
	g := start(t, fmt.Sprintf(`
listen: {main: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}, client: {ca: %s, mode: request}}}}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - match: /*
    redirect: "/{tls.client.verified}/{tls.client.subject}/{tls.client.issuer}/{tls.client.serial}/{tls.client.fingerprint}"
  - {match: {path: /admin, when: '"spiffe://test/alice" in tls.client.san && tls.client.verified'}, answer: {body: alice}}
`, server.Cert, server.Key, clients.File))
	call := func(path string, certs ...tls.Certificate) (int, string, http.Header) {
		client := g.caller("main", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certs[0], nil
		}}, true)
		return get(t, client, "https://a.test"+path, "")
	}
	_, _, h := call("/facts", alice.TLS)
	if got := h.Get("Location"); !strings.HasPrefix(got, "/true/CN%3Dalice/CN%3Dclients/"+fmt.Sprintf("%x", alice.Leaf.SerialNumber)+"/") || len(got) < 64+30 {
		t.Errorf("alice: %s", got)
	}
	_, _, h = call("/facts", mallory.TLS)
	if got := h.Get("Location"); !strings.HasPrefix(got, "/false////") || len(got) != len("/false////")+64 {
		t.Errorf("mallory: %s", got)
	}
	if _, _, h = call("/facts"); h.Get("Location") != "/false////" {
		t.Errorf("nobody: %s", h.Get("Location"))
	}
	if code, body, _ := call("/admin", alice.TLS); code != 200 || body != "alice" {
		t.Errorf("alice: %d %s", code, body)
	}
	if code, _, _ := call("/admin", mallory.TLS); code != 308 {
		t.Errorf("mallory: %d", code)
	}
}

// Targets that can't be verified get nothing: 502, and the request has not
// left the gateway.
func TestUpstreamIsVerified(t *testing.T) {
	ca := testca.New(t, "root")
	calls := 0
	serve := func(p testca.Pair) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { calls++; io.WriteString(w, "hello") }))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{p.TLS}}
		s.Config.ErrorLog = nil
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	good := serve(ca.Server("127.0.0.1", "good.internal"))
	bad := map[string]string{
		"self-signed": serve(testca.New(t, "foreign").Server("127.0.0.1")),
		"wrong-name":  serve(ca.Server("other.internal")),
		"expired":     serve(ca.Issue(testca.Leaf{Names: []string{"127.0.0.1"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})),
		"pinned":      good,
		"named":       good,
		"by-system":   good,
	}
	extra := map[string]string{"pinned": ", pins: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "named": ", names: other.internal"}
	text := "listen: {main: \"127.0.0.1:0\"}\naccess_log: off\nservices:\n  o: http://ORIGIN\n"
	for name, address := range bad {
		conf := fmt.Sprintf("{ca: %s%s}", ca.File, extra[name])
		if name == "by-system" {
			conf = "{server_name: good.internal}"
		}
		text += fmt.Sprintf("  %s: {targets: \"https://%s\", tls: %s}\n", name, address, conf)
	}
	text += fmt.Sprintf("  good: {targets: \"https://%s\", tls: {ca: %s}}\n", good, ca.File)
	text += fmt.Sprintf("  insecure: {targets: \"https://%s\", tls: {insecure: true}}\n", bad["self-signed"])
	text += "routes:\n  - {match: /o, to: o}\n  - {match: /good, to: good}\n  - {match: /insecure, to: insecure}\n"
	for name := range bad {
		text += fmt.Sprintf("  - {match: /%s, to: %s}\n", name, name)
	}
	g := start(t, text)
	for name := range bad {
		for range 2 {
			if code, body, _ := g.get("/" + name); code != 502 || !strings.Contains(body, "upstream_tls_failed") {
				t.Errorf("%s: %d %s", name, code, body)
			}
		}
	}
	if calls != 0 {
		t.Errorf("%d requests reached targets that can't be verified", calls)
	}
	for _, name := range []string{"good", "insecure"} {
		if code, body, _ := g.get("/" + name); code != 200 || body != "hello" {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if w := g.Info().Warnings; !slices.ContainsFunc(w, func(p config.Problem) bool { return strings.Contains(p.Path, "services.insecure.tls.insecure") }) {
		t.Errorf("nobody warns of insecure: %v", w)
	}
}

// Reloads, handshakes and ACME leave nothing behind.
func TestTLSLeavesNothing(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Server("a.test")
	text := func(n int) string {
		return fmt.Sprintf(`
listen:
  main: "127.0.0.1:0"
  secure: {address: "127.0.0.1:0", tls: {certificates: {cert: %s, key: %s}, acme: {domains: "d%d.test", ca: "http://127.0.0.1:1/dir", storage: %s}, client: {ca: %s, mode: optional}}}
access_log: off
routes: [{match: /*, answer: 200}] # ORIGIN
`, pair.Cert, pair.Key, n, filepath.Join(t.TempDir(), "acme"), ca.File)
	}
	const quiet = "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: 200}] # ORIGIN"
	g := start(t, quiet)
	g.get("/")
	g.text = text(0)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.text = quiet
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(300 * time.Millisecond)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for n := range 20 {
		g.text = text(n)
		if err := g.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := g.caller("secure", &tls.Config{ServerName: "a.test", RootCAs: ca.Pool()}, n%2 == 0)
		if code, body, _ := get(t, client, "https://a.test/", ""); code != 200 {
			t.Fatal(code, body)
		}
		client.CloseIdleConnections()
	}
	g.text = quiet
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	settles(t, "goroutines", goroutines, runtime.NumGoroutine)
	settles(t, "descriptors", files, func() int { return openFiles(t) })
}
