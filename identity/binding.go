package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"gopura/exchange"
)

// What a source makes of tokens that are bound to a key of their owner (cnf, RFC 7800).
const (
	bindingVerify  = "verify"
	bindingRequire = "require"
	bindingIgnore  = "ignore"
)

var (
	errUnbound       = errors.New("a token that is bound to no certificate")
	errOtherBinding  = errors.New("a token that is bound to a key in a way that can't be verified here")
	errNoCertificate = errors.New("a token that is bound to a certificate, without one")
	errOthersToken   = errors.New("a token that is bound to another certificate")
)

// checkBinding holds a token to the client's certificate that it is bound to
// (RFC 8705 §3). Whether an authority vouches for the certificate does not
// matter: the handshake has proven that the client has its key. A token that is
// bound in another way, such as DPoP, is no bearer token (RFC 9449 §7.2).
// Tokens are remembered apart from this: it is a question of each request.
func checkBinding(x *exchange.Exchange, claims map[string]any, mode string) error {
	cnf, bound := claims["cnf"]
	switch {
	case mode == bindingIgnore, !bound && mode != bindingRequire:
		return nil
	case !bound:
		return exchange.IdentityInvalid.Because(errUnbound)
	}
	methods, _ := cnf.(map[string]any)
	want, ok := methods["x5t#S256"].(string)
	if !ok || len(methods) != 1 {
		return exchange.IdentityInvalid.Because(errOtherBinding)
	}
	t := x.Client.TLS
	if t == nil || len(t.PeerCertificates) == 0 {
		return exchange.IdentityInvalid.Because(errNoCertificate)
	}
	sum := sha256.Sum256(t.PeerCertificates[0].Raw)
	if base64.RawURLEncoding.EncodeToString(sum[:]) != want {
		return exchange.IdentityInvalid.Because(errOthersToken)
	}
	return nil
}
