package transcode

import (
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// form is how a message looks in JSON.
type form uint8

const (
	plain form = iota // an object of its fields
	timestamp
	duration
	wrapper // its value alone
	structure
	anyValue // google.protobuf.Value
	listValue
	fieldMask
	foreign // left to protojson: Any, and what proto2 has of its own
)

// shape is a message as the codec sees it: made once, then only read.
type shape struct {
	desc     protoreflect.MessageDescriptor
	form     form
	fields   []field          // as declared
	byName   map[string]int32 // JSON and proto names to the index
	dense    []int16          // number to index, -1 for none, of small numbers
	sparse   map[uint64]int32
	oneofs   int
	required bool // has required fields
}

// field is one field of a shape.
type field struct {
	name     string // JSON name
	jsonKey  []byte // `"name":`
	protoKey []byte
	tag      []byte // as on the wire; of a packed list that of the list
	one      []byte // the tag of one element outside of a packed list
	kind     protoreflect.Kind
	wire     protowire.Type // of one value
	index    int32
	oneof    int32 // -1: none
	list     bool
	packed   bool
	presence bool // absent and zero are two things
	required bool
	nullable bool // null is a value: Value and NullValue
	message  *shape
	enum     *enum
	entry    *shape // of a map: key and value
}

// enum is an enum's names and numbers.
type enum struct {
	numbers map[string]int32
	names   map[int32][]byte // quoted
	null    bool             // google.protobuf.NullValue
}

// shapes makes shapes and keeps them. One schema has one.
type shapes struct {
	mu    sync.Mutex
	known map[protoreflect.FullName]*shape
	enums map[protoreflect.FullName]*enum
}

func newShapes() *shapes {
	return &shapes{known: map[protoreflect.FullName]*shape{}, enums: map[protoreflect.FullName]*enum{}}
}

// of returns the shape of a message, and makes those of all that it holds.
func (s *shapes) of(d protoreflect.MessageDescriptor) *shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.message(d)
}

func (s *shapes) message(d protoreflect.MessageDescriptor) *shape {
	if m := s.known[d.FullName()]; m != nil {
		return m
	}
	m := &shape{desc: d, form: formOf(d), byName: map[string]int32{}, oneofs: d.Oneofs().Len()}
	s.known[d.FullName()] = m
	if m.form == foreign {
		return m
	}
	fields := d.Fields()
	m.fields = make([]field, fields.Len())
	m.dense = make([]int16, 0, 32)
	for i := range m.fields {
		fd := fields.Get(i)
		m.fields[i] = s.field(fd)
		m.required = m.required || m.fields[i].required
		m.number(uint64(fd.Number()), int32(i))
	}
	// A JSON name goes before the proto name of another field.
	for i := range m.fields {
		if name := fields.Get(i).TextName(); !has(m.byName, name) {
			m.byName[name] = int32(i)
		}
	}
	for i := range m.fields {
		m.byName[m.fields[i].name] = int32(i)
	}
	return m
}

func has(m map[string]int32, name string) bool {
	_, ok := m[name]
	return ok
}

func (m *shape) number(n uint64, index int32) {
	if n < 256 && index < 1<<15-1 {
		for uint64(len(m.dense)) <= n {
			m.dense = append(m.dense, -1)
		}
		m.dense[n] = int16(index)
		return
	}
	if m.sparse == nil {
		m.sparse = map[uint64]int32{}
	}
	m.sparse[n] = index
}

// numbered returns the index of the field with a number, or -1.
func (m *shape) numbered(n uint64) int32 {
	if n < uint64(len(m.dense)) {
		return int32(m.dense[n])
	}
	if m.sparse != nil {
		if i, ok := m.sparse[n]; ok {
			return i
		}
	}
	return -1
}

// named returns the field of a JSON or proto name, or nil.
func (m *shape) named(name []byte) *field {
	if i, ok := m.byName[string(name)]; ok {
		return &m.fields[i]
	}
	return nil
}

func (s *shapes) field(fd protoreflect.FieldDescriptor) field {
	f := field{
		name: fd.JSONName(), kind: fd.Kind(), index: int32(fd.Index()), oneof: -1, list: fd.IsList(), packed: fd.IsPacked(),
		presence: fd.HasPresence(), required: fd.Cardinality() == protoreflect.Required, wire: wireType(fd.Kind()),
	}
	f.jsonKey = append(appendString(nil, []byte(f.name)), ':')
	f.protoKey = append(appendString(nil, []byte(fd.TextName())), ':')
	f.one = protowire.AppendTag(nil, fd.Number(), f.wire)
	f.tag = f.one
	if f.packed {
		f.tag = protowire.AppendTag(nil, fd.Number(), protowire.BytesType)
	}
	if o := fd.ContainingOneof(); o != nil {
		f.oneof = int32(o.Index())
	}
	switch {
	case fd.IsMap():
		f.entry = s.message(fd.Message())
	case fd.Message() != nil:
		f.message = s.message(fd.Message())
		f.nullable = f.message.form == anyValue
	case fd.Enum() != nil:
		f.enum = s.enum(fd.Enum())
		f.nullable = f.enum.null
	}
	return f
}

func (s *shapes) enum(d protoreflect.EnumDescriptor) *enum {
	if e := s.enums[d.FullName()]; e != nil {
		return e
	}
	e := &enum{numbers: map[string]int32{}, names: map[int32][]byte{}, null: d.FullName() == "google.protobuf.NullValue"}
	values := d.Values()
	for i := range values.Len() {
		v := values.Get(i)
		e.numbers[string(v.Name())] = int32(v.Number())
		if _, ok := e.names[int32(v.Number())]; !ok { // the first of aliases
			e.names[int32(v.Number())] = appendString(nil, []byte(v.Name()))
		}
	}
	s.enums[d.FullName()] = e
	return e
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	}
	return protowire.VarintType
}

func formOf(d protoreflect.MessageDescriptor) form {
	name, ok := strings.CutPrefix(string(d.FullName()), "google.protobuf.")
	if ok && sound(d) {
		switch name {
		case "Timestamp":
			return timestamp
		case "Duration":
			return duration
		case "BoolValue", "Int32Value", "Int64Value", "UInt32Value", "UInt64Value", "FloatValue", "DoubleValue", "StringValue", "BytesValue":
			return wrapper
		case "Struct":
			return structure
		case "Value":
			return anyValue
		case "ListValue":
			return listValue
		case "FieldMask":
			return fieldMask
		}
	}
	if ok && name == "Any" {
		return foreign
	}
	if d.ExtensionRanges().Len() > 0 || d.IsPlaceholder() {
		return foreign
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if fd.Kind() == protoreflect.GroupKind {
			return foreign
		}
	}
	return plain
}

// sound reports whether a message that calls itself well known has the fields
// that it must: whoever answers reflection may say anything.
func sound(d protoreflect.MessageDescriptor) bool {
	want := map[protoreflect.Name][]protoreflect.Kind{
		"Timestamp": {protoreflect.Int64Kind, protoreflect.Int32Kind}, "Duration": {protoreflect.Int64Kind, protoreflect.Int32Kind},
		"BoolValue": {protoreflect.BoolKind}, "Int32Value": {protoreflect.Int32Kind}, "Int64Value": {protoreflect.Int64Kind},
		"UInt32Value": {protoreflect.Uint32Kind}, "UInt64Value": {protoreflect.Uint64Kind}, "FloatValue": {protoreflect.FloatKind},
		"DoubleValue": {protoreflect.DoubleKind}, "StringValue": {protoreflect.StringKind}, "BytesValue": {protoreflect.BytesKind},
		"FieldMask": {protoreflect.StringKind}, "Struct": {protoreflect.MessageKind}, "ListValue": {protoreflect.MessageKind},
		"Value": {
			protoreflect.EnumKind, protoreflect.DoubleKind, protoreflect.StringKind, protoreflect.BoolKind,
			protoreflect.MessageKind, protoreflect.MessageKind,
		},
	}[d.Name()]
	if len(want) != d.Fields().Len() {
		return false
	}
	lists := d.Name() == "FieldMask" || d.Name() == "ListValue"
	for i, k := range want {
		fd := d.Fields().ByNumber(protoreflect.FieldNumber(i + 1))
		if fd == nil || fd.Kind() != k || fd.IsList() != lists || fd.IsMap() != (d.Name() == "Struct") {
			return false
		}
	}
	return true
}
