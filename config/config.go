package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Source is the text of one configuration file.
type Source struct {
	Name string
	Data []byte
}

// PolicyKind is a policy that routes may carry, under its name as the key.
type PolicyKind struct {
	Name string
	New  func() any // a pointer to what the settings are decoded into
	Doc  string     // one sentence for the schema and the reference
}

// Options are what a configuration is read with.
type Options struct {
	Policies   []PolicyKind
	Identities []PolicyKind                 // kinds of sources of identity
	Env        func(string) (string, bool)  // resolves ${env:NAME}; default os.LookupEnv
	ReadFile   func(string) ([]byte, error) // resolves ${file:path}; default os.ReadFile, with a limit

	recall map[string]resolved // what references stood for; see Origin.Copy
	sealed *[]string           // nothing is looked up: here is what would have been; see Origin.Try
}

// Parse reads one or more texts as one configuration. The error is a *Problems
// when the content is at fault; warnings alone are no error (Document.Problems).
func Parse(src []Source, opts Options) (*Document, error) {
	problems := new(Problems)
	root := readAll(src, problems)
	if problems.failed() {
		problems.settle()
		return nil, problems
	}
	doc := &Document{Pos: make(map[string]Pos), problems: problems, places: make(map[string]Pos), origin: &Origin{texts: src, options: opts}}
	doc.origin.options.recall, doc.origin.options.sealed = nil, nil
	for _, e := range root.entries {
		doc.Pos[e.key] = e.pos
	}
	d := newDecoder(opts, problems, doc.places)
	d.value(root, reflect.ValueOf(doc).Elem(), &field{pos: -1}, "")
	doc.Referred, doc.origin.recall = *d.refs.seen, d.refs.found
	doc.check()
	problems.settle()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return doc, nil
}

// Decode reads a text into a value by the rules of the configuration: what into
// points to is described by tags, as the document is.
func Decode(src Source, into any, opts Options) error {
	problems := new(Problems)
	problems.source(src)
	if n := readYAML(src, problems); n != nil && !problems.failed() {
		newDecoder(opts, problems, make(map[string]Pos)).value(n, reflect.ValueOf(into).Elem(), &field{pos: -1}, "")
	} else if !problems.failed() {
		problems.add(Problem{Pos: Pos{File: src.Name}, Message: "the text is empty"})
	}
	problems.settle()
	if problems.failed() {
		return problems
	}
	return nil
}

func newDecoder(opts Options, problems *Problems, places map[string]Pos) *decoder {
	return &decoder{catalog: newCatalog(opts), problems: problems, places: places, refs: newReferences(opts)}
}

// Checker is implemented (by pointer) by settings that know rules of their own.
// Check runs when the struct has been decoded without a problem; it may also
// complete the struct.
type Checker interface{ Check(at *At) }

// At is where a struct stands, for a Checker that has to complain.
type At struct {
	d    *decoder
	node *node
	path string
}

// Pos returns the place of the value of a key of the struct, or of the struct
// itself when key is empty or absent. A key may lead deeper: "targets[1].url".
func (a *At) Pos(key string) Pos { pos, _ := a.place(key); return pos }

// Has reports whether the file sets the key.
func (a *At) Has(key string) bool { return a.node.find(key) != nil }

// Problem adds a problem at the value of a key.
func (a *At) Problem(key, format string, args ...any) { a.Hint("", key, format, args...) }

// Hint is Problem with a hint.
func (a *At) Hint(hint, key, format string, args ...any) {
	pos, path := a.place(key)
	a.d.problem(pos, path, hint, format, args...)
}

// Warn adds a warning at the value of a key.
func (a *At) Warn(key, format string, args ...any) {
	pos, path := a.place(key)
	a.d.problems.add(Problem{Pos: pos, Path: path, Message: fmt.Sprintf(format, args...), Warning: true})
}

// Advise is Warn with a hint.
func (a *At) Advise(hint, key, format string, args ...any) {
	pos, path := a.place(key)
	a.d.problems.add(Problem{Pos: pos, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// Shown is how a message shows the value of a key: quoted, or *** when it holds
// a secret.
func (a *At) Shown(key, text string) string {
	if a.secret(key) {
		return hidden
	}
	return quote(text)
}

// keep makes texts secrets that were made of the value of a key, when that
// holds one: later problems must not show them either.
func (a *At) keep(key string, texts ...string) {
	if !a.secret(key) {
		return
	}
	for _, text := range texts {
		a.d.problems.secrets.learn(text)
	}
}

// written returns the texts of a key, those with references as the file has
// them.
func (a *At) written(key string, texts ...string) []string {
	n := a.node
	if e := n.find(key); e != nil {
		n = e.value
	} else if n.kind == mapping {
		return texts
	}
	out := slices.Clone(texts)
	for i := range out {
		switch {
		case n.kind == scalar && hasReference(n.text):
			out[i] = n.text
		case n.kind == list && i < len(n.items) && hasReference(n.items[i].text):
			out[i] = n.items[i].text
		}
	}
	return out
}

func (a *At) secret(key string) bool {
	n := a.node
	if e := n.find(key); e != nil {
		n = e.value
	}
	if n.kind == scalar {
		return hasReference(n.text)
	}
	return slices.ContainsFunc(n.items, func(c *node) bool { return hasReference(c.text) })
}

func (a *At) place(key string) (Pos, string) {
	path := a.path
	switch {
	case strings.HasPrefix(key, "["):
		path += key
	case key != "" && path != "":
		path += "." + key
	case key != "":
		path = key
	}
	return around(a.d.places, path)
}
