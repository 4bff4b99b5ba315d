package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

const validateDoc = "Holds requests to a JSON Schema (2020-12, or what $schema says) before the service sees them: the body, the query, header fields. " +
	"A request that breaks it is answered with 400 (request_invalid) and flaws, a list of JSON pointers with the rules that were broken; values are not repeated. " +
	"The service gets the very bytes that were sent. A body is held in memory meanwhile; one that is no JSON is 415, one that is too large 413. " +
	"A member that is there twice, or nesting deeper than 64, is a flaw: the service might read another value than the one that was checked."

// Validate is the settings of validate.
type Validate struct {
	Pos      config.Pos   `yaml:"-"`
	OpenAPI  *OpenAPISpec `yaml:"openapi" doc:"An operation of an OpenAPI document, in place of body, query and headers: its parameters and its body."`
	Body     *SchemaSpec  `yaml:"body" doc:"The schema of the body."`
	Query    *SchemaSpec  `yaml:"query" doc:"The schema of the query parameters, as an object. A value counts as a number or boolean where the schema of its property asks for one; a parameter that is there several times is a list."`
	Headers  *SchemaSpec  `yaml:"headers" doc:"The schema of header fields, as an object with names in lower case. Only fields that are among its properties are looked at."`
	MaxBody  config.Size  `yaml:"max_body" default:"1MiB" min:"1" max:"64MiB" doc:"Bytes of a body that are held in memory."`
	Optional bool         `yaml:"body_optional" doc:"A request may come without a body."`
	Mode     string       `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`

	referred []string // files that the schemas refer to, known once they are compiled
}

// SchemaSpec is where a schema stands.
type SchemaSpec struct {
	Pos    config.Pos `yaml:"-"`
	File   string     `yaml:"file" short:"true" doc:"A file with the schema, JSON; what it refers to stands in files beside it. Read again when it changes."`
	Schema any        `yaml:"schema" doc:"The schema itself."`
}

// Compile implements Spec.
func (s *Validate) Compile(env *Env) (exchange.Middleware, error) {
	v := &validator{env: env, limit: int64(s.MaxBody), optional: s.Optional, shadowed: s.Mode == shadow}
	if v.limit <= 0 {
		v.limit = 1 << 20
	}
	s.referred = nil
	var err error
	if s.OpenAPI != nil {
		err = s.byOperation(env, v)
	} else {
		err = s.bySchemas(v)
	}
	if err != nil {
		return nil, err
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			refusal, err := v.judge(x)
			if err != nil {
				return err // the body could not be read: nothing to go on with
			}
			if refusal != nil {
				return env.refuse(next, x, "validate", v.shadowed, refusal)
			}
			return next.Serve(x)
		})
	}, nil
}

// bySchemas makes the parts of v of schemas.
func (s *Validate) bySchemas(v *validator) error {
	var faults []error
	compile := func(path string, spec *SchemaSpec) *schema {
		if spec == nil {
			return nil
		}
		c, err := compileSchema(spec)
		if err != nil {
			faults = append(faults, &Fault{Path: path, Pos: spec.Pos, Err: err})
			return nil
		}
		s.referred = append(s.referred, c.files...)
		return c
	}
	body := compile("body", s.Body)
	v.query, v.headers = compile("query", s.Query), compile("headers", s.Headers)
	if body != nil {
		v.media = []validMedia{{jsonTypes, body}}
	}
	if s.Body == nil && s.Query == nil && s.Headers == nil {
		faults = append(faults, &Fault{Pos: s.Pos, Err: errors.New("names no schema: one of openapi, body, query, headers is needed")})
	}
	if v.headers != nil {
		if err := v.headers.checkFields(); err != nil {
			faults = append(faults, &Fault{Path: "headers", Pos: s.Headers.Pos, Err: err})
		}
	}
	return errors.Join(faults...)
}

// Files returns the files that the settings are made of: the schemas and, once
// they are compiled, what they refer to.
func (s *Validate) Files() (list []string) {
	for _, spec := range []*SchemaSpec{s.Body, s.Query, s.Headers} {
		if spec != nil && spec.File != "" {
			list = append(list, beside(spec.Pos, spec.File))
		}
	}
	if s.OpenAPI != nil {
		list = append(list, beside(s.OpenAPI.Pos, s.OpenAPI.File))
	}
	return append(list, s.referred...)
}

// validator is a compiled validate policy.
type validator struct {
	env                  *Env
	path, query, headers *schema // nil: not looked at
	media                []validMedia
	limit                int64
	optional, shadowed   bool
}

// validMedia are types of a body, and their schema; nil: anything.
type validMedia struct {
	types []mediaType
	*schema
}

// judge returns why the request is refused. Whatever it returns, the request
// still has its body, unless there is an err.
func (v *validator) judge(x *exchange.Exchange) (refusal *exchange.Error, err error) {
	flaws := v.parameters(x)
	if v.media == nil {
		return invalid(flaws), nil
	}
	if x.Request.Body.Len() == 0 {
		if !v.optional {
			flaws = append(flaws, exchange.Flaw{Pointer: "#", Detail: "a body is required"})
		}
		return invalid(flaws), nil
	}
	media := v.mediaOf(&x.Request.Header)
	if media == nil {
		return v.unsupported(), nil
	}
	if media.schema == nil {
		return invalid(flaws), nil
	}
	if x.Request.Body.Len() > v.limit {
		return exchange.BodyTooLarge.Because(nil), nil
	}
	text, whole, err := exchange.KeepBody(x, v.limit)
	if err != nil {
		return nil, err
	}
	if !whole {
		return exchange.BodyTooLarge.Because(nil), nil
	}
	if len(text) == 0 && v.optional {
		return invalid(flaws), nil
	}
	doc, err := readJSON(text)
	if err != nil {
		return invalid(append(flaws, exchange.Flaw{Pointer: "#", Detail: err.Error()})), nil
	}
	return invalid(media.check(flaws, "#", doc)), nil
}

// parameters returns what is wrong with path, query and header fields.
func (v *validator) parameters(x *exchange.Exchange) (flaws []exchange.Flaw) {
	if v.path != nil {
		values, err := v.path.pathValues(&x.Request)
		if err != nil {
			flaws = append(flaws, exchange.Flaw{Pointer: "#path", Detail: err.Error()})
		} else {
			flaws = v.path.parameters(flaws, "#path", values)
		}
	}
	if v.query != nil {
		values, err := queryValues(x.Request.Query)
		if err != nil {
			flaws = append(flaws, exchange.Flaw{Pointer: "#query", Detail: err.Error()})
		} else {
			flaws = v.query.parameters(flaws, "#query", values)
		}
	}
	if v.headers != nil {
		flaws = v.headers.parameters(flaws, "#header", v.headers.fields(&x.Request.Header))
	}
	return flaws
}

// mediaOf returns what holds for the type of the body; nil: it is not taken.
func (v *validator) mediaOf(h *exchange.Header) *validMedia {
	for i := range v.media {
		m := &v.media[i]
		if takes(m.types, h) && (m.schema == nil || plain(h)) {
			return m
		}
	}
	return nil
}

func (v *validator) unsupported() *exchange.Error {
	e := exchange.MediaTypeUnsupported.Because(nil)
	var accept []string
	for _, m := range v.media {
		for _, t := range m.types {
			if t.suffix == "" {
				accept = append(accept, t.main+"/"+t.sub)
			}
		}
	}
	e.Header.Add("Accept", strings.Join(accept, ", "))
	return e
}

func invalid(flaws []exchange.Flaw) *exchange.Error {
	if len(flaws) == 0 {
		return nil
	}
	slices.SortStableFunc(flaws, func(a, b exchange.Flaw) int { return strings.Compare(a.Pointer, b.Pointer) })
	e := exchange.RequestInvalid.Errorf("%s: %s (%d flaws)", flaws[0].Pointer, flaws[0].Detail, len(flaws))
	if len(flaws) > maxFlaws {
		flaws = append(flaws[:maxFlaws:maxFlaws], exchange.Flaw{Pointer: "#", Detail: "and more"})
	}
	e.Flaws = flaws
	return e
}

// maxFlaws is how many flaws a client is told.
const maxFlaws = 20

// plain reports whether the body is not compressed.
func plain(h *exchange.Header) bool {
	for v := range h.Values("Content-Encoding") {
		if !exchange.EqualFold(v, "identity") {
			return false
		}
	}
	return true
}

var jsonTypes = []mediaType{{"application", "json", ""}, {"*", "*", "+json"}}

// queryValues takes a query apart. What can be read in two ways is an error.
func queryValues(query []byte) (map[string][]string, error) {
	values := map[string][]string{}
	n := 0
	for part := range strings.SplitSeq(string(query), "&") {
		if part == "" {
			continue
		}
		if n++; n > maxParameters {
			return nil, fmt.Errorf("more than %d parameters", maxParameters)
		}
		name, value, _ := strings.Cut(part, "=")
		name, ok1 := unescape(name)
		value, ok2 := unescape(value)
		if !ok1 || !ok2 {
			return nil, errors.New("not percent-encoded UTF-8")
		}
		values[name] = append(values[name], value)
	}
	return values, nil
}

const maxParameters = 1000
