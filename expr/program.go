package expr

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gopura/exchange"
)

// Program is a compiled expression. It is immutable and safe for concurrent
// use; what it returns does not refer to the exchange.
type Program struct {
	env     *Env
	text    string
	kind    Kind
	facts   []*fact // used by the expression, in order of appearance
	vars    []int   // names of Env.With that it uses, by their index
	bounded bool    // its worst case is below the cost limit

	fact *fact // the whole expression is this fact …
	key  string

	plan *planNode  // how its JSON is written without CEL, or nil
	maps [][]string // without a plan: the names in its map literals, in their order

	cel cel.Program

	blind *Program   // the same, not watched; nil unless the environment watches
	seen  []*Program // the facts in it
}

// Text returns the expression as written.
func (p *Program) Text() string { return p.text }

// Facts returns the names of the facts that p uses: "client.ip", "jwt", ….
func (p *Program) Facts() []string {
	names := make([]string, len(p.facts))
	for i, f := range p.facts {
		names[i] = f.name
	}
	return names
}

// Bool evaluates p for x. When it returns an error, nothing is known.
func (p *Program) Bool(x *exchange.Exchange) (bool, error) {
	if p.blind != nil {
		is, err := p.blind.Bool(x)
		p.watched(x, is, err)
		return is, err
	}
	return p.bool(x, nil)
}

func (p *Program) bool(x *exchange.Exchange, vars Vars) (bool, error) {
	a := p.enter(x)
	defer p.leave(a)
	a.vars = vars
	v, err := p.eval(a)
	if err != nil {
		return false, err
	}
	if b, ok := v.(types.Bool); ok {
		return bool(b), nil
	}
	return false, p.fail(fmt.Errorf("it is a %s, not true or false", v.Type().TypeName()))
}

// Append evaluates p for x and appends the text of its value: null is empty,
// a list or map is an error. A single fact costs no allocation.
func (p *Program) Append(dst []byte, x *exchange.Exchange) ([]byte, error) {
	if p.blind != nil {
		out, err := p.blind.Append(dst, x)
		p.watched(x, string(out[len(dst):]), err)
		return out, err
	}
	if p.fact != nil {
		out, err := p.fact.text(dst, x, p.key)
		if err != nil {
			return dst, p.fail(err)
		}
		return out, nil
	}
	dst, _, err := p.append(dst, x, nil)
	return dst, err
}

// append also reports whether the value was null.
func (p *Program) append(dst []byte, x *exchange.Exchange, vars Vars) (out []byte, null bool, err error) {
	switch {
	case p.fact != nil:
		out, err = p.fact.text(dst, x, p.key)
	case p.plan != nil && p.plan.kind == planPath:
		out, null, err = p.plan.appendText(dst, vars)
	default:
		a := p.enter(x)
		defer p.leave(a)
		a.vars = vars
		v, failed := p.eval(a)
		if failed != nil {
			return dst, false, failed
		}
		_, null = v.(types.Null)
		out, err = appendValue(dst, v)
	}
	if err != nil {
		return dst, false, p.fail(err)
	}
	return out, null, nil
}

// String is Append to a new string.
func (p *Program) String(x *exchange.Exchange) (string, error) {
	var buf [128]byte
	b, err := p.Append(buf[:0], x)
	return string(b), err
}

// Value evaluates p for x and returns a Go value that shares nothing with it:
// nil, bool, int64, uint64, float64, string, []byte, time.Time, time.Duration,
// []any or map[string]any.
func (p *Program) Value(x *exchange.Exchange) (any, error) {
	if p.blind != nil {
		value, err := p.blind.Value(x)
		p.watched(x, value, err)
		return value, err
	}
	a := p.enter(x)
	defer p.leave(a)
	v, err := p.eval(a)
	if err != nil {
		return nil, err
	}
	n, err := native(v)
	if err != nil {
		return nil, p.fail(err)
	}
	return n, nil
}

func (p *Program) enter(x *exchange.Exchange) *activation {
	a := p.env.pool.Get().(*activation)
	a.x, a.facts, a.names = x, p.facts, p.env.vars
	return a
}

func (p *Program) leave(a *activation) {
	a.reset()
	p.env.pool.Put(a)
}

// eval runs the CEL program. The value refers to the memory of a.
func (p *Program) eval(a *activation) (ref.Val, error) {
	if p.cel == nil {
		return a.fact(p.fact, p.key), nil
	}
	v, _, err := p.cel.Eval(a)
	if err != nil {
		// Not wrapped: the error may refer to the memory of a.
		return nil, p.fail(errors.New(err.Error()))
	}
	return v, nil
}

func (p *Program) fail(err error) error {
	return fmt.Errorf("expression %q: %w", p.text, err)
}

// shortcut recognises an expression that is a single fact.
func (p *Program) shortcut(e ast.Expr) {
	name, key := "", ""
	switch e.Kind() {
	case ast.IdentKind:
		name = e.AsIdent()
	case ast.SelectKind:
		s := e.AsSelect()
		if s.IsTestOnly() || s.Operand().Kind() != ast.IdentKind {
			return
		}
		name, key = s.Operand().AsIdent(), s.FieldName()
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() != "_[_]" || c.Args()[0].Kind() != ast.IdentKind || c.Args()[1].Kind() != ast.LiteralKind {
			return
		}
		k, ok := c.Args()[1].AsLiteral().(types.String)
		if !ok {
			return
		}
		name, key = c.Args()[0].AsIdent(), string(k)
	}
	f := factNamed(name)
	if f == nil || f.table != (key != "" || e.Kind() != ast.IdentKind) {
		return
	}
	p.fact, p.key = f, strings.Clone(key)
}
