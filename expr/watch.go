package expr

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"gopura/exchange"
)

// Sighting is one evaluation of an expression, for explanations.
type Sighting struct {
	Text  string // the expression
	Value any    // what it came to: as Program.Value; a text when that was asked for
	Err   error
	Facts []Seen // the facts in it, each with its value; none when it is nothing but a fact
}

// Seen is a fact in an expression, as written there: jwt.scope, header["x-plan"].
type Seen struct {
	Fact  string
	Value any
	Err   error
}

// Watching returns an environment whose programs tell f of each evaluation,
// as part of it. It is for explanations: watched programs are slow.
func (e *Env) Watching(f func(*exchange.Exchange, Sighting)) *Env {
	r := *e
	r.watch = f
	return &r
}

// watched notes what an evaluation of p came to.
func (p *Program) watched(x *exchange.Exchange, value any, err error) {
	s := Sighting{Text: p.text, Value: value, Err: err}
	for _, q := range p.seen {
		v, err := q.Value(x)
		s.Facts = append(s.Facts, Seen{q.text, v, err})
	}
	p.env.watch(x, s)
}

// observe prepares p for being watched: each fact in it becomes a program.
func (p *Program) observe(checked *cel.Ast) {
	native := checked.NativeRep()
	o := observer{info: native.SourceInfo(), blind: *p.env, program: p}
	o.blind.watch = nil
	twin := *p
	twin.env = &o.blind
	p.blind = &twin
	if p.fact == nil {
		o.walk(native.Expr())
	}
}

type observer struct {
	info    *ast.SourceInfo
	blind   Env // sees what it compiles, and tells nobody
	program *Program
}

func (o *observer) walk(e ast.Expr) {
	if o.isFact(e) {
		o.add(e)
		return
	}
	switch e.Kind() {
	case ast.SelectKind:
		o.walk(e.AsSelect().Operand())
	case ast.CallKind:
		c := e.AsCall()
		if c.IsMemberFunction() {
			o.walk(c.Target())
		}
		for _, a := range c.Args() {
			o.walk(a)
		}
	case ast.ListKind:
		for _, el := range e.AsList().Elements() {
			o.walk(el)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			o.walk(entry.AsMapEntry().Key())
			o.walk(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		o.walk(e.AsComprehension().IterRange()) // what is inside depends on the items
	}
}

// isFact reports whether e is a fact and nothing else: client.ip, jwt.sub, header["x"].
func (o *observer) isFact(e ast.Expr) bool {
	switch e.Kind() {
	case ast.IdentKind:
		f := factNamed(e.AsIdent())
		return f != nil && !f.table
	case ast.SelectKind:
		s := e.AsSelect()
		root := dotted(s.Operand(), nil)
		if f := factNamed(root); f != nil && f.table {
			return true
		}
		return factNamed(root+"."+s.FieldName()) != nil
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != "_[_]" || c.Args()[0].Kind() != ast.IdentKind || c.Args()[1].Kind() != ast.LiteralKind {
			return false
		}
		_, text := c.Args()[1].AsLiteral().(types.String)
		f := factNamed(c.Args()[0].AsIdent())
		return text && f != nil && f.table
	}
	return false
}

func (o *observer) add(e ast.Expr) {
	text, err := parser.Unparse(e, o.info)
	if err != nil {
		return
	}
	for _, q := range o.program.seen {
		if q.text == text {
			return
		}
	}
	if q, err := o.blind.Compile(text, Any); err == nil {
		o.program.seen = append(o.program.seen, q)
	}
}

// Show returns a value as an explanation writes it: texts in quotes, lists in
// brackets, at most max bytes of it.
func Show(v any, max int) string {
	var text string
	switch v := v.(type) {
	case nil:
		text = "null"
	case string:
		text = fmt.Sprintf("%q", v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = Show(item, max)
		}
		text = "[" + strings.Join(parts, ", ") + "]"
	default:
		text = fmt.Sprint(v)
	}
	if len(text) > max {
		text = text[:max] + "…"
	}
	return text
}
