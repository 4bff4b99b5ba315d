package rawjson

import (
	"bytes"
	"math"
	"strconv"
)

// Kind is the type of a value.
type Kind uint8

const (
	None Kind = iota // the zero Value: no value at all
	Null
	Bool
	Number
	String
	Array
	Object
)

// String returns the word used in messages.
func (k Kind) String() string {
	return [...]string{"nothing", "null", "bool", "number", "string", "array", "object"}[k]
}

// Value is a checked JSON value: its bytes, without white space around it. The
// zero Value is no value.
type Value struct{ b []byte }

// Check validates b, a document with white space around it or not, and returns
// its kind. It allocates nothing but the memory for the names of objects larger
// than any before. Where l replaces or keeps instead of refusing, b is accepted
// as it is; Parse returns what is to be used then.
func Check(b []byte, l Limits) (Kind, error) {
	s := newScanner(b, l)
	defer s.release()
	start, end, err := s.document()
	if err != nil {
		return None, err
	}
	return Value{b[start:end]}.Kind(), nil
}

// Parse checks b and returns its value: a part of b, unless there was something
// to replace or to leave out.
func Parse(b []byte, l Limits) (Value, error) {
	s := newScanner(b, l)
	defer s.release()
	start, end, err := s.document()
	if err != nil {
		return Value{}, err
	}
	v := Value{b[start:end:end]}
	if s.broken {
		v.b = appendValid(make([]byte, 0, len(v.b)+len(v.b)/4), v.b)
	}
	if s.double {
		v.b = appendUnique(make([]byte, 0, len(v.b)), v, l.Duplicates)
	}
	return v, nil
}

// Checked returns b as a value without looking at it, for who made it with a
// Builder: valid JSON without white space around it.
func Checked(b []byte) Value { return Value{b} }

// Kind returns the type of v.
func (v Value) Kind() Kind {
	if len(v.b) == 0 {
		return None
	}
	switch v.b[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Bytes returns the text of v. It must not be changed.
func (v Value) Bytes() []byte { return v.b }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.Kind() == Null }

// Bool returns a bool.
func (v Value) Bool() (value, ok bool) {
	return len(v.b) > 0 && v.b[0] == 't', v.Kind() == Bool
}

// Member returns the member of an object.
func (v Value) Member(name string) (Value, bool) {
	if v.Kind() == Object {
		for c := v.Walk(); c.Next(); {
			if c.Name.Is(name) {
				return c.Value, true
			}
		}
	}
	return Value{}, false
}

// Index returns an element of an array.
func (v Value) Index(i int) (Value, bool) {
	if v.Kind() == Array && i >= 0 {
		for c := v.Walk(); c.Next(); i-- {
			if i == 0 {
				return c.Value, true
			}
		}
	}
	return Value{}, false
}

// Len returns the number of members or elements.
func (v Value) Len() (n int) {
	for c := v.Walk(); c.Next(); n++ {
	}
	return n
}

// String returns the decoded text of a string, and the JSON of anything else.
func (v Value) String() string {
	if text, ok := v.Plain(); ok {
		return string(text)
	}
	return string(v.AppendString(nil))
}

// AppendString appends the decoded text of a string, and the JSON of anything
// else.
func (v Value) AppendString(dst []byte) []byte {
	if v.Kind() != String {
		return append(dst, v.b...)
	}
	return appendDecoded(dst, v.b[1:len(v.b)-1])
}

// Plain returns the text of a string that is written without escapes: a part
// of v.
func (v Value) Plain() ([]byte, bool) {
	if v.Kind() != String || bytes.IndexByte(v.b, '\\') >= 0 {
		return nil, false
	}
	return v.b[1 : len(v.b)-1], true
}

// Int64 returns a number that is written as an integer and fits. "-0" is none:
// its sign would be lost.
func (v Value) Int64() (int64, bool) {
	if v.Kind() != Number {
		return 0, false
	}
	if v.b[0] != '-' {
		n, ok := parseDigits(v.b)
		return int64(n), ok && n <= math.MaxInt64
	}
	n, ok := parseDigits(v.b[1:])
	return -int64(n), ok && n != 0 && n <= 1<<63
}

// Uint64 returns a number that is written as an integer and fits.
func (v Value) Uint64() (uint64, bool) {
	if v.Kind() != Number || v.b[0] == '-' {
		return 0, false
	}
	return parseDigits(v.b)
}

func parseDigits(b []byte) (n uint64, ok bool) {
	if len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// Float64 returns the nearest float64 of a number, and whether its digits
// survive: whether the shortest text that stands for the float64 is the same
// number. It is infinite when the number is too large for one.
func (v Value) Float64() (f float64, exact bool) {
	if v.Kind() != Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.b), 64)
	if err != nil {
		return f, false
	}
	var a, b decimal
	var buf [32]byte
	a.read(v.b)
	if a.digits() <= 15 && (f == 0) == (a.digits() == 0) && (f == 0 || math.Abs(f) > 1e-300) {
		return f, true
	}
	b.read(strconv.AppendFloat(buf[:0], f, 'e', -1, 64))
	return f, a.same(&b)
}

// Is reports whether v is a string whose decoded text is s.
func (v Value) Is(s string) bool {
	return v.Kind() == String && Name{v.b, bytes.IndexByte(v.b, '\\') >= 0}.Is(s)
}
