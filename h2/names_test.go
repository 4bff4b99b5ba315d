package h2

import (
	"crypto/sha1"
	"encoding/base64"
	"regexp"
)

// What tests hold the engine against, in words of their own.

// lowerToken reports whether s is a field name as HTTP/2 has them (RFC 9113 §8.2.1).
func lowerToken(s string) bool { return lowerTokens.MatchString(s) }

var lowerTokens = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9a-z-]+$")

// acceptKey is what belongs to a Sec-WebSocket-Key (RFC 6455 §4.2.2).
func acceptKey(key []byte) string {
	sum := sha1.Sum(append(key[:len(key):len(key)], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.EncodeToString(sum[:])
}
