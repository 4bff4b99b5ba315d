package transcode

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"gopura/rawjson"
)

// scalar writes a value that is no message.
func (e *encoder) scalar(f *field, v uint64, b []byte) error {
	switch f.kind {
	case protoreflect.StringKind:
		e.out = appendString(e.out, b)
	case protoreflect.BytesKind:
		e.out = append(e.out, '"')
		e.out = base64.StdEncoding.AppendEncode(e.out, b)
		e.out = append(e.out, '"')
	case protoreflect.BoolKind:
		e.out = strconv.AppendBool(e.out, v != 0)
	case protoreflect.EnumKind:
		e.enum(f.enum, int32(v))
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		e.out = strconv.AppendInt(e.out, int64(int32(v)), 10)
	case protoreflect.Sint32Kind:
		e.out = strconv.AppendInt(e.out, int64(int32(protowire.DecodeZigZag(v&math.MaxUint32))), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		e.out = strconv.AppendUint(e.out, uint64(uint32(v)), 10)
	case protoreflect.FloatKind:
		e.float(float64(math.Float32frombits(uint32(v))), 32)
	case protoreflect.DoubleKind:
		e.float(math.Float64frombits(v), 64)
	default: // 64 bits: a string, since JavaScript's numbers have 53
		e.out = append(e.out, '"')
		switch f.kind {
		case protoreflect.Sint64Kind:
			e.out = strconv.AppendInt(e.out, protowire.DecodeZigZag(v), 10)
		case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
			e.out = strconv.AppendInt(e.out, int64(v), 10)
		default:
			e.out = strconv.AppendUint(e.out, v, 10)
		}
		e.out = append(e.out, '"')
	}
	return nil
}

func (e *encoder) enum(n *enum, v int32) {
	if n.null {
		e.out = append(e.out, "null"...)
		return
	}
	if name, ok := n.names[v]; ok && !e.codec.options.EnumNumbers {
		e.out = append(e.out, name...)
		return
	}
	e.out = strconv.AppendInt(e.out, int64(v), 10)
}

// float writes a number as ECMAScript does.
func (e *encoder) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		e.out = append(e.out, `"NaN"`...)
		return
	case math.IsInf(v, 1):
		e.out = append(e.out, `"Infinity"`...)
		return
	case math.IsInf(v, -1):
		e.out = append(e.out, `"-Infinity"`...)
		return
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 {
		if bits == 64 && (abs < 1e-6 || abs >= 1e21) || bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21) {
			format = 'e'
		}
	}
	e.out = strconv.AppendFloat(e.out, v, format, -1, bits)
	if n := len(e.out); format == 'e' && n >= 4 && e.out[n-4] == 'e' && e.out[n-3] == '-' && e.out[n-2] == '0' {
		e.out[n-2] = e.out[n-1] // e-09 is e-9
		e.out = e.out[:n-1]
	}
}

// known writes the messages that have a form of their own in JSON.
func (e *encoder) known(m *shape, found int) error {
	s := func(i int) span { return e.found[found+i] }
	switch m.form {
	case wrapper:
		return e.singular(&m.fields[0], s(0))
	case structure:
		return e.mapping(&m.fields[0], s(0))
	case listValue:
		return e.list(&m.fields[0], s(0))
	case anyValue:
		return e.anything(m, found)
	case fieldMask:
		return e.fieldMask(s(0))
	}
	var part [2]int64
	for i := range m.fields {
		if last := s(i).last; last != 0 {
			part[m.fields[i].tag[0]>>3-1] = int64(e.values[last-1].number)
		}
	}
	if m.form == timestamp {
		return e.timestamp(part[0], int64(int32(part[1])))
	}
	return e.duration(part[0], int64(int32(part[1])))
}

func (e *encoder) anything(m *shape, found int) error {
	for i := range m.fields {
		s := e.found[found+i]
		if s.last == 0 {
			continue
		}
		f := &m.fields[i]
		if f.kind == protoreflect.DoubleKind {
			if v := math.Float64frombits(e.values[s.last-1].number); math.IsNaN(v) || math.IsInf(v, 0) {
				return errors.New("a google.protobuf.Value holds a number that JSON does not have")
			}
		}
		return e.singular(f, s)
	}
	return errors.New("a google.protobuf.Value holds nothing")
}

func (e *encoder) timestamp(seconds, nanos int64) error {
	if seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos > 999999999 {
		return errors.New("a google.protobuf.Timestamp is out of range")
	}
	e.out = append(e.out, '"')
	e.out = time.Unix(seconds, nanos).UTC().AppendFormat(e.out, "2006-01-02T15:04:05.000000000")
	e.trim()
	e.out = append(e.out, 'Z', '"')
	return nil
}

// trim takes zeros from nine digits of a fraction, three at a time.
func (e *encoder) trim() {
	for range 2 {
		e.out = bytes.TrimSuffix(e.out, []byte("000"))
	}
	e.out = bytes.TrimSuffix(e.out, []byte(".000"))
}

func (e *encoder) duration(seconds, nanos int64) error {
	if seconds < -maxDuration || seconds > maxDuration || nanos < -999999999 || nanos > 999999999 || seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return errors.New("a google.protobuf.Duration is out of range")
	}
	e.out = append(e.out, '"')
	if seconds < 0 || nanos < 0 {
		e.out = append(e.out, '-')
		seconds, nanos = -seconds, -nanos
	}
	e.out = append(strconv.AppendInt(e.out, seconds, 10), '.')
	digits := strconv.AppendInt(nil, 1000000000+nanos, 10)
	e.out = append(e.out, digits[1:]...)
	e.trim()
	e.out = append(e.out, 's', '"')
	return nil
}

func (e *encoder) fieldMask(s span) error {
	e.out = append(e.out, '"')
	for i := s.first; i != 0; {
		v := e.values[i-1]
		if i != s.first {
			e.out = append(e.out, ',')
		}
		i = v.next
		if !validPath(v.bytes) {
			return errors.New("a google.protobuf.FieldMask holds an invalid path")
		}
		up := false
		for _, c := range v.bytes {
			switch {
			case c == '_' && !up:
				up = true
				continue
			case up && 'a' <= c && c <= 'z':
				c -= 0x20
			case up || 'A' <= c && c <= 'Z':
				return errors.New("a google.protobuf.FieldMask holds a path that JSON can't express")
			}
			up = false
			e.out = append(e.out, c)
		}
		if up {
			return errors.New("a google.protobuf.FieldMask holds a path that JSON can't express")
		}
	}
	e.out = append(e.out, '"')
	return nil
}

// pair is an entry of a map.
type pair struct {
	number uint64 // the key, of a number its sign bit flipped so that it sorts
	text   []byte
	value  value
	parts  []byte // a message value in parts, merged
}

// mapping writes a map, sorted by key. Of entries with the same key the last one
// counts.
func (e *encoder) mapping(f *field, s span) error {
	key, val := &f.entry.fields[0], &f.entry.fields[1]
	var pairs []pair
	for i := s.first; i != 0; i = e.values[i-1].next {
		p, err := e.entry(f.entry, e.values[i-1].bytes)
		if err != nil {
			return err
		}
		if pairs = append(pairs, p); len(pairs) > e.codec.limits.Items {
			return errors.New("a map of the message has more entries than allowed")
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.number, b.number), bytes.Compare(a.text, b.text))
	})
	e.out = append(e.out, '{')
	first := true
	for i, p := range pairs {
		if i+1 < len(pairs) && pairs[i+1].number == p.number && bytes.Equal(pairs[i+1].text, p.text) {
			continue
		}
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
		if len(e.out) > e.most {
			return errMessageTooLarge
		}
		if err := e.key(key, p); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		var err error
		if val.message != nil {
			err = e.message(val.message, p.parts)
		} else {
			err = e.scalar(val, p.value.number, p.value.bytes)
		}
		if err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// entry reads one entry of a map: a message with a key and a value, either of
// which may be absent.
func (e *encoder) entry(m *shape, wire []byte) (p pair, err error) {
	found, values, oneofs := len(e.found), len(e.values), len(e.oneofs)
	if err = e.index(m, wire, found, oneofs); err != nil {
		return p, err
	}
	if last := e.found[found].last; last != 0 {
		v := e.values[last-1]
		p.number, p.text = sortable(m.fields[0].kind, v.number), v.bytes
	} else {
		p.number = sortable(m.fields[0].kind, 0)
	}
	if s := e.found[found+1]; s.last != 0 {
		p.value = e.values[s.last-1]
		p.parts = p.value.bytes
		if s.first != s.last && m.fields[1].message != nil {
			p.parts = nil
			for i := s.first; i != 0; i = e.values[i-1].next {
				p.parts = append(p.parts, e.values[i-1].bytes...)
			}
		}
	}
	e.found, e.values, e.oneofs = e.found[:found], e.values[:values], e.oneofs[:oneofs]
	return p, nil
}

// sortable is a key as an unsigned number in the order of the keys.
func sortable(k protoreflect.Kind, v uint64) uint64 {
	const sign = 1 << 63
	switch k {
	case protoreflect.StringKind:
		return 0
	case protoreflect.BoolKind:
		return min(v, 1)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return uint64(int64(int32(v))) ^ sign
	case protoreflect.Sint32Kind:
		return uint64(int64(int32(protowire.DecodeZigZag(v&math.MaxUint32)))) ^ sign
	case protoreflect.Sint64Kind:
		return uint64(protowire.DecodeZigZag(v)) ^ sign
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return v ^ sign
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return uint64(uint32(v))
	}
	return v
}

// key writes the key of a map, which in JSON is a string.
func (e *encoder) key(f *field, p pair) error {
	const sign = 1 << 63
	if f.kind == protoreflect.StringKind {
		e.out = appendString(e.out, p.text)
		return nil
	}
	e.out = append(e.out, '"')
	switch {
	case f.kind == protoreflect.BoolKind:
		e.out = strconv.AppendBool(e.out, p.number != 0)
	case signed(f.kind):
		e.out = strconv.AppendInt(e.out, int64(p.number^sign), 10)
	default:
		e.out = strconv.AppendUint(e.out, p.number, 10)
	}
	e.out = append(e.out, '"')
	return nil
}

// foreign leaves a message to protojson. The library panics at some messages that
// are not valid, such as one whose map has a key of another type.
func (e *encoder) foreign(m *shape, wire []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w", m.desc.FullName(), errWire)
		}
	}()
	msg := dynamicpb.NewMessage(m.desc)
	if err := (proto.UnmarshalOptions{AllowPartial: true, RecursionLimit: max(e.depth, 1), Resolver: e.codec.schema}).Unmarshal(wire, msg); err != nil {
		return fmt.Errorf("%s: %w", m.desc.FullName(), errWire)
	}
	o := e.codec.options
	out, err := protojson.MarshalOptions{
		AllowPartial: true, UseProtoNames: o.ProtoNames, UseEnumNumbers: o.EnumNumbers, EmitDefaultValues: o.Defaults, Resolver: e.codec.schema,
	}.MarshalAppend(e.out, msg)
	if err != nil {
		return fmt.Errorf("%s can't be written as JSON: %w", m.desc.FullName(), err)
	}
	e.out = out
	return nil
}

// appendString appends a string of JSON. What is not UTF-8 becomes U+FFFD.
func appendString(dst, s []byte) []byte { return rawjson.AppendString(dst, s) }
