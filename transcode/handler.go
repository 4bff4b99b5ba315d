package transcode

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/reflect/protoreflect"

	"gopura/exchange"
	"gopura/expr"
)

// Options say which requests become which calls.
type Options struct {
	Name    string           // of the service, for errors
	Source  Schemas          // what is known of it
	Service exchange.Handler // where calls go

	// Call is one method, pkg.Service/Method: every request is a call of it.
	// Without it requests are matched by the google.api.http rules of Services
	// (none: all), and methods without a rule are POST /pkg.Service/Method.
	Call     string
	Services []string

	// Of Call: what the request's path, body and answer are.
	Params   []string // parameters of the route's path; they are fields
	Body     string   // "*", a field, "none"; "": "*", and none for GET, HEAD and DELETE
	Response string   // the field of the answer that is shown; "": all of it
	Fields   []FieldValue

	JSON        JSONOptions
	Limits      Limits
	WebSocket   bool // methods that stream take a WebSocket, too
	IgnoreQuery bool // parameters that are no field are passed over
}

// FieldValue is a field that a template sets, whatever the request says.
type FieldValue struct {
	Field string // dotted
	Value *expr.Template
}

// Handler is a gRPC service for clients that speak REST and JSON.
type Handler struct {
	o     Options
	mu    sync.Mutex
	table atomic.Pointer[table]
	calls sync.Pool
}

// New returns a handler. What Options say of methods is looked at when the
// schema is known; Check tells what is wrong with it.
func New(o Options) *Handler { return &Handler{o: o} }

// Check tells what is wrong with the options, as far as the schema is known: the
// problems that leave no way to serve, and those of single methods.
func (h *Handler) Check() (faults []string, err error) {
	s := h.o.Source.Schema()
	if s == nil {
		return nil, nil
	}
	t := h.compiled(s)
	return t.faults, t.err
}

// Lacks reports that the message of the method that is called has no field of
// that path, and the names of those that are there. As long as the schema is not
// known, and within values that may hold anything, nothing is lacking.
func (h *Handler) Lacks(path []string) (there []string, yes bool) {
	s := h.o.Source.Schema()
	if s == nil {
		return nil, false
	}
	m, err := s.Method(h.o.Call)
	if err != nil {
		return nil, false
	}
	inside, key := m.Input.shape, false
	for _, name := range path {
		if key { // of a map: any
			key = false
			continue
		}
		if inside == nil || inside.form != plain || strings.HasPrefix(name, "[") {
			return nil, false
		}
		f := inside.named([]byte(name))
		if f == nil {
			for i := range inside.fields {
				there = append(there, inside.fields[i].name)
			}
			return there, true
		}
		if inside = f.message; f.entry != nil {
			inside, key = f.entry.fields[1].message, true
		}
	}
	return nil, false
}

// table is what the options mean for one schema.
type table struct {
	schema *Schema
	codec  *Codec
	tree   tree            // without Call
	offers map[string]bool // without Call: the paths of the methods in tree, as gRPC has them
	bare   *binding        // of Call: without a body
	full   *binding        // of Call: with one
	fields []setField
	err    error
	faults []string
}

type setField struct {
	path  fieldPath
	value *expr.Template
}

// current returns the table for the latest schema.
func (h *Handler) current() (*table, error) {
	s := h.o.Source.Schema()
	if s == nil {
		cause := h.o.Source.Fault()
		if cause == nil {
			cause = errUnknown
		}
		return nil, exchange.SchemaUnavailable.Errorf("service %q: %w", h.o.Name, cause)
	}
	t := h.table.Load()
	if t == nil || t.schema != s {
		t = h.compiled(s)
	}
	if t.err != nil {
		return nil, exchange.MethodUnknown.Errorf("service %q: %w", h.o.Name, t.err)
	}
	return t, nil
}

func (h *Handler) compiled(s *Schema) *table {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.table.Load(); t != nil && t.schema == s {
		return t
	}
	t := &table{schema: s, codec: NewCodec(s, h.o.JSON, h.o.Limits), offers: map[string]bool{}}
	if h.o.Call != "" {
		t.err = t.one(h.o)
	} else {
		t.err = t.all(h.o)
	}
	h.table.Store(t)
	return t
}

// one prepares the calls of one method.
func (t *table) one(o Options) error {
	m, err := t.schema.Method(o.Call)
	if err != nil {
		return err
	}
	r := Rule{Method: "*", Response: o.Response}
	switch o.Body {
	case "":
		if t.bare, err = t.schema.bind(m, r, o.Params); err != nil {
			return err
		}
		r.Body = "*"
	case "none":
	default:
		r.Body = o.Body
	}
	if t.full, err = t.schema.bind(m, r, o.Params); err != nil {
		return err
	}
	if t.bare == nil {
		t.bare = t.full
	}
	for _, f := range o.Fields {
		p, err := resolve(m.Input.shape, f.Field)
		if err != nil {
			return err
		}
		last := p[len(p)-1]
		if !textual(last) {
			return fmt.Errorf("the field %s is a message or a map: a text can't set it", f.Field)
		}
		if last.list || last.message != nil && last.message.form == fieldMask {
			return fmt.Errorf("the field %s is a list: a client could add to it", f.Field)
		}
		t.fields = append(t.fields, setField{p, f.Value})
	}
	return nil
}

// all enters the bindings of the services. A method whose rule is not sound, or
// taken already, is left out and reported.
func (t *table) all(o Options) error {
	for _, name := range o.Services {
		if t.schema.Service(name) == nil {
			return fmt.Errorf("there is no service %s%s", name, among(t.schema.Services()))
		}
	}
	for _, sd := range t.schema.services {
		if len(o.Services) > 0 && !slices.Contains(o.Services, string(sd.FullName())) {
			continue
		}
		for i := range sd.Methods().Len() {
			if err := t.method(sd.Methods().Get(i)); err != nil {
				t.faults = append(t.faults, string(sd.Methods().Get(i).FullName())+": "+err.Error())
			}
		}
	}
	if t.tree.size == 0 {
		return fmt.Errorf("there are no methods that a request could mean")
	}
	return nil
}

func (t *table) method(md protoreflect.MethodDescriptor) error {
	rules, err := rulesOf(md)
	if err != nil {
		return err
	}
	m := t.schema.method(md)
	if len(rules) == 0 {
		rules = []Rule{{Method: "POST", Path: m.Path, Body: "*"}}
	}
	for _, r := range rules {
		b, err := t.schema.bind(m, r, nil)
		if err != nil {
			return err
		}
		if err := t.tree.add(b); err != nil {
			return err
		}
		t.tree.size++
	}
	t.offers[m.Path] = true
	return nil
}

// Serve implements exchange.Handler.
func (h *Handler) Serve(x *exchange.Exchange) error {
	if h.o.Call == "" && exchange.IsGRPC(x.Request.Header.Get("Content-Type")) { // it speaks gRPC already
		return h.pass(x)
	}
	t, err := h.current()
	if err != nil {
		return err
	}
	c := h.take()
	x.OnDone(c.over)
	c.x, c.t, c.decoder.codec = x, t, t.codec
	socket := x.Request.Method == "GET" && exchange.EqualFold(x.Request.Upgrade, "websocket")
	if h.o.Call != "" {
		if socket {
			c.b = t.socketBinding(c)
			return c.openSocket()
		}
		c.b = t.full
		if m := x.Request.Method; m == "GET" || m == "HEAD" || m == "DELETE" {
			c.b = t.bare
		}
		return c.serve()
	}
	var methods []string
	if !c.spans.split(x.Request.Path) {
		return exchange.NoRoute.Because(nil)
	}
	if socket {
		if c.b = t.socketBinding(c); c.b == nil {
			return exchange.NoRoute.Because(nil)
		}
		return c.openSocket()
	}
	if c.b = t.tree.find(x.Request.Method, &c.spans, nil); c.b == nil {
		t.tree.find(x.Request.Method, &c.spans, &methods)
		if len(methods) == 0 {
			return exchange.NoRoute.Because(nil)
		}
		if slices.Contains(methods, "GET") {
			methods = append(methods, "HEAD")
		}
		slices.Sort(methods)
		e := exchange.MethodNotAllowed.Because(nil)
		e.Header.Add("Allow", strings.Join(methods, ", "))
		return e
	}
	return c.serve()
}

// pass serves a call of who speaks gRPC. It gets to no other method than who
// speaks REST: what the service has beside them, such as reflection, is not offered.
func (h *Handler) pass(x *exchange.Exchange) error {
	t, err := h.current()
	if err != nil {
		return err
	}
	if !t.offers[string(x.Request.Path)] {
		h.o.Source.Refresh() // it may be new
		return exchange.NoRoute.Because(nil)
	}
	return h.o.Service.Serve(x)
}

func (h *Handler) take() *call {
	c, _ := h.calls.Get().(*call)
	if c == nil {
		c = &call{h: h}
		c.over = c.end
	}
	return c
}
