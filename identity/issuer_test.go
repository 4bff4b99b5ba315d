package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
)

// maker is a private key of an issuer.
type maker struct {
	kid, alg string
	key      crypto.Signer
}

func newMaker(t testing.TB, kid, alg string) *maker {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &maker{kid, alg, key}
}

// jwk is the public key as the issuer publishes it.
func (s *maker) jwk() map[string]any {
	b, err := json.Marshal(jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: s.alg, Use: "sig"})
	if err != nil {
		panic(err)
	}
	var m map[string]any
	json.Unmarshal(b, &m)
	return m
}

// sign signs any header and payload, as texts.
func (s *maker) sign(header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	sig, err := methods[s.alg].Sign(signed, s.key)
	if err != nil {
		panic(err)
	}
	return signed + "." + b64(string(sig))
}

// token signs claims.
func (s *maker) token(claims map[string]any) string {
	header := map[string]any{"alg": s.alg}
	if s.kid != "" {
		header["kid"] = s.kid
	}
	return s.sign(toJSON(header), toJSON(claims))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// issuer is a real issuer on a loopback port.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []map[string]any
	answer  http.HandlerFunc // in place of the keys; nil: the keys
	head    http.Header
	fetches atomic.Int64 // of the keys
	finds   atomic.Int64 // of the discovery document
	claimed string       // issuer in the discovery document
}

func newIssuer(t testing.TB, signers ...*maker) *issuer {
	i := &issuer{head: http.Header{}}
	i.publish(signers...)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		i.finds.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		json.NewEncoder(w).Encode(map[string]any{"issuer": i.claimed, "jwks_uri": i.URL + "/keys", "token_endpoint": i.URL + "/token"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		answer, keys := i.answer, i.keys
		for name, values := range i.head {
			w.Header()[name] = values
		}
		i.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	})
	i.Server = httptest.NewServer(mux)
	i.claimed = i.URL
	t.Cleanup(i.Close)
	return i
}

// publish replaces the keys.
func (i *issuer) publish(signers ...*maker) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = nil
	for _, s := range signers {
		i.keys = append(i.keys, s.jwk())
	}
}

// answers replaces the answer; nil: the keys again.
func (i *issuer) answers(f http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = f
}

// good are claims that a source for audience "shop" accepts.
func (i *issuer) good() map[string]any { return goodClaims(i.URL) }

func goodClaims(iss string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": iss, "aud": "shop", "sub": "alice", "exp": now + 300, "iat": now, "nbf": now}
}

// with returns claims with some changed; nil takes one out.
func with(claims map[string]any, more map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range claims {
		out[k] = v
	}
	for k, v := range more {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

// desk is where sources are compiled and asked.
type desk struct {
	t     testing.TB
	pool  lifetime.Pool
	scope *lifetime.Scope
	log   slog.Handler
	now   func() time.Time
	dir   string
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t, scope: new(lifetime.Scope), log: slog.DiscardHandler, now: time.Now, dir: t.TempDir()}
	t.Cleanup(func() { d.scope.Close() })
	return d
}

// jwt compiles settings written as YAML, and lets the source fetch its keys.
func (d *desk) jwt(settings string) *jwtSource {
	d.t.Helper()
	s, err := d.compile(settings)
	if err != nil {
		d.t.Fatal(err)
	}
	return s.(*jwtSource)
}

func (d *desk) compile(settings string) (Source, error) {
	d.t.Helper()
	spec := new(JWT)
	if err := config.Decode(config.Source{Name: "jwt.yaml", Data: []byte(settings)}, spec, config.Options{}); err != nil {
		return nil, err
	}
	env, err := expr.New(expr.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	var prepare []func(context.Context)
	s, err := spec.Compile(&Env{
		Name: "idp", Expr: env, Scope: d.scope, Pool: &d.pool, Log: slog.New(d.log), Dir: d.dir, Now: d.now,
		Prepare: func(f func(context.Context)) { prepare = append(prepare, f) },
		Asserts: func(...string) {},
	})
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Second)
	defer cancel()
	for _, f := range prepare {
		f(ctx)
	}
	return s, err
}

// reload is a new configuration in the place of the last one.
func (d *desk) reload(settings string) *jwtSource {
	d.t.Helper()
	old := d.scope
	d.scope = new(lifetime.Scope)
	s := d.jwt(settings)
	old.Close()
	return s
}

// asking is an exchange with these header fields, "Name: value".
func asking(fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Client: &exchange.Client{}}
	x.Request.Method, x.Request.Target, x.Request.Path, x.Request.Body = "GET", []byte("/"), []byte("/"), exchange.NoBody
	for _, f := range fields {
		for i := range f {
			if f[i] == ':' {
				x.Request.Header.Add(f[:i], f[i+2:])
				break
			}
		}
	}
	return x
}

// ask asks a source with a token in the usual place, and returns the error's
// code, "" for none.
func ask(s Source, token string) (*exchange.Identity, string) {
	id, err := s.Identify(asking("Authorization: Bearer " + token))
	if err != nil {
		return nil, exchange.AsError(err).Code
	}
	return id, ""
}

// unsigned makes a token with an empty signature.
func unsigned(header, payload string) string { return b64(header) + "." + b64(payload) + "." }

// hmacToken signs with a secret.
func hmacToken(alg, header, payload string, secret []byte) string {
	signed := b64(header) + "." + b64(payload)
	sig, err := jwt.GetSigningMethod(alg).Sign(signed, secret)
	if err != nil {
		panic(err)
	}
	return signed + "." + b64(string(sig))
}

// check compiles settings without asking anybody.
func (d *desk) check(settings string) (Source, error) {
	spec := new(JWT)
	if err := config.Decode(config.Source{Name: "jwt.yaml", Data: []byte(settings)}, spec, config.Options{}); err != nil {
		return nil, err
	}
	return spec.Compile(&Env{
		Name: "idp", Scope: d.scope, Pool: &d.pool, Log: slog.New(d.log), Dir: d.dir, Now: d.now,
		Prepare: func(func(context.Context)) {}, Asserts: func(...string) {},
	})
}

// caFile is a file with the certificate of a test server.
func caFile(t testing.TB, s *httptest.Server) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
