package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// sealer encrypts what a browser keeps for us: AES-256-GCM under keys that are
// derived from secrets. The first key seals, all of them open, so that a key can
// be replaced while sessions last.
type sealer struct{ keys []cipher.AEAD }

var errSealed = errors.New("not sealed by us for this purpose")

// newSealer derives the keys. info says what they are for: the same secret gives
// other keys to another client of the issuer.
func newSealer(secrets []string, info string) (*sealer, error) {
	s := new(sealer)
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, info, 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, aead)
	}
	return s, nil
}

// seal encrypts text so that it only opens for this purpose.
func (s *sealer) seal(purpose string, text []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.keys[0].Seal(nil, nil, text, []byte(purpose)))
}

// open decrypts what seal returned for this purpose.
func (s *sealer) open(purpose, sealed string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, errSealed
	}
	for _, key := range s.keys {
		if text, err := key.Open(nil, nil, raw, []byte(purpose)); err == nil {
			return text, nil
		}
	}
	return nil, errSealed
}
