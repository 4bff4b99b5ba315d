package rawjson

import (
	"math/bits"
	"sync"
	"unicode/utf8"
)

// scanner validates a document in one pass. It keeps a stack of its own
// instead of recursing, so that depth costs memory only as far as the limit.
type scanner struct {
	b       []byte
	limits  Limits
	members int // that may still come
	open    []container
	names   nameSet

	broken bool // there is invalid UTF-8 to replace
	double bool // there are members to leave out

	err Error // valid when a step returned -1
}

// container is an object or array that has not ended.
type container struct {
	close byte
	names scope
}

// The reasons of errors, each in one place.
const (
	unexpectedEnd  = "unexpected end"
	unexpectedChar = "unexpected character"
	badLiteral     = "invalid literal"
	badNumber      = "invalid number"
	badEscape      = "invalid escape in a string"
	badControl     = "control character in a string"
	badUTF8        = "invalid UTF-8"
	twice          = "member is named twice"
	trailing       = "something follows the value"
	tooLong        = "document is too long"
	tooDeep        = "nesting is too deep"
	tooMany        = "too many members"
)

var scanners = sync.Pool{New: func() any { return &scanner{open: make([]container, 0, 32)} }}

// newScanner returns a scanner from the pool; release gives it back.
func newScanner(b []byte, l Limits) *scanner {
	s := scanners.Get().(*scanner)
	s.b, s.limits = b, l.full()
	s.members = s.limits.Members
	s.open, s.broken, s.double = s.open[:0], false, false
	s.names.reset()
	return s
}

func (s *scanner) release() {
	s.b = nil
	if s.names.small() {
		scanners.Put(s)
	}
}

func (s *scanner) fail(at int, reason string) int {
	if at >= len(s.b) && reason != tooLong {
		at, reason = len(s.b), unexpectedEnd
	}
	s.err = Error{Offset: at, Reason: reason, Limit: reason == tooLong || reason == tooDeep || reason == tooMany}
	return -1
}

// document scans the whole of b and returns where its value begins and ends.
func (s *scanner) document() (start, end int, err error) {
	if len(s.b) > s.limits.Bytes {
		s.fail(s.limits.Bytes, tooLong)
	} else {
		start = space(s.b, 0)
		if end = s.value(start); end >= 0 {
			rest := space(s.b, end)
			if rest == len(s.b) {
				return start, end, nil
			}
			s.fail(rest, trailing)
		}
	}
	e := s.err
	return 0, 0, &e
}

// value scans the value that begins at i, with all that is in it, and returns
// the index behind it, or -1.
func (s *scanner) value(i int) int {
	b := s.b
	for {
		if i = space(b, i); i >= len(b) {
			return s.fail(i, unexpectedEnd)
		}
		switch c := b[i]; c {
		case '"':
			i, _ = s.text(i)
		case '{', '[':
			if len(s.open) >= s.limits.Depth {
				return s.fail(i, tooDeep)
			}
			s.open = append(s.open, container{close: c + 2, names: s.names.enter()})
			i = space(b, i+1)
			if i >= len(b) || b[i] != c+2 {
				if s.members--; s.members < 0 {
					return s.fail(i, tooMany)
				}
				if c == '{' {
					i = s.name(i)
				}
				if i < 0 {
					return -1
				}
				continue
			}
			s.leave()
			i++
		case 't':
			i = s.literal(i, "true")
		case 'f':
			i = s.literal(i, "false")
		case 'n':
			i = s.literal(i, "null")
		default:
			i = s.number(i)
		}
		if i < 0 || len(s.open) == 0 {
			return i
		}
		if i = s.next(i); i < 0 || len(s.open) == 0 {
			return i
		}
	}
}

// next goes on behind a value that is in a container: to the next value in it,
// or out of it and of all that end here.
func (s *scanner) next(i int) int {
	b := s.b
	for {
		if i = space(b, i); i >= len(b) {
			return s.fail(i, unexpectedEnd)
		}
		top := &s.open[len(s.open)-1]
		if b[i] == ',' {
			if s.members--; s.members < 0 {
				return s.fail(i, tooMany)
			}
			if i++; top.close == '}' {
				return s.name(space(b, i))
			}
			return i
		}
		if b[i] != top.close {
			return s.fail(i, unexpectedChar)
		}
		s.leave()
		if i++; len(s.open) == 0 {
			return i
		}
	}
}

// leave closes the innermost container.
func (s *scanner) leave() {
	last := len(s.open) - 1
	s.names.leave(&s.open[last].names)
	s.open = s.open[:last]
}

// name scans the name of a member and its colon.
func (s *scanner) name(i int) int {
	b := s.b
	if i >= len(b) || b[i] != '"' {
		return s.fail(i, unexpectedChar)
	}
	end, plain := s.text(i)
	if end < 0 {
		return -1
	}
	if s.names.add(&s.open[len(s.open)-1].names, b, i, end, plain) {
		if s.double = true; s.limits.Duplicates == RefuseDuplicates {
			return s.fail(i, twice)
		}
	}
	if end = space(b, end); end >= len(b) || b[end] != ':' {
		return s.fail(end, unexpectedChar)
	}
	return end + 1
}

func (s *scanner) literal(i int, word string) int {
	if len(s.b)-i >= len(word) && string(s.b[i:i+len(word)]) == word {
		return i + len(word)
	}
	for n := range len(word) {
		if i+n >= len(s.b) || s.b[i+n] != word[n] {
			return s.fail(i+n, badLiteral)
		}
	}
	return -1
}

// number scans a number (RFC 8259 §6).
func (s *scanner) number(i int) int {
	b := s.b
	start := i
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return s.fail(i, unexpectedEnd)
	case b[i] == '0':
		i++
	case b[i]-'0' <= 9:
		i = digits(b, i+1)
	case i == start:
		return s.fail(i, unexpectedChar)
	default:
		return s.fail(i, badNumber)
	}
	if i < len(b) && b[i] == '.' {
		from := i + 1
		if i = digits(b, from); i == from {
			return s.fail(i, badNumber)
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		if i = digits(b, from); i == from {
			return s.fail(i, badNumber)
		}
	}
	return i
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// text scans the string whose quote is at i. It returns the index behind it,
// and whether what stands between the quotes is the text itself.
func (s *scanner) text(i int) (end int, plain bool) {
	b := s.b
	plain = true
	for i++; ; {
		run, high := i, uint64(0)
		for {
			if i+8 > len(b) {
				for ; i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' '; i++ {
					high |= uint64(b[i])
				}
				break
			}
			x := load(b, i)
			if m := special(x); m != 0 {
				high |= x & (1<<(bits.TrailingZeros64(m)&^7) - 1)
				i += first(m)
				break
			}
			high |= x
			i += 8
		}
		if high&highs != 0 && !utf8.Valid(b[run:i]) {
			if s.limits.UTF8 == RefuseUTF8 {
				return s.fail(run+invalidAt(b[run:i]), badUTF8), false
			}
			s.broken, plain = true, false
		}
		switch {
		case i >= len(b):
			return s.fail(i, unexpectedEnd), false
		case b[i] == '"':
			return i + 1, plain
		case b[i] != '\\':
			return s.fail(i, badControl), false
		}
		if plain, i = false, s.escape(i); i < 0 {
			return -1, false
		}
	}
}

// escape checks the escape at i and returns the index behind it.
func (s *scanner) escape(i int) int {
	b := s.b
	if i+1 >= len(b) {
		return s.fail(i+1, unexpectedEnd)
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for n := i + 2; n < i+6; n++ {
			if n >= len(b) || class[b[n]]&isHex == 0 {
				return s.fail(n, badEscape)
			}
		}
		return i + 6
	}
	return s.fail(i+1, badEscape)
}

// invalidAt returns where the first invalid sequence of b begins.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}
