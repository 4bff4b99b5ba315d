package route

import (
	"bytes"

	"gopura/exchange"
)

// decodeAt returns the byte that stands at b[i], and the index after it. An
// invalid escape stands for itself; plus says that "+" is a space.
func decodeAt(b []byte, i int, plus bool) (byte, int) {
	switch c := b[i]; {
	case c == '%' && i+2 < len(b) && unhex[b[i+1]] >= 0 && unhex[b[i+2]] >= 0:
		return byte(unhex[b[i+1]])<<4 | byte(unhex[b[i+2]]), i + 3
	case c == '+' && plus:
		return ' ', i + 1
	default:
		return c, i + 1
	}
}

// cutDecoded returns b after the bytes that decode to prefix.
func cutDecoded(b []byte, prefix string, plus bool) (rest []byte, ok bool) {
	i := 0
	for j := 0; j < len(prefix); j++ {
		if i == len(b) {
			return nil, false
		}
		var c byte
		if c, i = decodeAt(b, i, plus); c != prefix[j] {
			return nil, false
		}
	}
	return b[i:], true
}

// decode returns what b stands for: b itself when nothing is encoded.
func decode(a *exchange.Arena, b []byte, plus bool) []byte {
	if bytes.IndexByte(b, '%') < 0 && !(plus && bytes.IndexByte(b, '+') >= 0) {
		return b
	}
	out := a.Grow(len(b))
	for i := 0; i < len(b); {
		var c byte
		c, i = decodeAt(b, i, plus)
		out = append(out, c)
	}
	return out
}

// unhex holds the value of a hexadecimal digit, -1 for other bytes.
var unhex = func() (t [256]int8) {
	for c := range t {
		t[c] = -1
	}
	for v := range int8(16) {
		t[upperHex[v]], t[upperHex[v]|0x20] = v, v
	}
	return t
}()

const upperHex = "0123456789ABCDEF"
