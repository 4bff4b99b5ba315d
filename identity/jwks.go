package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Limits of a set of keys.
const (
	maxKeys    = 128
	maxTries   = 8    // keys that are tried for a token which does not say which is its
	minRSA     = 2048 // bits (RFC 7518 §3.3)
	maxRSA     = 8192
	maxRSAExpo = 1<<31 - 1
)

// methods is how a signature is verified, by alg. What is not in it does not
// exist here: none, and the encrypting algorithms. Ed25519 is EdDSA by its own
// name (RFC 9864).
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
	"PS256": jwt.SigningMethodPS256, "PS384": jwt.SigningMethodPS384, "PS512": jwt.SigningMethodPS512,
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512,
	"EdDSA": jwt.SigningMethodEdDSA, "Ed25519": jwt.SigningMethodEdDSA,
	"HS256": jwt.SigningMethodHS256, "HS384": jwt.SigningMethodHS384, "HS512": jwt.SigningMethodHS512,
}

// verifyKey is a key that may have signed a token.
type verifyKey struct {
	kid  string // "": it has none, and fits every kid
	algs []string
	key  any
	sum  [32]byte    // of all the above: the same key in the next set is the same
	gone atomic.Bool // it is in the set no more
}

// keySet is a set of keys. It does not change.
type keySet struct{ keys []*verifyKey }

// candidates returns the keys that may have signed a token with this kid and
// alg, at most maxTries. An alg that a key is not for never meets it: that, and
// not the caller's care, is what makes confusion of algorithms impossible.
func (s *keySet) candidates(kid, alg string) (keys [maxTries]*verifyKey, n int) {
	for exact := range 2 { // those with the very kid first
		for _, k := range s.keys {
			if n == maxTries {
				return keys, n
			}
			fits := kid != "" && k.kid == kid
			if exact == 1 {
				fits = !fits && (kid == "" || k.kid == "")
			}
			if fits && slices.Contains(k.algs, alg) {
				keys[n] = k
				n++
			}
		}
	}
	return keys, n
}

// succeed makes s the successor of old: keys that both have stay the same, and
// tokens that were verified with a key that only old has are good no more.
func (s *keySet) succeed(old *keySet) {
	if old == nil {
		return
	}
	for _, o := range old.keys {
		i := slices.IndexFunc(s.keys, func(k *verifyKey) bool { return k.sum == o.sum })
		if i >= 0 {
			s.keys[i] = o
		} else {
			o.gone.Store(true)
		}
	}
}

// parseJWKS reads a JWK Set (RFC 7517 §5). Keys that can't be used here are
// skipped, each with a sentence: one of a new kind must not take the others with it.
func parseJWKS(data []byte, allowed []string) (*keySet, []error, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, nil, errors.New("not a JSON Web Key Set")
	}
	s := new(keySet)
	var skipped []error
	for i, raw := range set.Keys {
		if i == maxKeys {
			skipped = append(skipped, fmt.Errorf("keys after the first %d", maxKeys))
			break
		}
		k, err := parseJWK(raw, allowed)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i, err))
		} else if !slices.ContainsFunc(s.keys, func(o *verifyKey) bool { return o.sum == k.sum }) {
			s.keys = append(s.keys, k)
		}
	}
	if len(s.keys) == 0 {
		return nil, skipped, errors.New("no key of the set can be used")
	}
	return s, skipped, nil
}

// parseJWK reads a public key.
func parseJWK(raw []byte, allowed []string) (*verifyKey, error) {
	m, err := readObject(raw, 64)
	if err != nil {
		return nil, err
	}
	if use, has := m["use"]; has && use != "sig" {
		return nil, errors.New("not for signatures")
	}
	if ops, has := m["key_ops"]; has {
		list, _ := ops.([]any)
		if !slices.Contains(list, any("verify")) {
			return nil, errors.New("not for verifying")
		}
	}
	if m["kty"] == "oct" {
		return nil, errors.New("a secret among public keys")
	}
	for _, private := range []string{"d", "k", "p", "q", "priv"} {
		if _, has := m[private]; has {
			return nil, errors.New("a private key among public keys")
		}
	}
	// What the certificates say does not count: the set itself is what is trusted.
	for name := range m {
		if len(name) >= 3 && name[:3] == "x5c" || name == "x5u" || name == "x5t" || name == "x5t#S256" {
			delete(m, name)
		}
	}
	bare, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(bare); err != nil {
		return nil, fmt.Errorf("unknown or broken: %w", err)
	}
	return newVerifyKey(k.Key, k.KeyID, k.Algorithm, allowed)
}

// newVerifyKey returns a key for the algorithms that its type, its own alg and
// the configuration allow.
func newVerifyKey(key any, kid, alg string, allowed []string) (*verifyKey, error) {
	if len(kid) > maxKeyID {
		return nil, errors.New("its id is too long")
	}
	algs, der, err := algorithmsOf(key)
	if err != nil {
		return nil, err
	}
	if alg == "Ed25519" {
		alg = "EdDSA" // both names are the same thing for such a key
	}
	algs = slices.DeleteFunc(algs, func(a string) bool {
		return alg != "" && a != alg && !(alg == "EdDSA" && a == "Ed25519") || !slices.Contains(allowed, a)
	})
	if len(algs) == 0 {
		return nil, fmt.Errorf("none of the accepted algorithms is for it (its own: %q)", clipped(alg))
	}
	k := &verifyKey{kid: kid, algs: algs, key: key}
	h := sha256.New()
	fmt.Fprintf(h, "%q %q ", kid, algs)
	h.Write(der)
	h.Sum(k.sum[:0])
	return k, nil
}

// algorithmsOf returns the algorithms that a public key can be used with, and
// its encoding.
func algorithmsOf(key any) (algs []string, der []byte, err error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA || k.E < 3 || k.E&1 == 0 || k.E > maxRSAExpo {
			return nil, nil, fmt.Errorf("an RSA key of %d bits", n)
		}
		algs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			algs = []string{"ES256"}
		case elliptic.P384():
			algs = []string{"ES384"}
		case elliptic.P521():
			algs = []string{"ES512"}
		}
	case ed25519.PublicKey:
		algs = []string{"EdDSA", "Ed25519"}
	}
	if algs == nil {
		return nil, nil, fmt.Errorf("a %T is no public key for signatures", key)
	}
	der, err = x509.MarshalPKIXPublicKey(key)
	return algs, der, err
}

// secretSet is the set of the one secret that a source and its issuer share.
func secretSet(secret string, allowed []string) *keySet {
	k := &verifyKey{algs: allowed, key: []byte(secret)}
	k.sum = sha256.Sum256([]byte("secret " + secret))
	return &keySet{[]*verifyKey{k}}
}

// parseKeys reads keys that stand in the configuration or in a file: PEM, a JWK
// or a JWK Set. All of them must be usable.
func parseStaticKeys(data []byte, allowed []string) ([]*verifyKey, error) {
	if i := slices.IndexFunc(data, func(c byte) bool { return c > ' ' }); i >= 0 && data[i] == '{' {
		var probe struct {
			Keys json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(data, &probe); err != nil {
			return nil, errors.New("not a JSON Web Key")
		}
		if probe.Keys == nil {
			k, err := parseJWK(data, allowed)
			return []*verifyKey{k}, err
		}
		set, skipped, err := parseJWKS(data, allowed)
		if err = errors.Join(append(skipped, err)...); err != nil {
			return nil, err
		}
		return set.keys, nil
	}
	var keys []*verifyKey
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		key, err := parsePEM(block)
		if err != nil {
			return nil, err
		}
		k, err := newVerifyKey(key, "", "", allowed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it: PEM, a JWK or a JWK Set is expected")
	}
	return keys, nil
}

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block %q where a PUBLIC KEY or CERTIFICATE is expected", block.Type)
}

// clipped is a text of somebody else's as an error shows it.
func clipped(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
