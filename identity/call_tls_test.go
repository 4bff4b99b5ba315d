package identity

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/testca"
)

// mutual is a server that speaks to nobody without a certificate of clients.
func mutual(t testing.TB, ca, clients *testca.Authority, h http.HandlerFunc) string {
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server("127.0.0.1").TLS}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// Who is asked over https may want a certificate of the gateway's.
func TestCallsShowACertificate(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	gateway, stranger := clients.Client("gateway"), ca.Client("stranger")
	url := mutual(t, ca, clients, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-User-Id", r.TLS.PeerCertificates[0].Subject.CommonName)
		fmt.Fprint(rw, `{"active":true,"sub":"`+r.TLS.PeerCertificates[0].Subject.CommonName+`"}`)
	})
	for _, c := range []struct {
		what  string
		trust CallTLS
		want  string
	}{
		{"its certificate", CallTLS{ca.File, gateway.Cert, gateway.Key}, "gateway"},
		{"none", CallTLS{CA: ca.File}, away},
		{"a stranger's", CallTLS{ca.File, stranger.Cert, stranger.Key}, away},
		{"its certificate to somebody unknown", CallTLS{"", gateway.Cert, gateway.Key}, away},
	} {
		w := newWorld(t)
		forward := forwardTo(url)
		forward.Timeout = 5 * time.Second
		forward.CA, forward.Cert, forward.Key = c.trust.CA, c.trust.Cert, c.trust.Key
		expect(t, w.compile(forward), request("GET", "/"), c.want)
		asked := &Introspection{URL: url, ClientID: "gateway", Secret: config.NewSecret("s"), Auth: "basic", Timeout: 5 * time.Second, Entries: 100}
		asked.CA, asked.Cert, asked.Key = c.trust.CA, c.trust.Cert, c.trust.Key
		expect(t, w.compile(asked), request("GET", "/", "Authorization: Bearer t"), c.want)
		if files := asked.Files("/conf"); len(files) != len(c.trust.Files()) {
			t.Errorf("%s: watched are %q", c.what, files)
		}
	}
}

// An issuer may want one too, for its discovery document and its keys; a
// certificate that is replaced is another way to ask.
func TestIssuerWantsACertificate(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	gateway, stranger := clients.Client("gateway"), ca.Client("stranger")
	key := newMaker(t, "k", "ES256")
	var url string
	url = mutual(t, ca, clients, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			fmt.Fprint(rw, toJSON(map[string]any{"keys": []any{key.jwk()}}))
			return
		}
		fmt.Fprint(rw, toJSON(map[string]any{"issuer": url, "jwks_uri": url + "/keys", "authorization_endpoint": url + "/a", "token_endpoint": url + "/t"}))
	})
	token := key.token(goodClaims(url))
	for _, c := range []struct {
		what, settings, want string
		login                int
	}{
		{"its certificate", fmt.Sprintf("ca: %s, cert: %s, key: %s", ca.File, gateway.Cert, gateway.Key), "", 302},
		{"none", "ca: " + ca.File, away, 503},
		{"a stranger's", fmt.Sprintf("ca: %s, cert: %s, key: %s", ca.File, stranger.Cert, stranger.Key), away, 503},
	} {
		for _, at := range []string{"", "jwks: " + url + "/keys, "} {
			s := newDesk(t).jwt("{issuer: " + url + ", audience: shop, " + at + c.settings + "}")
			if _, code := ask(s, token); code != c.want {
				t.Errorf("%s, %s: %q", c.what, at, code)
			}
		}
		spec := &OIDC{Issuer: url, ClientID: "gateway", Scopes: []string{"openid"}, Callback: "/oauth2/callback", Logout: "/oauth2/logout", AfterLogout: "/",
			Login: true, Timeout: 5 * time.Second, Session: OIDCSession{MaxAge: time.Hour}}
		if err := config.Decode(config.Source{Name: "t", Data: []byte("{issuer: " + url + ", client_id: gateway, " + c.settings + "}")}, spec, config.Options{}); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		if resp := newSite(t, w, w.compile(spec)).step(http.DefaultClient, "/"); resp.StatusCode != c.login {
			t.Errorf("%s: the login page is %d", c.what, resp.StatusCode)
		}
	}
	for _, wrong := range []string{"cert: " + gateway.Cert, "key: " + gateway.Key, "cert: nowhere.pem, key: nowhere.pem"} {
		if _, err := newDesk(t).compile("{issuer: " + url + ", audience: shop, " + wrong + "}"); err == nil || Faults(err)[0].Path != "cert" {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// What is wrong with the files is said without what is in them; other content
// is another fingerprint.
func TestCallTLSFaults(t *testing.T) {
	ca := testca.New(t, "root")
	a, b := ca.Client("a"), ca.Client("b")
	junk := filepath.Join(t.TempDir(), "junk.pem")
	os.WriteFile(junk, []byte("-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n"), 0o600)
	for _, c := range []struct {
		trust CallTLS
		path  string
	}{
		{CallTLS{CA: "nowhere.pem"}, "ca"}, {CallTLS{CA: junk}, "ca"}, {CallTLS{Cert: a.Cert}, "cert"}, {CallTLS{Key: a.Key}, "cert"},
		{CallTLS{Cert: a.Cert, Key: b.Key}, "cert"}, {CallTLS{Cert: a.Cert, Key: junk}, "cert"}, {CallTLS{Cert: a.Cert, Key: "nowhere.pem"}, "cert"},
	} {
		_, _, err := c.trust.Config()
		if err == nil || strings.Contains(err.Error(), "planted") || callFault(err) != c.path {
			t.Errorf("%+v: %v", c.trust, err)
		}
	}
	seen := map[string]bool{}
	for _, trust := range []CallTLS{{}, {CA: ca.File}, {ca.File, a.Cert, a.Key}, {ca.File, b.Cert, b.Key}, {"", a.Cert, a.Key}} {
		conf, print, err := trust.Config()
		if err != nil || conf.InsecureSkipVerify || seen[print] {
			t.Errorf("%+v: %v", trust, err)
		}
		seen[print] = true
	}
}
