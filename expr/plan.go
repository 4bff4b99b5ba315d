package expr

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"

	"gopura/exchange"
	"gopura/rawjson"
)

// planNode writes JSON without entering CEL, for what most expressions are:
// literals of maps and lists, in which stand parts of documents, facts and
// constants. What it is not, in the leaves, is a program of its own.
//
//	{"user": user, "open": orders.items[0].id, "n": size(orders.items)}
//	         path          path                     program
type planNode struct {
	kind planKind

	text  []byte     // planConstant: its JSON
	names [][]byte   // planMap: "name": as JSON with the colon
	nodes []planNode // planMap, planList
	name  string     // planPath: the name of With …
	index int        // its place in Vars …
	steps []planStep // and the way from there

	forgiving bool // of no value at all, everything is null

	program *Program // planProgram
}

type planKind uint8

const (
	planConstant planKind = iota
	planMap
	planList
	planPath
	planProgram
)

// planStep goes to a member, or, when name is empty and at is not, to an element.
type planStep struct {
	name    string
	element bool
	at      int
}

// planJSON decides how the JSON of p is written. Leaves that are programs are
// not watched: p is.
func (p *Program) planJSON(checked *cel.Ast) {
	if p.kind != Any && len(p.vars) == 0 {
		return
	}
	tree, blind := checked.NativeRep(), *p.env
	blind.watch = nil
	if p.plan = blind.planFor(tree.Expr(), tree.SourceInfo(), p.kind); p.plan == nil {
		p.maps = mapLiterals(tree.Expr())
	}
}

// planFor returns the plan of an expression, or nil when it is CEL all through.
func (e *Env) planFor(x ast.Expr, info *ast.SourceInfo, kind Kind) *planNode {
	if n := e.planPath(x); n != nil {
		return n
	}
	if kind != Any || x.Kind() != ast.MapKind && x.Kind() != ast.ListKind {
		return nil
	}
	n, ok := e.planLiteral(x, info)
	if !ok {
		return nil
	}
	return &n
}

// planLiteral plans x; false says that it must be left to CEL as a whole.
func (e *Env) planLiteral(x ast.Expr, info *ast.SourceInfo) (n planNode, ok bool) {
	switch x.Kind() {
	case ast.LiteralKind:
		var w jsonWriter
		if w.value(x.AsLiteral()) != nil {
			return n, false
		}
		return planNode{kind: planConstant, text: w.Bytes()}, true
	case ast.ListKind:
		list := x.AsList()
		if len(list.OptionalIndices()) > 0 {
			return n, false
		}
		n.kind = planList
		for _, el := range list.Elements() {
			child, ok := e.planLeaf(el, info)
			if !ok {
				return n, false
			}
			n.nodes = append(n.nodes, child)
		}
		return n, true
	case ast.MapKind:
		n.kind = planMap
		for _, entry := range x.AsMap().Entries() {
			m := entry.AsMapEntry()
			key, isText := text(m.Key())
			child, ok := e.planLeaf(m.Value(), info)
			name := append(rawjson.AppendString(nil, key), ':')
			if !isText || m.IsOptional() || !ok || slices.ContainsFunc(n.names, func(o []byte) bool { return bytes.Equal(o, name) }) {
				return n, false
			}
			n.names, n.nodes = append(n.names, name), append(n.nodes, child)
		}
		return n, true
	}
	return n, false
}

// planLeaf plans what stands in a literal.
func (e *Env) planLeaf(x ast.Expr, info *ast.SourceInfo) (planNode, bool) {
	if p := e.planPath(x); p != nil {
		return *p, true
	}
	if n, ok := e.planLiteral(x, info); ok {
		return n, true
	}
	source, err := parser.Unparse(x, info)
	if err != nil {
		return planNode{}, false
	}
	p, err := e.compile(source, Any)
	if err != nil {
		return planNode{}, false
	}
	return planNode{kind: planProgram, program: p}, true
}

// planPath plans user.orders[0]["id"], or returns nil.
func (e *Env) planPath(x ast.Expr) *planNode {
	switch x.Kind() {
	case ast.IdentKind:
		if i := slices.Index(e.vars, x.AsIdent()); i >= 0 {
			return &planNode{kind: planPath, name: x.AsIdent(), index: i, forgiving: e.forgiving}
		}
	case ast.SelectKind:
		s := x.AsSelect()
		if s.IsTestOnly() {
			return nil
		}
		if n := e.planPath(s.Operand()); n != nil {
			n.steps = append(n.steps, planStep{name: strings.Clone(s.FieldName())})
			return n
		}
	case ast.CallKind:
		c := x.AsCall()
		if c.FunctionName() != "_[_]" || c.Args()[1].Kind() != ast.LiteralKind {
			return nil
		}
		n := e.planPath(c.Args()[0])
		if n == nil {
			return nil
		}
		switch k := c.Args()[1].AsLiteral().(type) {
		case types.String:
			n.steps = append(n.steps, planStep{name: strings.Clone(string(k))})
			return n
		case types.Int:
			if k >= 0 && k <= 1<<30 {
				n.steps = append(n.steps, planStep{element: true, at: int(k)})
				return n
			}
		}
	}
	return nil
}

// find walks to the value of a path. The zero Value is null.
func (n *planNode) find(vars Vars) (rawjson.Value, error) {
	if n.index >= len(vars) {
		return rawjson.Value{}, fmt.Errorf("no value for %s", n.name)
	}
	v := vars[n.index]
	if n.forgiving && v.Kind() == rawjson.None {
		return v, nil
	}
	for i := range n.steps {
		s := &n.steps[i]
		var ok bool
		if s.element {
			v, ok = v.Index(s.at)
		} else {
			v, ok = v.Member(s.name)
		}
		if !ok {
			return v, n.missing(vars[n.index], i)
		}
	}
	return v, nil
}

// Missing is the error of an expression that asks for what a value does not
// have.
type Missing struct {
	Of   string // the name of the value: the first of the path
	Path string // what was asked for, from the beginning: body.items[0].id
	what string
}

func (e *Missing) Error() string { return e.what }

// missing says what step i did not find.
func (n *planNode) missing(v rawjson.Value, i int) error {
	where := n.name
	lacks := func(format string, args ...any) error {
		path := where + "." + n.steps[i].name
		if n.steps[i].element {
			path = fmt.Sprintf("%s[%d]", where, n.steps[i].at)
		}
		return &Missing{Of: n.name, Path: path, what: fmt.Sprintf(format, args...)}
	}
	for _, s := range n.steps[:i] {
		if s.element {
			v, _ = v.Index(s.at)
			where += fmt.Sprintf("[%d]", s.at)
		} else {
			v, _ = v.Member(s.name)
			where += "." + s.name
		}
	}
	kind := v.Kind()
	if kind == rawjson.None {
		kind = rawjson.Null
	}
	switch s := n.steps[i]; {
	case s.element && kind == rawjson.Array:
		return lacks("index out of bounds: %d: %s has %d elements", s.at, where, v.Len())
	case s.element:
		return lacks("no such index: %d: %s is a %s", s.at, where, kind)
	case kind == rawjson.Object:
		return lacks("no such key: %s: %s has no such member", s.name, where)
	default:
		return lacks("no such key: %s: %s is a %s", s.name, where, kind)
	}
}

// appendText appends the text of a path's value.
func (n *planNode) appendText(dst []byte, vars Vars) (out []byte, null bool, err error) {
	v, err := n.find(vars)
	if err != nil {
		return dst, false, err
	}
	switch v.Kind() {
	case rawjson.None, rawjson.Null:
		return dst, true, nil
	case rawjson.Object, rawjson.Array:
		return dst, false, fmt.Errorf("a %s has no text", rawVal(v).Type().TypeName())
	}
	return v.AppendString(dst), false, nil
}

// jsonWriter writes JSON for one evaluation.
type jsonWriter struct {
	rawjson.Builder
	x       *exchange.Exchange
	vars    Vars
	maps    [][]string // the names in the map literals of the program
	scratch []byte     // of a fact
}

var jsonWriters = sync.Pool{New: func() any { return new(jsonWriter) }}

func (w *jsonWriter) release() {
	*w = jsonWriter{scratch: w.scratch[:0]}
	if cap(w.scratch) <= maxScratch {
		jsonWriters.Put(w)
	}
}

func (w *jsonWriter) program(p *Program) error {
	if p.plan != nil {
		if err := w.plan(p.plan); err != nil {
			return p.fail(err)
		}
		return nil
	}
	if f := p.fact; f != nil && f.isText() {
		w.scratch = f.append(w.scratch[:0], w.x, p.key)
		w.StringBytes(w.scratch)
		return nil
	}
	a := p.enter(w.x)
	defer p.leave(a)
	a.vars = w.vars
	v, err := p.eval(a)
	if err != nil {
		return err
	}
	outer := w.maps
	w.maps = p.maps
	err = w.value(v)
	w.maps = outer
	if err != nil {
		return p.fail(err)
	}
	return nil
}

func (w *jsonWriter) plan(n *planNode) error {
	switch n.kind {
	case planConstant:
		w.Raw(rawjson.Checked(n.text))
	case planPath:
		v, err := n.find(w.vars)
		if err != nil {
			return err
		}
		w.Raw(v)
	case planProgram:
		return w.program(n.program)
	case planMap:
		w.Object()
		for i := range n.nodes {
			w.EncodedName(n.names[i])
			if err := w.plan(&n.nodes[i]); err != nil {
				return err
			}
		}
		w.EndObject()
	case planList:
		w.Array()
		for i := range n.nodes {
			if err := w.plan(&n.nodes[i]); err != nil {
				return err
			}
		}
		w.EndArray()
	}
	return nil
}
