package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"gopura/config"
	"gopura/gateway"
)

// issuer is a small OpenID provider where everybody is ada.
func issuer(t testing.TB) *httptest.Server {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	var mu sync.Mutex
	nonces := map[string]string{}
	var s *httptest.Server
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, r *http.Request) {
		json.NewEncoder(rw).Encode(map[string]any{
			"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("/keys", func(rw http.ResponseWriter, r *http.Request) {
		json.NewEncoder(rw).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "x": b64(raw[1:33]), "y": b64(raw[33:]),
		}}})
	})
	mux.HandleFunc("/authorize", func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		mu.Lock()
		nonces["planted-code"] = q.Get("nonce")
		mu.Unlock()
		http.Redirect(rw, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"planted-code"}, "state": {q.Get("state")}}.Encode(), 302)
	})
	mux.HandleFunc("/token", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": s.URL, "aud": "shop", "sub": "ada", "nonce": nonces[r.PostFormValue("code")], "iat": time.Now().Unix(), "exp": time.Now().Unix() + 300,
		})
		token.Header["kid"] = "k"
		text, _ := token.SignedString(key)
		rw.Header().Set("Content-Type", "application/json")
		json.NewEncoder(rw).Encode(map[string]any{"access_token": "planted-token", "token_type": "Bearer", "expires_in": 300, "id_token": text})
	})
	s = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// A browser without a session is led to the issuer and back, over TLS, to the
// page that it wanted; the way back needs no route; a reload keeps the session.
func TestLoginThroughTheGateway(t *testing.T) {
	idp := issuer(t)
	shop := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s for %s, cookies %q", r.URL.RequestURI(), r.Header.Get("X-User"), r.Header.Get("Cookie"))
	}))
	t.Cleanup(shop.Close)
	dir := t.TempDir()
	file, records := filepath.Join(dir, "gopura.yaml"), filepath.Join(dir, "access.log")
	text := fmt.Sprintf(`
listen: { main: { address: "127.0.0.1:0", tls: self_signed, http: "1.1" } }
access_log: %s
identity:
  people:
    oidc: { issuer: %q, client_id: shop }
services: { shop: %q }
routes:
  - match: /shop/*
    to: shop
    identity: { accept: people, forward: { X-User: sub } }
`, records, idp.URL, shop.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	var mu sync.Mutex
	g := gateway.New(gateway.Options{
		Log:  slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Load: func() (*config.Document, error) { return config.Load(file, gateway.ConfigOptions()) },
	})
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { scripted{Gateway: g}.Close() })
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: insecureTransport(t)}
	visit := func(path, accept string) (int, string) {
		t.Helper()
		r, _ := http.NewRequest("GET", "https://"+g.Address("main")+path, nil)
		r.Header.Set("Accept", accept)
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if status, body := visit("/shop/cart", "application/json"); status != 401 || !strings.Contains(body, "identity_required") {
		t.Errorf("no page, no session: %d %s", status, body)
	}
	want := `/shop/cart?a=1 for ada, cookies ""`
	for range 2 {
		if status, body := visit("/shop/cart?a=1", "text/html"); status != 200 || body != want {
			t.Errorf("got %d %s", status, body)
		}
		if err := g.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := visit("/shop/cart?a=1", "application/json"); status != 200 || body != want {
		t.Errorf("after a reload: %d %s", status, body)
	}
	if status, _ := visit("/oauth2/callback", "text/html"); status != 401 {
		t.Errorf("a callback for nothing: %d", status)
	}
	if status, _ := visit("/oauth2/logout", "text/html"); status != 404 { // led to /, where nothing is
		t.Errorf("logout: %d", status)
	}
	if status, _ := visit("/shop/cart", "application/json"); status != 401 {
		t.Errorf("after the logout: %d", status)
	}
	time.Sleep(300 * time.Millisecond)
	data, _ := os.ReadFile(records)
	mu.Lock()
	defer mu.Unlock()
	for _, secret := range []string{"planted-code", "planted-token"} {
		if strings.Contains(string(data)+log.String(), secret) {
			t.Errorf("%q is in a record or the log:\n%s\n%s", secret, data, log.String())
		}
	}
	if !strings.Contains(string(data), `"route":"identity people"`) {
		t.Errorf("no record of the way back:\n%s", data)
	}
}

func insecureTransport(t testing.TB) *http.Transport {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the gateway's certificate is its own
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
