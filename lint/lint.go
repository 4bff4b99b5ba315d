package lint

import (
	"cmp"
	"slices"
	"strings"

	"gopura/config"
)

// Level is how grave a finding is.
type Level string

// The levels, as SARIF has them.
const (
	Error   Level = "error"
	Warning Level = "warning"
	Note    Level = "note"
)

// Rule is one thing that is looked for.
type Rule struct {
	Name  string
	Level Level
	Text  string // what is found, in a sentence
	Why   string // why it matters, and what to do
	look  func(*linter)
}

// Finding is one place where a rule applies.
type Finding struct {
	Rule    *Rule
	Pos     config.Pos
	Message string
	Hint    string
	Ignored string // the reason, when a comment silences it
}

// Run looks for all rules in a document that has been checked; source returns
// the text of a file, for the comments that silence findings. Findings are
// sorted by place.
func Run(doc *config.Document, source func(file string) ([]byte, error)) []Finding {
	l := &linter{doc: doc}
	for i := range Rules {
		l.rule = &Rules[i]
		if l.rule.look != nil {
			l.rule.look(l)
		}
	}
	l.silence(source)
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return l.found
}

// linter is a run.
type linter struct {
	doc   *config.Document
	rule  *Rule
	found []Finding
}

func (l *linter) find(pos config.Pos, hint, message string) {
	l.found = append(l.found, Finding{Rule: l.rule, Pos: pos, Message: message, Hint: hint})
}

// ignoreMark begins a comment that silences a rule.
const ignoreMark = "# lint:ignore "

// silence applies the comments. One that gives no reason, or names no rule,
// or silences nothing, is a finding itself.
func (l *linter) silence(source func(string) ([]byte, error)) {
	l.rule = named("ignore-comment")
	var files []string
	for _, p := range l.doc.Pos {
		if p.File != "" && !slices.Contains(files, p.File) {
			files = append(files, p.File)
		}
	}
	slices.Sort(files)
	for _, file := range files {
		text, err := source(file)
		if err != nil {
			continue // without its text there are no comments
		}
		for i, line := range strings.Split(string(text), "\n") {
			if at := strings.Index(line, ignoreMark); at >= 0 {
				l.ignore(config.Pos{File: file, Line: i + 1, Col: at + 1}, line[at+len(ignoreMark):], strings.TrimSpace(line[:at]) == "")
			}
		}
	}
}

// ignore applies one comment: to its own line, or when it stands alone to the next.
func (l *linter) ignore(pos config.Pos, text string, alone bool) {
	name, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
	reason = strings.TrimSpace(reason)
	switch {
	case named(name) == nil:
		l.find(pos, cmp.Or(config.Suggest(name, names()), "gopura lint -f rules lists them"), "there is no rule "+name)
		return
	case reason == "":
		l.find(pos, ignoreMark+name+" <why>", "a rule is silenced without a reason")
		return
	}
	line := pos.Line
	if alone {
		line++
	}
	used := false
	for i := range l.found {
		f := &l.found[i]
		if f.Rule.Name == name && f.Pos.File == pos.File && f.Pos.Line == line {
			f.Ignored, used = reason, true
		}
	}
	if !used {
		l.find(pos, "take it out", "there is nothing to ignore here")
	}
}

func named(name string) *Rule {
	for i := range Rules {
		if Rules[i].Name == name {
			return &Rules[i]
		}
	}
	return nil
}

func names() (list []string) {
	for _, r := range Rules {
		list = append(list, r.Name)
	}
	return list
}
