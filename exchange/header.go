package exchange

import (
	"bytes"
	"iter"
	"unsafe"
)

// Field is one header or trailer line. Name keeps the case in which it was
// received. Both slices are borrowed and must not be written to.
type Field struct {
	Name, Value []byte
}

// Header is an ordered list of end-to-end fields. Hop-by-hop fields and
// framing (Connection, Transfer-Encoding, Content-Length, …) never appear in
// one: they belong to the wire, so front ends and transports keep them to
// themselves. The zero value is an empty header. It is not safe for
// concurrent use.
type Header struct {
	fields []Field
}

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// At returns the i-th field.
func (h *Header) At(i int) Field { return h.fields[i] }

// Fields returns the fields in order. The slice is the header's own: it is
// valid until the header changes.
func (h *Header) Fields() []Field { return h.fields }

// Get returns the value of the first field of that name, or nil. Names
// compare without regard to case.
func (h *Header) Get(name string) []byte {
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			if v := h.fields[i].Value; v != nil {
				return v
			}
			return []byte{}
		}
	}
	return nil
}

// Has reports whether a field of that name is there.
func (h *Header) Has(name string) bool { return h.Get(name) != nil }

// Count returns the number of fields of that name.
func (h *Header) Count(name string) (n int) {
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			n++
		}
	}
	return n
}

// Values iterates over the values of all fields of that name, in order.
func (h *Header) Values(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range h.fields {
			if EqualFold(h.fields[i].Name, name) && !yield(h.fields[i].Value) {
				return
			}
		}
	}
}

// Add appends a field. The caller vouches that name is a token and that value
// has no control characters; see ValidName and ValidValue.
func (h *Header) Add(name, value string) { h.AddBytes(name, bytesOf(value)) }

// AddBytes appends a field whose value is borrowed until the exchange is done.
func (h *Header) AddBytes(name string, value []byte) {
	h.fields = append(h.fields, Field{bytesOf(name), value})
}

// AddField appends a field whose name and value are both borrowed.
func (h *Header) AddField(f Field) { h.fields = append(h.fields, f) }

// Set replaces every field of that name by one.
func (h *Header) Set(name, value string) { h.SetBytes(name, bytesOf(value)) }

// SetBytes is Set with a borrowed value.
func (h *Header) SetBytes(name string, value []byte) {
	for i := range h.fields {
		if EqualFold(h.fields[i].Name, name) {
			h.fields[i] = Field{bytesOf(name), value}
			h.deleteFrom(i+1, name, EqualFold)
			return
		}
	}
	h.AddBytes(name, value)
}

// Del removes every field of that name.
func (h *Header) Del(name string) { h.deleteFrom(0, name, EqualFold) }

// DelAlias removes every field that some reader might take for name: the
// comparison ignores case and treats '_' as '-', because CGI-like upstreams
// cannot tell X_User_Id from X-User-Id. It is what strips headers that only
// the gateway may assert.
func (h *Header) DelAlias(name string) { h.deleteFrom(0, name, equalAlias) }

func (h *Header) deleteFrom(from int, name string, equal func([]byte, string) bool) {
	keep := from
	for i := from; i < len(h.fields); i++ {
		if !equal(h.fields[i].Name, name) {
			if keep != i {
				h.fields[keep] = h.fields[i]
			}
			keep++
		}
	}
	h.fields = h.fields[:keep]
}

// Filter keeps the fields for which keep returns true.
func (h *Header) Filter(keep func(Field) bool) {
	n := 0
	for _, f := range h.fields {
		if keep(f) {
			h.fields[n] = f
			n++
		}
	}
	h.fields = h.fields[:n]
}

// Reset empties the header and keeps its memory.
func (h *Header) Reset() {
	clear(h.fields[:cap(h.fields)])
	h.fields = h.fields[:0]
}

// Truncate empties the header without clearing its memory: for owners that
// overwrite it at once.
func (h *Header) Truncate() { h.fields = h.fields[:0] }

// CopyFrom makes h a deep copy of src that owns its bytes.
func (h *Header) CopyFrom(src *Header) {
	h.fields = h.fields[:0]
	n := 0
	for _, f := range src.fields {
		n += len(f.Name) + len(f.Value)
	}
	buf := make([]byte, 0, n)
	for _, f := range src.fields {
		a := len(buf)
		buf = append(buf, f.Name...)
		b := len(buf)
		buf = append(buf, f.Value...)
		h.fields = append(h.fields, Field{buf[a:b:b], buf[b:len(buf):len(buf)]})
	}
}

// HasToken reports whether a comma-separated list field of that name contains
// the token, without regard to case.
func (h *Header) HasToken(name, token string) bool {
	for v := range h.Values(name) {
		for len(v) > 0 {
			var part []byte
			if i := bytes.IndexByte(v, ','); i >= 0 {
				part, v = v[:i], v[i+1:]
			} else {
				part, v = v, nil
			}
			if EqualFold(bytes.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// EqualFold reports whether b equals s, ASCII letters compared without case.
// (Unicode folding would let KELVIN SIGN pass for k.)
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if x, y := b[i], s[i]; x != y {
			x |= 0x20
			if x != y|0x20 || x < 'a' || x > 'z' {
				return false
			}
		}
	}
	return true
}

func equalAlias(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if alias(b[i]) != alias(s[i]) {
			return false
		}
	}
	return true
}

func alias(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return c
}

// ValidName reports whether s is a field name: an RFC 9110 §5.6.2 token.
func ValidName[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if !tokenTable[s[i]] {
			return false
		}
	}
	return len(s) > 0
}

// ValidValue reports whether s may be a field value: no control characters
// but HTAB (RFC 9110 §5.5). It looks at eight bytes at a time.
func ValidValue[T ~string | ~[]byte](s T) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		d := w ^ ones*0x7f
		// A byte below 0x20, or equal to 0x7f. False alarms are looked at again.
		if ((w-ones*0x20)&^w|(d-ones)&^d)&high != 0 && !validBytes(s[i:i+8]) {
			return false
		}
	}
	return validBytes(s[i:])
}

func validBytes[T ~string | ~[]byte](s T) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

var tokenTable = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-0x20] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// bytesOf views a string as bytes that nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
