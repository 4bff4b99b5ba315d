package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"gopura/exchange"
)

// A token that is bound to a key is worth something only with that key, also
// when it is remembered.
func TestBinding(t *testing.T) {
	const secret = "a secret that is long enough for it"
	ca := newAuthority(t, "CA")
	own, other := ca.issue(&x509.Certificate{}), ca.issue(&x509.Certificate{})
	over := map[string]*tls.ConnectionState{
		"no TLS": nil, "no certificate": shake(t, ca, tls.RequestClientCert, nil),
		"its certificate": shake(t, ca, tls.RequestClientCert, &own), "another": shake(t, ca, tls.RequestClientCert, &other),
	}
	sum := sha256.Sum256(own.Leaf.Raw)
	thumb := base64.RawURLEncoding.EncodeToString(sum[:])
	tokens := map[string]map[string]any{
		"unbound":     {},
		"bound":       {"cnf": map[string]any{"x5t#S256": thumb}},
		"to a key":    {"cnf": map[string]any{"jkt": thumb}},
		"to both":     {"cnf": map[string]any{"x5t#S256": thumb, "jkt": thumb}},
		"to nonsense": {"cnf": "x5t#S256"},
		"to nothing":  {"cnf": map[string]any{}},
	}
	sources := map[string]*jwtSource{}
	for _, mode := range []string{bindingVerify, bindingRequire, bindingIgnore} {
		sources[mode] = newDesk(t).jwt("{issuer: me, audience: shop, secret: " + secret + ", algorithms: HS256, binding: " + mode + "}")
	}
	good := func(mode, token, connection string) bool {
		switch {
		case mode == bindingIgnore:
			return true
		case token == "unbound":
			return mode == bindingVerify
		}
		return token == "bound" && connection == "its certificate"
	}
	for mode, source := range sources {
		for name, more := range tokens {
			text := hmacToken("HS256", `{"alg":"HS256"}`, toJSON(with(goodClaims("me"), more)), []byte(secret))
			for range 2 { // the second time the tokens are remembered
				for connection, state := range over {
					x := asking("Authorization: Bearer " + text)
					x.Client.TLS = state
					_, err := source.Identify(x)
					if want := good(mode, name, connection); want != (err == nil) || !want && !exchange.IdentityInvalid.Is(err) {
						t.Errorf("%s, a token %s, %s: %v", mode, name, connection, err)
					}
				}
			}
		}
	}
}

// What introspection says of a token's binding holds as well (RFC 8705 §3.2).
func TestIntrospectedBinding(t *testing.T) {
	ca := newAuthority(t, "CA")
	own := ca.issue(&x509.Certificate{})
	sum := sha256.Sum256(own.Leaf.Raw)
	server := newIntrospector(t)
	server.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(toJSON(map[string]any{"active": true, "sub": "ada", "cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})))
	})
	spec := server.spec()
	spec.Cache = time.Minute
	s := newWorld(t).compile(spec)
	for range 2 {
		expect(t, s, bearer("bound"), bad)
		x := bearer("bound")
		x.Client.TLS = shake(t, ca, tls.RequestClientCert, &own)
		expect(t, s, x, "ada")
	}
}
