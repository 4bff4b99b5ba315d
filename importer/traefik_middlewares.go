package importer

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopura/config"
)

// traefikMiddlewares are those that can be translated, by their kind in lower case.
var traefikMiddlewares = map[string]func(t *traefik, b *block, f config.TreeField, m matcher){
	"stripprefix":      (*traefik).stripPrefix,
	"addprefix":        (*traefik).addPrefix,
	"replacepath":      (*traefik).replacePath,
	"replacepathregex": (*traefik).replacePathRegex,
	"headers":          (*traefik).headers,
	"ratelimit":        (*traefik).rateLimit,
	"inflightreq":      (*traefik).inFlight,
	"basicauth":        (*traefik).basicAuth,
	"forwardauth":      (*traefik).forwardAuth,
	"ipallowlist":      (*traefik).ipAllowList,
	"ipwhitelist":      (*traefik).ipAllowList,
	"redirectscheme":   (*traefik).redirectScheme,
	"redirectregex":    (*traefik).redirectRegex,
	"compress":         (*traefik).compress,
	"retry":            (*traefik).retry,
	"circuitbreaker":   (*traefik).circuitBreaker,
}

func (t *traefik) stripPrefix(b *block, f config.TreeField, m matcher) {
	prefixes := f.Value.Strings("prefixes")
	var fits []string
	for _, p := range prefixes {
		p = strings.TrimSuffix(p, "/")
		if p != "" && (len(prefixes) == 1 || pathsMeet(m, matcher{path: p + "/*"})) {
			fits = append(fits, p)
		}
	}
	if len(fits) == 0 {
		return
	}
	if len(fits) > 1 || b.has("rewrite") || b.has("strip_prefix") {
		t.lose(b, Lost, f.Pos, "stripPrefix "+strings.Join(fits, ", "), "a route strips one prefix, before it rewrites", "make a route for each")
		return
	}
	if front, ok := b.get("rewrite").(string); ok && front != "" {
		return
	}
	b.set("strip_prefix", fits[0])
}

func (t *traefik) addPrefix(b *block, f config.TreeField, m matcher) {
	prefix := literal(strings.TrimSuffix(f.Value.String("prefix"), "/"))
	if b.has("rewrite") {
		t.lose(b, Lost, f.Pos, "addPrefix", "the path is rewritten already", "write it into rewrite")
		return
	}
	if stripped, ok := b.get("strip_prefix").(string); ok && m.path == stripped+"/*" {
		b.fields = slices.DeleteFunc(b.fields, func(f field) bool { return f.key == "strip_prefix" })
		b.set("rewrite", prefix+`/{path["*"]}`)
		return
	}
	b.set("rewrite", prefix+"{request.path}")
}

func (t *traefik) replacePath(b *block, f config.TreeField, _ matcher) {
	b.set("rewrite", literal(f.Value.String("path")))
}

func (t *traefik) replacePathRegex(b *block, f config.TreeField, _ matcher) {
	t.lose(b, Lost, f.Pos, "replacePathRegex "+f.Value.String("regex"), "the expression has to be the condition of the route", "write match: { regexp: … } with named groups, and rewrite")
}

func (t *traefik) headers(b *block, f config.TreeField, _ matcher) {
	h := f.Value
	for _, part := range [][2]string{{"customRequestHeaders", "request"}, {"customResponseHeaders", "response"}} {
		for _, field := range h.Map(part[0]) {
			value := field.Value.String()
			switch {
			case strings.EqualFold(field.Key, "Host") && part[1] == "request":
				b.sub("headers", "request").set("host", literal(value))
			case value == "":
				b.sub("headers", part[1]).push("remove", field.Key)
			default:
				b.sub("headers", part[1], "set").set(field.Key, literal(value))
			}
		}
	}
	t.cors(b, h)
	s := &block{}
	if n, err := strconv.Atoi(h.String("stsSeconds")); err == nil && n > 0 {
		s.set("hsts", strconv.Itoa(n)+"s")
		s.set("hsts_subdomains", h.Bool(false, "stsIncludeSubdomains"))
		s.set("hsts_preload", h.Bool(false, "stsPreload"))
	}
	if h.Bool(false, "contentTypeNosniff") {
		s.set("nosniff", true)
	}
	if h.Bool(false, "frameDeny") {
		s.set("frame", "deny")
	}
	for _, k := range [][2]string{{"contentSecurityPolicy", "csp"}, {"permissionsPolicy", "permissions"}, {"referrerPolicy", "referrer"}} {
		if v := h.String(k[0]); v != "" {
			s.set(k[1], v)
		}
	}
	if len(s.fields) > 0 {
		for _, k := range [][2]string{{"hsts", "off"}, {"frame", "off"}, {"referrer", "off"}} {
			if !s.has(k[0]) {
				s.set(k[0], k[1])
			}
		}
		if !s.has("nosniff") {
			s.set("nosniff", false)
		}
		s.set("replace", true)
		b.set("security_headers", s)
	}
	known := words("customRequestHeaders customResponseHeaders stsSeconds stsIncludeSubdomains stsPreload contentTypeNosniff frameDeny contentSecurityPolicy permissionsPolicy referrerPolicy browserXssFilter accessControlAllowCredentials accessControlAllowHeaders accessControlAllowMethods accessControlAllowOriginList accessControlAllowOriginListRegex accessControlExposeHeaders accessControlMaxAge addVaryHeader forceSTSHeader")
	for _, field := range h.Map() {
		if !known[field.Key] {
			t.lose(b, Lost, field.Pos, "headers "+field.Key, "it is not translated", "")
		}
	}
}

func (t *traefik) cors(b *block, h *config.Tree) {
	c := &block{}
	for _, o := range h.Strings("accessControlAllowOriginList") {
		c.push("origins", o)
	}
	for _, o := range h.Strings("accessControlAllowOriginListRegex") {
		c.push("origins", mapOf("regexp", o))
	}
	if !c.has("origins") {
		return
	}
	for _, k := range [][2]string{{"accessControlAllowMethods", "methods"}, {"accessControlAllowHeaders", "headers"}, {"accessControlExposeHeaders", "expose"}} {
		if list := h.Strings(k[0]); list != nil {
			c.set(k[1], listOf(list))
		}
	}
	if h.Bool(false, "accessControlAllowCredentials") {
		if origins, _ := c.get("origins").([]any); slices.Contains(origins, any("*")) || slices.Contains(h.Strings("accessControlAllowHeaders"), "*") || slices.Contains(h.Strings("accessControlAllowMethods"), "*") {
			t.lose(b, Differs, h.Pos, "accessControlAllowCredentials", "with credentials, origins, methods and headers have to be named", "name them, then set credentials: true")
		} else {
			c.set("credentials", true)
		}
	}
	if age, err := strconv.Atoi(h.String("accessControlMaxAge")); err == nil {
		c.set("max_age", strconv.Itoa(min(age, 86400))+"s")
	}
	b.set("cors", c)
}

func (t *traefik) rateLimit(b *block, f config.TreeField, _ matcher) {
	average, err := strconv.Atoi(f.Value.String("average"))
	if err != nil || average < 1 {
		return // no limit
	}
	key := t.criterion(b, f)
	period, err := time.ParseDuration(cmp.Or(f.Value.String("period"), "1s"))
	if n, e := strconv.Atoi(f.Value.String("period")); e == nil {
		period, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || period < time.Second {
		period = time.Second
	}
	unit := "s"
	if n := int(math.Round(period.Seconds())); n != 1 {
		unit = strconv.Itoa(n) + "s"
	}
	burst, err := strconv.Atoi(f.Value.String("burst"))
	if err != nil || burst < 1 {
		burst = 1
	}
	b.push("limit", mapOf("rate", strconv.Itoa(average)+"/"+unit+" per "+key, "burst", burst))
}

// criterion is what requests are counted by.
func (t *traefik) criterion(b *block, f config.TreeField) string {
	c := f.Value.Get("sourceCriterion")
	switch {
	case c.String("requestHeaderName") != "":
		return "header[" + quoted(strings.ToLower(c.String("requestHeaderName"))) + "]"
	case c.Bool(false, "requestHost"):
		return "request.host"
	case c.Get("ipStrategy") != nil && (c.String("ipStrategy", "depth") != "" || c.Get("ipStrategy", "excludedIPs") != nil):
		t.lose(nil, Differs, f.Pos, "ipStrategy", "the client's address is what trusted proxies say", "set trusted_proxies")
	}
	return "client.ip"
}

func (t *traefik) inFlight(b *block, f config.TreeField, _ matcher) {
	key := t.criterion(b, f)
	if f.Value.Get("sourceCriterion") == nil {
		key = "request.host" // as there
	}
	b.set("concurrency", cmp.Or(f.Value.String("amount"), "1")+" per "+key)
}

func (t *traefik) basicAuth(b *block, f config.TreeField, _ matcher) {
	users := f.Value.Strings("users")
	if file := f.Value.String("usersFile"); file != "" {
		text, err := t.opts.ReadFile(file)
		if err != nil {
			t.shut(b, f.Pos, "basicAuth", "its file of users can't be read here", "identity: { staff: { basic: { file: … } } }")
			return
		}
		users = append(users, strings.Split(string(text), "\n")...)
	}
	var lines []string
	for _, u := range users {
		u = strings.TrimSpace(u)
		_, hash, ok := strings.Cut(u, ":")
		if !ok {
			continue
		}
		if !strings.HasPrefix(hash, "$2") && !strings.HasPrefix(hash, "$argon2id$") {
			t.shut(b, f.Pos, "basicAuth", "it has hashes other than bcrypt and argon2id, which are too weak", "make them anew with htpasswd -B")
			return
		}
		lines = append(lines, u)
	}
	if len(lines) == 0 {
		t.shut(b, f.Pos, "basicAuth", "it has no users", "identity: { staff: { basic: { file: … } } }")
		return
	}
	text := strings.Join(lines, "\n") + "\n"
	if t.sources["basic "+text] == "" {
		name := t.unique("identity", "users")
		t.files["secrets/"+name+".htpasswd"] = []byte(text)
		s := mapOf("file", "secrets/"+name+".htpasswd")
		if !f.Value.Bool(false, "removeHeader") {
			s.set("forward", true)
		}
		if r := f.Value.String("realm"); r != "" {
			s.set("realm", r)
		}
		t.identity.set(name, mapOf("basic", s))
		t.sources["basic "+text] = name
	}
	t.identify(b, f, t.sources["basic "+text])
	if h := f.Value.String("headerField"); h != "" {
		b.sub("headers", "request", "set").set(h, "{identity.sub}")
	}
}

// identify sets the source of a route. Of two, both must be satisfied there, and
// one of them here.
func (t *traefik) identify(b *block, f config.TreeField, source string) {
	if b.has("identity") {
		t.shut(b, f.Pos, f.Key, "a route that asks two sources lets in whom either knows", "decide which one counts")
		return
	}
	b.set("identity", source)
}

func (t *traefik) forwardAuth(b *block, f config.TreeField, _ matcher) {
	address := f.Value.String("address")
	if target, _ := origin(address); target == "" || !strings.HasPrefix(target, "http") {
		t.shut(b, f.Pos, "forwardAuth", "its address is no URL", "identity: { ask: { forward_auth: http://… } }")
		return
	}
	id := "ask " + address + strings.Join(f.Value.Strings("authResponseHeaders"), " ")
	if t.sources[id] == "" {
		s := mapOf("url", address)
		if list := f.Value.Strings("authRequestHeaders"); list != nil {
			s.set("send", listOf(list))
		} else {
			t.lose(nil, Note, f.Pos, "forwardAuth", "the service is sent Authorization, Cookie and X-Forwarded-*, not all of the request's fields", "send: names further ones")
		}
		if list := f.Value.Strings("authResponseHeaders"); list != nil {
			s.set("copy", listOf(list))
		}
		name := t.unique("identity", "ask")
		t.identity.set(name, mapOf("forward_auth", s))
		t.sources[id] = name
	}
	if f.Value.Get("authResponseHeadersRegex") != nil || f.Value.Get("tls") != nil {
		t.lose(b, Lost, f.Pos, "forwardAuth authResponseHeadersRegex, tls", "they are not translated", "copy, ca, cert and key say the same")
	}
	t.identify(b, f, t.sources[id])
}

func (t *traefik) ipAllowList(b *block, f config.TreeField, _ matcher) {
	list := f.Value.Strings("sourceRange")
	for _, n := range list {
		if !isNetwork(n) {
			t.shut(b, f.Pos, "ipAllowList "+n, "it is no network", "write the networks under ip")
			return
		}
	}
	if b.has("ip") {
		t.shut(b, f.Pos, "ipAllowList", "the route has another one, and both must fit", "write the networks that are on both under ip")
		return
	}
	if len(list) > 0 {
		b.set("ip", mapOf("allow", listOf(list)))
	}
	if f.Value.Get("ipStrategy") != nil {
		t.lose(b, Differs, f.Pos, "ipStrategy", "the client's address is what trusted proxies say", "set trusted_proxies")
	}
}

func (t *traefik) redirectScheme(b *block, f config.TreeField, m matcher) {
	scheme := cmp.Or(f.Value.String("scheme"), "https")
	port := ""
	if p := f.Value.String("port"); p != "" && p != "443" {
		port = ":" + p
	}
	if slices.Contains(m.when, `request.scheme == "https"`) && scheme == "https" {
		return // it is https already
	}
	status := 302
	if f.Value.Bool(false, "permanent") {
		status = 301
	}
	t.answer(b, "redirect", mapOf("to", literal(scheme)+"://{request.host}"+port+"{request.path}?{request.query}", "status", status))
	if !slices.Contains(m.when, `request.scheme == "http"`) {
		t.lose(b, Differs, f.Pos, "redirectScheme", "the route redirects whatever the scheme is: over "+scheme+" another one must be more specific", "listen: { web: { address: :80, redirect: https } } does it for all")
	}
}

func (t *traefik) redirectRegex(b *block, f config.TreeField, m matcher) {
	regex, to := f.Value.String("regex"), f.Value.String("replacement")
	status := 302
	if f.Value.Bool(false, "permanent") {
		status = 301
	}
	// The usual one: another host, the rest as it was.
	if rest := strings.TrimSuffix(strings.TrimSuffix(to, "${1}"), "$1"); strings.HasSuffix(regex, "/(.*)") && rest != to && !strings.Contains(rest, "$") {
		t.answer(b, "redirect", mapOf("to", literal(strings.TrimSuffix(rest, "/"))+"{request.path}?{request.query}", "status", status))
		t.lose(b, Differs, f.Pos, "redirectRegex "+regex, "every request of the route is redirected so", "make sure that match takes only those")
		return
	}
	t.lose(b, Lost, f.Pos, "redirectRegex "+regex, "the expression is over the whole URL", "write a route with match: { host: …, regexp: … } and redirect")
}

func (t *traefik) compress(b *block, _ config.TreeField, _ matcher) {
	b.set("compress", mapOf("codings", []any{"gzip", "br", "zstd"}))
}

func (t *traefik) retry(b *block, f config.TreeField, _ matcher) {
	t.ofService(b, f, "retries", func(s *block) {
		n, err := strconv.Atoi(f.Value.String("attempts"))
		if err != nil || n < 2 {
			s.set("retries", "off")
			return
		}
		s.set("retries", mapOf("attempts", min(n-1, 10), "on", []any{"connect", "reset"}))
	})
}

func (t *traefik) circuitBreaker(b *block, f config.TreeField, _ matcher) {
	t.ofService(b, f, "breaker", func(s *block) {
		s.set("breaker", mapOf("failure_rate", "50%"))
		t.lose(s, Differs, f.Pos, "circuitBreaker "+f.Value.String("expression"), "a breaker opens by the part of requests that fail", "breaker: { failure_rate: … }")
	})
}

// ofService is for what is a matter of services here, and so of all their routes.
func (t *traefik) ofService(b *block, f config.TreeField, key string, set func(s *block)) {
	name, ok := b.get("to").(string)
	if !ok {
		t.lose(b, Lost, f.Pos, f.Key, "it is a matter of the service", "set "+key+" there")
		return
	}
	s, ok := t.draft.services.get(name).(*block)
	if !ok {
		s = mapOf("targets", t.draft.services.get(name))
		t.draft.services.set(name, s)
	}
	if !s.has(key) {
		set(s)
		t.lose(nil, Note, f.Pos, f.Key, "it holds for all routes to the service "+name, "")
	}
}
