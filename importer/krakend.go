package importer

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

func isKrakenD(t *config.Tree) bool { return t.Get("endpoints") != nil && t.Get("version") != nil }

// krakend reads a configuration of KrakenD, version 3.
type krakend struct {
	*draft
	tree     *config.Tree
	byTarget map[string]string
	issuers  map[string]string
}

func fillKrakenD(d *draft, _ config.Source, tree *config.Tree) error {
	k := &krakend{draft: d, tree: tree, byTarget: map[string]string{}, issuers: map[string]string{}}
	if v := tree.String("version"); v != "3" && v != "2" {
		return fmt.Errorf("%v: version %s is not known: 3 is", tree.Pos, v)
	}
	d.listen.set("default", ":"+cmp.Or(tree.String("port"), "8080"))
	if tls := tree.Get("tls"); tls != nil {
		k.lose(nil, Lost, tls.Pos, "tls", "the listener is written without", "listen: { secure: { address: :443, tls: { certificates: … } } }")
	}
	for _, f := range tree.Map("extra_config") {
		k.service(f)
	}
	for _, e := range tree.List("endpoints") {
		k.endpoint(e)
	}
	for _, f := range tree.Map() {
		if f.Key == "async_agent" || f.Key == "plugin" {
			k.lose(nil, Lost, f.Pos, f.Key, "there is nothing like it", "")
		}
	}
	return nil
}

// service is what holds for the whole gateway.
func (k *krakend) service(f config.TreeField) {
	switch f.Key {
	case "security/cors", "github_com/devopsfaith/krakend-cors":
		k.cors(f.Value)
	case "router", "telemetry/logging", "telemetry/metrics", "telemetry/opentelemetry", "telemetry/opencensus":
		k.lose(nil, Note, f.Pos, f.Key, "metrics and logs are there in any case", "admin: 127.0.0.1:9900 serves metrics")
	case "qos/ratelimit/service":
		k.rate(k.defaults, f.Value, true)
	default:
		k.lose(nil, Lost, f.Pos, f.Key, "it is not translated", "")
	}
}

func (k *krakend) cors(c *config.Tree) {
	cors := &block{}
	origins := c.Strings("allow_origins")
	if origins == nil {
		origins = []string{"*"}
	}
	cors.set("origins", listOf(origins))
	for _, key := range [][2]string{{"allow_methods", "methods"}, {"allow_headers", "headers"}, {"expose_headers", "expose"}} {
		if list := c.Strings(key[0]); list != nil {
			cors.set(key[1], listOf(list))
		}
	}
	if c.Bool(false, "allow_credentials") {
		if slices.Contains(origins, "*") {
			k.lose(cors, Differs, c.Pos, "allow_credentials", "any origin with credentials is refused here", "name the origins, then set credentials: true")
		} else {
			cors.set("credentials", true)
		}
	}
	if age := c.String("max_age"); age != "" && age != "0" && age != "0h" {
		cors.set("max_age", traefikTime(age))
	}
	k.defaults.set("cors", cors)
}

var krakendGuards = regexp.MustCompile(`auth|security|validation|policies|bot|ip`)

var krakendPart = regexp.MustCompile(`\{([^{}]+)\}`)

func (k *krakend) endpoint(e *config.Tree) {
	b := &block{}
	method := strings.ToUpper(cmp.Or(e.String("method"), "GET"))
	path, isRegexp := pathPattern(strings.TrimSuffix(e.String("endpoint"), "*"))
	if strings.HasSuffix(e.String("endpoint"), "/*") {
		path = strings.TrimSuffix(path, "/") + "/*"
	}
	if isRegexp || !strings.HasPrefix(path, "/") {
		k.lose(nil, Lost, e.Pos, "endpoint "+e.String("endpoint"), "its path is not understood", "")
		return
	}
	b.set("match", method+" "+path)
	backends := e.List("backend")
	if len(backends) == 0 {
		k.lose(nil, Lost, e.Pos, "endpoint "+e.String("endpoint"), "it has no backend", "")
		return
	}
	timeout := cmp.Or(e.String("timeout"), k.tree.String("timeout"), "2s")
	b.set("timeout", timeout)
	if k.passes(e, backends) {
		k.proxy(b, e, backends[0])
	} else {
		k.compose(b, e, backends)
	}
	k.security(b, e)
	k.routes = append(k.routes, b)
}

// passes reports whether the endpoint hands on what its one backend answers,
// untouched: that is a route to a service and no composition.
func (k *krakend) passes(e *config.Tree, backends []*config.Tree) bool {
	encoding := cmp.Or(e.String("output_encoding"), k.tree.String("output_encoding"))
	if len(backends) != 1 {
		return false
	}
	own := backends[0]
	if encoding == "no-op" || own.String("encoding") == "no-op" {
		return true
	}
	return false
}

func (k *krakend) proxy(b *block, e, own *config.Tree) {
	b.set("to", k.target(b, own))
	to := k.url(own.String("url_pattern"), "path.")
	if method := strings.ToUpper(own.String("method")); method != "" && method != strings.ToUpper(cmp.Or(e.String("method"), "GET")) {
		k.lose(b, Lost, own.Pos, "method "+method, "the method is passed on as it is", "compose can make a call with another one")
	}
	if krakendPart.ReplaceAllString(own.String("url_pattern"), "{}") != krakendPart.ReplaceAllString(e.String("endpoint"), "{}") {
		b.set("rewrite", to)
	}
	k.forwarded(b, e, true)
}

// forwarded is what a backend sees of the request: there nothing but what is named.
func (k *krakend) forwarded(b *block, e *config.Tree, proxied bool) (headers []string) {
	headers = append(e.Strings("input_headers"), e.Strings("headers_to_pass")...)
	query := append(e.Strings("input_query_strings"), e.Strings("querystring_params")...)
	if proxied && !slices.Contains(headers, "*") {
		k.lose(b, Differs, e.Pos, "input_headers", "the service sees all header fields of the request, not only those that are named", "headers: { request: { remove: … } }")
	}
	if proxied && !slices.Contains(query, "*") {
		k.lose(b, Differs, e.Pos, "input_query_strings", "the service sees the whole query", "rewrite: /path?name={query.name}")
	}
	return headers
}

// target is the service of a backend.
func (k *krakend) target(b *block, own *config.Tree) string {
	hosts := own.Strings("host")
	if hosts == nil {
		hosts = k.tree.Strings("host")
	}
	var targets []string
	for _, h := range hosts {
		if !strings.Contains(h, "://") {
			h = "http://" + h
		}
		if t, u := origin(h); t != "" {
			targets = append(targets, t)
			if strings.Trim(u.Path, "/") != "" {
				k.lose(b, Differs, own.Pos, "host "+h, "targets have no path", "write it in front of the path of the call")
			}
		}
	}
	name := "service"
	s := &block{}
	if len(targets) == 0 {
		targets = []string{"http://127.0.0.1:8081"}
		k.lose(s, Lost, own.Pos, "host", "no host of the backend is a URL", "set its targets, or import with --service")
	} else {
		_, u := origin(targets[0])
		name = strings.Split(u.Hostname(), ".")[0]
		if _, err := strconv.Atoi(name); err == nil {
			name = "host-" + strings.ReplaceAll(u.Hostname(), ".", "-")
		}
	}
	id := strings.Join(targets, " ")
	if own, ok := k.byTarget[id]; ok {
		return own
	}
	s.set("targets", listOf(targets))
	s.set("host", "target")
	if own.Get("extra_config", "qos/circuit-breaker") != nil {
		s.set("breaker", "on")
		k.lose(s, Differs, own.Get("extra_config", "qos/circuit-breaker").Pos, "qos/circuit-breaker", "a breaker opens by the part of requests that fail, not by their number", "breaker: { failure_rate: … }")
	}
	k.byTarget[id] = k.addService(name, s)
	return k.byTarget[id]
}

// url is a path with parameters, as a template: {id} is one of the endpoint,
// {resp0_id} the member id of the first call, {JWT.sub} a claim.
func (k *krakend) url(pattern, prefix string) string {
	return krakendPart.ReplaceAllStringFunc(pattern, func(p string) string {
		name := p[1 : len(p)-1]
		if claim, ok := strings.CutPrefix(name, "JWT."); ok {
			return "{jwt." + claim + "}"
		}
		if rest, ok := strings.CutPrefix(name, "resp"); ok {
			if n, field, ok := strings.Cut(rest, "_"); ok {
				if i, err := strconv.Atoi(n); err == nil {
					return "{part" + strconv.Itoa(i+1) + "." + field + "}"
				}
			}
		}
		return "{" + prefix + strings.Trim(pathParam(name), "/{}") + "}"
	})
}

func pathParam(name string) string {
	p, _ := pathPattern("/{" + name + "}")
	return p
}

// compose makes a call of each backend. Their answers are merged into one object,
// and a backend that fails leaves a part of it out.
func (k *krakend) compose(b *block, e *config.Tree, backends []*config.Tree) {
	headers := k.forwarded(b, e, false)
	sequential := e.Bool(false, "extra_config", "proxy", "sequential")
	collection := false
	compose := b.sub("compose")
	var names, terms []string
	for i, own := range backends {
		name := "part" + strconv.Itoa(i+1)
		call := k.call(b, e, own, headers)
		if sequential && i > 0 {
			call.set("after", []any{names[i-1]})
		}
		if len(backends) > 1 && !sequential {
			call.set("optional", true)
		}
		if len(call.fields) == 1 && len(call.notes) == 0 {
			compose.set(name, call.get("call"))
		} else {
			compose.set(name, call)
		}
		names = append(names, name)
		term := name
		if own.Bool(false, "is_collection") {
			term = `{"collection": ` + name + "}"
			collection = true
		}
		if g := own.String("group"); g != "" {
			term = "{" + quoted(g) + ": " + term + "}"
			collection = true
		}
		terms = append(terms, term)
	}
	raw := cmp.Or(e.String("output_encoding"), k.tree.String("output_encoding")) == "json-collection"
	switch {
	case len(terms) == 1 && (raw || !collection):
		b.set("respond", names[0])
	case len(terms) == 1:
		b.set("respond", terms[0])
	case !collection:
		b.set("respond", mapOf("merge", mapOf("parts", anyList(names))))
	default:
		k.grouped(b, e, backends, names)
	}
	if methods := strings.ToUpper(e.String("method")); methods == "POST" || methods == "PUT" || methods == "PATCH" {
		for _, f := range compose.fields {
			if c, ok := f.value.(*block); ok && !strings.HasPrefix(c.get("call").(string), "GET ") {
				c.set("body", "body")
			} else if text, ok := f.value.(string); ok && !strings.HasPrefix(text, "GET ") {
				compose.set(f.key, mapOf("call", text, "body", "body"))
			}
		}
	}
}

// grouped writes an answer with a member for each group; what has no group can't
// be merged beside them by an expression.
func (k *krakend) grouped(b *block, e *config.Tree, backends []*config.Tree, names []string) {
	var members []string
	groups := map[string]bool{}
	for i, own := range backends {
		g, value := own.String("group"), names[i]
		if own.Bool(false, "is_collection") {
			value = `{"collection": ` + value + "}"
		}
		if g == "" {
			g = cmp.Or(map[bool]string{true: "collection"}[own.Bool(false, "is_collection")], names[i])
			value = names[i]
			if g == names[i] {
				k.lose(b, Differs, own.Pos, "backend "+own.String("url_pattern"), "its answer is the member "+g+", beside the groups of the others", "respond: names its members")
			}
		}
		if groups[g] {
			k.lose(b, Differs, own.Pos, "group "+g, "another backend has the same group: this one is the member "+names[i], "respond: merges them")
			g = names[i]
		}
		groups[g] = true
		members = append(members, quoted(g)+": "+value)
	}
	b.set("respond", "{"+strings.Join(members, ", ")+"}")
}

// call is a call to a backend, with the changes to its answer.
func (k *krakend) call(b *block, e, own *config.Tree, headers []string) *block {
	method := strings.ToUpper(cmp.Or(own.String("method"), e.String("method"), "GET"))
	c := mapOf("call", method+" "+k.target(b, own)+k.url(own.String("url_pattern"), ""))
	for _, q := range append(e.Strings("input_query_strings"), e.Strings("querystring_params")...) {
		if q == "*" {
			k.lose(b, Lost, e.Pos, "input_query_strings *", "a call has the parameters that it names", "add ?name={query.name} to it")
			continue
		}
		text := c.get("call").(string)
		sep := "?"
		if strings.Contains(text, "?") {
			sep = "&"
		}
		c.set("call", text+sep+q+"={query["+quoted(q)+"]}")
		k.lose(nil, Note, e.Pos, "input_query_strings", "a parameter that the client did not send is sent empty", "")
	}
	if len(headers) > 0 {
		if slices.Contains(headers, "*") {
			k.lose(b, Lost, e.Pos, "input_headers *", "a call passes on the fields that it names", "forward: [Authorization, Accept-Language]")
		} else {
			c.set("forward", listOf(headers))
		}
	}
	switch enc := own.String("encoding"); enc {
	case "", "json", "safejson", "fast-json":
	case "xml", "rss":
		c.set("as", "xml")
	case "string":
		c.set("as", "text")
	default:
		k.lose(c, Lost, own.Pos, "encoding "+enc, "such a body is not read", "")
	}
	for _, key := range [][2]string{{"target", "take"}, {"allow", "pick"}, {"deny", "drop"}} {
		if key[0] == "target" {
			if t := own.String("target"); t != "" {
				c.set("take", t)
			}
		} else if list := own.Strings(key[0]); len(list) > 0 {
			c.set(key[1], listOf(list))
		}
	}
	if m := own.Map("mapping"); len(m) > 0 {
		for _, f := range m {
			c.sub("rename").set(f.Key, f.Value.String())
		}
	}
	k.backendExtras(b, c, own)
	return c
}

func (k *krakend) backendExtras(b, c *block, own *config.Tree) {
	for _, f := range own.Map("extra_config") {
		switch f.Key {
		case "qos/circuit-breaker", "backend/http":
		case "qos/ratelimit/proxy":
			n := cmp.Or(f.Value.String("max_rate"), "1")
			if whole, err := strconv.ParseFloat(n, 64); err == nil && whole >= 1 {
				c.set("limit", mapOf("rate", strconv.Itoa(int(whole))+"/"+every(f.Value)))
			}
		case "qos/http-cache":
			c.set("cache", mapOf("ttl", "0"))
		default:
			k.lose(b, Lost, f.Pos, f.Key, "it is not translated", "")
		}
	}
}

func every(t *config.Tree) string {
	switch e := t.String("every"); e {
	case "", "1s":
		return "s"
	case "1m", "60s":
		return "min"
	case "1h", "60m":
		return "h"
	default:
		return e
	}
}

// security is for what stands in extra_config of an endpoint.
func (k *krakend) security(b *block, e *config.Tree) {
	for _, f := range e.Map("extra_config") {
		switch f.Key {
		case "auth/validator", "github.com/devopsfaith/krakend-jose/validator":
			k.validator(b, f)
		case "qos/ratelimit/router":
			k.rate(b, f.Value, false)
		case "proxy":
			for _, p := range f.Value.Map() {
				if p.Key != "sequential" {
					k.lose(b, Lost, p.Pos, "proxy."+p.Key, "it is not translated", map[string]string{"static": "default: of a call stands in for one that fails"}[p.Key])
				}
			}
		case "validation/json-schema":
			b.set("validate", mapOf("body", mapOf("schema", treeValue(f.Value))))
		case "security/cors", "documentation/openapi", "telemetry/opentelemetry":
		default:
			if krakendGuards.MatchString(f.Key) {
				k.shut(b, f.Pos, f.Key, "it can refuse requests, and is not translated", "decide who may use the route")
			} else {
				k.lose(b, Lost, f.Pos, f.Key, "it is not translated", "")
			}
		}
	}
}

// treeValue is a value of the source as one of ours.
func treeValue(t *config.Tree) any {
	switch {
	case t.IsMap():
		b := &block{}
		for _, f := range t.Fields {
			b.set(f.Key, treeValue(f.Value))
		}
		return b
	case t.IsList():
		list := []any{}
		for _, item := range t.Items {
			list = append(list, treeValue(item))
		}
		return list
	case !t.IsText():
		return nil
	case t.Tag == "!!int" || t.Tag == "!!float":
		return number(t.Text)
	case t.Tag == "!!bool":
		return t.Bool(false)
	}
	return t.Text
}

func (k *krakend) validator(b *block, f config.TreeField) {
	c := f.Value
	issuer, audience := c.String("issuer"), c.Strings("audience")
	url := c.String("jwk_url")
	if url == "" || !strings.HasPrefix(url, "https://") && !c.Bool(false, "disable_jwk_security") {
		k.shut(b, f.Pos, f.Key, "its keys are not at an https URL", "identity: { idp: { jwt: … } }")
		return
	}
	if issuer == "" {
		k.shut(b, f.Pos, f.Key, "it takes tokens of any issuer", "name the issuer: identity: { idp: { jwt: { issuer: …, jwks: "+url+" } } }")
		return
	}
	s := mapOf("issuer", issuer, "jwks", url)
	if audience == nil {
		s.set("audience", "any")
	} else {
		s.set("audience", listOf(audience))
	}
	s.set("algorithms", cmp.Or(c.String("alg"), "RS256"))
	if cookie := c.String("cookie_key"); cookie != "" {
		s.set("token", []any{"bearer", "cookie." + cookie})
	}
	if !strings.HasPrefix(url, "https://") {
		s.set("insecure", true)
	}
	id, _ := flow(s)
	if k.issuers[id] == "" {
		name := k.unique("identity", "idp")
		k.identity.set(name, mapOf("jwt", s))
		k.issuers[id] = name
	}
	b.set("identity", k.issuers[id])
	if roles := c.Strings("roles"); roles != nil {
		b.set("roles", mapOf("any", listOf(roles), "claim", cmp.Or(c.String("roles_key"), "roles")))
	}
	if scopes := c.Strings("scopes"); scopes != nil {
		b.set("scopes", mapOf(cmp.Or(map[string]string{"all": "all"}[c.String("scopes_matcher")], "any"), listOf(scopes)))
	}
	if p := c.Get("propagate_claims"); p != nil {
		forward := &block{}
		for _, pair := range p.Items {
			if l := pair.Strings(); len(l) == 2 {
				forward.set(l[1], l[0])
			}
		}
		if len(forward.fields) > 0 {
			b.set("identity", mapOf("accept", k.issuers[id], "forward", forward))
		}
	}
}

func (k *krakend) rate(b *block, c *config.Tree, whole bool) {
	for _, r := range [][2]string{{"max_rate", ""}, {"client_max_rate", " per client.ip"}} {
		n, err := strconv.ParseFloat(c.String(r[0]), 64)
		if err != nil || n < 1 {
			continue
		}
		per := r[1]
		if per != "" && c.String("strategy") == "header" {
			per = " per header[" + quoted(strings.ToLower(cmp.Or(c.String("key"), "Authorization"))) + "]"
		}
		rule := mapOf("rate", strconv.Itoa(int(n))+"/"+every(c)+per)
		if whole {
			rule.set("scope", "gateway")
			rule.set("name", "service-"+strings.ReplaceAll(r[0], "_", "-"))
		}
		b.push("limit", rule)
	}
	if !whole {
		k.lose(nil, Note, c.Pos, "qos/ratelimit/router", "the refusal is 429 for both, with Retry-After; KrakenD answers 503 to max_rate", "")
	}
}
