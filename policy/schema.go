package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"gopura/exchange"
)

// schema is a compiled JSON Schema.
type schema struct {
	files []string // that it was made of, those that it refers to included
	// Each validation counts its steps, so that each has a copy of its own.
	copies sync.Pool           // of *schemaCopy
	types  map[string][]string // of its properties: what texts are turned into
	items  map[string][]string // of the items of those that are lists
	splits map[string]string   // what parts the items of a list that is one text
	fits   map[string]string   // of path parameters: their names in the pattern
}

type schemaCopy struct {
	*jsonschema.Schema
	budget budget
}

const maxSchema = 4 << 20

// compileSchema compiles a schema with all that it refers to. Nothing is
// fetched: a schema that is not in a file beside it is an error.
func compileSchema(s *SchemaSpec) (*schema, error) {
	var text []byte
	var err error
	path := beside(s.Pos, "inline.schema.json")
	switch {
	case (s.File == "") == (s.Schema == nil):
		return nil, errors.New("either a file or a schema is needed")
	case s.File != "":
		path = beside(s.Pos, s.File)
		text, err = readFile(path, maxSchema)
	default:
		text, err = json.Marshal(s.Schema)
	}
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s is not JSON: %w", filepath.Base(path), err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	at := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
	files := &schemaFiles{dir: filepath.Dir(path), loaded: map[string]any{at: doc}, parse: parseJSON}
	out, err := files.schema(at)
	if err != nil {
		return nil, err
	}
	out.types, out.items = propertyTypes(doc)
	return out, nil
}

func parseJSON(_ string, text []byte) (any, error) {
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// schema compiles the schema at an address.
func (l *schemaFiles) schema(at string) (*schema, error) {
	first, err := l.compile(at)
	if err != nil {
		return nil, errors.New(oneLine(err.Error()))
	}
	l.closed = true
	out := &schema{files: l.read}
	out.copies.New = func() any {
		c, err := l.compile(at)
		if err != nil {
			return (*schemaCopy)(nil) // it could be compiled once
		}
		return c
	}
	out.copies.Put(first)
	return out, nil
}

// schemaFiles loads files of one folder and those below it, once.
type schemaFiles struct {
	dir    string
	loaded map[string]any
	read   []string // the files, by path
	closed bool     // all there is to load has been: nothing is written any more
	parse  func(path string, text []byte) (any, error)
}

func (l *schemaFiles) compile(at string) (*schemaCopy, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(l)
	s, err := c.Compile(at)
	if err != nil {
		return nil, err
	}
	out := &schemaCopy{Schema: s}
	out.budget.watch(s, map[*jsonschema.Schema]bool{})
	return out, nil
}

// Load implements jsonschema.URLLoader.
func (l *schemaFiles) Load(at string) (any, error) {
	if doc, ok := l.loaded[at]; ok {
		return doc, nil
	}
	path, err := jsonschema.FileLoader{}.ToFile(at)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(l.dir, path)
	if err != nil || !filepath.IsLocal(rel) || l.closed {
		return nil, errors.New("a schema refers to files of its own folder only")
	}
	l.read = append(l.read, path) // also one that is not there yet
	text, err := readFile(path, maxSchema)
	if err != nil {
		return nil, err
	}
	doc, err := l.parse(rel, text)
	if err == nil {
		l.loaded[at] = doc
	}
	return doc, err
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// propertyTypes returns the types that the properties of an object may have,
// and those of their items.
func propertyTypes(doc any) (types, itemTypes map[string][]string) {
	types, itemTypes = map[string][]string{}, map[string][]string{}
	top, _ := doc.(map[string]any)
	properties, _ := top["properties"].(map[string]any)
	for name, p := range properties {
		m, _ := p.(map[string]any)
		types[name] = typeWords(m)
		items, _ := m["items"].(map[string]any)
		itemTypes[name] = typeWords(items)
	}
	return types, itemTypes
}

// typeWords returns what the keyword type names: one, or several.
func typeWords(schema map[string]any) []string {
	list := []string{}
	switch t := schema["type"].(type) {
	case string:
		list = append(list, t)
	case []any:
		for _, item := range t {
			if s, ok := item.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

// check appends what is wrong with a value.
func (s *schema) check(flaws []exchange.Flaw, in string, v any) []exchange.Flaw {
	c := s.copies.Get().(*schemaCopy)
	if c == nil {
		return append(flaws, exchange.Flaw{Pointer: in, Detail: "can't be checked"})
	}
	c.budget.start(v)
	err := c.Validate(v)
	spent := c.budget.spent()
	s.copies.Put(c)
	if spent { // whatever came out: a "not" turns a failure round
		return append(flaws, exchange.Flaw{Pointer: in, Detail: errBudget.Error()})
	}
	if err == nil {
		return flaws
	}
	var e *jsonschema.ValidationError
	if !errors.As(err, &e) {
		return append(flaws, exchange.Flaw{Pointer: in, Detail: "can't be checked"})
	}
	return appendFlaws(flaws, in, e)
}

// parameters appends what is wrong with texts by name.
func (s *schema) parameters(flaws []exchange.Flaw, in string, values map[string][]string) []exchange.Flaw {
	doc := make(map[string]any, len(values))
	for name, list := range values {
		types := s.types[name]
		if by := s.splits[name]; by != "" && len(list) == 1 && slices.Contains(types, "array") {
			list = strings.Split(list[0], by)
		}
		if len(list) == 1 && !slices.Contains(types, "array") {
			doc[name] = typed(list[0], types)
			continue
		}
		items := make([]any, len(list))
		for i, text := range list {
			items[i] = typed(text, s.items[name])
		}
		doc[name] = items
	}
	return s.check(flaws, in, doc)
}

// checkFields is for a schema of header fields.
func (s *schema) checkFields() error {
	if len(s.types) == 0 {
		return errors.New("the schema has no properties, so no field would be looked at")
	}
	for name := range s.types {
		if !exchange.ValidName(name) || strings.ToLower(name) != name {
			return fmt.Errorf("names of fields are in lower case here: %q", name)
		}
	}
	return nil
}

// fields returns the values of the header fields that the schema speaks of.
func (s *schema) fields(h *exchange.Header) map[string][]string {
	values := map[string][]string{}
	for i := range h.Len() {
		f := h.At(i)
		if name := strings.ToLower(string(f.Name)); s.types[name] != nil {
			values[name] = append(values[name], strings.ToValidUTF8(string(f.Value), "\ufffd"))
		}
	}
	return values
}

// typed is the value that a text stands for where one of types is asked for;
// what is none of them stays a text, which the schema then refuses.
func typed(text string, types []string) any {
	for _, t := range types {
		switch t {
		case "integer", "number":
			if isNumber(text) && checkNumber(text) == nil {
				return json.Number(text)
			}
		case "boolean":
			if text == "true" || text == "false" {
				return text == "true"
			}
		}
	}
	return text
}

// isNumber reports whether a text is a number of JSON.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}

// appendFlaws walks through the tree of errors to its leaves.
func appendFlaws(flaws []exchange.Flaw, in string, e *jsonschema.ValidationError) []exchange.Flaw {
	if len(flaws) > maxFlaws {
		return flaws
	}
	at := in + pointer(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
		// Which alternative was meant nobody knows.
		return append(flaws, exchange.Flaw{Pointer: at, Detail: keyword(k)})
	case *kind.Required:
		for _, name := range k.Missing {
			flaws = append(flaws, exchange.Flaw{Pointer: at + pointer([]string{name}), Detail: "required"})
		}
		return flaws
	case *kind.Type:
		return append(flaws, exchange.Flaw{Pointer: at, Detail: "type: " + strings.Join(k.Want, " or ")})
	}
	if len(e.Causes) == 0 {
		return append(flaws, exchange.Flaw{Pointer: at, Detail: keyword(e.ErrorKind)})
	}
	for _, c := range e.Causes {
		flaws = appendFlaws(flaws, in, c)
	}
	return flaws
}

// keyword is the rule of the schema that an error breaks.
func keyword(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Format:
		return "format: " + k.Want
	case *kind.Not:
		return "not"
	case *kind.FalseSchema:
		return "must not be there"
	}
	if path := k.KeywordPath(); len(path) > 0 {
		return path[0]
	}
	return "is not as the schema wants it"
}

// pointer is an RFC 6901 pointer. Steps are names that the client chose: they
// are cut, and what is not printable is left out.
func pointer(steps []string) string {
	var b strings.Builder
	for i, s := range steps {
		if i == maxSteps {
			b.WriteString("/…")
			break
		}
		b.WriteByte('/')
		if len(s) > maxStep {
			s = strings.ToValidUTF8(s[:maxStep], "") + "…"
		}
		for _, r := range s {
			switch {
			case r == '~':
				b.WriteString("~0")
			case r == '/':
				b.WriteString("~1")
			case r != utf8.RuneError && unicode.IsPrint(r):
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

const (
	maxSteps = 16
	maxStep  = 64 // bytes
)

// unescape decodes a part of a query.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, utf8.ValidString(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] != '%':
			b = append(b, s[i])
		case i+2 < len(s):
			c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b = append(b, byte(c))
			i += 2
		default:
			return "", false
		}
	}
	return string(b), utf8.Valid(b)
}
