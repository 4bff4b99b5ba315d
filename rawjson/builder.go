package rawjson

import (
	"math"
	"strconv"
)

// Builder appends JSON to a buffer: commas come by themselves, members stand in
// the order in which they are written, values are spliced in as they are.
// Between Object and EndObject each value needs a Name first; the Builder
// trusts its caller in that, and in that no name comes twice.
//
//	var b rawjson.Builder
//	b.Reset(buf)
//	b.Object()
//	b.Name("user")
//	b.Raw(user)
//	b.EndObject()
//	buf = b.Bytes()
type Builder struct {
	buf  []byte
	base int
}

// Reset makes b append to dst.
func (b *Builder) Reset(dst []byte) { b.buf, b.base = dst, len(dst) }

// Bytes returns dst with what was appended.
func (b *Builder) Bytes() []byte { return b.buf }

// Value returns what was appended, one whole value.
func (b *Builder) Value() Value { return Value{b.buf[b.base:len(b.buf):len(b.buf)]} }

// begin writes the comma before a value or name. What stands before tells
// whether there must be one: no value ends in one of these bytes.
func (b *Builder) begin() {
	if n := len(b.buf); n > b.base {
		switch b.buf[n-1] {
		case '{', '[', ':':
		default:
			b.buf = append(b.buf, ',')
		}
	}
}

// Object begins an object.
func (b *Builder) Object() { b.begin(); b.buf = append(b.buf, '{') }

// EndObject ends it.
func (b *Builder) EndObject() { b.buf = append(b.buf, '}') }

// Array begins an array.
func (b *Builder) Array() { b.begin(); b.buf = append(b.buf, '[') }

// EndArray ends it.
func (b *Builder) EndArray() { b.buf = append(b.buf, ']') }

// Name writes the name of the member whose value comes next.
func (b *Builder) Name(name string) {
	b.begin()
	b.buf = append(AppendString(b.buf, name), ':')
}

// RawName is Name with one that is JSON already.
func (b *Builder) RawName(n Name) {
	b.begin()
	b.buf = append(append(b.buf, n.b...), ':')
}

// EncodedName is Name with one that AppendString wrote, and its colon.
func (b *Builder) EncodedName(name []byte) { b.begin(); b.buf = append(b.buf, name...) }

// Raw splices a value in, untouched. The zero Value is written as null.
func (b *Builder) Raw(v Value) {
	if len(v.b) == 0 {
		b.Null()
		return
	}
	b.begin()
	b.buf = append(b.buf, v.b...)
}

// String writes a string, invalid UTF-8 replaced by U+FFFD.
func (b *Builder) String(s string) { b.begin(); b.buf = AppendString(b.buf, s) }

// StringBytes is String of bytes.
func (b *Builder) StringBytes(s []byte) { b.begin(); b.buf = AppendString(b.buf, s) }

// Int writes a number.
func (b *Builder) Int(n int64) { b.begin(); b.buf = strconv.AppendInt(b.buf, n, 10) }

// Uint writes a number.
func (b *Builder) Uint(n uint64) { b.begin(); b.buf = strconv.AppendUint(b.buf, n, 10) }

// Float writes a number in its shortest form. JSON has no word for NaN and the
// infinities: they are null.
func (b *Builder) Float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b.Null()
		return
	}
	b.begin()
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) { // as ECMAScript writes them
		format = 'e'
	}
	b.buf = strconv.AppendFloat(b.buf, f, format, -1, 64)
}

// Bool writes true or false.
func (b *Builder) Bool(v bool) { b.begin(); b.buf = strconv.AppendBool(b.buf, v) }

// Null writes null.
func (b *Builder) Null() { b.begin(); b.buf = append(b.buf, "null"...) }

// Append lets f append one value; f must not be given what stands before.
func (b *Builder) Append(f func(dst []byte) ([]byte, error)) (err error) {
	b.begin()
	b.buf, err = f(b.buf)
	return err
}
