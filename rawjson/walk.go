package rawjson

import (
	"bytes"
	"iter"
	"math/bits"
	"strings"
)

// Cursor walks the members of an object or the elements of an array, in their
// order.
//
//	for c := v.Walk(); c.Next(); {
//		use(c.Name, c.Value)
//	}
type Cursor struct {
	Name  Name // of a member
	Value Value

	b []byte
	i int // behind the last value, its comma or the opening bracket
}

// Walk returns a cursor before the first member or element of v. Of what has
// none there are none.
func (v Value) Walk() Cursor {
	if k := v.Kind(); k != Object && k != Array {
		return Cursor{}
	}
	return Cursor{b: v.b, i: 1}
}

// Next goes to the next member or element and reports whether there is one.
func (c *Cursor) Next() bool {
	b := c.b
	if len(b) == 0 {
		return false
	}
	i := space(b, c.i)
	if b[i] == ',' {
		i = space(b, i+1)
	}
	if i == len(b)-1 { // the closing bracket
		c.b = nil
		return false
	}
	if b[0] == '{' {
		end, escaped := skipString(b, i)
		c.Name = Name{b[i:end:end], escaped}
		i = space(b, end)
		i = space(b, i+1)
	}
	end := skip(b, i)
	c.Value, c.i = Value{b[i:end:end]}, end
	return true
}

// Members walks an object in its order.
func (v Value) Members() iter.Seq2[Name, Value] {
	return func(yield func(Name, Value) bool) {
		if v.Kind() != Object {
			return
		}
		for c := v.Walk(); c.Next(); {
			if !yield(c.Name, c.Value) {
				return
			}
		}
	}
}

// Elements walks an array.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		for c := v.Walk(); c.Next(); {
			if !yield(c.Value) {
				return
			}
		}
	}
}

// Name is the name of a member, not decoded.
type Name struct {
	b       []byte // with its quotes
	escaped bool
}

// Bytes returns the name as it is written, with its quotes.
func (n Name) Bytes() []byte { return n.b }

// Is reports whether the decoded name is s.
func (n Name) Is(s string) bool {
	if !n.escaped {
		return len(n.b) == len(s)+2 && string(n.b[1:len(n.b)-1]) == s
	}
	if len(n.b)-2 < len(s) {
		return false // an escape is never shorter than what it stands for
	}
	var buf [64]byte
	return string(n.Append(buf[:0])) == s
}

// Equal reports whether the decoded names are the same.
func (n Name) Equal(o Name) bool {
	if !n.escaped && !o.escaped {
		return bytes.Equal(n.b, o.b)
	}
	return n.Is(o.String())
}

// Append appends the decoded name.
func (n Name) Append(dst []byte) []byte {
	if !n.escaped {
		return append(dst, n.b[1:len(n.b)-1]...)
	}
	return appendDecoded(dst, n.b[1:len(n.b)-1])
}

// Plain returns the name when it is written without escapes: a part of the
// object.
func (n Name) Plain() ([]byte, bool) { return n.b[1 : len(n.b)-1], !n.escaped }

// String returns the decoded name.
func (n Name) String() string {
	var s strings.Builder
	s.Write(n.Append(nil))
	return s.String()
}

// skip returns the index behind the checked value that begins at i.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		i, _ = skipString(b, i)
		return i
	case '{', '[':
		return skipContainer(b, i)
	}
	for i < len(b) && class[b[i]]&isDelimiter == 0 {
		i++
	}
	return i
}

// skipString returns the index behind the string whose quote is at i, and
// whether there are escapes in it.
func skipString(b []byte, i int) (end int, escaped bool) {
	i++
	for {
		for i+8 <= len(b) {
			x := load(b, i)
			if m := equal(x, ones*'"') | equal(x, ones*'\\'); m != 0 {
				i += first(m)
				break
			}
			i += 8
		}
		switch b[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			i += 2
		default:
			i++
		}
	}
}

// skipContainer returns the index behind the object or array that begins at i.
// Brackets need not be told apart: they match, or b would not be checked.
//
// Eight bytes at a time: quotes say which bytes are inside of strings, and the
// brackets that are not are counted. Words with a backslash in them, and those
// in which the value may end, are looked at byte by byte.
func skipContainer(b []byte, i int) int {
	depth, inside := 0, uint64(0) // inside: highs when i is in a string
	for {
		end := len(b)
		if i+8 <= end {
			x := load(b, i)
			text := equal(x, ones*'"') // then: each byte behind an odd number of quotes
			text ^= text << 8
			text ^= text << 16
			text ^= text << 32
			text ^= inside
			y := x | ones*0x20 // '[' and ']' are '{' and '}' without 0x20
			closing := bits.OnesCount64(equal(y, ones*'}') &^ text)
			if closing < depth && equal(x, ones*'\\') == 0 {
				depth += bits.OnesCount64(equal(y, ones*'{')&^text) - closing
				inside = uint64(int64(text)>>63) & highs
				i += 8
				continue
			}
			end = i + 8
		}
		for ; i < end; i++ {
			switch c := b[i]; {
			case inside != 0:
				if c == '\\' {
					i++
				} else if c == '"' {
					inside = 0
				}
			case c == '"':
				inside = highs
			case c|0x20 == '{':
				depth++
			case c|0x20 == '}':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
}
