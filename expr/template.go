package expr

import (
	"errors"
	"fmt"
	"strings"

	"gopura/exchange"
)

// Place says where the text of a template goes, and so what an inserted value
// must not be able to do there.
type Place uint8

const (
	Plain  Place = iota // as it is
	Header              // a field value: control characters are ErrUnsafe
	Path                // a path, and from a literal "?" on a query: values are percent-encoded
	Query               // a query without its "?": values are percent-encoded
	URL                 // an absolute URL or a path: like Path; in the authority, only what a host may hold
	Host                // a host, perhaps with a port
)

// ErrUnsafe is returned when a value may not stand where the template puts it.
var ErrUnsafe = errors.New("the value holds characters that are not allowed there")

// Template is a text with expressions in it: "/v2/{path.id}?q={query.v}".
// "{{" and "}}" stand for braces. It is immutable and safe for concurrent use.
//
// In a path, `path.name` and `request.path` are inserted as they are, because
// they are normalised already; every other value is encoded as a whole, a
// slash in it included. `request.query` is inserted into a query as it is.
type Template struct {
	text     string
	pieces   []piece
	relative bool // a URL without an authority must not get one by a value
}

// piece is a literal, or the value of a program.
type piece struct {
	literal string
	program *Program
	offset  int
	part    part
	raw     bool // the value is encoded as its part wants it already
	rooted  bool // the value ends an authority, so it must begin with a slash
}

// part is what stands around a value.
type part uint8

const (
	inText   part = iota // anything goes
	inHeader             // a field value
	inScheme             // before ://
	inHost               // an authority
	inPath
	inQuery
)

// Template is TemplateFor a Plain place.
func (e *Env) Template(text string) (*Template, error) { return e.TemplateFor(text, Plain) }

// TemplateFor compiles a template whose text goes to place. What is wrong with
// the text is an *Error.
func (e *Env) TemplateFor(text string, place Place) (*Template, error) {
	pieces, err := split(text)
	if err != nil {
		return nil, err
	}
	t := &Template{text: text, pieces: pieces}
	if err := t.compile(e, place); err != nil {
		return nil, err
	}
	return t, nil
}

// Text returns the template as written.
func (t *Template) Text() string { return t.text }

// Constant returns the text of a template without expressions.
func (t *Template) Constant() (string, bool) {
	switch {
	case len(t.pieces) == 0:
		return "", true
	case len(t.pieces) == 1 && t.pieces[0].program == nil:
		return t.pieces[0].literal, true
	}
	return "", false
}

// Sample returns the text with "x" in place of each value ("/x" for a path):
// what a check of the literals can look at when t is compiled.
func (t *Template) Sample() string {
	var b strings.Builder
	for _, p := range t.pieces {
		switch {
		case p.program == nil:
			b.WriteString(p.literal)
		case p.raw && p.program.fact.name == "request.path":
			b.WriteString("/x")
		default:
			b.WriteByte('x')
		}
	}
	return b.String()
}

// Facts returns the names of the facts that t uses.
func (t *Template) Facts() []string {
	var names []string
	seen := map[string]bool{}
	for _, p := range t.pieces {
		if p.program == nil {
			continue
		}
		for _, n := range p.program.Facts() {
			if !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}

// Append appends the text for x. A value that may not stand in its place is
// ErrUnsafe. Literals and single facts cost no allocation when dst has room.
func (t *Template) Append(dst []byte, x *exchange.Exchange) ([]byte, error) {
	return t.append(dst, x, nil)
}

func (t *Template) append(dst []byte, x *exchange.Exchange, vars Vars) ([]byte, error) {
	start := len(dst)
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.program == nil {
			dst = append(dst, p.literal...)
			continue
		}
		n := len(dst)
		var err error
		if p.raw {
			dst = p.program.fact.encoded(dst, x, p.program.key)
			if p.rooted && (len(dst) == n || dst[n] != '/') {
				return dst[:start], fmt.Errorf("expression %q: not a path after a host: %w", p.program.text, ErrUnsafe)
			}
			continue
		}
		var null bool
		if dst, null, err = p.program.appendWith(dst, x, vars); err != nil {
			return dst[:start], err
		}
		if (len(p.program.vars) > 0 || vars != nil && p.part != inQuery) && !p.part.names(dst[n:], null) {
			return dst[:start], fmt.Errorf("expression %q: it is empty, or names nothing: %w", p.program.text, ErrUnsafe)
		}
		if dst, err = p.part.admit(dst, n); err != nil {
			return dst[:start], fmt.Errorf("expression %q: %w", p.program.text, err)
		}
	}
	if t.relative && len(dst) > start+1 && dst[start] == '/' && dst[start+1] == '/' {
		return dst[:start], fmt.Errorf("template %q: it would name another host: %w", t.text, ErrUnsafe)
	}
	return dst, nil
}

// split cuts a template into literals and the texts of expressions. The pieces
// of expressions have an empty program, to be compiled.
func split(text string) ([]piece, error) {
	var pieces []piece
	var literal strings.Builder
	start := 0
	flush := func(end int) {
		if literal.Len() > 0 {
			pieces = append(pieces, piece{literal: literal.String(), offset: start})
			literal.Reset()
		}
		start = end
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			literal.WriteByte(c)
			i += 2
		case c == '{':
			end := holeEnd(text, i+1)
			if end < 0 {
				return nil, &Error{Offset: i, Message: "{ without its }", Hint: "{{ stands for a brace"}
			}
			if strings.TrimSpace(text[i+1:end]) == "" {
				return nil, &Error{Offset: i, Message: "{} without an expression", Hint: "{{}} stands for braces"}
			}
			flush(end + 1)
			pieces = append(pieces, piece{literal: text[i+1 : end], offset: i + 1, program: new(Program)})
			i = end + 1
		case c == '}':
			return nil, &Error{Offset: i, Message: "} without its {", Hint: "}} stands for a brace"}
		default:
			literal.WriteByte(c)
			i++
		}
	}
	flush(len(text))
	return pieces, nil
}

// holeEnd returns where the expression that begins at i ends: at the brace
// that closes it, past the strings and braces within.
func holeEnd(text string, i int) int {
	for depth := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		case '"', '\'':
			raw := i > 0 && (text[i-1] == 'r' || text[i-1] == 'R')
			if i = stringEnd(text, i, raw); i < 0 {
				return -1
			}
		}
	}
	return -1
}

// stringEnd returns the last byte of the CEL string that begins at i, or -1.
func stringEnd(text string, i int, raw bool) int {
	quote := text[i : i+1]
	if three := strings.Repeat(quote, 3); strings.HasPrefix(text[i:], three) {
		quote = three
	}
	for i += len(quote); i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote) - 1
		case text[i] == '\\' && !raw:
			i++
		}
	}
	return -1
}
