package importer

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

// target sets where a route leads, and its policies.
func (k *kong) target(m *kongMatch, r *kongRoute, path string) {
	b, t := m.route, r.tree
	if r.service == nil {
		k.lose(b, Lost, t.Pos, "service", "the route has no service", "")
		b.set("answer", 404)
	} else {
		b.set("to", r.service.name)
		k.rewrite(m, r, path)
		if t.Bool(false, "preserve_host") {
			b.sub("headers", "request").set("host", "{request.host}")
		}
	}
	for _, key := range []string{"sources", "destinations"} {
		if t.Get(key) != nil {
			k.lose(b, Lost, t.Pos, key, "they are for streams", "")
		}
	}
	k.policies(b, r)
}

// rewrite strips the prefix, unless the route says not to, and puts the path of
// the service in front.
func (k *kong) rewrite(m *kongMatch, r *kongRoute, path string) {
	strip, front := r.tree.Bool(true, "strip_path"), r.service.path
	prefix := strings.TrimRight(path, "/")
	switch {
	case m.isRegexp && strip:
		k.lose(m.route, Differs, r.tree.Pos, "strip_path", "what a regular expression found is not taken off the path", "add a rewrite with named groups: {path.name}")
		if front != "" {
			m.route.set("rewrite", literal(front)+"{request.path}")
		}
	case strip && front != "":
		m.route.set("rewrite", literal(front)+`/{path["*"]}`)
	case strip && prefix != "":
		m.route.set("strip_prefix", prefix)
	case front != "":
		m.route.set("rewrite", literal(front)+"{request.path}")
	}
}

// policies sets the policies of a route: of several plugins of a name, the one
// of the route counts, then that of the service, then that for all.
func (k *kong) policies(b *block, r *kongRoute) {
	seen := map[string]bool{}
	service := ""
	lists := [][]kongPlugin{pluginsOf(r.tree), k.topLevel(func(p kongPlugin) bool {
		return p.route != "" && p.route == cmp.Or(r.tree.String("name"), r.tree.String("id"))
	})}
	if r.service != nil {
		service = cmp.Or(r.service.tree.String("name"), r.service.tree.String("id"))
		lists = append(lists, r.service.plugins, k.topLevel(func(p kongPlugin) bool { return p.route == "" && p.service != "" && p.service == service }))
	}
	lists = append(lists, k.topLevel(func(p kongPlugin) bool { return p.route == "" && p.service == "" }))
	k.tokens = slices.ContainsFunc(slices.Concat(lists...), func(p kongPlugin) bool { return p.tree.String("name") == "jwt" && p.tree.Bool(true, "enabled") })
	for i, list := range lists {
		for _, p := range list {
			name := p.tree.String("name")
			if !p.tree.Bool(true, "enabled") || seen[name] {
				continue
			}
			if p.consumer != "" {
				k.lose(b, Lost, p.tree.Pos, "plugin "+name, "it is for the consumer "+p.consumer+" alone", "a limit takes plans: by and plans")
				continue
			}
			seen[name] = true
			k.plugin(b, p.tree, []string{"", "", "service " + service, "service " + service, "all"}[min(i+boolInt(r.service == nil && i == 2)*2, 4)])
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (k *kong) topLevel(choose func(kongPlugin) bool) (list []kongPlugin) {
	for _, p := range k.plugins {
		if choose(p) {
			list = append(list, p)
		}
	}
	return list
}

// kongPlugins are those that can be translated.
var kongPlugins = map[string]func(k *kong, b *block, p, c *config.Tree, shared string){
	"key-auth":              (*kong).keyAuth,
	"basic-auth":            (*kong).basicAuth,
	"jwt":                   (*kong).jwt,
	"acl":                   (*kong).acl,
	"rate-limiting":         (*kong).rateLimiting,
	"cors":                  (*kong).cors,
	"ip-restriction":        (*kong).ipRestriction,
	"request-transformer":   (*kong).requestTransformer,
	"response-transformer":  (*kong).responseTransformer,
	"request-size-limiting": (*kong).requestSize,
	"proxy-cache":           (*kong).proxyCache,
	"request-termination":   (*kong).termination,
	"redirect":              (*kong).redirect,
}

// kongNeedless are plugins whose work the gateway does anyway.
var kongNeedless = map[string]string{
	"correlation-id": "X-Request-Id is set on every request",
	"prometheus":     "metrics are on the admin listener: admin: 127.0.0.1:9900",
	"file-log":       "see access_log",
	"grpc-web":       "gRPC-Web is translated where the service speaks gRPC",
	"opentelemetry":  "trace headers are passed on",
}

func (k *kong) plugin(b *block, p *config.Tree, shared string) {
	name := p.String("name")
	if f := kongPlugins[name]; f != nil {
		f(k, b, p, p.Get("config"), shared)
		return
	}
	if why := kongNeedless[name]; why != "" {
		k.lose(nil, Note, p.Pos, "plugin "+name, why, "")
		return
	}
	for _, word := range []string{"auth", "acl", "opa", "jwt", "oidc", "openid", "oauth", "saml", "mtls", "bot-detection", "injection", "jwe", "vault", "session", "restriction", "validator", "pre-function", "post-function"} {
		if strings.Contains(name, word) {
			k.shut(b, p.Pos, "plugin "+name, "it can refuse requests, and is not translated", "decide who may use the route")
			return
		}
	}
	k.lose(b, Lost, p.Pos, "plugin "+name, "there is nothing like it, or it is not translated", "")
}

func (k *kong) rateLimiting(b *block, p, c *config.Tree, shared string) {
	key := map[string]string{"": "identity.sub", "consumer": "identity.sub", "credential": "identity.sub", "ip": "client.ip", "service": "", "path": "request.path",
		"header": "header[" + quoted(strings.ToLower(c.String("header_name"))) + "]"}[c.String("limit_by")]
	if key == "identity.sub" && !k.identifies(b) {
		key = "client.ip" // what Kong does without a consumer
	}
	per := ""
	if key != "" {
		per = " per " + key
	}
	for _, unit := range [][2]string{{"second", "s"}, {"minute", "min"}, {"hour", "h"}, {"day", "day"}, {"month", "month"}, {"year", ""}} {
		n := c.String(unit[0])
		if v, err := strconv.Atoi(strings.TrimSuffix(n, ".0")); err != nil || v < 1 {
			continue
		}
		rule, kind := mapOf("rate", n+"/"+unit[1]+per), "limit"
		switch unit[0] {
		case "year":
			k.lose(b, Lost, p.Pos, "rate-limiting by year", "a quota is for a month at most", "")
			continue
		case "month":
			rule, kind = mapOf("limit", n+"/month"+per, "calendar", true), "quota"
		}
		if shared != "" && shared != "all" {
			rule.set("name", slug(strings.ReplaceAll(shared, " ", "-")+"-"+unit[0], "limit"))
		} else if shared == "all" {
			rule.set("name", "all-"+unit[0])
		}
		b.push(kind, rule)
	}
	k.lose(nil, Note, p.Pos, "plugin rate-limiting", "Kong counts in windows of the clock; here tokens come back evenly, from a full bucket on", "")
	switch c.String("policy") {
	case "redis", "cluster":
		k.lose(b, Lost, p.Pos, "rate-limiting with policy "+c.String("policy"), "where limits are shared is said once for all", "add store: redis://…")
	}
}

// identifies reports whether the route will know its callers: key-auth and jwt
// come before limits in any case, so the plugins are asked.
func (k *kong) identifies(b *block) bool { return b.has("identity") || len(k.consumers) > 0 }

func (k *kong) cors(b *block, p, c *config.Tree, _ string) {
	cors := &block{}
	origins := c.Strings("origins")
	if origins == nil {
		origins = []string{"*"}
	}
	all := slices.Contains(origins, "*")
	for _, o := range origins {
		if all {
			o = "*"
		}
		if o == "*" || plainOrigin(o) {
			cors.push("origins", o)
		} else {
			cors.push("origins", mapOf("regexp", o))
		}
		if all {
			break
		}
	}
	methods := c.Strings("methods")
	if methods == nil {
		methods = []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"}
	}
	cors.set("methods", listOf(methods))
	if h := c.Strings("headers"); h != nil {
		cors.set("headers", listOf(h))
	} else {
		cors.set("headers", "*")
	}
	if h := c.Strings("exposed_headers"); h != nil {
		cors.set("expose", listOf(h))
	}
	if c.Bool(false, "credentials") {
		if all {
			k.lose(b, Differs, p.Pos, "cors credentials", "any origin with credentials is refused here: every page could read what the user may", "name the origins, then set credentials: true")
		} else {
			cors.set("credentials", true)
			if cors.get("headers") == "*" {
				cors.set("headers", []any{"Content-Type", "Authorization"})
				k.lose(b, Differs, p.Pos, "cors headers", "with credentials they have to be named", "")
			}
		}
	}
	if age := c.String("max_age"); age != "" {
		if n, err := strconv.Atoi(age); err == nil {
			cors.set("max_age", strconv.Itoa(min(n, 86400))+"s")
		}
	}
	b.set("cors", cors)
}

func plainOrigin(o string) bool {
	target, u := origin(o)
	return target == o && strings.HasPrefix(o, "http") && (u.Path == "" || u.Path == "/") && !strings.ContainsAny(o, "()[]\\*?+|^$")
}

func (k *kong) ipRestriction(b *block, p, c *config.Tree, _ string) {
	ip := &block{}
	for _, key := range [][2]string{{"allow", "whitelist"}, {"deny", "blacklist"}} {
		for _, text := range append(c.Strings(key[0]), c.Strings(key[1])...) {
			if !isNetwork(text) {
				k.shut(b, p.Pos, "ip-restriction "+text, "it is no network", "write the networks under ip")
				return
			}
			ip.push(key[0], text)
		}
	}
	if len(ip.fields) > 0 {
		b.set("ip", ip)
	}
}

func isNetwork(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	p, err := netip.ParsePrefix(text)
	return err == nil && p == p.Masked()
}

func (k *kong) requestTransformer(b *block, p, c *config.Tree, _ string) {
	k.transform(b, p, c, "request")
	if uri := c.String("replace", "uri"); uri != "" {
		if strings.ContainsAny(uri, "$") {
			k.lose(b, Lost, p.Pos, "request-transformer replace.uri", "templates of Kong are not read: "+uri, "write rewrite")
		} else {
			b.set("rewrite", literal(uri))
		}
	}
	for _, act := range []string{"remove", "rename", "replace", "add", "append"} {
		for _, part := range []string{"querystring", "body"} {
			if len(c.Strings(act, part)) > 0 {
				k.lose(b, Lost, p.Pos, "request-transformer "+act+"."+part, "only header fields are changed", "")
			}
		}
	}
	if c.String("http_method") != "" {
		k.lose(b, Lost, p.Pos, "request-transformer http_method", "the method is not changed", "")
	}
}

func (k *kong) responseTransformer(b *block, p, c *config.Tree, _ string) {
	k.transform(b, p, c, "response")
	for _, act := range []string{"remove", "rename", "replace", "add", "append"} {
		for _, part := range []string{"json", "body"} {
			if len(c.Strings(act, part)) > 0 {
				k.lose(b, Lost, p.Pos, "response-transformer "+act+"."+part, "bodies are not changed", "compose with one call can")
			}
		}
	}
}

// transform changes header fields of a request or a response.
func (k *kong) transform(b *block, p, c *config.Tree, which string) {
	if names := c.Strings("remove", "headers"); len(names) > 0 {
		b.sub("headers", which).set("remove", listOf(names))
	}
	if len(c.Strings("rename", "headers")) > 0 {
		k.lose(b, Lost, p.Pos, which+"-transformer rename.headers", "fields are set and removed, not renamed", `set: { New: '{header["old"]}' }, remove: Old`)
	}
	for _, act := range [][2]string{{"replace", "set"}, {"add", "set"}, {"append", "add"}} {
		for _, text := range c.Strings(act[0], "headers") {
			name, value, ok := strings.Cut(text, ":")
			if !ok || strings.Contains(value, "$(") {
				k.lose(b, Lost, p.Pos, which+"-transformer "+act[0]+".headers", "this value is not translated: "+text, "")
				continue
			}
			if act[0] != "append" {
				when := map[string]string{"replace": "only where it is there", "add": "only where it is not there"}[act[0]]
				k.lose(b, Differs, p.Pos, which+"-transformer "+act[0]+".headers", name+" is set in any case, in Kong "+when, "")
			}
			b.sub("headers", which, act[1]).set(strings.TrimSpace(name), literal(strings.TrimSpace(value)))
		}
	}
}

func (k *kong) requestSize(b *block, _, c *config.Tree, _ string) {
	unit := map[string]string{"": "MiB", "megabytes": "MiB", "kilobytes": "KiB", "bytes": ""}[c.String("size_unit")]
	b.set("max_body", cmp.Or(c.String("allowed_payload_size"), "128")+unit)
}

func (k *kong) proxyCache(b *block, p, c *config.Tree, _ string) {
	cache := mapOf("ttl", cmp.Or(c.String("cache_ttl"), "300")+"s")
	if !c.Bool(false, "cache_control") {
		cache.set("respect", "off")
	}
	statuses := c.Strings("response_code")
	if statuses == nil {
		statuses = []string{"200", "301", "404"}
	}
	cache.set("statuses", listOf(statuses))
	if v := c.Strings("vary_headers"); v != nil {
		cache.set("vary", listOf(v))
	}
	if c.Get("content_type") != nil {
		k.lose(b, Differs, p.Pos, "proxy-cache content_type", "answers of every type are kept", "")
	}
	b.set("cache", cache)
}

func (k *kong) termination(b *block, p, c *config.Tree, _ string) {
	status, err := strconv.Atoi(cmp.Or(c.String("status_code"), "503"))
	if err != nil || status < 200 || status > 599 {
		status = 503
	}
	a := mapOf("status", status)
	if body := c.String("body"); body != "" {
		a.set("body", body)
		a.set("content_type", cmp.Or(c.String("content_type"), "application/json; charset=utf-8"))
	} else if m := c.String("message"); m != "" {
		a.set("json", mapOf("message", m))
	}
	k.answer(b, "answer", a)
	if c.String("trigger") != "" {
		k.lose(b, Differs, p.Pos, "request-termination trigger", "every request is answered so", "write a route with a condition")
	}
}

func (k *kong) redirect(b *block, _, c *config.Tree, _ string) {
	status, _ := strconv.Atoi(cmp.Or(c.String("status_code"), "301"))
	to := literal(c.String("location"))
	if c.Bool(false, "keep_incoming_path") {
		to = strings.TrimSuffix(to, "/") + "{request.path}"
	}
	k.answer(b, "redirect", mapOf("to", to, "status", status))
}

// answer has a route answer by itself, in place of a service.
func (d *draft) answer(b *block, kind string, value any) {
	b.fields = slices.DeleteFunc(b.fields, func(f field) bool {
		return slices.Contains([]string{"to", "answer", "redirect", "rewrite", "strip_prefix"}, f.key)
	})
	b.set(kind, value)
}

// rest tells of what stands beside services, routes and plugins.
func (k *kong) rest() {
	for _, f := range k.tree.Map() {
		switch f.Key {
		case "_format_version", "_transform", "_info", "_comment", "_workspace", "services", "routes", "upstreams", "plugins", "consumers", "keyauth_credentials", "basicauth_credentials", "jwt_secrets", "acls":
		case "certificates", "snis", "ca_certificates":
			k.lose(nil, Lost, f.Pos, f.Key, "certificates are files here", "listen: { secure: { address: :443, tls: { certificates: … } } }")
		default:
			k.lose(nil, Lost, f.Pos, f.Key, "it is not translated", "")
		}
	}
	for _, c := range k.consumers {
		for _, key := range []string{"hmacauth_credentials", "oauth2_credentials", "mtls_auth_credentials"} {
			if c := c.tree.Get(key); c != nil {
				k.lose(nil, Lost, c.Pos, key, "such credentials are not translated", map[string]string{"hmacauth_credentials": "see identity: hmac"}[key])
			}
		}
	}
}
