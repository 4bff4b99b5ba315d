package rawjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const replacement = "\uFFFD"

// appendDecoded appends the text of a checked string, given without its
// quotes. What is no Unicode text (a lone surrogate, invalid UTF-8) becomes
// U+FFFD.
func appendDecoded(dst, src []byte) []byte {
	for len(src) > 0 {
		i := bytes.IndexByte(src, '\\')
		if i < 0 {
			return appendValid(dst, src)
		}
		dst = appendValid(dst, src[:i])
		var n int
		dst, n = appendEscape(dst, src[i:])
		src = src[i+n:]
	}
	return dst
}

// appendEscape appends what the escape at the beginning of src stands for and
// returns its length.
func appendEscape(dst, src []byte) ([]byte, int) {
	switch c := src[1]; c {
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
	default:
		return append(dst, c), 2
	}
	r, n := hex4(src[2:]), 6
	if utf16.IsSurrogate(r) {
		// Two escapes make one character beyond the BMP (RFC 8259 §7).
		low := rune(-1)
		if len(src) >= 12 && src[6] == '\\' && src[7] == 'u' {
			low = hex4(src[8:])
		}
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			n = 12
		}
	}
	return utf8.AppendRune(dst, r), n
}

func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		d := rune(c&0xf) + rune(c>>6)*9
		r = r<<4 | d
	}
	return r
}

// appendValid appends src with invalid UTF-8 replaced.
func appendValid(dst, src []byte) []byte {
	if utf8.Valid(src) {
		return append(dst, src...)
	}
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

const lowerHex = "0123456789abcdef"

// AppendString appends s as a JSON string, invalid UTF-8 replaced by U+FFFD.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := decodeRune(s, i)
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), replacement...)
				from = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

func decodeRune[T string | []byte](s T, i int) (rune, int) {
	var buf [utf8.UTFMax]byte
	return utf8.DecodeRune(buf[:copy(buf[:], s[i:])])
}
