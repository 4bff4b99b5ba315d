package gateway_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopura/internal/testca"
)

// run runs a program with nothing on its standard input, or with text there,
// and returns all that it said.
func run(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// forClients is a gateway with two certificates on one listener, and another
// listener that wants certificates of clients.
func forClients(t *testing.T) (g *gate, ca *testca.Authority, alice, mallory, revoked testca.Pair) {
	ca = testca.New(t, "root")
	clients := testca.New(t, "clients")
	alice, mallory, revoked = clients.Client("alice"), testca.New(t, "foreign").Client("mallory"), clients.Client("revoked")
	list := filepath.Join(t.TempDir(), "list.crl")
	clients.List(list, time.Now().Add(time.Hour), revoked)
	shop, api := ca.Issue(testca.Leaf{Names: []string{"shop.test", "*.shop.test"}, RSA: true}), ca.Server("api.test")
	both := fmt.Sprintf("certificates: [{cert: %s, key: %s}, {cert: %s, key: %s}]", shop.Cert, shop.Key, api.Cert, api.Key)
	g = start(t, fmt.Sprintf(`
listen:
  main: {address: "127.0.0.1:0", tls: {%s}}
  modern: {address: "127.0.0.1:0", tls: {%s, profile: modern}}
  mutual: {address: "127.0.0.1:0", tls: {%s, client: {ca: %s, crl: %s}}}
  strict: {address: "127.0.0.1:0", tls: {%s, strict_sni: true}}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - {match: /1k, to: o}
  - {match: /who, answer: {body: who}, headers: {response: {set: {X-Who: "{tls.client.subject}", X-Version: "{tls.version}"}}}}
`, both, both, both, clients.File, list, both))
	return g, ca, alice, mallory, revoked
}

// openssl s_client: what is presented, in which version, with which cipher
// suite, and whether a session is resumed.
func TestOpenSSL(t *testing.T) {
	g, ca, alice, mallory, revoked := forClients(t)
	connect := func(listener string, args ...string) string {
		out, _ := run(t, "", "openssl", append([]string{"s_client", "-connect", g.Address(listener), "-CAfile", ca.File}, args...)...)
		return out
	}
	session := filepath.Join(t.TempDir(), "session")
	for _, c := range []struct {
		what, listener string
		args           []string
		want, not      string // regular expressions
	}{
		{"SNI", "main", []string{"-servername", "api.test", "-verify_hostname", "api.test"}, `Verify return code: 0 \(ok\)`, ""},
		{"SNI in capitals", "main", []string{"-servername", "API.test", "-verify_hostname", "api.test"}, `Verify return code: 0 \(ok\)`, ""},
		{"SNI of a wildcard", "main", []string{"-servername", "www.shop.test", "-verify_hostname", "www.shop.test"}, `Verify return code: 0 \(ok\)`, ""},
		{"no SNI", "main", []string{"-noservername", "-verify_hostname", "shop.test"}, `Verify return code: 0 \(ok\)`, ""},
		{"unknown SNI", "main", []string{"-servername", "x.test", "-verify_hostname", "shop.test"}, `Verify return code: 0 \(ok\)`, ""},
		{"unknown SNI, strict", "strict", []string{"-servername", "x.test"}, `alert`, `BEGIN CERTIFICATE`},
		{"no SNI, strict", "strict", []string{"-noservername"}, `alert`, `BEGIN CERTIFICATE`},
		{"TLS 1.3", "main", []string{"-servername", "api.test"}, `New, TLSv1.3, Cipher is TLS_`, ""},
		{"TLS 1.2", "main", []string{"-servername", "api.test", "-tls1_2"}, `New, TLSv1.2, Cipher is ECDHE-ECDSA-(AES|CHACHA)`, ""},
		{"TLS 1.1", "main", []string{"-servername", "api.test", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, `alert protocol version|no protocols available`, `BEGIN CERTIFICATE`},
		{"TLS 1.2, modern", "modern", []string{"-servername", "api.test", "-tls1_2"}, `alert protocol version`, `BEGIN CERTIFICATE`},
		{"TLS 1.3, modern", "modern", []string{"-servername", "api.test"}, `New, TLSv1.3`, ""},
		{"CBC", "main", []string{"-servername", "shop.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:AES128-SHA256"}, `alert handshake failure`, `BEGIN CERTIFICATE`},
		{"no forward secrecy", "main", []string{"-servername", "shop.test", "-tls1_2", "-cipher", "AES128-GCM-SHA256"}, `alert handshake failure`, `BEGIN CERTIFICATE`},
		{"a listed suite", "main", []string{"-servername", "shop.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"}, `Cipher is ECDHE-RSA-AES256-GCM-SHA384`, ""},
		{"ALPN h2", "main", []string{"-servername", "api.test", "-alpn", "h2,http/1.1"}, `ALPN protocol: h2`, ""},
		{"ALPN unknown", "main", []string{"-servername", "api.test", "-alpn", "acme-tls/1"}, `alert no application protocol`, `BEGIN CERTIFICATE`},
		{"the first session", "main", []string{"-servername", "api.test", "-tls1_2", "-sess_out", session}, `New, TLSv1.2`, `Reused`},
		{"the session again", "main", []string{"-servername", "api.test", "-tls1_2", "-sess_in", session}, `Reused, TLSv1.2`, ""},
		{"a client certificate is asked for", "mutual", []string{"-servername", "api.test", "-cert", alice.Cert, "-key", alice.Key}, `Acceptable client certificate CA names\nCN = clients`, ""},
		{"none is shown", "mutual", []string{"-servername", "api.test", "-tls1_2"}, `alert`, "Verify return code: 0 .ok.\\n    Extended master secret: yes\n---\nclosed"},
		{"a foreign one", "mutual", []string{"-servername", "api.test", "-tls1_2", "-cert", mallory.Cert, "-key", mallory.Key}, `alert (bad|unknown)`, ""},
		{"a revoked one", "mutual", []string{"-servername", "api.test", "-tls1_2", "-cert", revoked.Cert, "-key", revoked.Key}, `alert bad certificate`, ""},
	} {
		out := connect(c.listener, c.args...)
		if !regexp.MustCompile(c.want).MatchString(out) || c.not != "" && regexp.MustCompile(c.not).MatchString(out) {
			t.Errorf("%s: want %s, not %s:\n%s", c.what, c.want, c.not, out)
		}
	}
	// Renegotiation, by which a client could change who it is, is not there.
	out, _ := run(t, "R\n", "openssl", "s_client", "-connect", g.Address("main"), "-servername", "api.test", "-tls1_2", "-legacy_renegotiation")
	if strings.Contains(out, "RENEGOTIATING") && !strings.Contains(out, "no renegotiation") && !strings.Contains(out, "error") {
		t.Errorf("renegotiated:\n%s", out)
	}
}

// curl: whole requests, in both versions of HTTP.
func TestCurl(t *testing.T) {
	g, ca, alice, mallory, revoked := forClients(t)
	curl := func(listener, host, path string, args ...string) (string, error) {
		_, port, _ := net.SplitHostPort(g.Address(listener))
		return run(t, "", "curl", append([]string{
			"--silent", "--show-error", "--max-time", "10", "--cacert", ca.File, "--resolve", host + ":" + port + ":127.0.0.1",
			"--include", "https://" + host + ":" + port + path}, args...)...)
	}
	with := func(p testca.Pair) []string { return []string{"--cert", p.Cert, "--key", p.Key} }
	for _, c := range []struct {
		what, listener, host, path string
		args                       []string
		want                       string // a regular expression; "": curl must fail
	}{
		{"HTTP/2", "main", "api.test", "/1k", nil, `^HTTP/2 200`},
		{"HTTP/1.1", "main", "www.shop.test", "/1k", []string{"--http1.1"}, `^HTTP/1.1 200`},
		{"a name that no certificate covers", "main", "x.test", "/1k", nil, ""},
		{"another Host", "main", "api.test", "/1k", []string{"--header", "Host: shop.test"}, `(?s)^HTTP/2 421.*misdirected_request`},
		{"another Host, HTTP/1.1", "main", "api.test", "/1k", []string{"--http1.1", "--header", "Host: shop.test"}, `(?s)^HTTP/1.1 421.*misdirected_request`},
		{"TLS 1.2", "main", "api.test", "/who", []string{"--tls-max", "1.2"}, `(?s)^HTTP/2 200.*x-version: TLS 1\.2`},
		{"TLS 1.2, modern", "modern", "api.test", "/who", []string{"--tls-max", "1.2"}, ""},
		{"a client certificate", "mutual", "api.test", "/who", with(alice), `(?s)^HTTP/2 200.*x-who: CN=alice`},
		{"a client certificate, TLS 1.2", "mutual", "api.test", "/who", append(with(alice), "--tls-max", "1.2", "--http1.1"), `(?s)^HTTP/1.1 200.*X-Who: CN=alice`},
		{"no client certificate", "mutual", "api.test", "/who", nil, ""},
		{"a foreign one", "mutual", "api.test", "/who", with(mallory), ""},
		{"a revoked one", "mutual", "api.test", "/who", with(revoked), ""},
	} {
		out, err := curl(c.listener, c.host, c.path, c.args...)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: let in:\n%s", c.what, out)
			}
		} else if err != nil || !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: %v, want %s:\n%s", c.what, err, c.want, out)
		}
	}
}
