package expr

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"gopura/exchange"
	"gopura/rawjson"
)

// Vars are the values of the names that Env.With added, in the order of the
// names. The zero Value of one is null to an expression. They, and the memory
// behind them, must not change while an expression is evaluated.
type Vars []rawjson.Value

// An expression over names of With may cost more than one over facts: it walks
// documents.
const costOfDocuments = 10

// With returns an environment with more names, for JSON values: the results of
// calls, an element of a list. A name is an identifier that begins no fact, is
// no type and no word of CEL; what is wrong with one is an *Error.
//
// A member that is not there is an error, as CEL has it: has(user.email) and
// user.?email.orValue("") ask for it.
func (e *Env) With(names []string) (*Env, error) {
	r := *e
	r.vars = slices.Clone(e.vars)
	var opts []cel.EnvOption
	for _, name := range names {
		if err := r.checkName(name); err != nil {
			return nil, err
		}
		r.vars = append(r.vars, name)
		opts = append(opts, cel.Variable(name, cel.DynType))
	}
	c, err := e.cel.Extend(opts...)
	if err != nil {
		return nil, fmt.Errorf("expression environment: %w", err)
	}
	if r.cel = c; len(e.vars) == 0 {
		r.costLimit *= costOfDocuments
	}
	return &r, nil
}

// celWords are the words that CEL keeps for itself.
var celWords = strings.Fields(`true false null in as break const continue else for function if import let loop package
	namespace return var void while`)

func (e *Env) checkName(name string) error {
	fail := func(format string) error { return &Error{Message: fmt.Sprintf(format, name)} }
	for i := range len(name) {
		if c := name[i] | 0x20; (c < 'a' || c > 'z') && name[i] != '_' && (i == 0 || name[i] < '0' || name[i] > '9') {
			return &Error{Message: fmt.Sprintf("%q is not a name", name), Hint: "letters, digits and _, no digit first"}
		}
	}
	switch {
	case name == "":
		return fail("a name is missing%s")
	case slices.Contains(celWords, name):
		return fail("%s is a word of the expression language")
	case typeNames[name]:
		return fail("%s is the name of a type")
	case slices.Contains(roots(), name):
		return fail("%s is the name of a fact")
	case slices.Contains(e.vars, name):
		return fail("%s is there twice")
	}
	return nil
}

// useVar notes a name of With; it reports whether name is one.
func (c *checker) useVar(name string) bool {
	i := slices.Index(c.env.vars, name)
	if i >= 0 && !slices.Contains(c.vars, i) {
		c.vars = append(c.vars, i)
	}
	return i >= 0
}

// Vars returns the names of With that p uses, in order of appearance.
func (p *Program) Vars() []string {
	names := make([]string, len(p.vars))
	for i, v := range p.vars {
		names[i] = p.env.vars[v]
	}
	return names
}

// Vars returns the names of With that t uses.
func (t *Template) Vars() (names []string) {
	for _, p := range t.pieces {
		if p.program == nil {
			continue
		}
		for _, n := range p.program.Vars() {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// resolveVar is the value of a name of With.
func (a *activation) resolveVar(name string) (any, bool) {
	for i, n := range a.names {
		if n == name {
			if i >= len(a.vars) {
				break
			}
			return rawVal(a.vars[i]), true
		}
	}
	return nil, false
}

// BoolWith is Bool with values for the names of With.
func (p *Program) BoolWith(x *exchange.Exchange, vars Vars) (bool, error) {
	if p.blind != nil {
		is, err := p.blind.BoolWith(x, vars)
		p.watched(x, is, err)
		return is, err
	}
	return p.bool(x, vars)
}

// AppendWith is Append with values for the names of With.
func (p *Program) AppendWith(dst []byte, x *exchange.Exchange, vars Vars) ([]byte, error) {
	dst, _, err := p.appendWith(dst, x, vars)
	return dst, err
}

// appendWith also reports whether the value was null.
func (p *Program) appendWith(dst []byte, x *exchange.Exchange, vars Vars) (out []byte, null bool, err error) {
	if p.blind != nil {
		out, null, err := p.blind.append(dst, x, vars)
		p.watched(x, string(out[len(dst):]), err)
		return out, null, err
	}
	return p.append(dst, x, vars)
}

// JSON evaluates p and appends its value as JSON. What an expression passes on
// untouched is spliced in; the members of a map are in the order in which the
// expression writes them, or sorted when it computes their names. Bytes are
// base64, times RFC 3339, durations in seconds ("1.5s"), as protobuf has it.
func (p *Program) JSON(dst []byte, x *exchange.Exchange, vars Vars) ([]byte, error) {
	if p.blind != nil {
		out, err := p.blind.JSON(dst, x, vars)
		p.watched(x, string(out[len(dst):]), err)
		return out, err
	}
	w := jsonWriters.Get().(*jsonWriter)
	defer w.release()
	w.x, w.vars = x, vars
	w.Reset(dst)
	if err := w.program(p); err != nil {
		return dst, err
	}
	return w.Bytes(), nil
}

// Raw is JSON that copies nothing when the value is a part of vars; else the
// value is a part of memory of its own.
func (p *Program) Raw(x *exchange.Exchange, vars Vars) (rawjson.Value, error) {
	if p.blind != nil {
		v, err := p.blind.Raw(x, vars)
		p.watched(x, string(v.Bytes()), err)
		return v, err
	}
	if p.plan != nil && p.plan.kind == planPath {
		v, err := p.plan.find(vars)
		if err != nil {
			return v, p.fail(err)
		}
		if v.Kind() == rawjson.None {
			v = rawjson.Checked([]byte("null"))
		}
		return v, nil
	}
	b, err := p.JSON(nil, x, vars)
	return rawjson.Checked(b), err
}

// AppendWith is Append with values for the names of With. They are escaped as
// their place wants it. Where they stand in a URL, null is ErrUnsafe, and in
// its path or host an empty text or one of dots alone, also of a fact that the
// client may have left out: it would name another resource.
func (t *Template) AppendWith(dst []byte, x *exchange.Exchange, vars Vars) ([]byte, error) {
	return t.append(dst, x, vars)
}

// names refuses a value that can't stand for a thing in a URL.
func (p part) names(text []byte, null bool) bool {
	switch p {
	case inQuery:
		return !null
	case inPath, inHost, inScheme:
		return len(strings.Trim(string(text), ".")) > 0
	}
	return true
}
