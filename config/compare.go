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
	Path string `json:"path"` // timeouts.response
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
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
	case !a.IsValid() || !b.IsValid():
		c.oneSided(path, a, b)
		return
	case a.Type() != b.Type():
		c.add(path, a, b)
		return
	}
	switch t := a.Type(); {
	case t == posType:
	case t == secretType:
		if x, y := a.Interface().(Secret), b.Interface().(Secret); x.Reveal() != y.Reveal() {
			c.add(path, a, b)
		}
	case whole(t):
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

// oneSided lists what is said on the one side, where nothing is on the other.
func (c *comparer) oneSided(path string, a, b reflect.Value) {
	before := len(c.list)
	c.state(path, a, func(path, text string) { c.list = append(c.list, Difference{Path: path, Old: text}) })
	c.state(path, b, func(path, text string) { c.list = append(c.list, Difference{Path: path, New: text}) })
	switch {
	case len(c.list) > before:
	case a.IsValid():
		c.list = append(c.list, Difference{Path: path, Old: isOn}) // and nothing else is said about it
	default:
		c.list = append(c.list, Difference{Path: path, New: isOn})
	}
}

const isOn = "on"

// inside takes pointers and interfaces away; what a policy says stands for it.
func inside(v reflect.Value) reflect.Value {
	for v.IsValid() {
		if p, ok := reflect.TypeAssert[Policy](v); ok {
			v = reflect.ValueOf(p.Spec)
		} else if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			v = v.Elem()
		} else {
			return v
		}
	}
	return v
}

func (c *comparer) fields(path string, a, b reflect.Value) {
	t := a.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := shownName(f)
		if !ok {
			continue
		}
		x, y := a.Field(i), b.Field(i)
		switch { // an empty value that means nothing is not told as one
		case bare(f, x) && bare(f, y):
		case bare(f, x):
			c.walk(placed(path, name, f), reflect.Value{}, y)
		case bare(f, y):
			c.walk(placed(path, name, f), x, reflect.Value{})
		default:
			c.walk(placed(path, name, f), x, y)
		}
	}
}

// bare reports whether a field is empty, and that is no value of its own.
func bare(f reflect.StructField, v reflect.Value) bool {
	return (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) && v.Kind() != reflect.Bool && unset(f, v)
}

// placed is the path of a field: the policies of a part stand in it by their own
// names. (Those of the whole are kept apart, as "policies".)
func placed(path, name string, f reflect.StructField) string {
	if path != "" && f.Type == reflect.TypeFor[[]Policy]() {
		return path
	}
	return below(path, name)
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
	if inline(a.Type().Elem()) || flat(a.Type().Elem()) && len(written(a))+len(written(b)) < maxInLine {
		if written(a) != written(b) {
			c.add(path, a, b)
		}
		return
	}
	// What is the same at both ends has not changed, whatever was put between.
	same := func(i, j int) bool { return reflect.DeepEqual(bared(a.Index(i)), bared(b.Index(j))) }
	head, tail, least := 0, 0, min(a.Len(), b.Len())
	for head < least && same(head, head) {
		head++
	}
	for tail < least-head && same(a.Len()-1-tail, b.Len()-1-tail) {
		tail++
	}
	for i := head; i < max(a.Len(), b.Len())-tail; i++ {
		var x, y reflect.Value
		if i < a.Len()-tail {
			x = a.Index(i)
		}
		if i < b.Len()-tail {
			y = b.Index(i)
		}
		c.walk(fmt.Sprintf("%s[%d]", path, i), x, y)
	}
}

// maxInLine is up to how many letters two lists are told as wholes.
const maxInLine = 160

// bared is what is set in a value, to compare it without places.
func bared(v reflect.Value) []Difference { return Stated(v.Interface()) }

// flat reports whether such items have no parts with names of their own, which
// could be those of secrets.
func flat(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if _, ok := shownName(f); ok && !whole(f.Type) && f.Type.Kind() >= reflect.Array && f.Type.Kind() != reflect.String {
			return false
		}
	}
	return true
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
	case time.Duration:
		return duration(x)
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

// structure is a struct without what is empty in it, or as it would be anyway; one
// that its short form says whole is written in that.
func structure(v reflect.Value) string {
	var parts []string
	short := ""
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := shownName(f)
		if !ok || unset(f, v.Field(i)) {
			continue
		}
		text := written(v.Field(i))
		if text == "" || text == "[]" {
			continue
		}
		if f.Tag.Get("short") != "" {
			short = text
		}
		parts = append(parts, name+": "+text)
	}
	if len(parts) == 1 && short != "" {
		return short
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// duration is d without the parts that are zero: 1h, not 1h0m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
