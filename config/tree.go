package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tree is a value of a YAML or JSON text that is no configuration of ours, with
// its place: a list, a map, or a text with its tag. The zero Tree pointer is no
// value; all methods take it.
type Tree struct {
	Pos    Pos
	Text   string // of a scalar
	Tag    string // of a scalar: !!str, !!int, !!float, !!bool, !!null
	Items  []*Tree
	Fields []TreeField // of a map, in the order of the text
	isMap  bool
	isList bool
}

// TreeField is a key of a map and its value.
type TreeField struct {
	Key   string
	Pos   Pos
	Value *Tree
}

// ReadTree reads a text, within the limits of a configuration file. The error is
// a *Problems. JSON is what begins with a brace and is named *.json, or is JSON;
// anything else is YAML.
func ReadTree(src Source) (*Tree, error) {
	problems := new(Problems)
	problems.source(src)
	var t *Tree
	if isJSON(src) {
		r := jsonTree{src: src, problems: problems}
		t = r.read()
	} else if n := readYAML(src, problems); n != nil {
		t = treeOf(n)
	}
	problems.settle()
	if problems.failed() {
		return nil, problems
	}
	return t, nil
}

func isJSON(src Source) bool {
	text := bytes.TrimLeft(src.Data, " \t\r\n\ufeff")
	if len(text) == 0 || text[0] != '{' {
		return false
	}
	return strings.EqualFold(filepath.Ext(src.Name), ".json") || json.Valid(bytes.TrimPrefix(src.Data, []byte("\ufeff")))
}

func treeOf(n *node) *Tree {
	t := &Tree{Pos: n.pos, Text: n.text, Tag: n.tag, isMap: n.kind == mapping, isList: n.kind == list}
	for _, item := range n.items {
		t.Items = append(t.Items, treeOf(item))
	}
	for _, e := range n.entries {
		t.Fields = append(t.Fields, TreeField{e.key, e.pos, treeOf(e.value)})
	}
	return t
}

// IsMap reports whether it is a map.
func (t *Tree) IsMap() bool { return t != nil && t.isMap }

// IsList reports whether it is a list.
func (t *Tree) IsList() bool { return t != nil && t.isList }

// IsText reports whether it is a scalar that is not null.
func (t *Tree) IsText() bool { return t != nil && !t.isMap && !t.isList && t.Tag != "!!null" }

// Get follows keys through maps; nil is nothing there, or null.
func (t *Tree) Get(keys ...string) *Tree {
	for _, k := range keys {
		if t == nil {
			return nil
		}
		i := slices.IndexFunc(t.Fields, func(f TreeField) bool { return f.Key == k })
		if i < 0 {
			return nil
		}
		t = t.Fields[i].Value
	}
	if t != nil && !t.isMap && !t.isList && t.Tag == "!!null" {
		return nil
	}
	return t
}

// String returns the text of a scalar below keys, "" for anything else.
func (t *Tree) String(keys ...string) string {
	if v := t.Get(keys...); v.IsText() {
		return v.Text
	}
	return ""
}

// Bool returns what a scalar below keys says, or otherwise.
func (t *Tree) Bool(otherwise bool, keys ...string) bool {
	switch strings.ToLower(t.String(keys...)) {
	case "true":
		return true
	case "false":
		return false
	}
	return otherwise
}

// Strings returns the scalars of the list below keys; a scalar is a list of one.
func (t *Tree) Strings(keys ...string) (list []string) {
	v := t.Get(keys...)
	if v.IsText() {
		return []string{v.Text}
	}
	if v != nil {
		for _, item := range v.Items {
			if item.IsText() {
				list = append(list, item.Text)
			}
		}
	}
	return list
}

// List returns the items of the list below keys.
func (t *Tree) List(keys ...string) []*Tree {
	if v := t.Get(keys...); v != nil {
		return v.Items
	}
	return nil
}

// Map returns the fields of the map below keys.
func (t *Tree) Map(keys ...string) []TreeField {
	if v := t.Get(keys...); v != nil {
		return v.Fields
	}
	return nil
}

// Value returns it as encoding/json would: numbers are json.Number.
func (t *Tree) Value() any {
	switch {
	case t == nil:
		return nil
	case t.isMap:
		m := make(map[string]any, len(t.Fields))
		for _, f := range t.Fields {
			m[f.Key] = f.Value.Value()
		}
		return m
	case t.isList:
		list := make([]any, len(t.Items))
		for i, item := range t.Items {
			list[i] = item.Value()
		}
		return list
	}
	switch t.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(t.Text, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(t.Text)) {
			return json.Number(t.Text)
		}
	}
	return t.Text
}

// jsonTree reads JSON, and knows where it is.
type jsonTree struct {
	src      Source
	problems *Problems
	dec      *json.Decoder
	at       int // byte up to which line and column are counted
	pos      Pos
}

func (r *jsonTree) read() *Tree {
	if len(r.src.Data) > maxFile {
		r.problems.add(Problem{Pos: Pos{File: r.src.Name}, Message: fmt.Sprintf("the file is larger than %v", Size(maxFile))})
		return nil
	}
	if !utf8.Valid(r.src.Data) {
		r.problems.add(Problem{Pos: Pos{File: r.src.Name}, Message: "not UTF-8"})
		return nil
	}
	r.pos = Pos{r.src.Name, 1, 1}
	r.src.Data = bytes.TrimPrefix(r.src.Data, []byte("\ufeff"))
	r.dec = json.NewDecoder(bytes.NewReader(r.src.Data))
	r.dec.UseNumber()
	t, err := r.value(0)
	if err == nil {
		if _, err = r.dec.Token(); err == io.EOF {
			return t
		}
		err = errors.New("more than one value")
	}
	r.problems.add(Problem{Pos: r.place(int(r.dec.InputOffset())), Message: "not JSON: " + err.Error()})
	return nil
}

// place returns where a byte is; they are asked for in order.
func (r *jsonTree) place(offset int) Pos {
	for ; r.at < min(offset, len(r.src.Data)); r.at++ {
		switch c := r.src.Data[r.at]; {
		case c == '\n':
			r.pos.Line, r.pos.Col = r.pos.Line+1, 1
		case utf8.RuneStart(c):
			r.pos.Col++
		}
	}
	return r.pos
}

// next is where the next token begins.
func (r *jsonTree) next() Pos {
	i := int(r.dec.InputOffset())
	for i < len(r.src.Data) && strings.IndexByte(" \t\r\n,:", r.src.Data[i]) >= 0 {
		i++
	}
	return r.place(i)
}

func (r *jsonTree) value(depth int) (*Tree, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	t := &Tree{Pos: r.next()}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case nil:
		t.Tag = "!!null"
	case string:
		t.Text, t.Tag = v, "!!str"
	case bool:
		t.Text, t.Tag = fmt.Sprint(v), "!!bool"
	case json.Number:
		t.Text, t.Tag = v.String(), "!!int"
		if strings.ContainsAny(t.Text, ".eE") {
			t.Tag = "!!float"
		}
	case json.Delim:
		if v == '[' {
			t.isList = true
			for r.dec.More() {
				item, err := r.value(depth + 1)
				if err != nil {
					return nil, err
				}
				t.Items = append(t.Items, item)
			}
		} else if err := r.object(t, depth); err != nil {
			return nil, err
		}
		_, err = r.dec.Token()
	}
	return t, err
}

func (r *jsonTree) object(t *Tree, depth int) error {
	t.isMap = true
	seen := map[string]bool{}
	for r.dec.More() {
		f := TreeField{Pos: r.next()}
		key, err := r.dec.Token()
		if err != nil {
			return err
		}
		f.Key, _ = key.(string)
		if seen[f.Key] {
			return fmt.Errorf("the key %s is set twice", quote(f.Key))
		}
		seen[f.Key] = true
		if f.Value, err = r.value(depth + 1); err != nil {
			return err
		}
		t.Fields = append(t.Fields, f)
	}
	return nil
}
