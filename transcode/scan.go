package transcode

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// scanner reads JSON (RFC 8259) from bytes that are all there.
type scanner struct {
	in      []byte
	at      int
	scratch []byte // the last string that had escapes
}

// space skips white space and returns the byte after it; 0 at the end.
func (s *scanner) space() byte {
	for s.at < len(s.in) {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// eat takes the byte c if it is the next one.
func (s *scanner) eat(c byte) bool {
	if s.space() == c && s.at < len(s.in) {
		s.at++
		return true
	}
	return false
}

// text reads a string. What it returns is valid until the next call.
func (s *scanner) text() ([]byte, *FieldError) {
	if s.space() != '"' {
		return nil, flaw("a string is expected")
	}
	s.at++
	start, high := s.at, false
	for i := start; i < len(s.in); i++ {
		switch c := s.in[i]; {
		case c == '"':
			s.at = i + 1
			if high && !utf8.Valid(s.in[start:i]) {
				return nil, flaw("a string is not valid UTF-8")
			}
			return s.in[start:i:i], nil
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			return nil, flaw("a string holds a control character")
		case c >= utf8.RuneSelf:
			high = true
		}
	}
	return nil, flaw("the text ends within a string")
}

// escaped reads a string whose first escape is at i.
func (s *scanner) escaped(start, i int) ([]byte, *FieldError) {
	b := append(s.scratch[:0], s.in[start:i]...)
	defer func() { s.scratch = b }()
	for i < len(s.in) {
		c := s.in[i]
		switch {
		case c == '"':
			s.at = i + 1
			if !utf8.Valid(b) {
				return nil, flaw("a string is not valid UTF-8")
			}
			return b, nil
		case c < ' ':
			return nil, flaw("a string holds a control character")
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		if i+1 >= len(s.in) {
			break
		}
		i += 2
		switch s.in[i-1] {
		case '"', '\\', '/':
			b = append(b, s.in[i-1])
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, n := s.unicode(i)
			if n == 0 {
				return nil, flaw("a string holds an invalid escape")
			}
			b = utf8.AppendRune(b, r)
			i += n
		default:
			return nil, flaw("a string holds an invalid escape")
		}
	}
	return nil, flaw("the text ends within a string")
}

// unicode reads what follows \u at i, two of them for a surrogate pair.
func (s *scanner) unicode(i int) (rune, int) {
	r, ok := hex4(s.in, i)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 4
	}
	if i+6 > len(s.in) || s.in[i+4] != '\\' || s.in[i+5] != 'u' {
		return 0, 0
	}
	low, ok := hex4(s.in, i+6)
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, 0
	}
	return r, 10
}

func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		d := unhex(c)
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// word takes a literal: true, false or null.
func (s *scanner) word(w string) bool {
	s.space()
	end := s.at + len(w)
	if end > len(s.in) || string(s.in[s.at:end]) != w || end < len(s.in) && !delimiter(s.in[end]) {
		return false
	}
	s.at = end
	return true
}

func delimiter(c byte) bool {
	return !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '+' || c == '.' || c == '_')
}

// number takes a number, as written.
func (s *scanner) number() ([]byte, bool) {
	s.space()
	n := numberEnd(s.in[s.at:])
	if n == 0 || s.at+n < len(s.in) && !delimiter(s.in[s.at+n]) {
		return nil, false
	}
	s.at += n
	return s.in[s.at-n : s.at], true
}

// numberEnd returns the length of the number that b begins with; 0 for none.
func numberEnd(b []byte) int {
	i := 0
	digits := func() int {
		from := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i - from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	zero := i < len(b) && b[i] == '0'
	if n := digits(); n == 0 || zero && n > 1 {
		return 0
	}
	if i < len(b) && b[i] == '.' {
		i++
		if digits() == 0 {
			return 0
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if digits() == 0 {
			return 0
		}
	}
	return i
}

// skip passes over a value of any kind, at most depth levels deep.
func (s *scanner) skip(depth int) *FieldError {
	if depth < 0 {
		return flaw("is nested deeper than allowed")
	}
	var end byte
	switch c := s.space(); c {
	case '"':
		_, err := s.text()
		return err
	case '{':
		end = '}'
	case '[':
		end = ']'
	default:
		if s.word("true") || s.word("false") || s.word("null") {
			return nil
		}
		if _, ok := s.number(); ok {
			return nil
		}
		return flaw("is not valid JSON")
	}
	s.at++
	if s.eat(end) {
		return nil
	}
	for {
		if end == '}' {
			if _, err := s.text(); err != nil {
				return err
			}
			if !s.eat(':') {
				return flaw("a colon is expected")
			}
		}
		if err := s.skip(depth - 1); err != nil {
			return err
		}
		if s.eat(end) {
			return nil
		}
		if !s.eat(',') {
			return flaw("a comma or the end is expected")
		}
	}
}

// parseInt reads a whole number as JSON may write one: 3, 3.0, 30e-1.
func parseInt(b []byte, bits int) (int64, bool) {
	if len(b) > 0 && len(b) <= 18 {
		var v int64
		digits := b
		if b[0] == '-' {
			digits = b[1:]
		}
		for _, c := range digits {
			if c < '0' || c > '9' {
				v = -1
				break
			}
			v = v*10 + int64(c-'0')
		}
		if v >= 0 && (len(digits) == 1 || len(digits) > 1 && digits[0] != '0') {
			if b[0] == '-' {
				v = -v
			}
			return v, bits == 64 || v == int64(int32(v))
		}
	}
	text, ok := whole(b)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(text, 10, bits)
	return v, err == nil
}

// parseUint is parseInt for numbers that are not below zero.
func parseUint(b []byte, bits int) (uint64, bool) {
	if len(b) > 0 && len(b) <= 18 {
		if v, ok := parseInt(b, 64); ok && v >= 0 && b[0] != '-' {
			return uint64(v), bits == 64 || v <= math.MaxUint32
		}
	}
	text, ok := whole(b)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(text, 10, bits)
	return v, err == nil
}

// whole returns a JSON number without fraction and exponent, if it is a whole
// number of at most 20 digits.
func whole(b []byte) (string, bool) {
	if len(b) == 0 || numberEnd(b) != len(b) {
		return "", false
	}
	sign, i := "", 0
	if b[0] == '-' {
		sign, i = "-", 1
	}
	var digits []byte
	point, exp, huge := -1, 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '.':
			point = len(digits)
		case c|0x20 == 'e':
			e, err := strconv.ParseInt(string(b[i+1:]), 10, 32)
			exp, huge, i = int(e), err != nil, len(b)
		default:
			digits = append(digits, c)
		}
	}
	if point < 0 {
		point = len(digits)
	}
	point += exp
	lead := 0
	for lead < len(digits) && digits[lead] == '0' {
		lead++
	}
	if lead == len(digits) {
		return "0", true
	}
	if huge || point-lead > 20 {
		return "", false
	}
	for j := len(digits) - 1; j >= max(point, 0); j-- {
		if digits[j] != '0' {
			return "", false
		}
		digits = digits[:j]
	}
	for len(digits) < point {
		digits = append(digits, '0')
	}
	return sign + string(digits), true
}

// parseFloat reads a number; one that does not fit is refused.
func parseFloat(b []byte, bits int) (float64, bool) {
	if numberEnd(b) != len(b) || len(b) == 0 {
		return 0, false
	}
	v, err := strconv.ParseFloat(unsafe.String(&b[0], len(b)), bits)
	return v, err == nil
}
