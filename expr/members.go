package expr

import (
	"strings"

	"cel.dev/cel-go/common/ast"
)

// Members looks at the maps that an expression has written out, in one another
// and in lists: lacks reports that there is no member of that path, and which
// are there. What is only known when it is evaluated is not looked at. A member
// that is not there is an *Error.
func (e *Env) Members(text string, lacks func(path []string) (there []string, yes bool)) error {
	parsed, issues := e.cel.Parse(text)
	if issues.Err() != nil {
		return firstIssue(text, issues)
	}
	c := checker{env: e, info: parsed.NativeRep().SourceInfo(), text: text}
	c.members(parsed.NativeRep().Expr(), nil, lacks)
	if c.err != nil {
		return c.err
	}
	return nil
}

func (c *checker) members(e ast.Expr, path []string, lacks func([]string) ([]string, bool)) {
	switch e.Kind() {
	case ast.ListKind:
		for _, el := range e.AsList().Elements() {
			c.members(el, path, lacks)
		}
	case ast.CallKind:
		if k := e.AsCall(); k.FunctionName() == "_?_:_" {
			c.members(k.Args()[1], path, lacks)
			c.members(k.Args()[2], path, lacks)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			m := entry.AsMapEntry()
			key, ok := text(m.Key())
			if !ok {
				continue
			}
			at := append(path[:len(path):len(path)], key)
			if there, yes := lacks(at); yes {
				c.fail(m.Key().ID(), suggest(key, there), "the message has no field %s", strings.Join(at, "."))
				return
			}
			c.members(m.Value(), at, lacks)
		}
	}
}
