package expr

import (
	"bytes"

	"gopura/exchange"
)

// appendDecoded appends the percent-decoded text of src. An escape that is
// none stays as it is; plus says that '+' is a space.
func appendDecoded(dst, src []byte, plus bool) []byte {
	for i := 0; i < len(src); i++ {
		c, n := decodeAt(src, i, plus)
		dst = append(dst, c)
		i += n - 1
	}
	return dst
}

// decodeAt returns the decoded byte at i and how many bytes spell it.
func decodeAt(src []byte, i int, plus bool) (byte, int) {
	switch c := src[i]; {
	case c == '%' && i+2 < len(src) && unhex(src[i+1]) < 16 && unhex(src[i+2]) < 16:
		return unhex(src[i+1])<<4 | unhex(src[i+2]), 3
	case c == '+' && plus:
		return ' ', 1
	default:
		return c, 1
	}
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// findQuery returns the encoded value of the first parameter whose decoded
// name is key.
func findQuery(query []byte, key string) ([]byte, bool) {
	for len(query) > 0 {
		pair := query
		if i := bytes.IndexByte(query, '&'); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = nil
		}
		name, value := pair, []byte(nil)
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		if len(pair) > 0 && decodesTo(name, key) {
			return value, true
		}
	}
	return nil, false
}

func decodesTo(src []byte, want string) bool {
	n := 0
	for i := 0; i < len(src); n++ {
		c, size := decodeAt(src, i, true)
		if n >= len(want) || want[n] != c {
			return false
		}
		i += size
	}
	return n == len(want)
}

// findCookie returns the value of the first cookie of that name (RFC 6265
// §5.4; over HTTP/2 a client may send several Cookie fields).
func findCookie(x *exchange.Exchange, name string) ([]byte, bool) {
	for line := range x.Request.Header.Values("cookie") {
		for len(line) > 0 {
			pair := line
			if i := bytes.IndexByte(line, ';'); i >= 0 {
				pair, line = line[:i], line[i+1:]
			} else {
				line = nil
			}
			pair = bytes.Trim(pair, " \t")
			if i := bytes.IndexByte(pair, '='); i == len(name) && string(pair[:i]) == name {
				return pair[i+1:], true
			}
		}
	}
	return nil, false
}
