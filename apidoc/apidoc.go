package apidoc

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
	"gopura/gateway"
	"gopura/policy"
	"gopura/transcode"
)

// Options are what is in a document beside the routes.
type Options struct {
	Title, Version string
	Servers        []string // URLs
	Host           string   // only routes that take this host; "": all
}

// Document is a document and what is not in it.
type Document struct {
	root    *object
	Missing []string // in words
}

// Describe describes a configuration.
func Describe(o *gateway.Offline, opts Options) *Document {
	w := &writer{o: o, paths: newObject(), messages: map[string]any{}, schemes: map[string]any{}, ids: map[string]int{}}
	for _, i := range o.Order() {
		if r := &o.Document.Routes[i]; takesHost(r, opts.Host) {
			w.route(i, r)
		}
	}
	root := newObject()
	root.set("openapi", "3.1.0")
	root.set("info", newObject("title", opts.Title, "version", opts.Version))
	if len(opts.Servers) > 0 {
		var list []any
		for _, s := range opts.Servers {
			list = append(list, newObject("url", s))
		}
		root.set("servers", list)
	}
	root.set("paths", w.paths)
	w.messages["Problem"] = problem
	components := newObject("schemas", sorted(w.messages))
	components.set("responses", newObject("Problem", newObject("description", "The gateway refuses, or the service can't be reached (RFC 9457).",
		"content", newObject("application/problem+json", newObject("schema", newObject("$ref", "#/components/schemas/Problem"))))))
	if len(w.schemes) > 0 {
		components.set("securitySchemes", sorted(w.schemes))
	}
	root.set("components", components)
	return &Document{root, w.missing}
}

var problem = newObject("type", "object", "properties", newObject("type", newObject("type", "string"), "title", newObject("type", "string"), "status", newObject("type", "integer"),
	"code", newObject("type", "string", "description", "A stable word for what happened."), "detail", newObject("type", "string"), "request_id", newObject("type", "string")))

func sorted(m map[string]any) *object {
	o := newObject()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		o.set(k, m[k])
	}
	return o
}

func takesHost(r *config.Route, host string) bool {
	if host == "" || len(r.Match.Hosts) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Match.Hosts, func(h string) bool {
		rest, wild := strings.CutPrefix(h, "*")
		return h == host || wild && strings.HasSuffix(host, rest)
	})
}

type writer struct {
	o        *gateway.Offline
	paths    *object
	messages map[string]any
	schemes  map[string]any
	ids      map[string]int
	missing  []string
}

// anyMethods stand for a route that takes all of them.
var anyMethods = []string{"GET", "PUT", "POST", "DELETE", "PATCH"}

func (w *writer) route(i int, r *config.Route) {
	if len(r.Reflection) > 0 || r.GRPC != nil && r.GRPC.ToREST != "" {
		return // spoken in gRPC
	}
	policies := w.o.Policies(i)
	if r.GRPC != nil && w.calls(r, policies) {
		return
	}
	path, names := openPath(&r.Match)
	methods := r.Match.Methods
	if len(methods) == 0 {
		methods = anyMethods
	}
	for _, m := range methods {
		op := w.operation(r, path, m)
		if op == nil {
			continue
		}
		var parameters []any
		for _, name := range names {
			parameters = append(parameters, newObject("name", name, "in", "path", "required", true, "schema", newObject("type", "string")))
		}
		parameters = append(parameters, conditions(r.Match.Headers, "header")...)
		parameters = append(parameters, conditions(r.Match.Query, "query")...)
		if parameters != nil {
			op.set("parameters", parameters)
		}
		if body := w.body(r, policies, m); body != nil {
			op.set("requestBody", body)
		}
		w.answers(op, answerOf(r), policies)
	}
}

// operation adds an operation to a path; nil: another route, asked before, has it.
func (w *writer) operation(r *config.Route, path, method string) *object {
	key := strings.ToLower(method)
	if !slices.Contains([]string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}, key) {
		w.missing = append(w.missing, fmt.Sprintf("%v: %s %s: OpenAPI has no such method", r.Pos, method, path))
		return nil
	}
	item, _ := w.paths.get(path).(*object)
	if item == nil {
		item = newObject()
		w.paths.set(path, item)
	}
	if item.get(key) != nil {
		w.missing = append(w.missing, fmt.Sprintf("%v: %s %s: another route has this path and method, for another host or under other conditions; --host chooses one", r.Pos, method, path))
		return nil
	}
	op := newObject("operationId", w.id(r, method))
	if r.Name != "" && r.Name != r.Match.Text {
		op.set("summary", r.Name)
	}
	if len(r.To) > 0 {
		op.set("tags", []any{r.To[0].Service})
	}
	op.set("x-gopura-match", r.Match.Text)
	if len(r.Match.Headers)+len(r.Match.Query) > 0 || r.Match.When != "" || r.Match.Regexp != "" || len(r.Match.Hosts) > 1 {
		op.drop("x-gopura-match") // its text says it to people alone
	}
	item.set(key, op)
	return op
}

var notID = regexp.MustCompile(`[^A-Za-z0-9]+`)

func (w *writer) id(r *config.Route, method string) string {
	text := r.Name
	if text == "" || text == r.Match.Text || len(r.Match.Methods) != 1 {
		text = strings.ToLower(method) + " " + r.Match.Path + r.Match.Regexp
		if r.Name != "" && r.Name != r.Match.Text {
			text = r.Name + " " + strings.ToLower(method)
		}
	}
	id := strings.Trim(notID.ReplaceAllString(text, "-"), "-")
	if w.ids[id]++; w.ids[id] > 1 {
		return id + "-" + strconv.Itoa(w.ids[id])
	}
	return id
}

// openPath is a match as a path template, and its parameters.
func openPath(m *config.Match) (path string, names []string) {
	if m.Regexp != "" {
		return "/{path}", []string{"path"} // what else it must look like, OpenAPI can't say
	}
	var b strings.Builder
	for _, s := range strings.Split(strings.TrimPrefix(m.Path, "/"), "/") {
		b.WriteByte('/')
		name, braces := strings.CutPrefix(s, "{")
		switch {
		case s == "*":
			name = "rest"
			for slices.Contains(names, name) {
				name += "_"
			}
		case braces:
			name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
		default:
			b.WriteString(s)
			continue
		}
		names = append(names, name)
		b.WriteString("{" + name + "}")
	}
	return b.String(), names
}

func conditions(list []config.ValueMatch, in string) (out []any) {
	for _, c := range list {
		schema := newObject("type", "string")
		required := true
		switch {
		case c.Exact != nil:
			schema.set("const", *c.Exact)
		case c.Prefix != "":
			schema.set("pattern", "^"+regexp.QuoteMeta(c.Prefix))
		case c.Regexp != "":
			schema.set("pattern", c.Regexp)
		case c.Present != nil && !*c.Present:
			continue
		}
		out = append(out, newObject("name", c.Name, "in", in, "required", required, "schema", schema))
	}
	return out
}

// body is what is known of a request body.
func (w *writer) body(r *config.Route, policies []config.Policy, method string) *object {
	if method == "GET" || method == "HEAD" || method == "DELETE" || method == "OPTIONS" || r.Answer != nil || r.Redirect != nil {
		return nil
	}
	for _, p := range policies {
		if v, ok := p.Spec.(*policy.Validate); ok && v.Body != nil && v.Body.Schema != nil {
			return newObject("required", !v.Optional, "content", newObject("application/json", newObject("schema", v.Body.Schema)))
		}
	}
	for _, p := range policies {
		if t, ok := p.Spec.(*policy.ContentTypes); ok {
			content := newObject()
			for _, a := range t.Allow {
				content.set(a, newObject())
			}
			return newObject("content", content)
		}
	}
	return newObject("content", newObject("*/*", newObject()))
}

// answerOf is what is known of the answer of a route.
func answerOf(r *config.Route) (answers *object) {
	answers = newObject()
	switch {
	case r.Redirect != nil:
		answers.set(strconv.Itoa(r.Redirect.Status), newObject("description", "See elsewhere.", "headers", newObject("Location", newObject("schema", newObject("type", "string")))))
	case r.Answer != nil:
		a := newObject("description", "The gateway's own answer.")
		switch {
		case r.Answer.JSON != nil:
			a.set("content", newObject("application/json", newObject("schema", newObject("const", r.Answer.JSON))))
		case r.Answer.Body != "":
			a.set("content", newObject(cmpOr(r.Answer.ContentType, "text/plain"), newObject("schema", newObject("type", "string"))))
		}
		answers.set(strconv.Itoa(r.Answer.Status), a)
	case len(r.Compose) > 0:
		schema := newObject()
		if r.Respond == nil || r.Respond.Body == "" && r.Respond.Merge == nil {
			properties := newObject()
			for _, c := range r.Compose {
				if !c.Hidden {
					properties.set(c.Name, newObject("description", "What "+c.Call+" answers."))
				}
			}
			schema = newObject("type", "object", "properties", properties)
		}
		status := "200"
		if r.Respond != nil {
			if _, err := strconv.Atoi(r.Respond.Status); err == nil {
				status = r.Respond.Status
			}
		}
		answers.set(status, newObject("description", "One answer of several services. Gopura-Partial names the parts that are missing.", "content", newObject("application/json", newObject("schema", schema))))
	default:
		answers.set("2XX", newObject("description", "What the service answers."))
	}
	return answers
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// refusals are the statuses with which policies refuse.
var refusals = map[string][]string{
	"ip": {"403"}, "csrf": {"403"}, "methods": {"405"}, "content_types": {"415"}, "max_body": {"413"}, "identity": {"401", "503"}, "scopes": {"403"},
	"roles": {"403"}, "allow": {"403"}, "opa": {"403", "503"}, "limit": {"429"}, "quota": {"429"}, "concurrency": {"429", "503"}, "validate": {"400", "413", "415"},
}

// answers sets responses and security.
func (w *writer) answers(op *object, answers *object, policies []config.Policy) {
	statuses := map[string]bool{}
	for _, p := range policies {
		for _, s := range refusals[p.Name] {
			if s != "413" && s != "415" || op.get("requestBody") != nil {
				statuses[s] = true
			}
		}
		if id, ok := p.Spec.(*policy.Identity); ok {
			op.set("security", w.security(id.Accept))
		}
	}
	ref := newObject("$ref", "#/components/responses/Problem")
	for _, s := range slices.Sorted(maps.Keys(statuses)) {
		if answers.get(s) == nil {
			answers.set(s, ref)
		}
	}
	answers.set("default", ref)
	op.set("responses", answers)
}

// security is the sources that a route accepts, each an alternative.
func (w *writer) security(accept []string) []any {
	list := []any{}
	for _, name := range accept {
		i := slices.IndexFunc(w.o.Document.Identities, func(b config.IdentityBlock) bool { return b.Name == name })
		if i < 0 {
			continue
		}
		b := w.o.Document.Identities[i]
		if b.Kind == "anonymous" {
			list = append(list, newObject())
			continue
		}
		w.schemes[name] = scheme(b)
		list = append(list, newObject(name, []any{}))
	}
	return list
}

func scheme(b config.IdentityBlock) *object {
	switch b.Kind {
	case "jwt", "token":
		return newObject("type", "http", "scheme", "bearer", "bearerFormat", "JWT")
	case "introspection":
		return newObject("type", "http", "scheme", "bearer")
	case "basic":
		return newObject("type", "http", "scheme", "basic")
	case "mtls":
		return newObject("type", "mutualTLS")
	case "hmac":
		return newObject("type", "apiKey", "in", "header", "name", "Signature", "description", "HTTP message signatures (RFC 9421).")
	case "api_key":
		if k, ok := b.Spec.(interface{ Field() string }); ok {
			return newObject("type", "apiKey", "in", "header", "name", k.Field())
		}
		return newObject("type", "apiKey", "in", "header", "name", "X-API-Key")
	case "oidc":
		return newObject("type", "apiKey", "in", "cookie", "name", "session", "description", "A session after a login in the browser.")
	}
	return newObject("type", "apiKey", "in", "header", "name", "Authorization", "description", "Whatever the source "+b.Kind+" accepts.")
}

// calls describes the gRPC methods of a route; false: they are not known here.
func (w *writer) calls(r *config.Route, policies []config.Policy) bool {
	schema := w.o.Schema(r.To[0].Service)
	if schema == nil {
		w.missing = append(w.missing, fmt.Sprintf("%v: %s: the methods of %s are learned from the service itself; grpc: { proto: … } or { descriptors: … } lets them be described", r.Pos, r.Match.Text, r.To[0].Service))
		return false
	}
	d := &transcode.Describer{Schema: schema, ProtoNames: r.GRPC.Names == "proto", EnumNumbers: r.GRPC.Enums == "number", Messages: w.messages}
	path, names := openPath(&r.Match)
	var own []transcode.Rule
	for _, m := range methodsOr(r.Match.Methods, "POST") {
		body := r.GRPC.Body
		switch {
		case body == "none", body == "" && (m == "GET" || m == "HEAD" || m == "DELETE"):
			body = ""
		case body == "":
			body = "*"
		}
		own = append(own, transcode.Rule{Method: m, Path: path, Body: body, Response: r.GRPC.Reply})
	}
	single := strings.Contains(r.GRPC.Call, "/")
	for _, rule := range own {
		list, err := d.Describe(r.GRPC.Call, rule)
		if err != nil {
			w.missing = append(w.missing, fmt.Sprintf("%v: %v", r.Pos, err))
			return true
		}
		for _, m := range list {
			if single {
				w.call(r, path, names, m, policies)
			} else if at := templatePath(m.Path); m.Method != "*" && within(&r.Match, at, m.Method) {
				w.call(r, at, nil, m, policies)
			}
		}
		if !single {
			break
		}
	}
	return true
}

func methodsOr(list []string, otherwise string) []string {
	if len(list) == 0 {
		return []string{otherwise}
	}
	return list
}

var template = regexp.MustCompile(`\{([^{}=]+)(=[^{}]*)?\}`)

// templatePath is a path of google.api.http: {name=a/*} is {name}.
func templatePath(path string) string { return template.ReplaceAllString(path, "{$1}") }

// within reports whether a route takes a path.
func within(m *config.Match, path, method string) bool {
	if len(m.Methods) > 0 && !slices.Contains(m.Methods, method) {
		return false
	}
	prefix, _, _ := strings.Cut(strings.TrimSuffix(m.Path, "*"), "{")
	return strings.HasPrefix(path, prefix)
}

func (w *writer) call(r *config.Route, path string, names []string, m transcode.Described, policies []config.Policy) {
	op := w.operation(r, path, m.Method)
	if op == nil {
		return
	}
	op.set("operationId", w.id(&config.Route{Name: m.Name, Match: config.Match{Methods: []string{m.Method}}}, m.Method))
	op.set("summary", m.Name)
	if names == nil { // one of many of its route
		op.drop("x-gopura-match")
	}
	if m.Comment != "" {
		op.set("description", m.Comment)
	}
	if names == nil {
		for _, t := range template.FindAllStringSubmatch(path, -1) {
			names = append(names, t[1])
		}
	}
	var parameters []any
	for _, name := range names {
		schema := m.Parameters[name]
		if schema == nil {
			schema = newObject("type", "string")
		}
		parameters = append(parameters, newObject("name", name, "in", "path", "required", true, "schema", schema))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Query)) {
		parameters = append(parameters, newObject("name", name, "in", "query", "schema", m.Query[name]))
	}
	if parameters != nil {
		op.set("parameters", parameters)
	}
	message := func(name string) any { return newObject("$ref", "#/components/schemas/"+name) }
	if m.Body != "" && m.Method != "GET" {
		schema := m.BodyFieldSchema
		if m.BodyField == "" {
			schema = w.message(m.Input, message)
		}
		op.set("requestBody", newObject("required", true, "content", newObject("application/json", newObject("schema", schema))))
	}
	schema := m.AnswerSchema
	if m.AnswerField == "" {
		schema = w.message(m.Output, message)
	}
	content := newObject("application/json", newObject("schema", schema))
	if m.Streams {
		content = newObject("application/x-ndjson", newObject("schema", schema))
	}
	answers := newObject("200", newObject("description", "The answer of "+m.Name+".", "content", content))
	answers.set("400", newObject("$ref", "#/components/responses/Problem"))
	w.answers(op, answers, policies)
}

// message refers to a message, if there is a schema of it: those with a form of
// their own in JSON have none.
func (w *writer) message(name string, ref func(string) any) any {
	if w.messages[name] == nil {
		return newObject()
	}
	return ref(name)
}
