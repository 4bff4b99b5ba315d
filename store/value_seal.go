package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"
)

// MinSecret is the length of a secret that is worth the name.
const MinSecret = 32

// sealed are Values whose content only who has the secret can read or make.
type sealed struct {
	Values
	aead cipher.AEAD
}

// Sealed returns values that are encrypted in v (AES-256-GCM, by a key derived
// from secret), each bound to its key: whoever can write to the store can
// delete them, bring old ones back and nothing else. Keys and life are to be
// seen.
func Sealed(v Values, secret string) (Values, error) {
	if len(secret) < MinSecret {
		return nil, errors.New("a secret has at least 32 characters")
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "gopura store values 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealed{v, aead}, err
}

var errSeal = errors.New("a value in the store was sealed with another secret, or is damaged")

func (s *sealed) seal(key string, value []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(value)+s.aead.Overhead())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, value, []byte(key))
}

// Get implements Values.
func (s *sealed) Get(ctx context.Context, key string) ([]byte, bool, error) {
	text, found, err := s.Values.Get(ctx, key)
	if err != nil || !found {
		return nil, false, err
	}
	n := s.aead.NonceSize()
	if len(text) < n {
		return nil, false, errSeal
	}
	value, err := s.aead.Open(nil, text[:n], text[n:], []byte(key))
	if err != nil {
		return nil, false, errSeal
	}
	return value, true, nil
}

// Set implements Values.
func (s *sealed) Set(ctx context.Context, key string, value []byte, life time.Duration) error {
	return s.Values.Set(ctx, key, s.seal(key, value), life)
}

// Add implements Values.
func (s *sealed) Add(ctx context.Context, key string, value []byte, life time.Duration) (bool, error) {
	return s.Values.Add(ctx, key, s.seal(key, value), life)
}
