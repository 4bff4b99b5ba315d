package transcode

import (
	"errors"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// encoder turns the wire format into JSON. A message is looked through once, to
// see which values belong to which field: the wire may have them in any order,
// several times, and in parts. Then its fields are written in the order in which
// they are declared. What the message holds is only passed over in the first
// look, so the whole costs two looks at each tag.
type encoder struct {
	codec  *Codec
	out    []byte
	most   int // bytes that out may have
	depth  int
	found  []span  // of the fields of the messages that are open
	values []value // of the fields, chained
	oneofs []int32 // which field of a oneof was seen last, plus one
	merged []byte  // messages that came in parts
}

// span is the first and the last value of a field, plus one; 0: none. A first of
// -1 says that the field is not to be written at all.
type span struct{ first, last int32 }

// value is one value on the wire: a number, or bytes.
type value struct {
	number uint64
	bytes  []byte
	next   int32 // plus one
	packed bool  // bytes hold a packed list
}

// jsonFactor is how many times as long as a message on the wire its JSON may be.
// Without a bound, two bytes could become all names and defaults of a message.
const jsonFactor = 16

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func (c *Codec) newEncoder(dst []byte) *encoder {
	e := encoders.Get().(*encoder)
	e.codec, e.out, e.depth = c, dst, c.limits.Depth
	e.most = len(dst) + jsonFactor*c.limits.Message
	return e
}

func (e *encoder) release() {
	clear(e.values[:cap(e.values)]) // they point into a message
	e.codec, e.out = nil, nil
	e.found, e.values, e.oneofs = e.found[:0], e.values[:0], e.oneofs[:0]
	if cap(e.merged) > 64<<10 {
		e.merged = nil
	}
	if cap(e.values) > 4096 {
		e.values = nil
	}
	encoders.Put(e)
}

var (
	errWire  = errors.New("the message is not valid protobuf")
	errUTF8  = errors.New("a string of the message is not valid UTF-8")
	errDepth = errors.New("the message is nested deeper than allowed")
)

// message writes a message as JSON.
func (e *encoder) message(m *shape, wire []byte) error {
	if m.form == foreign {
		return e.foreign(m, wire)
	}
	if e.depth--; e.depth < 0 {
		return errDepth
	}
	if len(e.out) > e.most {
		return errMessageTooLarge
	}
	found, values, oneofs := len(e.found), len(e.values), len(e.oneofs)
	err := e.index(m, wire, found, oneofs)
	if err == nil {
		if m.form == plain {
			err = e.object(m, found)
		} else {
			err = e.known(m, found)
		}
	}
	e.found, e.values, e.oneofs = e.found[:found], e.values[:values], e.oneofs[:oneofs]
	e.depth++
	return err
}

// index finds the values of the fields of m.
func (e *encoder) index(m *shape, wire []byte, found, oneofs int) error {
	e.found = grow(e.found, len(m.fields))
	if m.oneofs > 0 {
		e.oneofs = grow(e.oneofs, m.oneofs)
	}
	for len(wire) > 0 {
		tag, n := uint64(wire[0]), 1
		if tag >= 0x80 {
			if tag, n = protowire.ConsumeVarint(wire); n < 0 {
				return errWire
			}
		}
		wire = wire[n:]
		v, kind := value{}, protowire.Type(tag&7)
		switch kind {
		case protowire.VarintType:
			if len(wire) > 0 && wire[0] < 0x80 {
				v.number, n = uint64(wire[0]), 1
			} else {
				v.number, n = protowire.ConsumeVarint(wire)
			}
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(wire)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(wire)
			v.number = uint64(w)
		case protowire.Fixed64Type:
			v.number, n = protowire.ConsumeFixed64(wire)
		default:
			n = protowire.ConsumeFieldValue(protowire.Number(tag>>3), kind, wire)
		}
		if n < 0 || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
			return errWire
		}
		wire = wire[n:]
		i := m.numbered(tag >> 3)
		if i < 0 {
			continue // a newer service may say more than we know
		}
		f := &m.fields[i]
		if kind != f.wire {
			if kind != protowire.BytesType || !f.list {
				continue
			}
			if len(v.bytes) == 0 {
				continue // no elements: no list
			}
			v.packed = true
		}
		if f.kind == protoreflect.StringKind && !utf8.Valid(v.bytes) {
			return errUTF8
		}
		e.note(&e.found[found+int(i)], f, v, found, oneofs)
	}
	return nil
}

// note chains v to the values of its field. Of a oneof, the last member counts.
func (e *encoder) note(s *span, f *field, v value, found, oneofs int) {
	if f.oneof >= 0 {
		last := &e.oneofs[oneofs+int(f.oneof)]
		if *last != 0 && *last != f.index+1 {
			e.found[found+int(*last)-1] = span{}
		}
		*last = f.index + 1
	}
	e.values = append(e.values, v)
	at := int32(len(e.values))
	if s.last == 0 {
		s.first = at
	} else {
		e.values[s.last-1].next = at
	}
	s.last = at
}

func grow[T any](s []T, n int) []T {
	at := len(s)
	if at+n <= cap(s) {
		s = s[:at+n]
		clear(s[at:])
		return s
	}
	return append(s, make([]T, n)...)
}

func (e *encoder) object(m *shape, found int) error {
	e.out = append(e.out, '{')
	start := len(e.out)
	for i := range m.fields {
		f, s := &m.fields[i], e.found[found+i]
		if s.last == 0 {
			if !e.codec.options.Defaults || f.presence || s.first < 0 {
				continue
			}
		} else if !e.codec.options.Defaults && f.implicit(&e.values[s.last-1]) {
			continue // zero is as good as absent
		}
		if len(e.out) > start {
			e.out = append(e.out, ',')
		}
		if e.codec.options.ProtoNames {
			e.out = append(e.out, f.protoKey...)
		} else {
			e.out = append(e.out, f.jsonKey...)
		}
		if err := e.field(f, s); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// implicit reports whether v is a zero of a field that can't tell zero from absent.
func (f *field) implicit(v *value) bool {
	if f.presence || f.list || f.entry != nil {
		return false
	}
	switch f.kind {
	case protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Sint32Kind, protoreflect.EnumKind:
		return uint32(v.number) == 0
	}
	return v.number == 0 && len(v.bytes) == 0
}

// field writes the value of a field, the list or the map.
func (e *encoder) field(f *field, s span) error {
	switch {
	case f.entry != nil:
		return e.mapping(f, s)
	case f.list:
		return e.list(f, s)
	}
	return e.singular(f, s)
}

// singular writes the one value of a field that may have come several times: the
// last, or of a message all of them merged.
func (e *encoder) singular(f *field, s span) error {
	if s.last == 0 {
		return e.scalar(f, 0, nil)
	}
	v := &e.values[s.last-1]
	if f.message == nil {
		return e.scalar(f, v.number, v.bytes)
	}
	if s.first == s.last {
		return e.message(f.message, v.bytes)
	}
	at := len(e.merged) // parts of a message one behind the other are the message merged
	for i := s.first; i != 0; i = e.values[i-1].next {
		e.merged = append(e.merged, e.values[i-1].bytes...)
		if len(e.merged) > 4*e.codec.limits.Message { // of parts within parts
			return errMessageTooLarge
		}
	}
	err := e.message(f.message, e.merged[at:len(e.merged):len(e.merged)])
	e.merged = e.merged[:at]
	return err
}

func (e *encoder) list(f *field, s span) error {
	e.out = append(e.out, '[')
	n := 0
	for i := s.first; i != 0; {
		v := e.values[i-1]
		i = v.next
		if v.packed {
			if err := e.packed(f, v.bytes, &n); err != nil {
				return err
			}
			continue
		}
		if err := e.element(&n); err != nil {
			return err
		}
		if f.message != nil {
			if err := e.message(f.message, v.bytes); err != nil {
				return err
			}
		} else if err := e.scalar(f, v.number, v.bytes); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// element begins the next element of a list.
func (e *encoder) element(n *int) error {
	if *n++; *n > 1 {
		e.out = append(e.out, ',')
	}
	if *n > e.codec.limits.Items {
		return errors.New("a list of the message has more elements than allowed")
	}
	if len(e.out) > e.most {
		return errMessageTooLarge
	}
	return nil
}

// packed writes the numbers of a packed list.
func (e *encoder) packed(f *field, b []byte, count *int) error {
	for len(b) > 0 {
		var v uint64
		var n int
		switch f.wire {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var w uint32
			w, n = protowire.ConsumeFixed32(b)
			v = uint64(w)
		default:
			v, n = protowire.ConsumeFixed64(b)
		}
		if n < 0 {
			return errWire
		}
		b = b[n:]
		if err := e.element(count); err != nil {
			return err
		}
		if err := e.scalar(f, v, nil); err != nil {
			return err
		}
	}
	return nil
}
