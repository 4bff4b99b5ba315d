package expr

import (
	"errors"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"gopura/exchange"
)

// Limits of a single expression. They bound what a configuration can cost
// when it is loaded; the cost limit bounds what a request can cost.
const (
	maxText      = 8 << 10  // bytes of an expression
	maxNodes     = 4096     // nodes of its tree, macros expanded
	maxDepth     = 64       // nesting
	maxRegexp    = 1024     // instructions of a compiled pattern
	maxInput     = 32 << 10 // bytes of a fact
	defaultLimit = 100_000  // CEL cost units; about 10 ms
)

// Options say how expressions are compiled.
type Options struct {
	CostLimit uint64 // CEL cost units that one evaluation may use; 0: 100,000
	MaxInput  int    // bytes of the largest fact, for the static worst case; at least 32 KiB
}

// Env compiles expressions. It is safe for concurrent use.
type Env struct {
	cel       *cel.Env
	functions map[string]bool // names that may be called
	costLimit uint64
	inputs    sizes
	pool      *sync.Pool // of *activation
	params    []string   // path parameters of the route, nil: not known
	forgiving bool       // see Forgiving
	vars      []string   // names added by With

	watch func(*exchange.Exchange, Sighting) // told of each evaluation; nil: nobody is
}

// ForRoute returns an environment that knows the path parameters of a route:
// another one is an unknown fact.
func (e *Env) ForRoute(params []string) *Env {
	r := *e
	r.params = append([]string{}, params...)
	return &r
}

// Forgiving returns an environment for expressions that put values together:
// of a name of With without a value, what they pass on as it is is null:
// {"orders": orders.items}. To compute with it stays an error.
func (e *Env) Forgiving() *Env {
	r := *e
	r.forgiving = true
	return &r
}

// New makes an environment.
func New(o Options) (*Env, error) {
	opts := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxText),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxRegexp),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(2)),
		ext.Strings(ext.StringsVersion(4)),
		ext.Encoders(),
		networks(),
	}
	for _, f := range facts {
		opts = append(opts, cel.Variable(f.name, f.celType()))
	}
	c, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("expression environment: %w", err)
	}
	e := &Env{cel: c, functions: map[string]bool{}, costLimit: o.CostLimit, inputs: sizes{uint64(max(o.MaxInput, maxInput))}}
	if e.costLimit == 0 {
		e.costLimit = defaultLimit
	}
	for name := range c.Functions() {
		e.functions[name] = true
	}
	for _, m := range c.Macros() {
		e.functions[m.Function()] = true
	}
	e.pool = &sync.Pool{New: func() any { return newActivation() }}
	return e, nil
}

// Kind is the type that an expression must have.
type Kind uint8

const (
	Any    Kind = iota // any CEL value
	Bool               // true or false
	String             // a text, or what has an obvious text: number, bool, time
	List               // a list, as far as can be told
	Number             // a whole number, as far as can be told
)

// String returns the word used in messages.
func (k Kind) String() string { return [...]string{"value", "bool", "text", "list", "number"}[k] }

// Compile compiles an expression. What is wrong with the text is an *Error.
func (e *Env) Compile(text string, kind Kind) (*Program, error) {
	if len(text) > maxText {
		return nil, &Error{Message: fmt.Sprintf("the expression is longer than %d bytes", maxText)}
	}
	return e.compile(text, kind)
}

func (e *Env) compile(text string, kind Kind) (*Program, error) {
	parsed, issues := e.cel.Parse(text)
	if issues.Err() != nil {
		return nil, firstIssue(text, issues)
	}
	// Our own look at the tree comes first: it knows what was probably meant.
	c := checker{env: e, info: parsed.NativeRep().SourceInfo(), text: text}
	c.walk(parsed.NativeRep().Expr(), nil)
	if c.err != nil {
		return nil, c.err
	}
	checked, issues := e.cel.Check(parsed)
	if issues.Err() != nil {
		return nil, firstIssue(text, issues)
	}
	if err := acceptType(checked.OutputType(), kind); err != nil {
		return nil, err
	}
	if kind == List || kind == Number {
		kind = Any // what parts of documents are is only known when they are there
	}
	p := &Program{env: e, text: text, kind: kind, facts: c.used, vars: c.vars}
	if p.shortcut(checked.NativeRep().Expr()); p.fact == nil || kind == Bool {
		p.planJSON(checked)
		if err := e.plan(p, checked); err != nil {
			return nil, err
		}
	}
	if e.watch != nil {
		p.observe(checked)
	}
	return p, nil
}

// plan makes the CEL program. One whose worst case is below the cost limit
// runs without counting; nothing bounds what a document holds.
func (e *Env) plan(p *Program, checked *cel.Ast) error {
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if worst, err := e.cel.EstimateCost(checked, e.inputs); err != nil || worst.Max > e.costLimit || len(p.vars) > 0 {
		opts = append(opts, cel.CostLimit(e.costLimit))
	} else {
		p.bounded = true
	}
	prog, err := e.cel.Program(checked, opts...)
	if err != nil {
		return &Error{Message: err.Error()}
	}
	p.cel = prog
	return nil
}

func acceptType(t *cel.Type, kind Kind) error {
	switch kind {
	case Bool:
		if t.IsExactType(cel.BoolType) || t.IsExactType(cel.DynType) {
			return nil
		}
		return &Error{Message: fmt.Sprintf("the expression must be true or false, but it is a %s", cel.FormatCELType(t))}
	case String:
		for _, ok := range []*cel.Type{cel.StringType, cel.DynType, cel.IntType, cel.UintType, cel.DoubleType,
			cel.BoolType, cel.TimestampType, cel.DurationType, cel.BytesType, cel.NullType} {
			if t.IsExactType(ok) {
				return nil
			}
		}
		return &Error{Message: fmt.Sprintf("the expression must be a text, but it is a %s", cel.FormatCELType(t)),
			Hint: `use string(…), or .join(",") for a list`}
	case List:
		if t.IsExactType(cel.DynType) || t.IsExactType(cel.NullType) || t.Kind() == cel.ListKind {
			return nil
		}
		return &Error{Message: fmt.Sprintf("the expression must be a list, but it is a %s", cel.FormatCELType(t))}
	case Number:
		for _, ok := range []*cel.Type{cel.DynType, cel.IntType, cel.UintType, cel.DoubleType} {
			if t.IsExactType(ok) {
				return nil
			}
		}
		return &Error{Message: fmt.Sprintf("the expression must be a number, but it is a %s", cel.FormatCELType(t))}
	}
	return nil
}

// Error is what is wrong with an expression or a template.
type Error struct {
	Offset  int    // byte in the text
	Message string // what is wrong
	Hint    string // what was probably meant; may be empty
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// shift moves the error to where the expression stands in a template.
func shift(err error, by int) error {
	var e *Error
	if errors.As(err, &e) {
		moved := *e
		moved.Offset += by
		return &moved
	}
	return err
}
