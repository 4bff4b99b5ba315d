package apidoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// object is a map that keeps its order.
type object struct {
	keys   []string
	values map[string]any
}

func newObject(pairs ...any) *object {
	o := &object{values: map[string]any{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func (o *object) set(key string, value any) {
	if _, ok := o.values[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}

func (o *object) get(key string) any { return o.values[key] }

func (o *object) drop(key string) {
	delete(o.values, key)
	o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
}

// MarshalJSON implements json.Marshaler.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(o.values[k])
		if err != nil {
			return nil, err
		}
		b.Write(append(append(key, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// JSON returns the document as JSON.
func (d *Document) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(d.root, "", "  ")
	return append(text, '\n'), err
}

// YAML returns the document as YAML.
func (d *Document) YAML() []byte {
	var b strings.Builder
	writeYAML(&b, d.root, 0)
	return []byte(b.String())
}

// writeYAML writes the lines of a map or list.
func writeYAML(b *strings.Builder, value any, indent int) {
	pad := strings.Repeat(" ", indent)
	switch v := value.(type) {
	case *object:
		for _, k := range v.keys {
			b.WriteString(pad + text(k) + ":")
			writeValue(b, v.values[k], indent+2)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(pad + text(k) + ":")
			writeValue(b, v[k], indent+2)
		}
	case []any:
		for _, item := range v {
			var inner strings.Builder
			if !simple(item) {
				writeYAML(&inner, item, indent+2)
				b.WriteString(pad + "- " + strings.TrimPrefix(inner.String(), pad+"  "))
				continue
			}
			b.WriteString(pad + "-")
			writeValue(b, item, indent+2)
		}
	}
}

func writeValue(b *strings.Builder, value any, indent int) {
	if simple(value) {
		b.WriteString(" " + inline(value) + "\n")
		return
	}
	b.WriteByte('\n')
	writeYAML(b, value, indent)
}

// simple reports whether a value is written on the line of its key.
func simple(value any) bool {
	switch value.(type) {
	case *object, map[string]any, []any:
		return len(inline(value)) < 80 && !strings.Contains(inline(value), "\n")
	}
	return true
}

func inline(value any) string {
	switch v := value.(type) {
	case *object:
		parts := make([]string, 0, len(v.keys))
		for _, k := range v.keys {
			parts = append(parts, text(k)+": "+inline(v.values[k]))
		}
		return braces(parts)
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, text(k)+": "+inline(v[k]))
		}
		return braces(parts)
	case []any:
		parts := make([]string, 0, len(v))
		for _, item := range v {
			parts = append(parts, inline(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return text(v)
	}
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(value))
	}
	return string(b)
}

func braces(parts []string) string {
	if len(parts) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

var plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/_.-]*$`)

// text is a text that YAML reads as that text: JSON's form is one of YAML's.
func text(s string) string {
	if plain.MatchString(s) && !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}, strings.ToLower(s)) {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
