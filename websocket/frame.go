package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// Opcodes (RFC 6455 §5.2).
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

// Close codes (RFC 6455 §7.4.1).
const (
	Normal      = 1000
	GoingAway   = 1001
	Protocol    = 1002
	Unsupported = 1003
	NotUTF8     = 1007
	TooBig      = 1009
)

const (
	MaxHead    = 14  // bytes of a head
	MaxControl = 125 // bytes of a control frame's payload
)

// Head is what stands in front of a frame's payload.
type Head struct {
	Op       byte
	Final    bool
	Reserved byte // RSV1 to RSV3, where they stand
	Length   int64
	Key      [4]byte // of a masked frame
}

// IsControl reports whether the frame is a close, a ping or a pong.
func (h *Head) IsControl() bool { return h.Op >= Close }

// ParseHead reads the head that b begins with; masked says whether it has to be
// of a client. A size of 0 means that it is not all there. A code is why no valid
// frame begins so: it is known as early as the bytes tell.
func ParseHead(b []byte, masked bool) (h Head, size int, code uint16) {
	if len(b) < 2 {
		return h, 0, 0
	}
	h.Op, h.Final, h.Reserved, h.Length = b[0]&15, b[0]&0x80 != 0, b[0]&0x70, int64(b[1]&0x7f)
	switch {
	case b[1]&0x80 != 0 != masked: // §5.1
		return h, 0, Protocol
	case h.Op > Binary && h.Op < Close || h.Op > Pong:
		return h, 0, Protocol
	case h.IsControl() && (!h.Final || h.Length > MaxControl): // §5.5
		return h, 0, Protocol
	}
	size = 2
	switch h.Length {
	case 126:
		size = 4
		if len(b) >= size {
			h.Length = int64(binary.BigEndian.Uint16(b[2:]))
		}
	case 127:
		size = 10
		if len(b) >= size {
			if h.Length = int64(binary.BigEndian.Uint64(b[2:])); h.Length < 0 {
				return h, 0, Protocol
			}
		}
	}
	if masked {
		if size += 4; len(b) >= size {
			h.Key = [4]byte(b[size-4:])
		}
	}
	if len(b) < size {
		return h, 0, 0
	}
	return h, size, 0
}

// Unmask takes the mask off b, which begins at an offset of the payload.
func (h *Head) Unmask(b []byte, offset int) {
	for i := range b {
		b[i] ^= h.Key[(offset+i)&3]
	}
}

// AppendMessage appends a message of a server, in one frame.
func AppendMessage(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// AppendControl appends a control frame, of what fits of its payload. A masked
// one has a key of zeros: the key protects browsers' caches from pages, and we
// are no page.
func AppendControl(dst []byte, op byte, masked bool, payload []byte) []byte {
	payload = payload[:min(len(payload), MaxControl)]
	dst = append(dst, 0x80|op, byte(len(payload)))
	if masked {
		dst[len(dst)-1] |= 0x80
		dst = append(dst, 0, 0, 0, 0)
	}
	return append(dst, payload...)
}

// ClosePayload is a code and as much of a reason as fits, in whole characters.
func ClosePayload(code uint16, reason string) []byte {
	for len(reason) > MaxControl-2 {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), code), reason...)
}

// CloseCode returns the code of a close frame; 0 when it has none. A payload that
// may not be (§7.4, §5.5.1) is Protocol.
func CloseCode(payload []byte) uint16 {
	if len(payload) == 0 {
		return 0
	}
	if len(payload) == 1 || !utf8.Valid(payload[2:]) {
		return Protocol
	}
	code := binary.BigEndian.Uint16(payload)
	if code < 1000 || code >= 5000 || code >= 1004 && code <= 1006 || code >= 1015 && code < 3000 {
		return Protocol
	}
	return code
}

// Token is what Upgrade, and :protocol of an extended CONNECT, say (§4.1, RFC 8441 §5).
const Token = "websocket"

// AcceptKey is the Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key
// (§4.2.2).
func AcceptKey(key []byte) string {
	h := sha1.New()
	h.Write(key)
	h.Write([]byte("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// ValidKey reports whether a Sec-WebSocket-Key is one: 16 bytes in base64 (§4.2.1).
func ValidKey(key []byte) bool {
	b, err := base64.StdEncoding.AppendDecode(nil, key)
	return err == nil && len(b) == 16
}
