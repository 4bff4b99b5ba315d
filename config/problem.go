package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Pos is a place in a configuration file. Lines and columns count from 1,
// columns in characters; the zero Pos is no place.
type Pos struct {
	File      string
	Line, Col int
}

// String returns "gopura.yaml:41:16".
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
}

// Problem is one thing that is wrong with a configuration, or doubtful.
type Problem struct {
	Pos     Pos
	Path    string // routes[3].to; empty for the document as a whole
	Message string
	Hint    string // what was probably meant, or what to do
	Warning bool   // doubtful only: the configuration can be used
}

// String returns the problem in one line: place, path, message, hint.
func (p Problem) String() string {
	var b strings.Builder
	if p.Pos != (Pos{}) {
		b.WriteString(p.Pos.String() + ": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// maxProblems is how many problems are kept: past it nobody reads on, and a
// hostile file must not fill the memory.
const (
	maxProblems = 500
	maxMessage  = 300 // bytes of one
)

// Problems is everything that is wrong with a configuration: errors before
// warnings, each by place.
type Problems struct {
	List []Problem

	errors  int // of List, how many are no warnings
	dropped int // more of them, that List has no room for
	files   []string
	lines   map[string][]string // the texts of the files, for excerpts
	secrets secrets
	settled bool // all secrets are known
}

// Error returns the first problem and how many more there are; Render shows
// all of them.
func (p *Problems) Error() string {
	if len(p.List) == 0 {
		return "no problems"
	}
	first := p.List[0].String()
	switch more := p.errors + p.dropped - 1; {
	case more == 1:
		first += " (and one more problem)"
	case more > 1:
		first += fmt.Sprintf(" (and %d more problems)", more)
	}
	return first
}

// failed reports whether a problem is more than a warning.
func (p *Problems) failed() bool { return p.errors > 0 }

// add keeps a problem, only once, and once the secrets are known without those
// in it.
func (p *Problems) add(q Problem) {
	if p.settled || len(q.Message) > maxMessage {
		q.Message, q.Hint = p.secrets.redact(q.Message), p.secrets.redact(q.Hint)
	}
	if len(q.Message) > maxMessage { // not before: half a secret is not found
		q.Message = strings.ToValidUTF8(q.Message[:maxMessage], "") + "…"
	}
	if len(p.List) >= maxProblems {
		if !q.Warning {
			p.dropped++
			p.errors = max(p.errors, 1)
		}
		return
	}
	at, found := slices.BinarySearchFunc(p.List, q, p.compare)
	if found {
		return
	}
	p.List = slices.Insert(p.List, at, q)
	if !q.Warning {
		p.errors++
	}
}

// compare orders problems: errors before warnings, then by file in the order
// of reading, line and column.
func (p *Problems) compare(a, b Problem) int {
	rank := func(q Problem) int {
		if q.Warning {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(slices.Index(p.files, a.Pos.File), slices.Index(p.files, b.Pos.File)),
		cmp.Compare(a.Pos.File, b.Pos.File),
		cmp.Compare(a.Pos.Line, b.Pos.Line),
		cmp.Compare(a.Pos.Col, b.Pos.Col),
		cmp.Compare(a.Message, b.Message),
		cmp.Compare(a.Path, b.Path),
	)
}

// settle says that all secrets are known. Nobody may see the problems before.
func (p *Problems) settle() {
	p.settled = true
	for i := range p.List {
		q := &p.List[i]
		q.Message, q.Hint = p.secrets.redact(q.Message), p.secrets.redact(q.Hint)
	}
}

// source keeps the text of a file for excerpts.
func (p *Problems) source(src Source) {
	if p.lines == nil {
		p.lines = make(map[string][]string)
	}
	p.files = append(p.files, src.Name)
	if len(src.Data) <= maxFile {
		p.lines[src.Name] = strings.Split(strings.TrimPrefix(string(src.Data), "\ufeff"), "\n")
	}
}

// line returns a line of a file, as it is.
func (p *Problems) line(pos Pos) (string, bool) {
	lines := p.lines[pos.File]
	if pos.Line < 1 || pos.Line > len(lines) {
		return "", false
	}
	return strings.TrimSuffix(lines[pos.Line-1], "\r"), true
}

// Problem adds a problem to the document. Without a place it gets the place of
// its path. A message that contains a secret is kept without it.
func (d *Document) Problem(pos Pos, path, format string, args ...any) {
	d.add(Problem{Pos: pos, Path: path, Message: fmt.Sprintf(format, args...)})
}

// Warn adds a warning to the document, as Problem does.
func (d *Document) Warn(pos Pos, path, format string, args ...any) {
	d.add(Problem{Pos: pos, Path: path, Message: fmt.Sprintf(format, args...), Warning: true})
}

// Add adds a problem that is complete, with its hint.
func (d *Document) Add(p Problem) { d.add(p) }

func (d *Document) add(p Problem) {
	if p.Pos == (Pos{}) {
		p.Pos = d.At(p.Path)
	}
	d.problems.add(p)
}

// Err returns the problems as a *Problems if one of them is more than a
// warning, else nil.
func (d *Document) Err() error {
	if d.problems.failed() {
		return d.problems
	}
	return nil
}

// Problems returns all problems and warnings so far; it may be empty, never nil.
func (d *Document) Problems() *Problems { return d.problems }

// At returns the place of the value with this path, or of the nearest value
// around it.
func (d *Document) At(path string) Pos {
	pos, _ := around(d.places, path)
	return pos
}

// around returns the place of the value with this path, or of the nearest one
// around it, and its path.
func around(places map[string]Pos, path string) (Pos, string) {
	for {
		if pos, ok := places[path]; ok || path == "" {
			return pos, path
		}
		if i := strings.LastIndexByte(path, '['); i >= 0 && strings.HasSuffix(path, "]") {
			// An element of a list that stands for its struct: merge.parts[1], written as merge: [a, b].
			if dot := strings.LastIndexByte(path[:i], '.'); dot >= 0 {
				if pos, ok := places[path[:dot]+path[i:]]; ok {
					return pos, path
				}
			}
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// quote shows a text that the file holds in a message.
func quote(text string) string { return strconv.Quote(text) }

// Redact hides the secrets of the document in a text.
func (d *Document) Redact(text string) string { return d.problems.secrets.redact(text) }
