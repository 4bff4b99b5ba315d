package telemetry

import (
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// cutMark ends a value that was longer than it may be.
const cutMark = "…"

// plainBytes are those that stand for themselves in both formats.
var plainBytes = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendEscaped appends at most limit bytes of s, so that between two quotes
// they are a JSON string: no control character, no quote, nothing that a
// terminal would obey or that some reader takes for the end of a line (U+0085,
// U+2028), no invalid UTF-8.
func appendEscaped[T ~string | ~[]byte](dst []byte, s T, limit int) []byte {
	return escape(dst, s, limit, false)
}

// appendEscapedText is appendEscaped for text lines: bytes that are not valid
// there are written as \xHH.
func appendEscapedText[T ~string | ~[]byte](dst []byte, s T, limit int) []byte {
	return escape(dst, s, limit, true)
}

func escape[T ~string | ~[]byte](dst []byte, s T, limit int, text bool) []byte {
	n := cut(s, limit)
	start := 0
	for i := 0; i < n; {
		c := s[i]
		if plainBytes[c] {
			i++
			continue
		}
		w := 1
		var r rune = utf8.RuneError
		if c >= utf8.RuneSelf {
			var tmp [utf8.UTFMax]byte
			r, w = utf8.DecodeRune(tmp[:copy(tmp[:], s[i:n])])
			if w > 1 && unicode.IsPrint(r) {
				i += w
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		if w > 1 {
			dst = appendRune(dst, r)
		} else {
			dst = appendByte(dst, c, text)
		}
		i += w
		start = i
	}
	dst = append(dst, s[start:n]...)
	if n < len(s) {
		dst = append(dst, cutMark...)
	}
	return dst
}

// appendByte appends the escape of a byte that is no part of a printable rune.
func appendByte(dst []byte, c byte, text bool) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	case text:
		return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	case c >= utf8.RuneSelf:
		return append(dst, `\ufffd`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendRune appends r as \uHHHH, two of them beyond the basic plane (RFC 8259 §7).
func appendRune(dst []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		dst = appendRune(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// cut returns how many bytes of s are kept: limit at most, and no rune that
// the limit would split.
func cut[T ~string | ~[]byte](s T, limit int) int {
	if len(s) <= limit {
		return len(s)
	}
	for n := limit; n > limit-utf8.UTFMax && n > 0; n-- {
		if utf8.RuneStart(s[n]) {
			return n
		}
	}
	return limit
}
