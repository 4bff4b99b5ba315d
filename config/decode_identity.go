package config

import (
	"reflect"
	"strings"
)

// identities fills a list of sources of identity from a map by name.
func (d *decoder) identities(n *node, v reflect.Value, path string) {
	if n.kind != mapping {
		d.wrong(n, path, "a map of sources of identity")
		return
	}
	for _, e := range n.entries {
		if b, ok := d.identity(&e, join(path, e.key)); ok {
			v.Set(reflect.Append(v, reflect.ValueOf(b)))
		}
	}
}

// identity fills one source: the value is a map with the kind as its one key,
// or the kind alone.
func (d *decoder) identity(e *entry, path string) (IdentityBlock, bool) {
	n, none := e.value, IdentityBlock{}
	d.places[path] = e.pos
	names := kindNames(d.sources)
	kindOf := &entry{pos: n.pos}
	switch {
	case n.kind == scalar && !n.null():
		kindOf.key, kindOf.value = n.text, &node{kind: mapping, pos: n.pos}
	case n.kind == mapping && len(n.entries) == 1:
		kindOf = &n.entries[0]
	case n.kind == mapping && len(n.entries) > 1:
		var keys []string
		for _, e := range n.entries {
			keys = append(keys, quote(e.key))
		}
		d.problem(n.entries[1].pos, path, "", "a source of identity has one kind; this one has %s", strings.Join(keys, " and "))
		return none, false
	default:
		d.wrong(n, path, "a kind of identity: "+either(names))
		return none, false
	}
	kind := kindNamed(d.sources, kindOf.key)
	if kind == nil {
		d.problem(kindOf.pos, path, suggest(kindOf.key, names), "unknown kind of identity %s", d.shown(&node{text: kindOf.key}))
		return none, false
	}
	spec := kind.New()
	d.value(kindOf.value, reflect.ValueOf(spec).Elem(), &field{pos: -1}, join(path, kind.Name))
	return IdentityBlock{Pos: e.pos, Name: e.key, Kind: kind.Name, Spec: spec}, true
}
