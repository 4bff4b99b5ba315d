package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Render writes the problems for a person, each with its line and a caret:
//
//	gopura.yaml:41:9: error: routes[3].to: there is no service "usrs"
//	   41 |     to: usrs
//	      |         ^ did you mean "users"?
func (p *Problems) Render(w io.Writer, color bool) error {
	out := bufio.NewWriter(w)
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	for _, q := range p.List {
		kind, ink := "error", "1;31"
		if q.Warning {
			kind, ink = "warning", "1;33"
		}
		if q.Pos != (Pos{}) {
			fmt.Fprintf(out, "%s: ", paint("1", printable(q.Pos.String())))
		}
		fmt.Fprintf(out, "%s: ", paint(ink, kind))
		if q.Path != "" {
			fmt.Fprintf(out, "%s: ", printable(q.Path))
		}
		fmt.Fprintf(out, "%s\n", printable(q.Message))
		line, column, ok := p.excerpt(q.Pos)
		switch hint := printable(q.Hint); {
		case ok:
			fmt.Fprintf(out, "%5d | %s\n", q.Pos.Line, line)
			caret := strings.TrimRight(paint(ink, "^")+" "+hint, " ")
			fmt.Fprintf(out, "      | %s%s\n", strings.Repeat(" ", column), caret)
		case hint != "":
			fmt.Fprintf(out, "      | %s\n", hint)
		}
	}
	if p.dropped > 0 {
		fmt.Fprintf(out, "… and %d more\n", p.dropped)
	}
	return out.Flush()
}

// excerpt returns the line of a place, or the part of it around the place, and
// the column of the place within.
func (p *Problems) excerpt(pos Pos) (line string, column int, ok bool) {
	const wide, before = 120, 60
	text, ok := p.line(pos)
	if !ok {
		return "", 0, false
	}
	runes := []rune(printable(p.secrets.mask(text)))
	column = min(max(pos.Col-1, 0), len(runes))
	if len(runes) <= wide {
		return string(runes), column, true
	}
	from := max(0, column-before)
	to := min(len(runes), from+wide)
	line = string(runes[from:to])
	if from > 0 {
		line, column = "…"+line, column+1
	}
	if to < len(runes) {
		line += "…"
	}
	return line, column - from, true
}

// printable replaces what a terminal would act on, character by character.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return '�'
		}
		return r
	}, text)
}
