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

func isKong(t *config.Tree) bool {
	return t.Get("_format_version") != nil || t.Get("services") != nil && len(t.List("services")) > 0 && len(t.List("services")[0].List("routes")) > 0
}

// kong reads a declarative configuration of Kong (deck, DB-less).
type kong struct {
	*draft
	tree      *config.Tree
	upstreams map[string]*config.Tree
	services  map[string]*kongService // by name
	plugins   []kongPlugin            // of the top level, with what they are for
	routes    []*kongRoute
	prefixes  []string
	consumers []kongConsumer
	tokens    bool                // the route that is written takes JWTs, whose subjects are not known
	sources   map[string][]string // identity sources by the settings of a plugin
}

type kongService struct {
	tree    *config.Tree
	name    string // of ours
	path    string
	plugins []kongPlugin
}

type kongPlugin struct {
	tree                     *config.Tree
	service, route, consumer string
}

type kongRoute struct {
	tree    *config.Tree
	service *kongService
	pos     int
}

func fillKong(d *draft, _ config.Source, t *config.Tree) error {
	k := &kong{draft: d, tree: t, upstreams: map[string]*config.Tree{}, services: map[string]*kongService{}, sources: map[string][]string{}}
	for _, u := range t.List("upstreams") {
		k.upstreams[u.String("name")] = u
	}
	k.plugins = pluginsOf(t)
	k.readConsumers()
	if k.uses("basic-auth") {
		k.writeUsers()
	}
	for _, s := range t.List("services") {
		k.service(s)
	}
	for _, r := range t.List("routes") {
		k.routes = append(k.routes, &kongRoute{r, k.services[refName(r.Get("service"))], len(k.routes)})
	}
	k.writeRoutes()
	k.rest()
	return nil
}

// refName is a reference to another thing: its name, or a map with it.
func refName(t *config.Tree) string {
	return cmp.Or(t.String(), t.String("name"), t.String("username"), t.String("id"))
}

func pluginsOf(t *config.Tree) (list []kongPlugin) {
	for _, p := range t.List("plugins") {
		list = append(list, kongPlugin{p, refName(p.Get("service")), refName(p.Get("route")), refName(p.Get("consumer"))})
	}
	return list
}

func (k *kong) service(s *config.Tree) {
	protocol, host, path := cmp.Or(s.String("protocol"), "http"), s.String("host"), s.String("path")
	port := s.String("port")
	if u := s.String("url"); u != "" {
		if _, parsed := origin(u); parsed != nil {
			protocol, host, port, path = parsed.Scheme, parsed.Hostname(), parsed.Port(), parsed.EscapedPath()
		}
	}
	if port == "" {
		port = map[string]string{"https": "443", "grpcs": "443"}[protocol]
		if port == "" {
			port = "80"
		}
	}
	b := &block{}
	switch protocol {
	case "http", "https", "grpc", "grpcs":
	default:
		k.lose(nil, Lost, s.Pos, "service "+s.String("name"), "the protocol "+protocol+" is not proxied", "")
		return
	}
	if up := k.upstreams[host]; up != nil {
		k.upstream(b, up, protocol)
	} else if host == "" {
		k.lose(b, Lost, s.Pos, "service "+s.String("name"), "it has no host", "set its targets, or import with --service")
		b.set("targets", "http://127.0.0.1:8081")
	} else {
		b.set("targets", targetURL(protocol, host, port))
		b.set("host", "target")
	}
	k.serviceTimes(b, s)
	if v := s.Get("tls_verify"); v != nil && !s.Bool(true, "tls_verify") || protocol == "https" && v == nil {
		b.sub("tls").set("insecure", true)
		k.lose(b, Note, s.Pos, "tls_verify", "the source does not verify the certificate of the service either", "take tls.insecure out as soon as you can")
	}
	for _, key := range []string{"client_certificate", "ca_certificates", "tls_verify_depth"} {
		if v := s.Get(key); v != nil {
			k.lose(b, Lost, v.Pos, key, "certificates are files here", "set tls: { ca: …, cert: …, key: … } of the service")
		}
	}
	own := &kongService{tree: s, path: strings.TrimSuffix(path, "/"), plugins: pluginsOf(s)}
	if !s.Bool(true, "enabled") {
		k.lose(nil, Lost, s.Pos, "service "+s.String("name"), "it is disabled, and so left out with its routes", "")
		return
	}
	own.name = k.addService(cmp.Or(s.String("name"), host), b)
	k.services[cmp.Or(s.String("name"), s.String("id"))] = own
	for _, r := range s.List("routes") {
		k.routes = append(k.routes, &kongRoute{r, own, len(k.routes)})
	}
}

func targetURL(protocol, host, port string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if port == "80" && protocol == "http" || port == "443" && protocol == "https" {
		return protocol + "://" + host
	}
	return protocol + "://" + host + ":" + port
}

func (k *kong) serviceTimes(b *block, s *config.Tree) {
	if n, err := strconv.Atoi(s.String("retries")); err == nil {
		if n == 0 {
			b.set("retries", "off")
		} else {
			b.set("retries", mapOf("attempts", min(n, 10), "on", []any{"connect", "reset", "timeout"}))
		}
	}
	for _, t := range [][2]string{{"connect_timeout", "connect"}, {"read_timeout", "response"}} {
		if ms := s.String(t[0]); ms != "" {
			b.sub("timeouts").set(t[1], milliseconds(ms))
		}
	}
}

func milliseconds(text string) string {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 1:
		return "60s"
	case n%60000 == 0:
		return strconv.Itoa(n/60000) + "m"
	case n%1000 == 0:
		return strconv.Itoa(n/1000) + "s"
	}
	return strconv.Itoa(n) + "ms"
}

func (k *kong) upstream(b *block, u *config.Tree, protocol string) {
	var targets []any
	for _, t := range u.List("targets") {
		address := t.String("target")
		if address == "" {
			continue
		}
		if i := strings.LastIndexByte(address, ':'); i < 0 || strings.HasSuffix(address, "]") {
			address += ":8000"
		}
		url := protocol + "://" + address
		if w := t.String("weight"); w != "" && w != "100" {
			n, _ := strconv.Atoi(w)
			targets = append(targets, mapOf("url", url, "weight", n))
		} else if hasWeights(u) {
			targets = append(targets, mapOf("url", url, "weight", 100))
		} else {
			targets = append(targets, url)
		}
	}
	if len(targets) == 0 {
		k.lose(b, Lost, u.Pos, "upstream "+u.String("name"), "it has no targets in this file", "set them")
		targets = []any{"http://127.0.0.1:8081"}
	}
	b.set("targets", targets)
	b.set("host", cmp.Or(u.String("host_header"), "target"))
	switch algorithm := u.String("algorithm"); algorithm {
	case "", "round-robin":
	case "least-connections", "latency":
		b.set("balance", "least_requests")
	case "consistent-hashing":
		k.hash(b, u)
	default:
		k.lose(b, Lost, u.Pos, "algorithm "+algorithm, "there is no such balance", "")
	}
	k.health(b, u)
}

func hasWeights(u *config.Tree) bool {
	return slices.ContainsFunc(u.List("targets"), func(t *config.Tree) bool { w := t.String("weight"); return w != "" && w != "100" })
}

func (k *kong) hash(b *block, u *config.Tree) {
	key := map[string]string{"ip": "client.ip", "consumer": "identity.sub", "path": "request.path",
		"header": "header[" + quoted(strings.ToLower(u.String("hash_on_header"))) + "]", "query_arg": "query[" + quoted(u.String("hash_on_query_arg")) + "]"}[u.String("hash_on")]
	if u.String("hash_on") == "cookie" {
		b.set("balance", mapOf("kind", "sticky", "cookie", cmp.Or(u.String("hash_on_cookie"), "gopura_target")))
		k.lose(b, Differs, u.Pos, "hash_on: cookie", "the cookie names a target here: clients meet another one once", "")
		return
	}
	if key == "" {
		k.lose(b, Lost, u.Pos, "hash_on "+u.String("hash_on"), "there is no such key", "set balance: { kind: hash, key: … }")
		return
	}
	b.set("balance", mapOf("kind", "hash", "key", key))
}

func (k *kong) health(b *block, u *config.Tree) {
	a := u.Get("healthchecks", "active")
	if a == nil || a.String("healthy", "interval") == "0" && a.String("unhealthy", "interval") == "0" || a.Get("healthy", "interval") == nil && a.Get("unhealthy", "interval") == nil {
		return
	}
	interval := cmp.Or(strings.TrimPrefix(a.String("healthy", "interval"), "0"), a.String("unhealthy", "interval"))
	if a.String("type") == "tcp" {
		b.set("health", mapOf("tcp", true, "interval", interval+"s"))
		return
	}
	h := mapOf("path", cmp.Or(a.String("http_path"), "/"), "interval", interval+"s")
	if t := a.String("timeout"); t != "" {
		h.set("timeout", t+"s")
	}
	if n, err := strconv.Atoi(a.String("healthy", "successes")); err == nil && n > 0 {
		h.set("healthy", n)
	}
	if n, err := strconv.Atoi(a.String("unhealthy", "http_failures")); err == nil && n > 0 {
		h.set("unhealthy", n)
	}
	b.set("health", h)
}

// kongMatch is one condition of a route: one path of it.
type kongMatch struct {
	*ranked
	attributes, headers, regexPriority, length int
	wild, isRegexp                             bool
	pos                                        int
}

// writeRoutes writes the routes in the order of the file, with priorities that
// make up for the order in which Kong asks them.
func (k *kong) writeRoutes() {
	var all []*kongMatch
	for _, r := range k.routes {
		all = append(all, k.route(r)...)
	}
	asked := slices.Clone(all)
	slices.SortStableFunc(asked, func(a, b *kongMatch) int {
		return cmp.Or(cmp.Compare(b.attributes, a.attributes), before(!a.wild, !b.wild), cmp.Compare(b.headers, a.headers), before(a.isRegexp, b.isRegexp),
			cmp.Compare(b.regexPriority, a.regexPriority), cmp.Compare(b.length, a.length), cmp.Compare(a.pos, b.pos))
	})
	list := make([]*ranked, len(asked))
	for i, m := range asked {
		list[i] = m.ranked
	}
	prioritise(list)
	for _, m := range all {
		k.draft.routes = append(k.draft.routes, m.ranked.route)
	}
	k.tellPrefixes(k.prefixes)
}

// tellPrefixes says once what all prefixes have in common.
func (d *draft) tellPrefixes(prefixes []string) {
	slices.Sort(prefixes)
	if prefixes = slices.Compact(prefixes); len(prefixes) == 0 {
		return
	}
	p := prefixes[0]
	d.lose(nil, Note, config.Pos{File: d.file}, "prefixes", fmt.Sprintf("a prefix takes whole segments here: %s takes %s and %s/…, and not %sx as the source does", p, p, p, p), "")
}

var kongCapture = regexp.MustCompile(`\(\?<`)

func (k *kong) route(r *kongRoute) (list []*kongMatch) {
	t := r.tree
	name := cmp.Or(t.String("name"), "route")
	if protocols := t.Strings("protocols"); protocols != nil && !slices.ContainsFunc(protocols, func(p string) bool { return strings.HasPrefix(p, "http") || strings.HasPrefix(p, "grpc") }) {
		k.lose(nil, Lost, t.Pos, "route "+name, "only HTTP is proxied, not "+strings.Join(protocols, ", "), "")
		return nil
	}
	if t.String("expression") != "" {
		k.lose(nil, Lost, t.Pos, "route "+name, "expressions of Kong's router are not read: "+t.String("expression"), "write a route with match: { …, when: … }")
		return nil
	}
	m := matcher{methods: upper(t.Strings("methods"))}
	wild := false
	for _, h := range t.Strings("hosts") {
		host, ok := kongHost(h)
		if !ok {
			k.lose(nil, Lost, t.Pos, "host "+h, "only *.name is a wildcard here", "name the hosts")
			continue
		}
		m.hosts = append(m.hosts, host)
		wild = wild || strings.HasPrefix(host, "*.")
	}
	if len(t.Strings("hosts")) > 0 && len(m.hosts) == 0 {
		return nil // not for every host instead
	}
	attributes := 0
	for _, f := range t.Map("headers") {
		values := f.Value.Strings()
		c := condition{strings.ToLower(f.Key), "exact", strings.Join(values, "")}
		if len(values) != 1 {
			c = condition{c.name, "regexp", "^(?:" + strings.Join(quoteAll(values), "|") + ")$"}
		} else if re, ok := strings.CutPrefix(values[0], "~*"); ok {
			c = condition{c.name, "regexp", "(?i)" + re}
		}
		m.headers = append(m.headers, c)
	}
	for _, present := range []bool{len(m.hosts) > 0, len(m.methods) > 0, len(m.headers) > 0, len(t.Strings("paths")) > 0, len(t.Strings("snis")) > 0} {
		if present {
			attributes++
		}
	}
	if snis := t.Strings("snis"); snis != nil {
		m.when = append(m.when, "tls.sni in "+exprList(snis))
	}
	if p := t.Strings("protocols"); p != nil && slices.Contains(p, "https") && !slices.Contains(p, "http") {
		m.when = append(m.when, `request.scheme == "https"`)
	}
	paths := t.Strings("paths")
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	for i, path := range paths {
		one := &kongMatch{ranked: &ranked{matcher: m, route: &block{}}, attributes: attributes, headers: len(m.headers), wild: wild, pos: r.pos, length: len(path)}
		one.regexPriority, _ = strconv.Atoi(t.String("regex_priority"))
		if !k.path(one, t, path) {
			continue
		}
		if !one.isRegexp {
			one.regexPriority = 0
		}
		one.route.set("match", one.matcher.value())
		own := name
		if i > 0 {
			own += "-" + strconv.Itoa(i+1)
		}
		one.route.set("name", k.unique("route", own))
		k.target(one, r, path)
		list = append(list, one)
	}
	return list
}

func quoteAll(list []string) (out []string) {
	for _, s := range list {
		out = append(out, regexp.QuoteMeta(s))
	}
	return out
}

func upper(list []string) (out []string) {
	for _, m := range list {
		out = append(out, strings.ToUpper(m))
	}
	return out
}

func exprList(list []string) string {
	var q []string
	for _, s := range list {
		q = append(q, quoted(s))
	}
	return "[" + strings.Join(q, ", ") + "]"
}

func kongHost(h string) (string, bool) {
	h = strings.ToLower(h)
	if i := strings.LastIndexByte(h, ':'); i > 0 && !strings.HasSuffix(h, "]") {
		h = h[:i]
	}
	return h, !strings.Contains(strings.TrimPrefix(h, "*."), "*") && h != ""
}

// path sets the condition on the path; false: there is none like it.
func (k *kong) path(m *kongMatch, t *config.Tree, path string) bool {
	re, isRegexp := strings.CutPrefix(path, "~")
	if !isRegexp {
		m.path = prefixPattern(path)
		if m.path == "" {
			k.lose(nil, Lost, t.Pos, "path "+path, "it is no path in normal form", "")
			return false
		}
		if path != "/" {
			k.prefixes = append(k.prefixes, strings.TrimSuffix(path, "/"))
		}
		return true
	}
	m.isRegexp = true
	expr, err := anchoredRegexp("^" + strings.TrimPrefix(kongCapture.ReplaceAllString(re, "(?P<"), "^"))
	if err != nil {
		k.lose(nil, Lost, t.Pos, "path "+path, "the expression is not one of RE2: "+err.Error(), "write it without look-around and back references")
		return false
	}
	m.regexp = expr
	return true
}

// prefixPattern is a prefix as a pattern; "": it can't be one.
func prefixPattern(path string) string {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "{}*? \t\r\n\\") {
		return ""
	}
	path = strings.TrimRight(path, "/")
	if strings.Contains(path, "//") {
		return ""
	}
	return path + "/*"
}

// anchoredRegexp makes an expression over paths one that begins with ^/.
func anchoredRegexp(expr string) (string, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return "", err
	}
	flags := ""
	if strings.HasPrefix(expr, "(?i)") {
		flags, expr = "(?i)", expr[4:]
	}
	anchored := strings.HasPrefix(expr, "^")
	expr = strings.TrimPrefix(expr, "^")
	switch {
	case strings.Contains(expr, "|") && !wholeGroup(expr):
		if !anchored {
			return "^" + flags + "/.*(?:" + expr + ")", nil
		}
		return "^" + flags + "(?:" + expr + ")", alternatives(expr)
	case anchored || strings.HasPrefix(expr, "/"):
		if !anchored {
			return "^" + flags + "(?:/.*)?" + expr, nil
		}
		return "^" + flags + expr, alternatives(expr)
	}
	return "^" + flags + "/.*" + expr, nil
}

func alternatives(expr string) error {
	if prefix := regexpPrefix("^" + expr); prefix != "" && prefix[0] != '/' {
		return fmt.Errorf("it can't match a path, which begins with /")
	}
	return nil
}

// wholeGroup reports whether every | of an expression stands within brackets.
func wholeGroup(expr string) bool {
	depth := 0
	for i := 0; i < len(expr); i++ {
		switch expr[i] {
		case '\\':
			i++
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case '|':
			if depth == 0 {
				return false
			}
		}
	}
	return true
}
