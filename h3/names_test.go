package h3

import (
	"crypto/sha1"
	"encoding/base64"
)

// acceptKey is what belongs to a Sec-WebSocket-Key (RFC 6455 §4.2.2).
func acceptKey(key []byte) string {
	sum := sha1.Sum(append(key[:len(key):len(key)], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.EncodeToString(sum[:])
}
