package transcode

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Described is a method as HTTP clients see it, for documents.
type Described struct {
	Rule
	Name            string         // pkg.Service/Method
	Comment         string         // of the .proto file, when that is known
	Input, Output   string         // names of messages
	Stream          bool           // the client sends many messages
	Streams         bool           // the answer is many messages
	Parameters      map[string]any // schemas of the fields in the path, by their paths
	Query           map[string]any // schemas of the fields that the query may have
	BodyField       string         // of the input, that the body is; "": all of it
	AnswerField     string         // of the output, that is shown; "": all of it
	BodyFieldSchema any
	AnswerSchema    any
}

// Describe returns the methods that a call leads to: one method, those of a
// service, or all. Of a method, the rule is what is said beside it.
func (d *Describer) Describe(call string, own Rule) ([]Described, error) {
	if strings.Contains(call, "/") {
		m, err := d.Schema.Method(call)
		if err != nil {
			return nil, err
		}
		return []Described{d.method(m.Desc, own)}, nil
	}
	var list []Described
	names := d.Schema.Services()
	if call != "annotations" {
		names = []string{call}
	}
	for _, name := range names {
		sd := d.Schema.Service(name)
		if sd == nil {
			continue
		}
		for i := range sd.Methods().Len() {
			md := sd.Methods().Get(i)
			rules, err := rulesOf(md)
			if err != nil {
				return nil, err
			}
			if len(rules) == 0 {
				rules = []Rule{{Method: "POST", Path: "/" + name + "/" + string(md.Name()), Body: "*"}}
			}
			for _, r := range rules {
				list = append(list, d.method(md, r))
			}
		}
	}
	return list, nil
}

// Describer writes messages as JSON Schema.
type Describer struct {
	Schema      *Schema
	ProtoNames  bool
	EnumNumbers bool
	// Messages are the schemas of the messages that were met, by full name.
	Messages map[string]any
}

func (d *Describer) method(md protoreflect.MethodDescriptor, r Rule) Described {
	out := Described{Rule: r, Name: string(md.Parent().FullName()) + "/" + string(md.Name()), Comment: comment(md),
		Input: string(md.Input().FullName()), Output: string(md.Output().FullName()), Stream: md.IsStreamingClient(), Streams: md.IsStreamingServer(),
		Parameters: map[string]any{}, Query: map[string]any{}}
	named := map[string]bool{}
	for _, path := range templateFields(r.Path) {
		if fd := fieldAt(md.Input(), path); fd != nil {
			out.Parameters[path] = d.single(fd)
		}
		name, _, _ := strings.Cut(path, ".")
		named[name] = true
	}
	if fd := fieldAt(md.Input(), r.Body); r.Body != "*" && r.Body != "" && fd != nil {
		out.BodyField, out.BodyFieldSchema = r.Body, d.field(fd)
		named[r.Body] = true
	}
	if r.Body != "*" {
		for i := range md.Input().Fields().Len() {
			fd := md.Input().Fields().Get(i)
			if !named[string(fd.Name())] && !fd.IsMap() && asText(fd) {
				out.Query[d.name(fd)] = d.field(fd)
			}
		}
	}
	if fd := fieldAt(md.Output(), r.Response); r.Response != "" && fd != nil {
		out.AnswerField, out.AnswerSchema = r.Response, d.field(fd)
	}
	d.message(md.Input())
	d.message(md.Output())
	return out
}

// asText reports whether a parameter can set a field: see textual.
func asText(fd protoreflect.FieldDescriptor) bool {
	if fd.Message() == nil {
		return true
	}
	switch formOf(fd.Message()) {
	case timestamp, duration, wrapper, fieldMask:
		return true
	}
	return false
}

// templateFields are the fields that a path names: of /v1/{name=a/*}/{x}, name and x.
func templateFields(path string) (list []string) {
	for {
		_, rest, ok := strings.Cut(path, "{")
		if !ok {
			return list
		}
		name, more, _ := strings.Cut(rest, "}")
		name, _, _ = strings.Cut(name, "=")
		list, path = append(list, strings.TrimSuffix(name, "...")), more
	}
}

func fieldAt(md protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	var fd protoreflect.FieldDescriptor
	for _, name := range strings.Split(path, ".") {
		if md == nil {
			return nil
		}
		if fd = md.Fields().ByName(protoreflect.Name(name)); fd == nil {
			if fd = md.Fields().ByJSONName(name); fd == nil {
				return nil
			}
		}
		md = fd.Message()
	}
	return fd
}

func (d *Describer) name(fd protoreflect.FieldDescriptor) string {
	if d.ProtoNames {
		return string(fd.Name())
	}
	return fd.JSONName()
}

// message adds the schema of a message, and of those that it holds.
func (d *Describer) message(md protoreflect.MessageDescriptor) {
	name := string(md.FullName())
	if _, ok := d.Messages[name]; ok || wellKnown(md) != nil {
		return
	}
	properties := map[string]any{}
	s := map[string]any{"type": "object", "properties": properties}
	if text := comment(md); text != "" {
		s["description"] = text
	}
	d.Messages[name] = s
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		properties[d.name(fd)] = described(d.field(fd), comment(fd))
	}
}

func described(schema any, text string) any {
	m, ok := schema.(map[string]any)
	if ok && text != "" {
		m["description"] = text // beside a $ref too: that is 3.1
	}
	return schema
}

func (d *Describer) field(fd protoreflect.FieldDescriptor) any {
	switch {
	case fd.IsMap():
		return map[string]any{"type": "object", "additionalProperties": d.single(fd.MapValue())}
	case fd.IsList():
		return map[string]any{"type": "array", "items": d.single(fd)}
	}
	return d.single(fd)
}

func (d *Describer) single(fd protoreflect.FieldDescriptor) any {
	kind := func(t string, more ...string) any {
		m := map[string]any{"type": t}
		if len(more) > 0 {
			m["format"] = more[0]
		}
		return m
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return kind("boolean")
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return kind("integer", "int32")
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return map[string]any{"type": "integer", "minimum": 0, "maximum": uint32(1<<32 - 1)}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return map[string]any{"type": []any{"string", "integer"}, "description": "A number of 64 bits, in answers a text."}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return map[string]any{"type": []any{"number", "string"}, "description": "A number, or NaN, Infinity, -Infinity."}
	case protoreflect.BytesKind:
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case protoreflect.EnumKind:
		return d.enum(fd.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if s := wellKnown(fd.Message()); s != nil {
			return s
		}
		d.message(fd.Message())
		return map[string]any{"$ref": "#/components/schemas/" + string(fd.Message().FullName())}
	}
	return kind("string")
}

func (d *Describer) enum(ed protoreflect.EnumDescriptor) any {
	if ed.FullName() == "google.protobuf.NullValue" {
		return map[string]any{"type": "null"}
	}
	values := []any{}
	for i := range ed.Values().Len() {
		v := ed.Values().Get(i)
		if d.EnumNumbers {
			values = append(values, int(v.Number()))
		} else {
			values = append(values, string(v.Name()))
		}
	}
	return map[string]any{"enum": values}
}

// wellKnown is the schema of a message that has a form of its own in JSON; nil:
// it is an object of its fields.
func wellKnown(md protoreflect.MessageDescriptor) map[string]any {
	name, ok := strings.CutPrefix(string(md.FullName()), "google.protobuf.")
	if !ok {
		return nil
	}
	switch name {
	case "Timestamp":
		return map[string]any{"type": "string", "format": "date-time"}
	case "Duration":
		return map[string]any{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]+)?s$`}
	case "FieldMask", "StringValue":
		return map[string]any{"type": "string"}
	case "BytesValue":
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case "BoolValue":
		return map[string]any{"type": "boolean"}
	case "Int32Value", "UInt32Value":
		return map[string]any{"type": "integer"}
	case "Int64Value", "UInt64Value":
		return map[string]any{"type": []any{"string", "integer"}}
	case "FloatValue", "DoubleValue":
		return map[string]any{"type": []any{"number", "string"}}
	case "Struct", "Any", "Empty":
		return map[string]any{"type": "object"}
	case "ListValue":
		return map[string]any{"type": "array"}
	case "Value":
		return map[string]any{}
	}
	return nil
}

// comment is what stands in front of a declaration.
func comment(d protoreflect.Descriptor) string {
	text := strings.TrimSpace(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments)
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Clip(lines), " ")
}
