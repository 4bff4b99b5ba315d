package route

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// parseRegexp turns an anchored regexp into a pattern: the exact segments that
// every path of it starts with, and the regexp for the rest. So regexps find
// their place in the trie and in the order of specificity: "^/api/v[0-9]+/"
// comes after "/api/{x}" and before "/api/*".
func parseRegexp(re *regexp.Regexp) (*pattern, error) {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return nil, err
	}
	if !anchored(tree) {
		// Searched anywhere, "/public" would match "/admin/public".
		return nil, errors.New("must be anchored at the start: ^/…")
	}
	p := &pattern{end: withRegexp, prefix: literalPrefix(tree)}
	if p.prefix != "" && p.prefix[0] != '/' {
		return nil, errors.New("must start with ^/, as paths do")
	}
	if p.search, err = program("(?:" + re.String() + ")" + anything); err != nil {
		return nil, err
	}
	// The last piece of the prefix may go on, so it is no segment yet.
	steps := strings.Split(strings.TrimPrefix(p.prefix, "/"), "/")
	for _, step := range steps[:len(steps)-1] {
		text, err := decodeLiteral(step)
		if err != nil {
			break // such a path exists only for the regexp
		}
		p.segments = append(p.segments, segment{literal: text})
	}
	if len(p.segments) > maxSegments {
		return nil, fmt.Errorf("has more than %d segments", maxSegments)
	}
	for _, name := range re.SubexpNames() {
		p.params = p.params || name != ""
	}
	return p.finish(), nil
}

// anything is what may stand around the text that a regexp finds.
const anything = `(?s:.*)`

// program compiles an expression, to be compared with others.
func program(expr string) (*syntax.Prog, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return syntax.Compile(tree.Simplify())
}

// anchored reports whether every match begins at the start of the text.
func anchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture, syntax.OpPlus:
		return anchored(re.Sub[0])
	case syntax.OpConcat:
		return anchored(re.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(s *syntax.Regexp) bool { return !anchored(s) })
	}
	return false
}

// literalPrefix returns text that every match of an anchored expression starts
// with; it may be shorter than it could be.
func literalPrefix(re *syntax.Regexp) string {
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText || len(re.Sub) < 2 {
		return ""
	}
	if l := re.Sub[1]; l.Op == syntax.OpLiteral && l.Flags&syntax.FoldCase == 0 {
		return string(l.Rune)
	}
	return ""
}

// meeting decides whether two conditions can be met by a common text: two
// expressions by walking both automata at once. It spends a budget; when that
// is used up, the answer is what the caller wants to hear of the unknown.
type meeting struct {
	budget  int
	unknown bool
	seen    []uint64 // a bit for each position
	todo    []position
}

// regexpBudget is what one Build may spend on comparing regexps, in steps:
// well below a second.
const regexpBudget = 1 << 22

// position is a pair of instructions, one of each program.
type position struct {
	a, b       uint32
	start, end bool // at the start of the text; the end was asserted
}

func (m *meeting) possible(a, b *syntax.Prog) bool {
	words := len(a.Inst)*len(b.Inst)*4/64 + 1
	if m.budget -= words; m.budget < 0 {
		return m.unknown
	}
	m.seen = slices.Grow(m.seen[:0], words)[:words]
	clear(m.seen)
	push := func(p position) {
		i := (p.a*uint32(len(b.Inst))+p.b)*4 + bit(p.start)*2 + bit(p.end)
		if m.seen[i/64]&(1<<(i%64)) == 0 {
			m.seen[i/64] |= 1 << (i % 64)
			m.todo = append(m.todo, p)
		}
	}
	m.todo = m.todo[:0]
	push(position{uint32(a.Start), uint32(b.Start), true, false})
	for len(m.todo) > 0 && m.budget > 0 {
		at := m.todo[len(m.todo)-1]
		m.todo = m.todo[:len(m.todo)-1]
		m.budget--
		x, y := &a.Inst[at.a], &b.Inst[at.b]
		switch {
		case !reads(x):
			spontaneous(x, at, func(to uint32, p position) { p.a = to; push(p) })
		case !reads(y):
			spontaneous(y, at, func(to uint32, p position) { p.b = to; push(p) })
		case x.Op == syntax.InstMatch && y.Op == syntax.InstMatch:
			return true
		case x.Op != syntax.InstMatch && y.Op != syntax.InstMatch && !at.end && common(runes(x), runes(y)):
			push(position{x.Out, y.Out, false, false})
		}
	}
	return len(m.todo) > 0 && m.unknown
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// reads reports whether an instruction waits for a character or the end.
func reads(i *syntax.Inst) bool {
	switch i.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL, syntax.InstMatch:
		return true
	}
	return false
}

// spontaneous follows an instruction that reads nothing. Word boundaries are
// taken to hold: rather one overlap too many.
func spontaneous(i *syntax.Inst, at position, follow func(to uint32, p position)) {
	switch i.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		follow(i.Arg, at)
		follow(i.Out, at)
	case syntax.InstCapture, syntax.InstNop:
		follow(i.Out, at)
	case syntax.InstEmptyWidth:
		op := syntax.EmptyOp(i.Arg)
		if op&(syntax.EmptyBeginText|syntax.EmptyBeginLine) != 0 && !at.start {
			return
		}
		at.end = at.end || op&(syntax.EmptyEndText|syntax.EmptyEndLine) != 0
		follow(i.Out, at)
	}
}

// runes returns the characters that an instruction reads, as pairs from, to.
func runes(i *syntax.Inst) []rune {
	switch {
	case i.Op == syntax.InstRuneAny, i.Op == syntax.InstRuneAnyNotNL:
		return anyRune
	case len(i.Rune) != 1:
		return i.Rune
	}
	r := i.Rune[0]
	if i.Op != syntax.InstRune || syntax.Flags(i.Arg)&syntax.FoldCase == 0 {
		return []rune{r, r}
	}
	pairs := []rune{r, r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		pairs = append(pairs, f, f)
	}
	return pairs
}

var anyRune = []rune{0, unicode.MaxRune}

func common(a, b []rune) bool {
	for i := 0; i+1 < len(a); i += 2 {
		for j := 0; j+1 < len(b); j += 2 {
			if a[i] <= b[j+1] && b[j] <= a[i+1] {
				return true
			}
		}
	}
	return false
}

// program returns what v matches as an automaton over whole values.
func (v *Value) program() *syntax.Prog {
	expr := regexp.QuoteMeta(v.Text) + anything
	if v.Kind == Regexp {
		expr = anything + "(?:" + v.Regexp.String() + ")" + anything
	}
	p, err := program(expr)
	if err != nil {
		return nil
	}
	return p
}
