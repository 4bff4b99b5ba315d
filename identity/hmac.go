package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

const hmacDoc = "HTTP message signatures (RFC 9421) with a shared secret (hmac-sha256) or an Ed25519 key. A signature covers method, host, path and query, " +
	"and a body by its Content-Digest (RFC 9530); it is accepted within a window of time, once."

// HMAC is the settings of hmac.
type HMAC struct {
	Pos    config.Pos    `yaml:"-"`
	Keys   []SigningKey  `yaml:"keys" required:"true" doc:"The keys, by their keyid."`
	Window time.Duration `yaml:"window" default:"1m" min:"1s" max:"1h" doc:"How far from now a signature may have been created."`
	Cover  []string      `yaml:"cover" one:"true" doc:"Header fields that a signature has to cover as well, and that must be there."`
	Label  string        `yaml:"label" doc:"The label of the signature. Left out: the first one whose key is known."`
	Tag    string        `yaml:"tag" doc:"The tag parameter that a signature must have. Left out: any or none."`
	Nonce  string        `yaml:"nonce" enum:"optional,required" default:"optional" doc:"Whether a signature must have a nonce. Without one, two equal requests within a second are taken for a replay."`
	Body   config.Size   `yaml:"body" default:"1MiB" max:"64MiB" doc:"The largest body that is read to verify its digest."`
	Replay int           `yaml:"replay" default:"100000" min:"1000" max:"10000000" doc:"How many messages are remembered within the window; when they are more, requests are refused with 503."`
}

// SigningKey is a key of hmac.
type SigningKey struct {
	Pos     config.Pos     `yaml:"-"`
	ID      string         `yaml:"-" key:"keyid"`
	Secret  config.Secret  `yaml:"secret" doc:"The shared secret of hmac-sha256, at least 16 bytes; base64:… for one that is no text."`
	Ed25519 string         `yaml:"ed25519" doc:"The public key of ed25519, in base64."`
	Sub     string         `yaml:"sub" doc:"The subject. Default: the keyid."`
	Claims  map[string]any `yaml:"claims" doc:"What is known of the owner of the key: claims of the identity."`
}

const (
	minSigningSecret = 16
	signatureScheme  = "Signature"
)

type httpSignature struct {
	keys      map[string]*signingKey
	settings  *HMAC
	challenge string
	replays   *replays
	now       func() time.Time
}

type signingKey struct {
	signer signer
	id     *exchange.Identity
}

// Compile implements Spec.
func (s *HMAC) Compile(env *Env) (Source, error) {
	v := &httpSignature{keys: map[string]*signingKey{}, settings: s, now: env.Now, challenge: signatureScheme + " realm=" + quoted(env.Name)}
	var faults []error
	for i := range s.Keys {
		k := &s.Keys[i]
		key, err := k.signer()
		if err != nil {
			faults = append(faults, &Fault{Path: "keys." + k.ID, Pos: k.Pos, Err: err})
			continue
		}
		sub := k.Sub
		if sub == "" {
			sub = k.ID
		}
		claims := withSub(k.Claims, sub)
		claims["key_id"] = k.ID
		v.keys[k.ID] = &signingKey{key, &exchange.Identity{Name: env.Name, Sub: sub, Claims: claims}}
	}
	for i, name := range s.Cover {
		if !exchange.ValidName(name) {
			faults = append(faults, &Fault{Path: fmt.Sprintf("cover[%d]", i), Pos: s.Pos, Err: fmt.Errorf("not a field name: %q", name)})
		}
	}
	if len(s.Keys) == 0 {
		faults = append(faults, &Fault{Path: "keys", Pos: s.Pos, Err: errors.New("no keys")})
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	var err error
	// What was seen under one configuration must not pass under the next.
	key := stateKey("hmac", env.Name, fmt.Sprint(s.Replay, s.Window))
	v.replays, err = lifetime.Hold(env.Pool, env.Scope, key, func() (*replays, func(), error) { return newReplays(s.Replay), nil, nil })
	return v, err
}

func (k *SigningKey) signer() (signer, error) {
	switch {
	case k.Secret.IsZero() == (k.Ed25519 == ""):
		return nil, errors.New("a key has either a secret or ed25519")
	case k.Ed25519 != "":
		raw, err := base64.StdEncoding.DecodeString(k.Ed25519)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key is %d bytes in base64", ed25519.PublicKeySize)
		}
		return ed25519Signer(raw), nil
	}
	secret := []byte(k.Secret.Reveal())
	if text, ok := strings.CutPrefix(string(secret), "base64:"); ok {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("the secret is not base64")
		}
		secret = raw
	}
	if len(secret) < minSigningSecret {
		return nil, fmt.Errorf("a secret has at least %d bytes", minSigningSecret)
	}
	return hmacSigner(secret), nil
}

// Challenge implements Challenger. RFC 9421 registers no scheme, but a 401 has to
// name one (RFC 9110 §15.5.2).
func (v *httpSignature) Challenge(*exchange.Exchange, error) string { return v.challenge }

// Identify implements Source.
func (v *httpSignature) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	list, err := readSignatures(&x.Request.Header)
	if err == None {
		return nil, None
	}
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	s, key := v.pick(list)
	if s == nil {
		return nil, exchange.IdentityInvalid.Because(errors.New("no signature with a key that is known"))
	}
	now := v.now()
	if err := v.acceptable(s, key.signer, now); err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	base, err := s.base(x)
	if err != nil {
		return nil, exchange.IdentityInvalid.Because(err)
	}
	if !key.signer.verify(base, s.signature) {
		return nil, exchange.IdentityInvalid.Because(errors.New("a signature that is not that of the message"))
	}
	if err := v.body(x, s); err != nil {
		return nil, err
	}
	// What is remembered is what was signed, not the signature: there may be
	// several right ones of one message.
	until := time.Unix(s.created, 0).Add(v.settings.Window)
	switch v.replays.add(sha256.Sum256(base), now, until) {
	case replayed:
		return nil, exchange.IdentityInvalid.Because(errors.New("a message that was there before"))
	case full:
		return nil, exchange.IdentityUnavailable.Because(errors.New("more messages within the window than can be remembered"))
	}
	return key.id, nil
}

// pick returns the signature that counts.
func (v *httpSignature) pick(list []signed) (*signed, *signingKey) {
	for i := range list {
		if label := v.settings.Label; label != "" && list[i].input.key != label {
			continue
		}
		if key := v.keys[list[i].keyID]; key != nil {
			return &list[i], key
		}
	}
	return nil, nil
}

// acceptable checks what a signature says of itself.
func (v *httpSignature) acceptable(s *signed, key signer, now time.Time) error {
	age := now.Unix() - s.created
	window := int64(v.settings.Window / time.Second)
	switch {
	case s.alg != "" && s.alg != key.alg(): // never the message's choice (RFC 9421 §7.3.6)
		return errors.New("a signature of another algorithm than the key's")
	case !s.hasCreated:
		return errors.New("a signature without created")
	case age > window || age < -window:
		return fmt.Errorf("a signature that is %d seconds old", age)
	case s.hasExpires && now.Unix() >= s.expires:
		return errors.New("a signature that has expired")
	case v.settings.Nonce == "required" && s.nonce == "":
		return errors.New("a signature without nonce")
	case v.settings.Tag != "" && s.tag != v.settings.Tag:
		return errors.New("a signature with another tag")
	case !s.coversTarget():
		return errors.New("a signature that doesn't cover method, host, path and query")
	}
	for _, name := range v.settings.Cover {
		if !s.covers(strings.ToLower(name)) {
			return fmt.Errorf("a signature that doesn't cover %s", name)
		}
	}
	return nil
}

// body verifies that the body is the one that was signed. It is read only for a
// client whose signature is right.
func (v *httpSignature) body(x *exchange.Exchange, s *signed) error {
	b := x.Request.Body
	if !s.digestIsCovered {
		if b.Len() == 0 {
			return nil
		}
		return exchange.IdentityInvalid.Because(errors.New("a signature that doesn't cover the body by content-digest"))
	}
	data, err := exchange.ReadAll(b, int64(v.settings.Body))
	if err != nil {
		return err
	}
	x.Request.Body = exchange.BytesBody(data) // trailers are not signed: they end here
	if !digestMatches(fieldValue(&x.Request.Header, "Content-Digest"), data) {
		return exchange.IdentityInvalid.Because(errors.New("a body that is not the one of the digest"))
	}
	return nil
}
