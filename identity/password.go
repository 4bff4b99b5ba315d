package identity

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// passwordHash is what a file says of a password.
type passwordHash interface{ matches(password []byte) bool }

// Limits of what one check of a password may cost: a hash in the file must not
// be able to stop the gateway.
const (
	maxBcryptCost   = 16
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonTime    = 16
	maxArgonThreads = 16
)

var (
	errWeakHash    = errors.New("this kind of hash is too weak: use bcrypt (htpasswd -B) or argon2id")
	errUnknownHash = errors.New("not a bcrypt ($2y$…) or argon2id ($argon2id$…) hash")
)

// HashPassword makes the hash of a password for a file of users. A password of
// more than 72 bytes is an error: bcrypt would not look at the rest.
func HashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 11)
	return string(hash), err
}

// parsePasswordHash reads a hash. Its errors don't show it.
func parsePasswordHash(text string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	case strings.HasPrefix(text, "$argon2"):
		return nil, errors.New("of the argon2 hashes only argon2id is accepted")
	}
	for _, weak := range []string{"{", "$apr1$", "$1$", "$2$", "$2x$", "$5$", "$6$"} {
		if strings.HasPrefix(text, weak) {
			return nil, errWeakHash
		}
	}
	if len(text) == 13 { // crypt(3) has no mark
		return nil, errWeakHash
	}
	return nil, errUnknownHash
}

type bcryptHash []byte

const bcryptLength = 60

func parseBcrypt(text string) (passwordHash, error) {
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != bcryptLength:
		return nil, errors.New("a bcrypt hash that is damaged")
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("a bcrypt cost of more than %d", maxBcryptCost)
	}
	return bcryptHash(text), nil
}

// matches implements passwordHash. Of a long password bcrypt would look at the
// first 72 bytes only: such a one never matches.
func (h bcryptHash) matches(password []byte) bool {
	long := len(password) > 72
	if long {
		password = password[:72]
	}
	return bcrypt.CompareHashAndPassword(h, password) == nil && !long
}

type argonHash struct {
	time, memory uint32
	threads      uint8
	salt, sum    []byte
}

// parseArgon reads $argon2id$v=19$m=65536,t=3,p=4$salt$sum.
func parseArgon(text string) (passwordHash, error) {
	damaged := errors.New("an argon2id hash that is damaged")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, damaged
	}
	var h argonHash
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return nil, damaged
	}
	m, ok1 := argonCost(costs[0], "m=", maxArgonMemory)
	t, ok2 := argonCost(costs[1], "t=", maxArgonTime)
	p, ok3 := argonCost(costs[2], "p=", maxArgonThreads)
	if !ok1 || !ok2 || !ok3 || m < 8*p {
		return nil, fmt.Errorf("an argon2id hash whose costs are damaged or above m=%d, t=%d, p=%d", maxArgonMemory, maxArgonTime, maxArgonThreads)
	}
	h.memory, h.time, h.threads = m, t, uint8(p)
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.sum, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.sum) < 16 || len(h.sum) > 64 {
		return nil, damaged
	}
	return &h, nil
}

func argonCost(text, name string, most uint64) (uint32, bool) {
	digits, ok := strings.CutPrefix(text, name)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && n > 0 && n <= most
}

func (h *argonHash) matches(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// user is a line of an htpasswd file.
type user struct {
	name string
	hash passwordHash
}

// parseHtpasswd reads lines of name:hash; empty ones and those after # don't count.
func parseHtpasswd(data []byte) ([]user, error) {
	var users []user
	seen := map[string]bool{}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, text, ok := strings.Cut(string(line), ":")
		switch {
		case !ok || name == "":
			return nil, fmt.Errorf("line %d is not name:hash", n)
		case seen[name]:
			return nil, fmt.Errorf("line %d: the user %q is there twice", n, name)
		}
		h, err := parsePasswordHash(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: user %q: %w", n, name, err)
		}
		seen[name] = true
		users = append(users, user{name, h})
	}
	if len(users) == 0 {
		return nil, errors.New("no user in it")
	}
	return users, nil
}
