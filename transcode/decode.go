package transcode

import (
	"strconv"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// decoder turns JSON into the wire format, in one pass.
type decoder struct {
	scanner
	codec *Codec
	out   []byte
	depth int // levels that are left
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (c *Codec) newDecoder(dst, json []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.codec, d.in, d.at, d.out, d.depth = c, json, 0, dst, c.limits.Depth
	return d
}

func (d *decoder) release() {
	d.codec, d.in, d.out = nil, nil, nil
	decoders.Put(d)
}

// whole decodes one value, which must be all there is.
func (d *decoder) whole(value func() *FieldError) *FieldError {
	if err := value(); err != nil {
		return err
	}
	if d.space(); d.at < len(d.in) {
		return flaw("there is something behind the value")
	}
	return nil
}

// open leaves room for the length of what follows.
func (d *decoder) open() int {
	d.out = append(d.out, 0)
	return len(d.out)
}

// close writes the length of what has been appended since open, and moves it
// when the length takes more than the one byte that it usually takes.
func (d *decoder) close(start int) {
	n := len(d.out) - start
	if n < 0x80 {
		d.out[start-1] = byte(n)
		return
	}
	extra := protowire.SizeVarint(uint64(n)) - 1
	var room [10]byte
	d.out = append(d.out, room[:extra]...)
	copy(d.out[start+extra:], d.out[start:start+n])
	protowire.AppendVarint(d.out[:start-1], uint64(n))
}

// message decodes a value of a message: its fields, without a length.
func (d *decoder) message(m *shape) *FieldError {
	if d.depth--; d.depth < 0 {
		return flaw("is nested deeper than allowed")
	}
	defer func() { d.depth++ }()
	switch m.form {
	case plain:
		return d.object(m)
	case foreign:
		return d.foreign(m)
	}
	return d.known(m)
}

func (d *decoder) object(m *shape) *FieldError {
	if !d.eat('{') {
		return flaw("an object is expected")
	}
	var few [4]uint64
	seen := few[:]
	if n := len(m.fields) + m.oneofs; n > 64*len(few) {
		seen = make([]uint64, n/64+1)
	}
	if d.eat('}') {
		return d.missing(m, seen)
	}
	for {
		name, err := d.text()
		if err != nil {
			return err
		}
		f := m.named(name)
		if f == nil {
			if err := d.unknown(name); err != nil {
				return err
			}
		} else if err := d.member(m, f, seen); err != nil {
			return err.within(f.name)
		}
		if d.eat('}') {
			return d.missing(m, seen)
		}
		if !d.eat(',') {
			return flaw("a comma or the end of the object is expected")
		}
	}
}

// missing complains about the first required field that was not seen.
func (d *decoder) missing(m *shape, seen []uint64) *FieldError {
	if m.required {
		for i := range m.fields {
			if m.fields[i].required && seen[i/64]>>(i%64)&1 == 0 {
				return flaw("is required").within(m.fields[i].name)
			}
		}
	}
	return nil
}

func (d *decoder) unknown(name []byte) *FieldError {
	if !d.codec.options.IgnoreUnknown {
		e := flaw("there is no such field")
		return e.within(clip(name))
	}
	if !d.eat(':') {
		return flaw("a colon is expected")
	}
	return d.skip(d.depth)
}

// clip makes a name of the client's fit for a message.
func clip(name []byte) string {
	if len(name) > 64 {
		return string(name[:64]) + "…"
	}
	if len(name) == 0 {
		return `""`
	}
	return string(name)
}

// member decodes the value of a field of an object.
func (d *decoder) member(m *shape, f *field, seen []uint64) *FieldError {
	if !d.eat(':') {
		return flaw("a colon is expected")
	}
	if !mark(seen, int(f.index)) {
		return flaw("is there twice")
	}
	if !f.nullable && d.space() == 'n' && d.word("null") {
		if f.required {
			return flaw("is required")
		}
		return nil
	}
	switch {
	case f.entry != nil:
		return d.mapping(f)
	case f.list:
		return d.list(f)
	}
	if f.oneof >= 0 && !mark(seen, len(m.fields)+int(f.oneof)) {
		return flaw("only one of its group may be set")
	}
	return d.singular(f)
}

// mark sets a bit and reports whether it was not set.
func mark(seen []uint64, i int) bool {
	bit := uint64(1) << (i % 64)
	if seen[i/64]&bit != 0 {
		return false
	}
	seen[i/64] |= bit
	return true
}

// singular decodes one value with its tag. A zero that is as good as absent is
// left out.
func (d *decoder) singular(f *field) *FieldError {
	start := len(d.out)
	d.out = append(d.out, f.one...)
	body := len(d.out)
	ok, err := d.value(f)
	if err == nil && (!ok || !f.presence && zero(d.out[body:], f)) {
		d.out = d.out[:start]
	}
	return err
}

// zero reports whether an encoded scalar is the one that is not sent.
func zero(b []byte, f *field) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return f.message == nil
}

// value appends one value, with its length where it has one; false when it is an
// enum's name that is unknown and to be ignored.
func (d *decoder) value(f *field) (bool, *FieldError) {
	if f.message == nil {
		return d.scalar(f)
	}
	start := d.open()
	if err := d.message(f.message); err != nil {
		return false, err
	}
	d.close(start)
	return true, nil
}

func (d *decoder) list(f *field) *FieldError {
	if !d.eat('[') {
		return flaw("an array is expected")
	}
	if d.eat(']') {
		return nil
	}
	start := 0
	if f.packed {
		d.out = append(d.out, f.tag...)
		start = d.open()
	}
	for n := 0; ; n++ {
		if n >= d.codec.limits.Items {
			return flaw("has more elements than allowed")
		}
		at := len(d.out)
		if !f.packed {
			d.out = append(d.out, f.one...)
		}
		ok, err := d.value(f)
		if err != nil {
			return err.within("[" + strconv.Itoa(n) + "]")
		}
		if !ok {
			d.out = d.out[:at]
		}
		if d.eat(']') {
			break
		}
		if !d.eat(',') {
			return flaw("a comma or the end of the array is expected")
		}
	}
	if f.packed {
		d.close(start)
	}
	return nil
}

func (d *decoder) mapping(f *field) *FieldError {
	if !d.eat('{') {
		return flaw("an object is expected")
	}
	if d.eat('}') {
		return nil
	}
	key, value := &f.entry.fields[0], &f.entry.fields[1]
	var seen map[string]struct{}
	for n := 0; ; n++ {
		if n >= d.codec.limits.Items {
			return flaw("has more entries than allowed")
		}
		name, err := d.text()
		if err != nil {
			return err
		}
		at := len(d.out)
		d.out = append(d.out, f.one...)
		start := d.open()
		d.out = append(d.out, key.one...)
		from := len(d.out)
		if err := d.mapKey(key, name); err != nil {
			return err
		}
		if seen == nil {
			seen = map[string]struct{}{}
		}
		text := string(d.out[from:])
		if _, twice := seen[text]; twice {
			return flaw("the key is there twice").within("[" + clip(name) + "]")
		}
		step := name
		if len(d.scratch) > 0 && len(name) > 0 && &name[0] == &d.scratch[0] {
			step = append([]byte(nil), name...)
		}
		if !d.eat(':') {
			return flaw("a colon is expected")
		}
		d.out = append(d.out, value.one...)
		ok, err := d.value(value)
		if err != nil {
			return err.within("[" + clip(step) + "]")
		}
		if ok {
			seen[text] = struct{}{}
			d.close(start)
		} else {
			d.out = d.out[:at]
		}
		if d.eat('}') {
			return nil
		}
		if !d.eat(',') {
			return flaw("a comma or the end of the object is expected")
		}
	}
}
