package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"gopura/config"
)

// keyFile is the content of a file of API keys.
type keyFile struct {
	Owners []keyOwner `yaml:"owners" required:"true" doc:"Who has keys, by name."`
}

// keyOwner is one client and its keys: two of them while one replaces the other.
type keyOwner struct {
	Pos    config.Pos     `yaml:"-"`
	Name   string         `yaml:"-" key:"owner"`
	Claims map[string]any `yaml:"claims" doc:"What is known of the owner: claims of the identity."`
	Keys   []keyEntry     `yaml:"keys" one:"true" required:"true" doc:"The hashes of the owner's keys."`
}

// keyEntry is one key. Its hash is read as a secret, so that a key written there
// by mistake is not shown.
type keyEntry struct {
	Pos     config.Pos    `yaml:"-"`
	Hash    config.Secret `yaml:"hash" short:"true" required:"true" doc:"sha256:HEX or hmac-sha256:HEX, as gopura key prints it."`
	ID      string        `yaml:"id" doc:"A name for the key; the claim key_id."`
	Expires moment        `yaml:"expires" doc:"From when on the key is refused: 2027-01-31 or 2027-01-31T12:00:00Z."`
}

// moment is a time in a file: a day (its beginning, UTC) or RFC 3339.
type moment struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) (err error) {
	if m.Time, err = time.Parse(time.DateOnly, string(text)); err != nil {
		m.Time, err = time.Parse(time.RFC3339, string(text))
	}
	if err != nil {
		return config.Form("a date (2027-01-31) or time (2027-01-31T12:00:00Z)")
	}
	return nil
}

// The kinds of hash of a key. Keys are long random texts, so that one round is
// enough: nobody can guess one, hashed however fast.
const (
	plainHash  = "sha256"
	pepperHash = "hmac-sha256"
)

// apiKeySum is the hash of a key. With a pepper, those who get hold of the file
// can't even check a key that they have.
func apiKeySum(key, pepper string) digest {
	if pepper == "" {
		return sha256.Sum256([]byte(key))
	}
	h := hmac.New(sha256.New, []byte(pepper))
	h.Write([]byte(key))
	var sum digest
	h.Sum(sum[:0])
	return sum
}

// NewAPIKey returns a random key: 256 bits behind a mark by which scanners for
// leaked secrets find it.
func NewAPIKey() string {
	var b [32]byte
	rand.Read(b[:])
	return "gopura_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashAPIKey returns what a file of keys says of a key; pepper may be empty.
func HashAPIKey(key, pepper string) string {
	return keyHashText(apiKeySum(key, pepper), pepper != "")
}

func keyHashText(sum digest, peppered bool) string {
	kind := plainHash
	if peppered {
		kind = pepperHash
	}
	return kind + ":" + hex.EncodeToString(sum[:])
}

// parseKeyHash reads a hash and reports whether it needs the pepper.
func parseKeyHash(text string) (sum digest, peppered bool, err error) {
	kind, digits, ok := strings.Cut(text, ":")
	peppered = kind == pepperHash
	if !ok || kind != plainHash && !peppered {
		return sum, false, fmt.Errorf("a hash is %s:HEX or %s:HEX, as gopura key prints it; never the key itself", plainHash, pepperHash)
	}
	if len(digits) != 2*len(sum) {
		return sum, false, fmt.Errorf("a %s hash has %d hexadecimal digits", kind, 2*len(sum))
	}
	if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
		return sum, false, fmt.Errorf("a %s hash has hexadecimal digits only", kind)
	}
	return sum, peppered, nil
}

// liveKey is a key of a file, ready to be compared.
type liveKey struct {
	sum      digest
	peppered bool
	owner    *keyOwner
	id       string
	expires  time.Time // zero: never
}

// parseKeys reads a file of keys. Its errors show neither hashes nor what was
// written in the place of one.
func parseKeys(name string, data []byte, pepper bool) ([]liveKey, error) {
	var f keyFile
	none := config.Options{Env: func(string) (string, bool) { return "", false }, ReadFile: func(string) ([]byte, error) {
		return nil, errors.New("a file of keys refers to nothing")
	}}
	if err := config.Decode(config.Source{Name: name, Data: data}, &f, none); err != nil {
		return nil, err
	}
	var keys []liveKey
	seen := map[digest]bool{}
	for i := range f.Owners {
		o := &f.Owners[i]
		for _, k := range o.Keys {
			sum, peppered, err := parseKeyHash(k.Hash.Reveal())
			switch {
			case err != nil:
			case peppered && !pepper:
				err = errors.New("a hash with a pepper, but the source has none")
			case seen[sum]:
				err = errors.New("the same key is there twice")
			}
			if err != nil {
				return nil, fmt.Errorf("%s: owner %q: %w", k.Pos, o.Name, err)
			}
			seen[sum] = true
			keys = append(keys, liveKey{sum, peppered, o, k.ID, k.Expires.Time})
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: no key in it", name)
	}
	return keys, nil
}
