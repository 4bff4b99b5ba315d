package policy

import (
	"errors"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// budget bounds what it costs to hold one value to a schema. Where a schema
// refers to itself in several alternatives, the work doubles with each level of
// the value: a client could ask for centuries with a hundred bytes.
type budget struct{ left int }

// For each value a schema looks a few times; the rest is for small values.
const (
	stepsPerValue = 20
	stepsAtLeast  = 10_000
)

var errBudget = errors.New("too much to check")

func (b *budget) start(v any) { b.left = stepsAtLeast + stepsPerValue*valuesIn(v) }

// spent reports whether the value could not be checked to the end.
func (b *budget) spent() bool { return b.left < 0 }

// step is called when a schema looks at a value, before it looks into it. Once
// the budget is spent it fails at once, so that the search ends.
func (b *budget) step() error {
	if b.left--; b.left < 0 {
		return errBudget
	}
	return nil
}

func valuesIn(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n += valuesIn(item)
		}
	case map[string]any:
		for _, item := range v {
			n += valuesIn(item)
		}
	}
	return n
}

// watch makes every schema that s leads to count its steps. The format is what
// a schema asks before it looks further; it stays what it was beside that.
func (b *budget) watch(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool) {
	// Schemas of schemas belong to the library, for all to use.
	if s == nil || seen[s] || strings.Contains(s.Location, "://json-schema.org/") {
		return
	}
	seen[s] = true
	old := s.Format
	s.Format = &jsonschema.Format{Validate: func(v any) error {
		if err := b.step(); err != nil || old == nil {
			return err
		}
		return old.Validate(v)
	}}
	if old != nil {
		s.Format.Name = old.Name
	}
	for _, next := range successors(s) {
		b.watch(next, seen)
	}
}

// successors returns the schemas that s asks.
func successors(s *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{
		s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	if s.DynamicRef != nil {
		list = append(list, s.DynamicRef.Ref)
	}
	for _, some := range [][]*jsonschema.Schema{s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems} {
		list = append(list, some...)
	}
	for _, named := range []map[string]*jsonschema.Schema{s.Properties, s.DependentSchemas} {
		for _, next := range named {
			list = append(list, next)
		}
	}
	for _, next := range s.PatternProperties {
		list = append(list, next)
	}
	mixed := []any{s.AdditionalProperties, s.Items, s.AdditionalItems}
	for _, next := range s.Dependencies {
		mixed = append(mixed, next)
	}
	for _, next := range mixed {
		switch next := next.(type) {
		case *jsonschema.Schema:
			list = append(list, next)
		case []*jsonschema.Schema:
			list = append(list, next...)
		}
	}
	return list
}
