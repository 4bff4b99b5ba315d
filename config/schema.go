package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (2020-12) of a configuration file, for editors.
// It accepts what Parse accepts, and more: what only holds between parts of the
// document it can't say. No top-level key is required, since a file may be one
// of a folder.
func Schema(opts Options) []byte {
	s := &schema{catalog: newCatalog(opts), names: make(map[string]reflect.Type)}
	for _, d := range scalarSchemas {
		s.defs.set(d.name, d.schema)
	}
	root := s.long(reflect.TypeFor[Document]())
	var all object
	all.set("$schema", "https://json-schema.org/draft/2020-12/schema")
	all.set("title", "Gopura configuration")
	for _, m := range root {
		if m.key != "required" {
			all.set(m.key, m.value)
		}
	}
	all.set("$defs", &s.defs)
	out, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		panic("config: schema: " + err.Error())
	}
	return append(out, '\n')
}

// object is a JSON object that keeps its order.
type object []member

type member struct {
	key   string
	value any
}

func (o *object) set(key string, value any) { *o = append(*o, member{key, value}) }

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(m.key)
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func ref(name string) object   { return object{{"$ref", "#/$defs/" + name}} }
func anyOf(schemas ...any) any { return alternatives("anyOf", schemas) }

func alternatives(word string, schemas []any) any {
	if len(schemas) == 1 {
		return schemas[0]
	}
	return object{{word, schemas}}
}

// scalarSchemas are the definitions that every text with a unit shares. Each
// allows a reference, whose value nobody knows before the file is read.
var scalarSchemas = []struct {
	name   string
	schema object
}{
	{"reference", object{{"type", "string"}, {"pattern", `\$\{(env|file):`}, {"description", "A value from the environment or a file: ${env:NAME}, ${env:NAME:-default}, ${file:path}."}}},
	{"text", object{{"type", []string{"string", "number", "boolean"}}}},
	{"boolean", object{{"anyOf", []any{object{{"type", "boolean"}}, object{{"enum", []string{"on", "off", "yes", "no"}}}, ref("reference")}}}},
	{"duration", object{{"anyOf", []any{object{{"type", "string"}, {"pattern", `^(0|off|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|y)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|y))*)$`}}, object{{"const", 0}}, ref("reference")}},
		{"description", "A duration: 300ms, 5s, 1h30m, 2d, 1y; 0 and off are none."}}},
	{"size", object{{"anyOf", []any{object{{"type", "string"}, {"pattern", `^([0-9]+(\.[0-9]*)?|\.[0-9]+) *([bB]|[kKmMgG]|[kKmMgGtT][bB]|[kKmMgGtT][iI][bB])?$`}}, object{{"type", "integer"}, {"minimum", 0}}, ref("reference")}},
		{"description", "A number of bytes: 512, 64KiB, 8MiB, 1GB."}}},
	{"percent", object{{"type", "string"}, {"pattern", `^[0-9.]+%$|\$\{`}, {"description", "A percentage: 50%."}}},
	{"rate", object{{"type", "string"}, {"pattern", `^[0-9]+/.+$|\$\{`}, {"description", "A rate: 10/s, 5/10s, 1000/day."}}},
}

type schema struct {
	*catalog
	defs  object
	names map[string]reflect.Type
}

// value returns the schema of a value of a type where f is used.
func (s *schema) value(t reflect.Type, f *field) any {
	t = elem(t)
	switch {
	case isScalar(t):
		return s.scalar(t, f)
	case t == typePolicies:
		return s.policies()
	case t == typeIdentities:
		return s.identities()
	case t.Kind() == reflect.Struct:
		forms := []any{ref(s.define(t))}
		if f.on {
			forms = append(forms, object{{"enum", []any{"on", true}}})
		}
		if f.off {
			forms = append(forms, object{{"enum", []any{"off", false}}})
		}
		return anyOf(forms...)
	case t.Kind() == reflect.Slice:
		item := s.value(t.Elem(), &field{enum: f.enum, min: f.min, max: f.max})
		if s.keyed(t.Elem()) {
			all := object{{"type", "object"}, {"additionalProperties", item}}
			if f.one != "" {
				return anyOf(ref("text"), all)
			}
			return all
		}
		all := object{{"type", "array"}, {"items", item}}
		if f.one != "" {
			return anyOf(item, all)
		}
		return all
	case t.Kind() == reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", s.value(t.Elem(), new(field))}}
	}
	return true
}

func (s *schema) scalar(t reflect.Type, f *field) any {
	if len(f.enum) > 0 {
		var words []any
		for _, w := range f.enum {
			words = append(words, w)
			if n, err := strconv.ParseFloat(w, 64); err == nil {
				words = append(words, n)
			}
		}
		return anyOf(object{{"enum", words}}, ref("reference"))
	}
	switch t {
	case typeDuration:
		return ref("duration")
	case typeSize:
		return ref("size")
	case typePercent:
		return ref("percent")
	case typeRate:
		return ref("rate")
	}
	if !reflect.PointerTo(t).Implements(typeText) {
		switch t.Kind() {
		case reflect.Bool:
			return ref("boolean")
		case reflect.String:
			return ref("text")
		case reflect.Struct:
		default:
			number := object{{"type", "integer"}}
			if t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64 {
				number = object{{"type", "number"}}
			}
			if f.min != "" {
				number.set("minimum", json.Number(f.min))
			}
			if f.max != "" {
				number.set("maximum", json.Number(f.max))
			}
			// A number in quotes is one, too.
			return anyOf(number, object{{"type", "string"}, {"pattern", `^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$|\$\{`}})
		}
	}
	return ref("text")
}

// define returns the name of the definition of a struct, all forms of it.
func (s *schema) define(t reflect.Type) string {
	name := t.Name()
	for i := 2; name == "" || s.names[name] != nil && s.names[name] != t; i++ {
		name = t.Name() + strconv.Itoa(i)
	}
	if s.names[name] == t {
		return name
	}
	s.names[name] = t
	s.defs.set(name, nil) // keeps its place, and ends recursion
	at := len(s.defs) - 1
	var forms []any
	info := s.info(t)
	for _, w := range info.words {
		words := []any{w.word}
		if w.word == "off" {
			words = append(words, false)
		}
		forms = append(forms, object{{"enum", words}})
	}
	if info.short != nil {
		forms = append(forms, s.value(info.short.typ, info.short))
	}
	s.defs[at].value = anyOf(append(forms, s.long(t))...)
	return name
}

// long returns the schema of a struct written as a map.
func (s *schema) long(t reflect.Type) object {
	info := s.info(t)
	var properties object
	var required []string
	for i := range info.fields {
		f := &info.fields[i]
		properties.set(f.key, s.property(f))
		if f.required {
			required = append(required, f.key)
		}
	}
	properties = append(properties, s.policiesOf(s.kindsFor(info))...)
	o := object{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}
	if len(required) > 0 {
		o.set("required", required)
	}
	return o
}

func (s *schema) property(f *field) any {
	o := object{}
	if f.doc != "" {
		o.set("description", f.doc)
	}
	if f.hasDefault {
		o.set("default", defaultValue(f))
	}
	switch v := s.value(f.typ, f).(type) {
	case object:
		return append(o, v...)
	default:
		if len(o) == 0 {
			return v
		}
	}
	return o
}

func defaultValue(f *field) any {
	switch {
	case f.typ.Kind() == reflect.Slice:
		return strings.Split(f.deflt, ",")
	case f.typ.Kind() == reflect.Bool:
		return f.deflt == "true"
	case f.typ.Kind() == reflect.Int:
		return json.Number(f.deflt)
	}
	return f.deflt
}

func (s *schema) policies() object {
	return object{{"type", "object"}, {"properties", s.policiesOf(s.kinds)}, {"additionalProperties", false}}
}

// identities returns the schema of a map of sources, each with one kind.
func (s *schema) identities() object {
	one := object{{"type", "object"}, {"properties", s.kindsOf(s.sources)}, {"additionalProperties", false}, {"minProperties", 1}, {"maxProperties", 1}}
	return object{{"type", "object"}, {"additionalProperties", anyOf(object{{"enum", kindNames(s.sources)}}, one)}}
}

// policiesOf returns the schema of policies, each of which may be off.
func (s *schema) policiesOf(kinds []PolicyKind) (properties object) {
	for _, m := range s.kindsOf(kinds) {
		o, ok := m.value.(object)
		if !ok {
			properties.set(m.key, m.value)
			continue
		}
		properties.set(m.key, withOff(o))
	}
	return properties
}

// withOff adds the word off to what a value may be; what describes the value
// stays in front.
func withOff(o object) object {
	var about, value object
	for _, m := range o {
		if m.key == "description" || m.key == "default" {
			about = append(about, m)
		} else {
			value = append(value, m)
		}
	}
	word := object{{"const", off}}
	if len(value) == 1 && value[0].key == "anyOf" {
		return append(about, member{"anyOf", append(slices.Clone(value[0].value.([]any)), word)})
	}
	return append(about, member{"anyOf", []any{value, word}})
}

func (s *schema) kindsOf(kinds []PolicyKind) (properties object) {
	for i := range kinds {
		k := &kinds[i]
		properties.set(k.Name, s.property(&field{doc: k.Doc, typ: elem(reflect.TypeOf(k.New())), one: "true"}))
	}
	return properties
}
