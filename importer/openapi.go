package importer

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gopura/config"
	"gopura/openapi"
)

func isOpenAPI(t *config.Tree) bool {
	return t.Get("openapi") != nil && t.Get("paths") != nil || t.Get("openapi") != nil && t.Get("info") != nil || t.String("swagger") == "2.0"
}

// fillOpenAPI makes a route of each path, with the methods that it has; of each
// operation, when requests are held to the schemas.
func fillOpenAPI(d *draft, src config.Source, _ *config.Tree) error {
	doc, err := openapi.Read(src, d.opts.ReadFile)
	if err != nil {
		return err
	}
	o := openapiImport{draft: d, doc: doc, seen: map[string]config.Pos{}, byServer: map[string]string{}}
	o.schemes()
	for _, op := range doc.Operations {
		o.operation(op)
	}
	o.prioritise()
	if len(doc.Operations) == 0 {
		o.lose(nil, Lost, config.Pos{File: src.Name}, "paths", "the document has no operations", "")
	}
	return nil
}

type openapiImport struct {
	*draft
	doc      *openapi.Document
	seen     map[string]config.Pos // "METHOD /path" without names of parameters
	byServer map[string]string     // origin to service
	last     *openapiRoute
	all      []*openapiRoute
	sources  map[string]bool // schemes for which there is a sketch
}

// openapiRoute is a route that further methods of the same path may join.
type openapiRoute struct {
	block                    *block
	path, base, service      string
	security, methods, names []string
	match                    matcher
	given                    bool // by x-gopura-match
}

func (o *openapiImport) operation(op *openapi.Operation) {
	service, base := o.server(op)
	pattern, isRegexp := pathPattern(base + op.Path)
	shape := op.Method + " " + braces.ReplaceAllString(base+op.Path, "{}")
	if op.Match != "" {
		shape = op.Match
		if _, again := o.seen[shape]; again {
			return // a method more of a route that takes several
		}
	}
	if first, twice := o.seen[shape]; twice {
		o.lose(nil, Lost, op.Pos, op.Method+" "+op.Path, fmt.Sprintf("takes the same requests as the operation in line %d", first.Line), "name the parameters alike and keep one")
		return
	}
	o.seen[shape] = op.Pos
	security := o.security(op)
	if r := o.last; r != nil && op.Match == "" && !r.given && !o.opts.Validate && r.path == op.Path && r.base == base && r.service == service && slices.Equal(r.security, security) {
		r.methods = append(r.methods, op.Method)
		r.names = append(r.names, cmpOr(op.Summary, op.ID))
		o.finish(r, pattern, isRegexp)
		return
	}
	r := &openapiRoute{block: &block{}, path: op.Path, base: base, service: service, security: security, methods: []string{op.Method}, names: []string{cmpOr(op.Summary, op.ID)}}
	o.last = r
	r.given = op.Match != ""
	r.block.set("match", op.Match)
	if o.opts.Validate && op.ID != "" {
		r.block.set("name", o.unique("route", oneLine(op.ID)))
	}
	r.block.set("to", service)
	r.block.tail = security
	if o.opts.Validate {
		o.validate(r.block, op)
	}
	o.finish(r, pattern, isRegexp)
	o.routes = append(o.routes, r.block)
	o.all = append(o.all, r)
}

func cmpOr(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return oneLine(t)
		}
	}
	return ""
}

// finish writes what has been gathered for a route.
func (o *openapiImport) finish(r *openapiRoute, pattern string, isRegexp bool) {
	if r.given {
		if r.names[0] != "" {
			r.block.note(r.names[0])
		}
		return
	}
	r.match = matcher{methods: r.methods, path: pattern}
	if isRegexp {
		r.match = matcher{methods: r.methods, regexp: pattern}
	}
	r.block.set("match", r.match.value())
	if len(r.methods) > 1 && len(r.block.notes) > 0 { // the first line is what has been gathered so far
		r.block.notes = r.block.notes[1:]
	}
	if names := strings.Join(r.names, "; "); strings.Trim(names, "; ") != "" {
		r.block.notes = append([]string{oneLine(names)}, r.block.notes...)
	}
}

// prioritise puts paths without parameters before others, and those with
// parameters that are only part of a segment before those with whole ones.
func (o *openapiImport) prioritise() {
	var list []*ranked
	for _, r := range o.all {
		if r.given {
			continue // the gateway that has it did without
		}
		list = append(list, &ranked{matcher: r.match, route: r.block})
	}
	slices.SortStableFunc(list, func(a, b *ranked) int { return templates(a.matcher) - templates(b.matcher) })
	prioritise(list)
}

func templates(m matcher) int {
	switch {
	case m.regexp != "":
		return 1
	case strings.Contains(m.path, "{"):
		return 2
	}
	return 0
}

// validate holds requests of a route to the schemas of an operation.
func (o *openapiImport) validate(route *block, op *openapi.Operation) {
	name := op.ID
	if name == "" || o.doc.Find(name) != op {
		name = op.Method + " " + op.Path
	}
	for _, p := range op.Parameters {
		switch {
		case p.In == "cookie":
			o.lose(route, Lost, p.Pos, "parameter "+p.Name, "cookies are not checked", "")
		case p.Opaque != "":
			o.lose(route, Lost, p.Pos, "parameter "+p.Name, "values of this form ("+p.Opaque+") are not checked", "the service has to")
		}
	}
	if op.Body != nil {
		for _, m := range op.Body.Media {
			if m.Schema != nil && !strings.Contains(m.Type, "json") {
				o.lose(route, Note, op.Body.Pos, "body "+m.Type, "only JSON is held to a schema: this type passes as it is", "")
			}
		}
	}
	if len(op.Parameters) == 0 && op.Body == nil {
		return
	}
	route.set("validate", mapOf("openapi", mapOf("file", o.beside(o.doc.Name), "operation", name)))
}

// server returns the service of an operation and the path in front of its own.
func (o *openapiImport) server(op *openapi.Operation) (service, base string) {
	servers := op.Servers
	if len(servers) == 0 {
		servers = o.doc.Servers
	}
	if len(servers) == 0 {
		servers = []openapi.Server{{Pos: config.Pos{File: o.doc.Name}, URL: "/"}}
	}
	for _, s := range servers[1:] {
		if first, u := origin(s.URL); first != "" && strings.TrimSuffix(u.Path, "/") != o.base(servers[0].URL) {
			o.lose(nil, Note, s.Pos, "server "+s.URL, "the first server is the one that is imported", "")
		}
	}
	s := servers[0]
	base = o.base(s.URL)
	target, _ := origin(s.URL)
	if name, ok := o.byServer[target]; ok {
		return name, base
	}
	name := slug(strings.ToLower(o.doc.Title), "api")
	b := &block{}
	if target != "" {
		b.set("targets", target)
		if strings.HasPrefix(target, "https:") {
			b.set("host", "target")
		}
	} else {
		b.set("targets", "http://127.0.0.1:8081")
		if _, given := o.opts.Services[name]; !given {
			o.lose(b, Lost, s.Pos, "servers", "no server says where the API runs", "set the target, or import with --service "+name+"=http://host:port")
		}
	}
	name = o.addService(name, b)
	o.byServer[target] = name
	return name, base
}

func (o *openapiImport) base(server string) string {
	u, err := url.Parse(server)
	if err != nil || strings.ContainsAny(u.Path, "{}*") {
		return ""
	}
	base := strings.TrimSuffix(u.EscapedPath(), "/")
	if base != "" && base[0] != '/' {
		base = "/" + base
	}
	return base
}

var (
	braces      = regexp.MustCompile(`\{[^}]*\}`)
	templated   = regexp.MustCompile(`\{([^{}/]*)\}`)
	wholeParam  = regexp.MustCompile(`^\{[^{}/]*\}$`)
	strangePath = regexp.MustCompile(`[{}*]`)
)

// pathPattern is a path template as a pattern of ours; a segment that is a
// parameter only in part takes a regular expression.
func pathPattern(path string) (pattern string, isRegexp bool) {
	segments := strings.Split(path, "/")
	names := map[string]bool{}
	name := func(text string) string {
		n := openapi.PathName(text)
		for names[n] {
			n += "_"
		}
		names[n] = true
		return n
	}
	for i, s := range segments {
		if strangePath.MatchString(s) && !wholeParam.MatchString(s) || s == "" && i > 0 && i < len(segments)-1 {
			isRegexp = true
		}
	}
	if !isRegexp {
		return templated.ReplaceAllStringFunc(path, func(p string) string { return "{" + name(p[1:len(p)-1]) + "}" }), false
	}
	var b strings.Builder
	b.WriteString("^")
	for path != "" {
		at := templated.FindStringIndex(path)
		if at == nil {
			b.WriteString(regexp.QuoteMeta(path))
			break
		}
		b.WriteString(regexp.QuoteMeta(path[:at[0]]) + "(?P<" + name(path[at[0]+1:at[1]-1]) + ">[^/]+)")
		path = path[at[1]:]
	}
	return b.String() + "$", true
}

// security says in comments what an operation asks for.
func (o *openapiImport) security(op *openapi.Operation) []string {
	var names, scopes []string
	for _, r := range op.Security {
		for _, n := range r {
			names = append(names, slug(n.Scheme, "scheme"))
			scopes = append(scopes, n.Scopes...)
		}
	}
	if len(names) == 0 {
		return nil
	}
	if !op.Secured {
		names = append(names, "guests")
	}
	lines := []string{oneLine("identity: " + inline(names))}
	if len(scopes) > 0 {
		slices.Sort(scopes)
		lines = append(lines, oneLine("scopes: "+inline(slices.Compact(scopes))))
	}
	return lines
}

// inline is a list, or its only item, on one line.
func inline(list []string) string {
	text, _ := flow(listOf(list))
	return text
}

// schemes writes sketches of sources of identity, as comments: a document says
// what kind of credential there is, and not whose word counts.
func (o *openapiImport) schemes() {
	if len(o.doc.Schemes) == 0 {
		return
	}
	b := o.identity
	b.note("The service goes on checking credentials itself; they pass as they are. To have the gateway")
	b.note("check them, uncomment these sources, and identity at the routes.")
	b.note("identity:")
	for _, s := range o.doc.Schemes {
		name := slug(s.Name, "scheme")
		text := sketch(s)
		o.lose(nil, Note, s.Pos, "security scheme "+s.Name, "the document does not say whose credentials count: a sketch stands in a comment", "")
		b.notes = append(b.notes, "  "+oneLine(name+": "+text))
	}
	b.notes = append(b.notes, "  guests: anonymous")
}

func sketch(s openapi.Scheme) string {
	jwt := func(issuer string) string {
		return "{ jwt: { issuer: " + scalar(issuer, true) + ", audience: my-api } }"
	}
	switch {
	case s.Type == "openIdConnect":
		return jwt(strings.TrimSuffix(s.Discovery, "/.well-known/openid-configuration"))
	case s.Type == "oauth2":
		if u, err := url.Parse(s.TokenURL); err == nil && u.Host != "" {
			return jwt(u.Scheme + "://" + u.Host + "/")
		}
		return jwt("https://idp.example.com/")
	case s.Type == "http" && s.Scheme == "bearer":
		return jwt("https://idp.example.com/")
	case s.Type == "http" && s.Scheme == "basic":
		return "{ basic: htpasswd }"
	case s.Type == "apiKey" && s.In == "header":
		return "{ api_key: { file: keys.yaml, header: " + scalar(s.Header, true) + " } }"
	case s.Type == "apiKey" && s.In == "query":
		return "{ api_key: { file: keys.yaml, query: " + scalar(s.Header, true) + " } }"
	case s.Type == "mutualTLS":
		return "mtls"
	}
	return "{ forward_auth: http://127.0.0.1:9000/auth }   (for " + s.Type + " " + s.In + ", which has no source of its own)"
}
