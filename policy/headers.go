package policy

import (
	"errors"
	"fmt"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

const headersDoc = "Changes header fields: of the request before the service sees it, of the response before the client does. " +
	"Fields are removed first, then set (replacing every field of that name), then added. Values are templates over the facts of the request; " +
	"a value with control characters in it refuses the request. Answers to failures, which the gateway makes itself, are not changed."

// Headers is the settings of headers.
type Headers struct {
	Pos      config.Pos    `yaml:"-"`
	Request  RequestEdits  `yaml:"request" doc:"What the service is told."`
	Response ResponseEdits `yaml:"response" doc:"What the client is told."`
}

// RequestEdits are changes to the fields of a request. A client's field that
// differs in '_' for '-' counts as one of that name, because many services
// can't tell them apart.
type RequestEdits struct {
	Pos    config.Pos    `yaml:"-"`
	Set    []config.Pair `yaml:"set" doc:"Fields by name, in place of the client's."`
	Add    []config.Pair `yaml:"add" doc:"Fields by name, beside the client's."`
	Remove []string      `yaml:"remove" one:"true" doc:"Names of fields; X-Internal-* takes every name that begins so."`
	Host   string        `yaml:"host" doc:"The Host that the service is told, a template; for services that keep the client's."`
}

// ResponseEdits are changes to the fields of a response.
type ResponseEdits struct {
	Pos    config.Pos    `yaml:"-"`
	Set    []config.Pair `yaml:"set" doc:"Fields by name, in place of the service's."`
	Add    []config.Pair `yaml:"add" doc:"Fields by name, beside the service's."`
	Remove []string      `yaml:"remove" one:"true" doc:"Names of fields; X-Internal-* takes every name that begins so."`
}

// Compile implements Spec.
func (s *Headers) Compile(env *Env) (exchange.Middleware, error) {
	var c editCompiler
	c.env = env
	request := c.edits("request", s.Request.Set, s.Request.Add, s.Request.Remove, s.Request.Pos)
	response := c.edits("response", s.Response.Set, s.Response.Add, s.Response.Remove, s.Response.Pos)
	request.alias = true
	var host *value
	if s.Request.Host != "" {
		host = c.value("request.host", s.Request.Host, expr.Host, s.Request.Pos)
	}
	if c.faults != nil {
		return nil, errors.Join(c.faults...)
	}
	if request.empty() && response.empty() && host == nil {
		return nil, nil
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if host != nil {
				h, err := host.of(x)
				if err != nil {
					return err
				}
				x.Request.Authority = h
			}
			if err := request.apply(x, &x.Request.Header); err != nil {
				return err
			}
			if err := next.Serve(x); err != nil || response.empty() {
				return err
			}
			if err := response.apply(x, &x.Response.Header); err != nil {
				x.DropResponse()
				return err
			}
			return nil
		})
	}, nil
}

// edits are compiled changes to a header.
type edits struct {
	alias    bool // '_' counts as '-' where fields are removed
	remove   []string
	prefixes func(exchange.Field) bool // keeps what no prefix takes; nil: no prefixes
	set, add []edit
}

type edit struct {
	name  string
	value value
}

// value is what a template gives: a constant costs nothing.
type value struct {
	constant []byte
	template *expr.Template // nil: constant
}

func (v *value) of(x *exchange.Exchange) ([]byte, error) {
	if v.template == nil {
		return v.constant, nil
	}
	b, err := v.template.Append(x.Arena.Grow(64), x)
	if err != nil {
		return nil, refusal(err, exchange.BadRequest)
	}
	return b, nil
}

func (e *edits) empty() bool {
	return len(e.remove)+len(e.set)+len(e.add) == 0 && e.prefixes == nil
}

func (e *edits) apply(x *exchange.Exchange, h *exchange.Header) error {
	for _, name := range e.remove {
		e.del(h, name)
	}
	if e.prefixes != nil {
		h.Filter(e.prefixes)
	}
	for i := range e.set {
		s := &e.set[i]
		v, err := s.value.of(x)
		if err != nil {
			return err
		}
		e.del(h, s.name)
		h.AddBytes(s.name, v)
	}
	for i := range e.add {
		v, err := e.add[i].value.of(x)
		if err != nil {
			return err
		}
		h.AddBytes(e.add[i].name, v)
	}
	return nil
}

func (e *edits) del(h *exchange.Header, name string) {
	if e.alias {
		h.DelAlias(name)
	} else {
		h.Del(name)
	}
}

// editCompiler collects the faults of a whole headers policy.
type editCompiler struct {
	env    *Env
	faults []error
}

func (c *editCompiler) fault(path string, pos config.Pos, err error) {
	c.faults = append(c.faults, &Fault{Path: path, Pos: pos, Err: err})
}

func (c *editCompiler) edits(side string, set, add []config.Pair, remove []string, pos config.Pos) edits {
	e := edits{set: c.pairs(side+".set", set), add: c.pairs(side+".add", add)}
	var prefixes []string
	for _, name := range remove {
		prefix, isPrefix := strings.CutSuffix(name, "*")
		if err := checkName(prefix, side); err != nil {
			c.fault(side+".remove", pos, err)
		} else if isPrefix {
			prefixes = append(prefixes, prefix)
		} else {
			e.remove = append(e.remove, name)
		}
	}
	if prefixes != nil {
		e.prefixes = func(f exchange.Field) bool { return !hasPrefix(f.Name, prefixes) }
	}
	return e
}

func (c *editCompiler) pairs(path string, pairs []config.Pair) []edit {
	var list []edit
	side, _, _ := strings.Cut(path, ".")
	seen := map[string]bool{}
	for _, p := range pairs {
		at := path + "." + p.Name
		if err := checkName(p.Name, side); err != nil {
			c.fault(at, p.Pos, err)
			continue
		}
		if name := strings.ToLower(p.Name); seen[name] {
			c.fault(at, p.Pos, fmt.Errorf("the field is named twice"))
		} else {
			seen[name] = true
		}
		if v := c.value(at, p.Value, expr.Header, p.Pos); v != nil {
			list = append(list, edit{p.Name, *v})
		}
	}
	return list
}

func (c *editCompiler) value(path, text string, place expr.Place, pos config.Pos) *value {
	t, err := c.env.Expr.TemplateFor(text, place)
	if err != nil {
		c.fault(path, pos, err)
		return nil
	}
	if s, ok := t.Constant(); ok {
		return &value{constant: []byte(s)}
	}
	return &value{template: t}
}

// checkName refuses names that are none, and those that the wire owns: what
// they say is decided anew for each connection (RFC 9110 §7.6.1).
func checkName(name, side string) error {
	switch lower := strings.ToLower(name); lower {
	case "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive",
		"proxy-connection", "http2-settings", "expect":
		return fmt.Errorf("%s belongs to the connection, the gateway writes it itself", name)
	case "host":
		if side == "request" {
			return fmt.Errorf("the host is not among the fields: write headers: {request: {host: …}}")
		}
		return fmt.Errorf("a response has no Host")
	}
	if !exchange.ValidName(name) {
		return fmt.Errorf("not a field name: %q", name)
	}
	return nil
}

// hasPrefix compares without case, and '_' as '-'.
func hasPrefix(name []byte, prefixes []string) bool {
next:
	for _, p := range prefixes {
		if len(name) < len(p) {
			continue
		}
		for i := range len(p) {
			if fold(name[i]) != fold(p[i]) {
				continue next
			}
		}
		return true
	}
	return false
}

func fold(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return c
}
