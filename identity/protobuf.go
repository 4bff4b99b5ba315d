package identity

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// The few messages of an authorization service are written and read by hand, in
// the wire format of protocol buffers: that costs no descriptors and no
// reflection. A message is the bytes of its fields, one after the other.

// message is a message that is being written. Empty fields are left out, as
// proto3 does it.
type message []byte

func (m *message) bytes(field int, v []byte) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(v)))
	*m = append(*m, v...)
}

func (m *message) text(field int, v string) {
	if v != "" {
		m.bytes(field, []byte(v))
	}
}

// number writes an int64; negative ones take ten bytes.
func (m *message) number(field int, v int64) {
	if v != 0 {
		*m = binary.AppendUvarint(*m, uint64(field)<<3)
		*m = binary.AppendUvarint(*m, uint64(v))
	}
}

// message writes a message within the message, also when it is empty.
func (m *message) message(field int, v message) { m.bytes(field, v) }

// entry writes an entry of a map of texts.
func (m *message) entry(field int, key, value string) {
	var e message
	e.text(1, key)
	e.text(2, value)
	m.message(field, e)
}

var errProto = errors.New("not a message as it was agreed")

// protoField is one field of a message that is being read.
type protoField struct {
	number int
	kind   int    // of the wire: 0 a number, 1 eight bytes, 2 bytes, 5 four bytes
	value  uint64 // of a number, or of bytes of fixed length
	data   []byte // of bytes
}

// eachField calls f for each field of a message. Groups, which nobody writes any
// more, are no fields here.
func eachField(b []byte, f func(protoField) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
			return errProto
		}
		p := protoField{number: int(tag >> 3), kind: int(tag & 7)}
		b = b[n:]
		switch p.kind {
		case 0, 2:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errProto
			}
			p.value, b = v, b[n:]
			if p.kind == 2 {
				if v > uint64(len(b)) {
					return errProto
				}
				p.data, b = b[:v], b[v:]
			}
		case 1:
			if len(b) < 8 {
				return errProto
			}
			p.value, b = binary.LittleEndian.Uint64(b), b[8:]
		case 5:
			if len(b) < 4 {
				return errProto
			}
			p.value, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			return errProto
		}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

// is reports whether the field has this number and, if it has, is bytes or a
// number as it must be.
func (p protoField) is(number, kind int) (bool, error) {
	if p.number != number {
		return false, nil
	}
	if p.kind != kind {
		return false, errProto
	}
	return true, nil
}

// text is the field as a text, which proto3 wants to be UTF-8.
func (p protoField) text() (string, error) {
	if p.kind != 2 || !utf8.Valid(p.data) {
		return "", errProto
	}
	return string(p.data), nil
}

// int32 is the field as an int32 or an enum.
func (p protoField) int32() (int32, error) {
	if p.kind != 0 {
		return 0, errProto
	}
	return int32(p.value), nil // the upper half is cut off, as proto3 wants it
}

// maxStructDepth of a google.protobuf.Struct.
const maxStructDepth = 16

// readStruct reads a google.protobuf.Struct as claims.
func readStruct(b []byte, depth int) (map[string]any, error) {
	if depth > maxStructDepth {
		return nil, errProto
	}
	m := map[string]any{}
	return m, eachField(b, func(p protoField) error {
		if ok, err := p.is(1, 2); !ok {
			return err
		}
		var key string
		var value any
		err := eachField(p.data, func(e protoField) (err error) {
			switch {
			case e.number == 1:
				key, err = e.text()
			case e.number == 2 && e.kind == 2:
				value, err = readValue(e.data, depth+1)
			case e.number == 2:
				err = errProto
			}
			return err
		})
		m[key] = value
		return err
	})
}

// readValue reads a google.protobuf.Value: its last field counts. Whole numbers
// are int64, as claims have them.
func readValue(b []byte, depth int) (v any, err error) {
	if depth > maxStructDepth {
		return nil, errProto
	}
	err = eachField(b, func(p protoField) (err error) {
		want := map[int]int{1: 0, 2: 1, 3: 2, 4: 0, 5: 2, 6: 2}
		if kind, known := want[p.number]; !known {
			return nil
		} else if kind != p.kind {
			return errProto
		}
		switch p.number {
		case 1:
			v = nil
		case 2:
			f := math.Float64frombits(p.value)
			if v = any(f); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
				v = int64(f)
			}
		case 3:
			v, err = p.text()
		case 4:
			v = p.value != 0
		case 5:
			v, err = readStruct(p.data, depth)
		case 6:
			v, err = readList(p.data, depth)
		}
		return err
	})
	return v, err
}

func readList(b []byte, depth int) (list []any, err error) {
	list = []any{}
	err = eachField(b, func(p protoField) error {
		if ok, err := p.is(1, 2); !ok {
			return err
		}
		v, err := readValue(p.data, depth+1)
		list = append(list, v)
		return err
	})
	return list, err
}
