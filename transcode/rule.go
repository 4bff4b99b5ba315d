package transcode

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Rule is one mapping of HTTP to a method, as google.api.http has it.
type Rule struct {
	Method   string // GET, …; "*" takes any
	Path     string // a template; "": the route's own path, whose parameters are fields
	Body     string // "*", the name of a field, or "": no body
	Response string // the field of the answer that is shown; "": all of it
}

// rulesOf returns the rules of a method, from its options. They are read from
// the bytes, so that it does not matter who has parsed them before.
func rulesOf(md protoreflect.MethodDescriptor) ([]Rule, error) {
	const httpExtension = 72295728 // google.api.http
	options, err := proto.Marshal(md.Options())
	if err != nil {
		return nil, err
	}
	var rules []Rule
	for len(options) > 0 {
		num, typ, n := protowire.ConsumeTag(options)
		if n < 0 {
			return nil, errWire
		}
		if num == httpExtension && typ == protowire.BytesType {
			b, m := protowire.ConsumeBytes(options[n:])
			if m < 0 {
				return nil, errWire
			}
			if rules, err = parseRule(rules, b, true); err != nil {
				return nil, err
			}
		}
		m := protowire.ConsumeFieldValue(num, typ, options[n:])
		if m < 0 {
			return nil, errWire
		}
		options = options[n+m:]
	}
	return rules, nil
}

const maxBindings = 64 // of one method

// parseRule reads a google.api.HttpRule and the additional bindings in it, which
// have none of their own.
func parseRule(rules []Rule, b []byte, outer bool) ([]Rule, error) {
	var r Rule
	var more [][]byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errWire
		}
		v := b[n:]
		m := protowire.ConsumeFieldValue(num, typ, v)
		if m < 0 {
			return nil, errWire
		}
		b = v[m:]
		if typ != protowire.BytesType {
			continue
		}
		text, _ := protowire.ConsumeBytes(v)
		switch num {
		case 2:
			r.Method, r.Path = "GET", string(text)
		case 3:
			r.Method, r.Path = "PUT", string(text)
		case 4:
			r.Method, r.Path = "POST", string(text)
		case 5:
			r.Method, r.Path = "DELETE", string(text)
		case 6:
			r.Method, r.Path = "PATCH", string(text)
		case 7:
			r.Body = string(text)
		case 8:
			r.Method, r.Path = customPattern(text)
		case 11:
			more = append(more, text)
		case 12:
			r.Response = string(text)
		}
	}
	if r.Path == "" {
		return nil, errors.New("a google.api.http rule has no path")
	}
	if rules = append(rules, r); len(rules) > maxBindings {
		return nil, fmt.Errorf("more than %d google.api.http bindings", maxBindings)
	}
	if !outer && len(more) > 0 {
		return nil, errors.New("additional_bindings within additional_bindings")
	}
	for _, b := range more {
		var err error
		if rules, err = parseRule(rules, b, false); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// customPattern reads a google.api.CustomHttpPattern: kind and path.
func customPattern(b []byte) (kind, path string) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return
		}
		if typ == protowire.BytesType {
			text, _ := protowire.ConsumeBytes(b[n:])
			switch num {
			case 1:
				kind = string(text)
			case 2:
				path = string(text)
			}
		}
		b = b[n+m:]
	}
	return kind, path
}

// binding is a rule compiled for its method.
type binding struct {
	method   *Method
	http     string // method; "*" takes any
	text     string // the template as written
	template *template
	verb     string
	vars     []boundVar
	names    []string // of the route's parameters, in the order of vars, where there is no template
	whole    bool     // body "*"
	body     *field   // body: a field
	response *field
	raw      bool // the body is a google.api.HttpBody
	rawReply bool // and so is the answer
}

// boundVar is a variable and the field that it sets.
type boundVar struct {
	variable
	path fieldPath
}

// takes reports whether b is for requests of a method. HEAD is GET without the
// answer's body.
func (b *binding) takes(method string) bool {
	return b.http == method || b.http == "*" || b.http == "GET" && method == "HEAD"
}

// bind compiles a rule. names are the parameters of the route where the rule has
// no path of its own.
func (s *Schema) bind(m *Method, r Rule, names []string) (*binding, error) {
	b := &binding{method: m, http: r.Method, text: r.Path, names: names}
	if r.Path != "" {
		t, err := parseTemplate(r.Path)
		if err != nil {
			return nil, fmt.Errorf("the path %q: %w", r.Path, err)
		}
		b.template, b.verb = t, t.verb
		for _, v := range t.vars {
			b.vars = append(b.vars, boundVar{variable: v})
		}
	} else {
		for _, name := range names {
			b.vars = append(b.vars, boundVar{variable: variable{field: name}})
		}
	}
	for i := range b.vars {
		p, err := resolve(m.Input.shape, b.vars[i].field)
		if err != nil {
			return nil, err
		}
		if last := p[len(p)-1]; last.list || last.entry != nil {
			return nil, fmt.Errorf("the field %s is repeated: a path can't set it", b.vars[i].field)
		} else if !textual(last) {
			return nil, fmt.Errorf("the field %s is a message: a path can't set it", b.vars[i].field)
		}
		b.vars[i].path = p
	}
	switch r.Body {
	case "":
	case "*":
		b.whole = true
		b.raw = isHTTPBody(m.Input.shape)
	default:
		if b.body = m.Input.named([]byte(r.Body)); b.body == nil {
			return nil, fmt.Errorf("body: %s has no field %s", m.Input.desc.FullName(), r.Body)
		}
		b.raw = b.body.message != nil && !b.body.list && isHTTPBody(b.body.message)
	}
	if r.Response != "" {
		if b.response = m.Output.named([]byte(r.Response)); b.response == nil {
			return nil, fmt.Errorf("response_body: %s has no field %s", m.Output.desc.FullName(), r.Response)
		}
		b.rawReply = b.response.message != nil && !b.response.list && isHTTPBody(b.response.message)
	} else {
		b.rawReply = isHTTPBody(m.Output.shape)
	}
	if m.ClientStreaming && b.body == nil {
		b.whole = true // there is no other way to send messages
	}
	return b, nil
}

func isHTTPBody(m *shape) bool { return m.desc.FullName() == "google.api.HttpBody" }

// fieldPath leads from a message to a field in it or in one that it holds.
type fieldPath []*field

// resolve finds a field by its dotted path, of JSON or proto names.
func resolve(m *shape, path string) (fieldPath, error) {
	var p fieldPath
	for name := range strings.SplitSeq(path, ".") {
		if m == nil || m.form != plain || len(p) >= maxPath {
			return nil, fmt.Errorf("the field %s is not within a message", path)
		}
		f := m.named([]byte(name))
		if f == nil {
			return nil, fmt.Errorf("%s has no field %s", m.desc.FullName(), name)
		}
		p = append(p, f)
		m = f.message
		if f.list || f.entry != nil {
			m = nil
		}
	}
	return p, nil
}

const maxPath = 16
