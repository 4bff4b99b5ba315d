package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// This file is the only one that knows YAML. What leaves it are nodes: aliases
// expanded, merge keys applied, duplicate keys reported.

const (
	maxFile     = 16 << 20 // bytes of one configuration file
	maxDepth    = 64       // levels of nesting
	maxExpanded = 100_000  // values that aliases may expand to, all together
)

type kind uint8

const (
	scalar kind = iota
	list
	mapping
)

// String says what a node is, for "expected …, got a list".
func (k kind) String() string { return [...]string{"a text", "a list", "a map"}[k] }

// node is a value of the file. The place of a list or map that begins on the
// line after its key is the key.
type node struct {
	kind    kind
	pos     Pos
	text    string // of a scalar
	tag     string // of a scalar: !!str, !!int, !!float, !!bool, !!null
	items   []*node
	entries []entry
}

type entry struct {
	key   string
	pos   Pos
	value *node
}

func (n *node) null() bool { return n.kind == scalar && n.tag == "!!null" }

// find returns the entry of a map.
func (n *node) find(key string) *entry {
	for i := range n.entries {
		if n.entries[i].key == key {
			return &n.entries[i]
		}
	}
	return nil
}

// readYAML returns the value that a text holds; nil when it is empty or can't be
// read, which is then a problem.
func readYAML(src Source, problems *Problems) *node {
	r := reader{file: src.Name, problems: problems}
	if len(src.Data) > maxFile {
		r.problem(Pos{File: src.Name}, "the file is larger than %v", Size(maxFile))
		return nil
	}
	if !r.checkText(src.Data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src.Data), yaml.WithPlugin(limits{}))
	if err != nil {
		r.problem(Pos{File: src.Name}, "%v", err)
		return nil
	}
	var doc, next yaml.Node
	switch err := loader.Load(&doc); {
	case err == io.EOF:
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	switch err := loader.Load(&next); {
	case err == nil:
		r.problem(r.place(&next), "a second YAML document: one file holds one")
		return nil
	case err != io.EOF:
		r.syntax(err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil
	}
	return r.convert(doc.Content[0], 0, false)
}

// limits bounds what the YAML parser itself may be led to; the exact limits
// are convert's.
type limits struct{}

func (limits) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > 2*maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	return nil
}

func (limits) CheckAlias(int, int) error { return nil }

type reader struct {
	file     string
	problems *Problems
	alias    Pos // the one that is being expanded
	expanded int // values, by all aliases so far
	overrun  bool
}

func (r *reader) place(n *yaml.Node) Pos { return Pos{r.file, n.Line, n.Column} }

func (r *reader) problem(pos Pos, format string, args ...any) {
	r.problems.add(Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// checkText finds what is no text at all: the YAML parser refuses it too, but
// can't say where.
func (r *reader) checkText(data []byte) bool {
	pos := Pos{r.file, 1, 1}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			r.problem(pos, "not UTF-8")
			return false
		case c < ' ' && c != '\n' && c != '\r' && c != '\t', c == 0x7f:
			r.problem(pos, "a control character (%#x)", c)
			return false
		case c == '\n':
			pos.Line, pos.Col = pos.Line+1, 0
		}
		pos.Col++
		i += size
	}
	return true
}

// syntax reports what the YAML parser has to say.
func (r *reader) syntax(err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		r.problem(Pos{File: r.file}, "not YAML: %v", err)
		return
	}
	pos := Pos{r.file, e.Mark.Line, e.Mark.Column}
	text := "not YAML: " + e.Message
	if e.ContextMsg != "" {
		text += ", " + e.ContextMsg
		if e.ContextMark.Line > 0 && e.ContextMark.Line != e.Mark.Line {
			text += fmt.Sprintf(" that begins at %d:%d", e.ContextMark.Line, e.ContextMark.Column)
		}
	}
	r.problems.add(Problem{Pos: pos, Message: text, Hint: syntaxHint(e.Message)})
}

// syntaxHint says what is usually behind a complaint of the YAML parser, which
// speaks of its grammar.
func syntaxHint(message string) string {
	for _, h := range syntaxHints {
		if strings.Contains(message, h.says) {
			return h.hint
		}
	}
	return ""
}

var syntaxHints = []struct{ says, hint string }{
	{"cannot start any token", "YAML indents with spaces, not tabs; a text that begins with a special character needs quotes"},
	{"tab character", "YAML indents with spaces, not tabs"},
	{"expected ',' or '}'", `within { … } a text that holds { } [ ] or , needs quotes: { match: "GET /users/{id}", … }`},
	{"expected ',' or ']'", `a ] is missing, or a text that holds { } [ ] or , has no quotes: ["GET /users/{id}"]`},
	{"unknown anchor", `a text that begins with * needs quotes: "*.example.com/users/*"`},
	{"expected '-' indicator", "the keys of an item stand below each other, in the column of the first"},
	{"did not find expected key", "the keys of a map stand below each other, in one column"},
	{"mapping values are not allowed", "the keys of a map stand below each other, in one column; a text that holds a colon and a space needs quotes"},
}

// convert returns the node of a YAML node; nil after a problem that leaves
// none. expanding says that an alias led here.
func (r *reader) convert(y *yaml.Node, depth int, expanding bool) *node {
	if depth > maxDepth {
		r.problem(r.place(y), "nested deeper than %d levels", maxDepth)
		return nil
	}
	if expanding {
		if r.expanded++; r.expanded > maxExpanded {
			if !r.overrun {
				r.problem(r.alias, "aliases expand to more than %d values", maxExpanded)
			}
			r.overrun = true
			return nil
		}
	}
	n := &node{pos: r.place(y), text: y.Value, tag: y.ShortTag()}
	switch y.Kind {
	case yaml.AliasNode:
		if !expanding {
			r.alias = r.place(y)
		}
		return r.convert(y.Alias, depth+1, true)
	case yaml.ScalarNode:
		return r.scalar(n)
	case yaml.SequenceNode:
		n.kind = list
		for _, c := range y.Content {
			if item := r.convert(c, depth+1, expanding); item != nil {
				n.items = append(n.items, item)
			}
		}
	case yaml.MappingNode:
		n.kind = mapping
		r.mapping(n, y, depth, expanding)
	}
	if n.tag != "!!seq" && n.tag != "!!map" {
		r.problem(n.pos, "unknown tag %q", n.tag)
	}
	return n
}

func (r *reader) scalar(n *node) *node {
	switch n.tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
	case "!!timestamp", "!!merge":
		n.tag = "!!str"
	default:
		r.problem(n.pos, "unknown tag %q", n.tag)
		n.tag = "!!str"
	}
	return n
}

func (r *reader) mapping(n *node, y *yaml.Node, depth int, expanding bool) {
	first := make(map[string]Pos, len(y.Content)/2)
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			r.problem(r.place(k), "a key must be a text")
			continue
		}
		value := r.convert(v, depth+1, expanding)
		if k.Tag == "!!merge" {
			merged = append(merged, r.merged(value)...)
			continue
		}
		e := entry{key: k.Value, pos: r.place(k), value: value}
		if before, twice := first[e.key]; twice {
			r.problem(e.pos, "the key %q is set twice; first at line %d", e.key, before.Line)
			continue
		}
		first[e.key] = e.pos
		if value == nil {
			continue
		}
		if value.kind != scalar && v.Kind != yaml.AliasNode && value.pos.Line > e.pos.Line {
			value.pos = e.pos
		}
		n.entries = append(n.entries, e)
	}
	for _, m := range merged {
		for _, e := range m.entries {
			if _, set := first[e.key]; !set {
				first[e.key] = e.pos
				n.entries = append(n.entries, e)
			}
		}
	}
}

// merged returns the maps that a merge key names.
func (r *reader) merged(n *node) []*node {
	switch {
	case n == nil:
		return nil
	case n.kind == mapping:
		return []*node{n}
	case n.kind == list:
		var maps []*node
		for _, item := range n.items {
			if item.kind != mapping {
				r.problem(item.pos, "a merge key (<<) takes maps, got %v", item.kind)
				continue
			}
			maps = append(maps, item)
		}
		return maps
	}
	r.problem(n.pos, "a merge key (<<) takes a map, got %v", n.kind)
	return nil
}
