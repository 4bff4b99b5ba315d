package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Difference is one value that is not the same in two configurations. A value
// that is not there is empty.
type Difference struct {
	Path     string `json:"path"` // timeouts.response
	Old, New string
}

// Compare lists where two values of the same type differ: parts of a document,
// settings of a policy. Places don't count. Secrets are compared, and not shown.
func Compare(before, after any) []Difference {
	var c comparer
	c.walk("", reflect.ValueOf(before), reflect.ValueOf(after))
	return c.list
}

type comparer struct{ list []Difference }

func (c *comparer) add(path string, a, b reflect.Value) {
	c.list = append(c.list, Difference{path, written(a), written(b)})
}

var (
	posType    = reflect.TypeFor[Pos]()
	secretType = reflect.TypeFor[Secret]()
	textType   = reflect.TypeFor[encoding.TextMarshaler]()
	printType  = reflect.TypeFor[fmt.Stringer]()
)

func (c *comparer) walk(path string, a, b reflect.Value) {
	a, b = inside(a), inside(b)
	switch {
	case !a.IsValid() && !b.IsValid():
		return
	case !a.IsValid() || !b.IsValid() || a.Type() != b.Type():
		c.add(path, a, b)
		return
	}
	switch t := a.Type(); {
	case t == posType:
	case t == secretType:
		if x, y := a.Interface().(Secret), b.Interface().(Secret); x.Reveal() != y.Reveal() {
			c.add(path, a, b)
		}
	case t.Implements(textType) || t.Implements(printType) || t == reflect.TypeFor[time.Duration]():
		if written(a) != written(b) {
			c.add(path, a, b)
		}
	case t.Kind() == reflect.Struct:
		c.fields(path, a, b)
	case t.Kind() == reflect.Slice:
		c.items(path, a, b)
	case !reflect.DeepEqual(a.Interface(), b.Interface()):
		c.add(path, a, b)
	}
}

// inside takes pointers and interfaces away.
func inside(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	return v
}

func (c *comparer) fields(path string, a, b reflect.Value) {
	t := a.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Type == posType || f.Tag.Get("key") != "":
			continue
		case name == "-" || name == "":
			name = strings.ToLower(f.Name)
		}
		c.walk(below(path, name), a.Field(i), b.Field(i))
	}
}

func below(path, name string) string {
	if path == "" || strings.HasPrefix(name, "[") {
		return path + name
	}
	return path + "." + name
}

// items compares lists: those whose items have names by name, others item by item.
func (c *comparer) items(path string, a, b reflect.Value) {
	if key := keyField(a.Type().Elem()); key >= 0 {
		c.named(path, key, a, b)
		return
	}
	if a.Len() != b.Len() || !inline(a.Type().Elem()) {
		if a.Len() != b.Len() {
			c.add(path, a, b)
			return
		}
		for i := range a.Len() {
			c.walk(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i))
		}
		return
	}
	for i := range a.Len() {
		if written(a.Index(i)) != written(b.Index(i)) {
			c.add(path, a, b)
			return
		}
	}
}

// inline reports whether a list of such items is shown as a whole.
func inline(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface || t.Implements(textType) || t.Implements(printType)
}

// keyField is the field that names the items of a list; -1: they have no names.
func keyField(t reflect.Type) int {
	if t == reflect.TypeFor[Policy]() {
		f, _ := t.FieldByName("Name")
		return f.Index[0]
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("key") != "" {
				return i
			}
		}
	}
	return -1
}

func (c *comparer) named(path string, key int, a, b reflect.Value) {
	find := func(list reflect.Value, name string) reflect.Value {
		for i := range list.Len() {
			if list.Index(i).Field(key).String() == name {
				return list.Index(i)
			}
		}
		return reflect.Value{}
	}
	for i := range a.Len() {
		name := a.Index(i).Field(key).String()
		c.walk(below(path, name), a.Index(i), find(b, name))
	}
	for i := range b.Len() {
		if name := b.Index(i).Field(key).String(); !find(a, name).IsValid() {
			c.walk(below(path, name), reflect.Value{}, b.Index(i))
		}
	}
}

// written is a value as a person would write it, in a line.
func written(v reflect.Value) string {
	v = inside(v)
	if !v.IsValid() {
		return ""
	}
	switch x := v.Interface().(type) {
	case Secret:
		return x.String()
	case fmt.Stringer:
		return x.String()
	case encoding.TextMarshaler:
		if text, err := x.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = written(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Struct:
		return structure(v)
	}
	return fmt.Sprint(v.Interface())
}

// structure is a struct without what is empty in it.
func structure(v reflect.Value) string {
	var parts []string
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Type == posType || v.Field(i).IsZero() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || name == "" {
			name = strings.ToLower(f.Name)
		}
		if text := written(v.Field(i)); text != "" && text != "[]" {
			parts = append(parts, name+": "+text)
		}
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}
