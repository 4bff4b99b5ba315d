package demo

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// issuer stands for the identity provider that a real shop would have. It is
// as old as the process: its key is made at start, and so is its one token.
type issuer struct {
	key   string // public, as a JWK (RFC 8037)
	token string
}

// tokenLife is how long the token of the demo is good.
const tokenLife = 30 * 24 * time.Hour

func newIssuer(now time.Time) (*issuer, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	key, err := json.Marshal(map[string]string{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": encode(public)})
	if err != nil {
		return nil, err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": "https://id.shop.example", "aud": "shop", "sub": "42", "name": "Asha Raman", "scope": "account",
		"iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	})
	if err != nil {
		return nil, err
	}
	text := encode([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + encode(claims)
	return &issuer{string(key), text + "." + encode(ed25519.Sign(private, []byte(text)))}, nil
}

// tokenHere is what stands for the token in Tries.
const tokenHere = "TOKEN"

// Tries are the requests to propose, with the token of this demo in them.
func (s *Services) Tries() []Try {
	list := slices.Clone(Tries)
	for i := range list {
		list[i].Header = slices.Clone(list[i].Header)
		for j, h := range list[i].Header {
			list[i].Header[j] = strings.Replace(h, tokenHere, s.token, 1)
		}
	}
	return list
}
