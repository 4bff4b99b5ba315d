package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills Go values from nodes, strictly, and goes on after a problem.
type decoder struct {
	*catalog
	problems   *Problems
	places     map[string]Pos
	refs       references
	defaulting bool // the nodes are written by a tag, not by the user
}

// value fills v from n. f describes the place where the value is used and may
// be empty, never nil.
func (d *decoder) value(n *node, v reflect.Value, f *field, path string) {
	t := v.Type()
	if !d.defaulting {
		d.places[path] = n.pos
	}
	switch {
	case t.Kind() == reflect.Pointer:
		if f.off && d.isWord(n, "off", "false") {
			return
		}
		p := reflect.New(t.Elem())
		d.value(n, p.Elem(), f, path)
		v.Set(p)
	case isScalar(t):
		d.scalar(n, v, f, path)
	case t == typePolicies:
		d.policies(n, v, path)
	case t == typeIdentities:
		d.identities(n, v, path)
	case t.Kind() == reflect.Struct:
		d.structure(n, v, f, path)
	case t.Kind() == reflect.Slice:
		d.list(n, v, f, path)
	case t.Kind() == reflect.Map:
		d.mapping(n, v, f, path)
	case t.Kind() == reflect.Interface:
		if a, ok := d.any(n, path); ok && a != nil {
			v.Set(reflect.ValueOf(a))
		}
	default:
		panic("config: " + t.String() + " can't be decoded")
	}
}

// isWord reports whether n is written as one of these words.
func (d *decoder) isWord(n *node, words ...string) bool {
	for _, w := range words {
		if n.kind == scalar && n.text == w {
			return true
		}
	}
	return false
}

// stands reports whether n is the word w; false is as good as off.
func (d *decoder) stands(n *node, w wordInfo) bool {
	return d.isWord(n, w.word) || w.word == "off" && d.isWord(n, "false")
}

func (d *decoder) problem(pos Pos, path, hint, format string, args ...any) {
	d.problems.add(Problem{Pos: pos, Path: path, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// wrong reports a node of the wrong kind.
func (d *decoder) wrong(n *node, path, what string) {
	switch {
	case n.null():
		d.problem(n.pos, path, "give it a value or remove the key", "is empty, expected %s", what)
	case n.kind == scalar:
		d.problem(n.pos, path, "", "expected %s, got %s", what, d.shown(n))
	default:
		d.problem(n.pos, path, "", "expected %s, got %v", what, n.kind)
	}
}

// shown is the text of a node in a message: hidden when it has references.
func (d *decoder) shown(n *node) string {
	if hasReference(n.text) {
		return hidden
	}
	return quote(n.text)
}

// structure fills a struct from a map, or from one of its short forms.
func (d *decoder) structure(n *node, v reflect.Value, f *field, path string) {
	before := d.problems.errors
	info := d.info(v.Type())
	if info.pos >= 0 {
		v.Field(info.pos).Set(reflect.ValueOf(n.pos))
	}
	switch {
	case n.kind == mapping:
		d.fields(n, v, info, path)
	case d.short(n, v, info, f, path):
		d.absent(n, v, info, path)
	default:
		d.wrong(n, path, either(d.forms(v.Type(), f)))
		return
	}
	if c, ok := v.Addr().Interface().(Checker); ok && !d.defaulting && d.problems.errors == before {
		c.Check(&At{d: d, node: n, path: path})
	}
}

// short fills a struct from a short form and reports whether n is one. The
// other fields stay as they are.
func (d *decoder) short(n *node, v reflect.Value, info *structInfo, f *field, path string) bool {
	if n.null() {
		return false
	}
	if f.on && d.isWord(n, "on", "true") {
		return true
	}
	for _, w := range info.words {
		if d.stands(n, w) {
			setScalar(v.Field(w.index), w.text)
			return true
		}
	}
	s := info.short
	if s == nil || n.kind == list && elem(s.typ).Kind() != reflect.Slice {
		return false
	}
	d.value(n, v.Field(s.index), s, path)
	return true
}

// fields fills a struct from a map.
func (d *decoder) fields(n *node, v reflect.Value, info *structInfo, path string) {
	for _, e := range n.entries {
		at := join(path, e.key)
		if f := info.byKey[e.key]; f != nil {
			d.value(e.value, v.Field(f.index), f, at)
			if f.pos >= 0 {
				v.Field(f.pos).Set(reflect.ValueOf(e.value.pos))
			}
			continue
		}
		if info.policies >= 0 {
			if kind := kindNamed(d.kindsFor(info), e.key); kind != nil {
				p := d.policy(kind, &e, at)
				list := v.Field(info.policies)
				list.Set(reflect.Append(list, reflect.ValueOf(p)))
				continue
			}
		}
		d.unknown(&e, info, at)
	}
	d.absent(n, v, info, path)
}

func (d *decoder) unknown(e *entry, info *structInfo, path string) {
	keys := d.keys(info)
	if f := info.byKey[nearest(e.key, keys)]; f != nil && elem(f.typ) == typeSecret {
		d.conceal(e.value)
	}
	d.problem(e.pos, path, suggest(e.key, keys), "unknown key %s", quote(e.key))
}

// absent gives the fields without a key in n their defaults.
func (d *decoder) absent(n *node, v reflect.Value, info *structInfo, path string) {
	for i := range info.fields {
		f := &info.fields[i]
		if n.find(f.key) != nil || n.kind != mapping && info.short != nil && f.index == info.short.index && !v.Field(f.index).IsZero() {
			continue
		}
		if n.kind != mapping && d.setByWord(n, info, f) {
			continue
		}
		switch t := v.Field(f.index).Type(); {
		case f.required:
			if n.kind == mapping && !d.defaulting {
				d.problem(n.pos, path, f.doc, "the key %q is missing", f.key)
			}
		case f.hasDefault:
			was := d.defaulting
			d.defaulting = true
			d.value(defaultNode(f, n.pos), v.Field(f.index), f, "")
			d.defaulting = was
		case t.Kind() == reflect.Struct && !isScalar(t):
			was := d.defaulting
			d.defaulting = true
			d.structure(&node{kind: mapping, pos: n.pos}, v.Field(f.index), f, "")
			d.defaulting = was
		}
	}
}

// setByWord reports whether the word that n is has set the field.
func (d *decoder) setByWord(n *node, info *structInfo, f *field) bool {
	for _, w := range info.words {
		if w.index == f.index && d.stands(n, w) {
			return true
		}
	}
	return false
}

// defaultNode is the node that the default of a field would be.
func defaultNode(f *field, pos Pos) *node {
	n := &node{pos: pos, text: f.deflt, tag: "!!str"}
	if f.typ.Kind() == reflect.Slice {
		n.kind = list
		for text := range strings.SplitSeq(f.deflt, ",") {
			n.items = append(n.items, &node{pos: pos, text: text, tag: "!!str"})
		}
	}
	return n
}

// list fills a slice: of keyed structs from a map, else from a list.
func (d *decoder) list(n *node, v reflect.Value, f *field, path string) {
	t := v.Type().Elem()
	item := &field{pos: -1, typ: t, enum: f.enum, min: f.min, max: f.max}
	v.Set(reflect.MakeSlice(v.Type(), 0, max(len(n.items), len(n.entries))))
	grow := func() reflect.Value {
		v.Set(reflect.Append(v, reflect.Zero(t)))
		return v.Index(v.Len() - 1)
	}
	switch {
	case d.keyed(t):
		info := d.info(elem(t))
		switch {
		case n.kind == mapping:
			for _, e := range n.entries {
				d.keyedItem(&e, grow(), info, item, join(path, e.key))
			}
		case n.kind == scalar && !n.null() && f.one != "":
			d.keyedItem(&entry{key: f.one, pos: n.pos, value: n}, grow(), info, item, path)
		default:
			d.wrong(n, path, d.whatList(t, f))
		}
	case n.kind == list:
		for i, c := range n.items {
			d.value(c, grow(), item, path+"["+strconv.Itoa(i)+"]")
		}
	case f.one != "" && !n.null():
		d.value(n, grow(), item, path)
	default:
		d.wrong(n, path, d.whatList(t, f))
	}
}

// keyedItem fills one struct of a map. Its place is the key; the key is set
// first, so that a Checker sees it.
func (d *decoder) keyedItem(e *entry, v reflect.Value, info *structInfo, f *field, path string) {
	s := v
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		s = v.Elem()
	}
	s.Field(info.key).SetString(e.key)
	d.value(e.value, s, f, path)
	if info.pos >= 0 {
		s.Field(info.pos).Set(reflect.ValueOf(e.pos))
	}
	if e.value.kind != scalar {
		d.places[path] = e.pos
	}
}

// mapping fills a Go map.
func (d *decoder) mapping(n *node, v reflect.Value, f *field, path string) {
	if n.kind != mapping {
		d.wrong(n, path, "a map")
		return
	}
	item := &field{pos: -1, typ: v.Type().Elem(), enum: f.enum, min: f.min, max: f.max}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, value, item, join(path, e.key))
		v.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value)
	}
}

// policies fills a list of policies from a map.
func (d *decoder) policies(n *node, v reflect.Value, path string) {
	if n.kind != mapping {
		d.wrong(n, path, "a map of policies")
		return
	}
	for _, e := range n.entries {
		at := join(path, e.key)
		kind := d.kind(e.key)
		if kind == nil {
			d.problem(e.pos, at, suggest(e.key, d.names), "unknown policy %s", quote(e.key))
			continue
		}
		v.Set(reflect.Append(v, reflect.ValueOf(d.policy(kind, &e, at))))
	}
}

// policy fills the settings of one policy, or switches it off.
func (d *decoder) policy(kind *PolicyKind, e *entry, path string) Policy {
	if d.isWord(e.value, off) {
		d.places[path] = e.value.pos
		return Policy{Pos: e.pos, Name: kind.Name, Off: true}
	}
	spec := kind.New()
	d.value(e.value, reflect.ValueOf(spec).Elem(), &field{pos: -1, one: "true"}, path) // of a list: one alone may be written as it is
	return Policy{Pos: e.pos, Name: kind.Name, Spec: spec}
}

// any returns what a node holds: nil, bool, int64, float64, string, []any or
// map[string]any.
func (d *decoder) any(n *node, path string) (any, bool) {
	switch n.kind {
	case list:
		items := make([]any, 0, len(n.items))
		for i, c := range n.items {
			item, ok := d.any(c, path+"["+strconv.Itoa(i)+"]")
			if !ok {
				return nil, false
			}
			items = append(items, item)
		}
		return items, true
	case mapping:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			item, ok := d.any(e.value, join(path, e.key))
			if !ok {
				return nil, false
			}
			m[e.key] = item
		}
		return m, true
	}
	switch n.tag {
	case "!!null":
		return nil, true
	case "!!bool":
		return n.text == "true" || n.text == "True" || n.text == "TRUE", true
	case "!!int":
		if i, err := strconv.ParseInt(n.text, 0, 64); err == nil {
			return i, true
		}
		fallthrough
	case "!!float":
		if x, err := strconv.ParseFloat(n.text, 64); err == nil {
			return x, true
		}
		d.problem(n.pos, path, "put it in quotes if it is a text", "expected a number, got %s", quote(n.text))
		return nil, false
	}
	text, _, ok := d.text(n, path)
	return text, ok
}

// join appends a key to a path.
func join(path, key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return !(r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
	switch {
	case !plain:
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}
