package policy

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/openapi"
)

// OpenAPISpec names an operation of an OpenAPI document.
type OpenAPISpec struct {
	Pos       config.Pos `yaml:"-"`
	File      string     `yaml:"file" required:"true" doc:"The document: OpenAPI 3.0, 3.1 or Swagger 2, YAML or JSON. What it refers to stands in files beside it; nothing is fetched. Read again when it changes."`
	Operation string     `yaml:"operation" required:"true" doc:"Its operationId, or its method and path as the document has them: GET /users/{id}. A path parameter of the document has the same name in the route's match, with _ for what is no letter, digit or _."`
}

// byOperation makes the parts of v of an operation of an OpenAPI document.
func (s *Validate) byOperation(env *Env, v *validator) error {
	spec := s.OpenAPI
	fault := func(path string, err error) error {
		return &Fault{Path: "openapi" + path, Pos: spec.Pos, Err: err}
	}
	if s.Body != nil || s.Query != nil || s.Headers != nil {
		return fault("", fmt.Errorf("takes the place of body, query and headers: one or the other"))
	}
	path, err := filepath.Abs(beside(spec.Pos, spec.File))
	if err != nil {
		return fault(".file", err)
	}
	doc, err := openDocument(env, path)
	if err != nil {
		return fault(".file", err)
	}
	op := doc.Find(spec.Operation)
	if op == nil {
		return fault(".operation", fmt.Errorf("%s has no operation %q", filepath.Base(path), spec.Operation))
	}
	a := apiSchemas{doc: doc, path: path}
	v.path, v.query, v.headers = a.part(op, "path"), a.part(op, "query"), a.part(op, "header")
	if op.Body != nil {
		v.media, v.optional = a.media(op.Body), !op.Body.Required
	}
	s.referred = append(s.referred, doc.Files...)
	if a.err != nil {
		return fault("", fmt.Errorf("operation %s: %w", spec.Operation, a.err))
	}
	return nil
}

// openDocument reads a document once for all policies of a configuration.
func openDocument(env *Env, path string) (*openapi.Document, error) {
	read := func() (*openapi.Document, func(), error) {
		text, err := readFile(path, maxDocument)
		if err != nil {
			return nil, nil, err
		}
		doc, err := openapi.Read(config.Source{Name: path, Data: text}, func(name string) ([]byte, error) { return readFile(name, maxDocument) })
		return doc, nil, err
	}
	if env.Pool == nil || env.Scope == nil {
		doc, _, err := read()
		return doc, err
	}
	return lifetime.Hold(env.Pool, env.Scope, fmt.Sprintf("openapi %p %s", env.Scope, path), read)
}

const maxDocument = 16 << 20

// apiSchemas compiles the schemas of an operation. A fault stays.
type apiSchemas struct {
	doc  *openapi.Document
	path string
	err  error
}

// ignoredFields are said by other means in OpenAPI, whatever a parameter says.
var ignoredFields = []string{"accept", "content-type", "authorization"}

// part compiles the parameters that stand in one place; nil: there are none.
func (a *apiSchemas) part(op *openapi.Operation, in string) *schema {
	properties, required := map[string]any{}, []any{}
	types, items, splits, fits := map[string][]string{}, map[string][]string{}, map[string]string{}, map[string]string{}
	for _, p := range op.Parameters {
		name := p.Name
		if in == "header" {
			name = strings.ToLower(name)
		}
		if p.In != in || in == "header" && slices.Contains(ignoredFields, name) || p.Opaque != "" && p.Opaque != "content" {
			continue
		}
		var s any = true
		if p.Schema != nil && p.Opaque == "" {
			s = p.Schema
		}
		properties[name] = s
		types[name], items[name], fits[name] = append([]string{}, p.Types...), p.Items, openapi.PathName(name)
		if p.Split != "" {
			splits[name] = p.Split
		}
		if p.Required {
			required = append(required, name)
		}
	}
	if len(properties) == 0 {
		return nil
	}
	out := a.compile(map[string]any{"type": "object", "properties": properties, "required": required})
	if out != nil {
		out.types, out.items, out.splits, out.fits = types, items, splits, fits
	}
	return out
}

// media compiles what a body may be.
func (a *apiSchemas) media(body *openapi.Body) (list []validMedia) {
	list = []validMedia{}
	for _, m := range body.Media {
		text, _, _ := strings.Cut(m.Type, ";")
		t, err := parseMediaType(strings.TrimSpace(text))
		if err != nil {
			a.fail(err)
			continue
		}
		valid := validMedia{types: []mediaType{t}}
		if m.Schema != nil && (t.sub == "json" || t.suffix == "+json" || strings.HasSuffix(t.sub, "+json")) {
			valid.schema = a.compile(m.Schema)
		}
		list = append(list, valid)
	}
	// The narrower type decides, whatever stands first.
	slices.SortStableFunc(list, func(a, b validMedia) int { return breadth(a.types[0]) - breadth(b.types[0]) })
	return list
}

func breadth(t mediaType) int {
	switch {
	case t.main == "*":
		return 3
	case t.suffix != "":
		return 1
	case t.sub == "*":
		return 2
	}
	return 0
}

func (a *apiSchemas) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// compile compiles a schema that refers to the document.
func (a *apiSchemas) compile(doc map[string]any) *schema {
	dir := filepath.Dir(a.path)
	address := func(name string) string {
		return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, name))}).String()
	}
	own, err := a.doc.Text("")
	if err != nil {
		a.fail(err)
		return nil
	}
	// A name that no file has, in the folder that references start from.
	at := address("\x01 operation")
	files := &schemaFiles{dir: dir, loaded: map[string]any{at: doc, address(filepath.Base(a.path)): own},
		parse: func(rel string, _ []byte) (any, error) { return a.doc.Text(filepath.ToSlash(rel)) }}
	out, err := files.schema(at)
	if err != nil {
		a.fail(err)
		return nil
	}
	return out
}

// pathValues returns the path parameters that the schema speaks of.
func (s *schema) pathValues(q *exchange.Request) (map[string][]string, error) {
	values := map[string][]string{}
	for name, fit := range s.fits {
		raw := q.Param(fit)
		if raw == nil {
			continue
		}
		text, err := url.PathUnescape(string(raw))
		if err != nil {
			return nil, fmt.Errorf("not percent-encoded")
		}
		values[name] = []string{strings.ToValidUTF8(text, "\ufffd")}
	}
	return values, nil
}
