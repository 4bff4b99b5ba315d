package rawjson

import (
	"strconv"
	"strings"
)

// Path leads into a value: a.b.c, items[0].id, items[].id, "a.b".c.
type Path struct {
	text  string
	steps []step
}

// step goes to a member, to one element, or to all elements.
type step struct {
	kind  stepKind
	name  string
	index int
}

type stepKind uint8

const (
	toMember stepKind = iota
	toElement
	toAll
)

// CompilePath compiles a path. What is wrong is a *SpecError.
func CompilePath(text string) (*Path, error) {
	p := &Path{text: text}
	for rest := text; ; {
		name, after, problem := cutName(rest)
		if problem == "" && name == "" && !strings.HasPrefix(rest, `""`) && (len(p.steps) > 0 || !strings.HasPrefix(rest, "[")) {
			problem = "a name is missing"
		}
		if problem != "" {
			return nil, &SpecError{Path: text, Message: problem}
		}
		if len(after) != len(rest) {
			p.steps = append(p.steps, step{kind: toMember, name: name})
		}
		for strings.HasPrefix(after, "[") {
			inner, more, ok := strings.Cut(after[1:], "]")
			index, err := strconv.Atoi(inner)
			switch {
			case inner == "" && ok:
				p.steps = append(p.steps, step{kind: toAll})
			case ok && err == nil && index >= 0 && inner[0] != '+':
				p.steps = append(p.steps, step{kind: toElement, index: index})
			default:
				return nil, &SpecError{Path: text, Message: "write [] for all elements or [0] for one"}
			}
			after = more
		}
		if after == "" {
			return p, nil
		}
		if after[0] != '.' {
			return nil, &SpecError{Path: text, Message: "a dot is missing before " + strconv.Quote(after)}
		}
		rest = after[1:]
	}
}

// cutName cuts the name that s begins with. In quotes it may hold anything.
func cutName(s string) (name, rest, problem string) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexAny(s, `.[]"`); i >= 0 {
			return s[:i], s[i:], ""
		}
		return s, "", ""
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err == nil {
		name, err = strconv.Unquote(quoted)
	}
	if err != nil {
		return "", s, "the quotes do not close"
	}
	return name, s[len(quoted):], ""
}

// Text returns the path as written.
func (p *Path) Text() string { return p.text }

// many reports whether the path goes through [].
func (p *Path) many() bool {
	for _, s := range p.steps {
		if s.kind == toAll {
			return true
		}
	}
	return false
}

// Find returns what p leads to. A path through [] finds nothing here: see the
// Take of a Spec.
func (p *Path) Find(v Value) (Value, bool) {
	for i := range p.steps {
		var ok bool
		switch s := &p.steps[i]; s.kind {
		case toMember:
			v, ok = v.Member(s.name)
		case toElement:
			v, ok = v.Index(s.index)
		}
		if !ok {
			return Value{}, false
		}
	}
	return v, true
}

// all writes each value that steps lead to from v.
func (b *Builder) all(v Value, steps []step) {
	for i := range steps {
		ok := false
		switch s := &steps[i]; s.kind {
		case toMember:
			v, ok = v.Member(s.name)
		case toElement:
			v, ok = v.Index(s.index)
		case toAll:
			for e := range v.Elements() {
				b.all(e, steps[i+1:])
			}
		}
		if !ok {
			return
		}
	}
	b.Raw(v)
}

// SpecError is what is wrong with a path or key of a Spec or a MergeSpec.
type SpecError struct {
	Key     string // pick, drop, rename, …; may be empty
	Path    string // the offending path
	Message string
}

func (e *SpecError) Error() string {
	s := strconv.Quote(e.Path) + ": " + e.Message
	if e.Key != "" {
		s = e.Key + " " + s
	}
	return s
}
