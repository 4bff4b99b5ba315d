package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// dump writes every setting of a document that is not the default, a line each:
// the plan.txt of the golden tests.
func dump(doc *Document, opts Options) string {
	p := dumper{catalog: newCatalog(opts)}
	p.structure("", reflect.ValueOf(doc).Elem())
	return p.String()
}

type dumper struct {
	*catalog
	strings.Builder
}

func (p *dumper) line(path string, value any) { fmt.Fprintf(p, "%s = %v\n", path, value) }

func (p *dumper) structure(path string, v reflect.Value) {
	info := p.info(v.Type())
	for _, w := range info.words {
		if f := v.Field(w.index); info.byKey[w.word] == nil && f.Kind() == reflect.Bool && f.Bool() {
			p.line(path, w.word)
			return
		}
	}
	if info.short != nil && info.short.key == "" {
		p.line(join(path, "text"), v.Field(info.short.index))
	}
	for i := range info.fields {
		f := &info.fields[i]
		if p.isDefault(v.Field(f.index), f) {
			continue
		}
		p.value(join(path, f.key), v.Field(f.index))
	}
	if info.policies >= 0 {
		p.policies(path, v.Field(info.policies))
	}
}

func (p *dumper) isDefault(v reflect.Value, f *field) bool {
	if !f.hasDefault || v.Kind() == reflect.Pointer {
		return v.IsZero()
	}
	d := newDecoder(Options{}, new(Problems), map[string]Pos{})
	d.defaulting = true
	want := reflect.New(v.Type()).Elem()
	d.value(defaultNode(f, Pos{}), want, f, "")
	return reflect.DeepEqual(v.Interface(), want.Interface())
}

func (p *dumper) value(path string, v reflect.Value) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		before := p.Len()
		if !v.IsNil() {
			p.value(path, v.Elem())
		}
		if p.Len() == before && !v.IsNil() {
			p.line(path, "on")
		}
	case t == typePolicies:
		p.policies(path, v)
	case t == typeIdentities:
		for _, b := range v.Interface().([]IdentityBlock) {
			p.value(join(path, b.Name)+"."+b.Kind, reflect.ValueOf(b.Spec).Elem())
		}
	case isScalar(t):
		if t.Kind() == reflect.String {
			p.line(path, fmt.Sprintf("%q", v.String()))
			return
		}
		p.line(path, v.Interface())
	case t.Kind() == reflect.Struct:
		p.structure(path, v)
	case t.Kind() == reflect.Slice && p.keyed(t.Elem()):
		for i := range v.Len() {
			e := reflect.Indirect(v.Index(i))
			p.structure(join(path, e.Field(p.info(e.Type()).key).String()), e)
		}
	case t.Kind() == reflect.Slice && isScalar(t.Elem()):
		p.line(path, v.Interface())
	case t.Kind() == reflect.Slice:
		for i := range v.Len() {
			p.value(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	default:
		text, err := json.Marshal(v.Interface())
		p.line(path, fmt.Sprintf("%s %v", text, err))
	}
}

func (p *dumper) policies(path string, v reflect.Value) {
	for _, policy := range v.Interface().([]Policy) {
		if policy.Off {
			p.line(join(path, policy.Name), "off")
			continue
		}
		p.value(join(path, policy.Name), reflect.ValueOf(policy.Spec).Elem())
	}
}
