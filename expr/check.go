package expr

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	"gopura/exchange"
)

// checker looks at a parsed expression before CEL checks its types: which
// facts it uses, and mistakes for which we know a better word than CEL does.
type checker struct {
	env  *Env
	info *ast.SourceInfo
	text string
	used []*fact
	vars []int  // names of Env.With, by their index
	err  *Error // the first one
}

func (c *checker) fail(id int64, hint, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Offset: c.offset(id), Message: fmt.Sprintf(format, args...), Hint: hint}
	}
}

func (c *checker) offset(id int64) int {
	r, _ := c.info.GetOffsetRange(id)
	return byteOffset(c.text, int(r.Start))
}

func (c *checker) use(f *fact) {
	for _, u := range c.used {
		if u == f {
			return
		}
	}
	c.used = append(c.used, f)
}

// locals are the variables of the comprehensions around a node.
type locals struct {
	name string
	next *locals
}

func (l *locals) has(name string) bool {
	for ; l != nil; l = l.next {
		if l.name == name {
			return true
		}
	}
	return false
}

func (c *checker) walk(e ast.Expr, in *locals) {
	switch e.Kind() {
	case ast.IdentKind:
		c.ident(e, in)
	case ast.SelectKind:
		s := e.AsSelect()
		if !c.member(e, s, in) {
			c.walk(s.Operand(), in)
		}
	case ast.CallKind:
		c.call(e.AsCall(), e, in)
	case ast.ListKind:
		for _, el := range e.AsList().Elements() {
			c.walk(el, in)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			c.walk(entry.AsMapEntry().Key(), in)
			c.walk(entry.AsMapEntry().Value(), in)
		}
	case ast.StructKind:
		c.fail(e.ID(), "", "messages are not available here: %s{…}", e.AsStruct().TypeName())
	case ast.ComprehensionKind:
		k := e.AsComprehension()
		c.walk(k.IterRange(), in)
		c.walk(k.AccuInit(), in)
		inner := &locals{k.IterVar(), &locals{k.AccuVar(), in}}
		if k.HasIterVar2() {
			inner = &locals{k.IterVar2(), inner}
		}
		c.walk(k.LoopCondition(), inner)
		c.walk(k.LoopStep(), inner)
		c.walk(k.Result(), inner)
	}
}

// ident is a name that stands alone.
func (c *checker) ident(e ast.Expr, in *locals) {
	name := e.AsIdent()
	f := factNamed(name)
	switch {
	case in.has(name) || typeNames[name] || c.useVar(name):
	case f != nil && f.table:
		c.fail(e.ID(), fmt.Sprintf("write %s.name or %s[\"name\"]", name, name), "%s is a table of values, not a value", name)
	case f != nil:
		c.use(f)
	case members(name) != nil:
		c.fail(e.ID(), name+"."+strings.Join(members(name), ", "+name+"."), "%s is not a value", name)
	default:
		c.fail(e.ID(), suggest(name, append(roots(), c.env.vars...)), "unknown fact %s", name)
	}
}

// member is a.b; it reports whether that was a fact, known or not.
func (c *checker) member(e ast.Expr, s ast.SelectExpr, in *locals) bool {
	root, name := dotted(s.Operand(), in), s.FieldName()
	if root == "" {
		return false
	}
	if f := factNamed(root); f != nil && f.table {
		c.key(s.Operand().ID(), f, name)
		return true
	}
	names := members(root)
	if names == nil {
		return false
	}
	f := factNamed(root + "." + name)
	switch {
	case f == nil:
		hint := suggest(name, names)
		if table := factNamed(strings.TrimSuffix(name, "s")); root == "request" && table != nil && table.table {
			hint = fmt.Sprintf("write %s[\"name\"]", table.name)
		} else if hint == "" {
			hint = root + " has " + strings.Join(names, ", ")
		}
		c.fail(s.Operand().ID(), hint, "unknown fact %s.%s", root, name)
	case s.IsTestOnly():
		c.fail(s.Operand().ID(), `compare it with ""`, "%s is always there", f.name)
	default:
		c.use(f)
	}
	return true
}

// dotted is the text of a name, "tls" or "tls.client"; "" for anything else.
func dotted(e ast.Expr, in *locals) string {
	switch e.Kind() {
	case ast.IdentKind:
		if name := e.AsIdent(); !in.has(name) {
			return name
		}
	case ast.SelectKind:
		s := e.AsSelect()
		if root := dotted(s.Operand(), in); root != "" && !s.IsTestOnly() {
			return root + "." + s.FieldName()
		}
	}
	return ""
}

// key is a table indexed by a constant.
func (c *checker) key(id int64, f *fact, key string) {
	c.use(f)
	if f.name == "path" && c.env.params != nil && !slices.Contains(c.env.params, key) {
		hint := suggest(key, slices.Clone(c.env.params))
		if hint == "" && len(c.env.params) > 0 {
			hint = "path has " + strings.Join(c.env.params, ", ")
		}
		c.fail(id, hint, "the path of the route has no parameter %s", key)
	}
	if f.name != "header" {
		return
	}
	if strings.EqualFold(key, "host") {
		c.fail(id, "use request.host", "the host is not among the headers")
	} else if !exchange.ValidName(key) {
		c.fail(id, "", "not a header name: %q", key)
	}
}

func (c *checker) call(k ast.CallExpr, e ast.Expr, in *locals) {
	args := k.Args()
	switch name := k.FunctionName(); name {
	case "_[_]", "_[?_]", "_?._":
		if f := c.tableAt(args[0], in); f != nil {
			if s, ok := text(args[1]); ok {
				c.key(args[0].ID(), f, s)
			} else {
				c.use(f)
			}
			args = args[1:]
		}
	case "@in":
		if f := c.tableAt(args[1], in); f != nil {
			c.use(f)
			args = args[:1]
		}
	case inCIDR:
		c.networks(args)
	case "matches":
		if _, ok := text(args[len(args)-1]); !ok {
			c.fail(e.ID(), "", "the pattern of matches must be written out, not computed")
		}
	case "replace":
		c.replace(args, e)
	default:
		if !c.function(k, e) {
			return
		}
	}
	if k.IsMemberFunction() && !c.namespaced(k) {
		c.walk(k.Target(), in)
	}
	for _, a := range args {
		c.walk(a, in)
	}
}

// function reports whether there is a function of that name.
func (c *checker) function(k ast.CallExpr, e ast.Expr) bool {
	name := k.FunctionName()
	if c.env.functions[name] || c.namespaced(k) {
		return true
	}
	var known []string
	for n := range c.env.functions {
		if n[0] != '_' && n[0] != '@' && n[0] != '!' && n[0] != '-' && !strings.Contains(n, ".") {
			known = append(known, n)
		}
	}
	c.fail(e.ID(), suggest(name, known), "unknown function %s", name)
	return false
}

// namespaced recognises base64.encode(x): a function with a dot in its name.
func (c *checker) namespaced(k ast.CallExpr) bool {
	return k.IsMemberFunction() && k.Target().Kind() == ast.IdentKind &&
		c.env.functions[k.Target().AsIdent()+"."+k.FunctionName()]
}

func (c *checker) tableAt(e ast.Expr, in *locals) *fact {
	if e.Kind() != ast.IdentKind || in.has(e.AsIdent()) {
		return nil
	}
	if f := factNamed(e.AsIdent()); f != nil && f.table {
		return f
	}
	return nil
}

// networks checks the networks that are written out.
func (c *checker) networks(args []ast.Expr) {
	if len(args) == 1 && args[0].Kind() == ast.ListKind {
		args = args[0].AsList().Elements()
	}
	for _, a := range args {
		if s, ok := text(a); ok {
			if _, err := parseNetwork(s); err != nil {
				c.fail(a.ID(), "", "%s", err.Error())
			}
		}
	}
}

// replace checks that a replacement can't blow a text up: CEL counts what a
// call costs when the call has returned.
func (c *checker) replace(args []ast.Expr, e ast.Expr) {
	if len(args) < 2 {
		return // CEL says what is missing
	}
	old, ok := text(args[0])
	repl, ok2 := text(args[1])
	if !ok || !ok2 || len(repl) > maxGrowth*len(old) {
		c.fail(e.ID(), "", "replace wants two texts that are written out, the new one at most %d times as long as the old one", maxGrowth)
	}
}

const maxGrowth = 16

func text(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

var typeNames = map[string]bool{"bool": true, "int": true, "uint": true, "double": true, "string": true,
	"bytes": true, "list": true, "map": true, "null_type": true, "type": true}

// roots are the names that may begin a fact.
func roots() (names []string) {
	for _, f := range facts {
		root, _, _ := strings.Cut(f.name, ".")
		if len(names) == 0 || names[len(names)-1] != root {
			names = append(names, root)
		}
	}
	return names
}

// members are the names below a root: of request, method and so on.
func members(root string) (names []string) {
	for _, f := range facts {
		if name, ok := strings.CutPrefix(f.name, root+"."); ok {
			names = append(names, name)
		}
	}
	return names
}

// firstIssue is CEL's first complaint, with a byte offset.
func firstIssue(src string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	for _, e := range issues.Errors()[1:] {
		if l, f := e.Location, first.Location; l.Line() < f.Line() || l.Line() == f.Line() && l.Column() < f.Column() {
			first = e
		}
	}
	msg, _, _ := strings.Cut(first.Message, "\n")
	return &Error{Offset: offsetOf(src, first.Location.Line(), first.Location.Column()), Message: plainly(msg)}
}

// offsetOf turns a line (from 1) and a column in characters into a byte offset.
func offsetOf(src string, line, col int) int {
	at := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(src[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
	}
	return at + byteOffset(src[at:], col)
}

// byteOffset turns a number of characters into a number of bytes.
func byteOffset(s string, chars int) int {
	at := 0
	for ; chars > 0 && at < len(s); chars-- {
		_, n := utf8.DecodeRuneInString(s[at:])
		at += n
	}
	return at
}

// sizes tells CEL's static cost estimate how large an input can be: no fact is
// larger than the head of a request.
type sizes struct{ max uint64 }

// EstimateSize implements cost.Estimator.
func (z sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if len(n.Path()) == 0 {
		return nil
	}
	s := cost.RangedSizeEstimate(0, z.max)
	return &s
}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(function, overload string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	switch overload {
	case "string_in_cidr":
		return cost.NewCallEstimate(cost.FixedCostEstimate(5), nil)
	case "string_in_cidrs":
		if len(args) == 1 && args[0].Expr().Kind() == ast.ListKind {
			return cost.NewCallEstimate(cost.FixedCostEstimate(5*uint64(args[0].Expr().AsList().Size())), nil)
		}
	}
	return nil
}
