package importer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

func isTraefik(t *config.Tree) bool {
	return t.Get("http", "routers") != nil || t.Get("http", "services") != nil || t.Get("http", "middlewares") != nil
}

// traefik reads a dynamic configuration of Traefik (the file provider).
type traefik struct {
	*draft
	tree     *config.Tree
	services map[string]string // names there to ours
	splits   map[string][]any  // weighted ones: what stands under to
	busy     map[string]bool   // services and chains that are being looked into
	sources  map[string]string
	prefixes []string
	secure   bool
}

func fillTraefik(d *draft, _ config.Source, tree *config.Tree) error {
	t := &traefik{draft: d, tree: tree, services: map[string]string{}, splits: map[string][]any{}, busy: map[string]bool{}, sources: map[string]string{}}
	type one struct {
		*ranked
		priority, length, pos int
	}
	var all []one
	for _, f := range tree.Map("http", "routers") {
		rule, err := parseRule(f.Value.String("rule"))
		if err != nil {
			t.lose(nil, Lost, f.Pos, "router "+f.Key, err.Error(), "write a route with match")
			continue
		}
		alternatives, err := rule.alternatives()
		if err != nil {
			t.lose(nil, Lost, f.Pos, "router "+f.Key, err.Error(), "write a route with match")
			continue
		}
		priority, _ := strconv.Atoi(f.Value.String("priority"))
		for i, m := range alternatives {
			b := &block{}
			t.prefixes = append(t.prefixes, m.prefixes...)
			if tls := f.Value.Get("tls"); tls != nil {
				t.secure = true
				m.when = append(m.when, `request.scheme == "https"`)
			}
			b.set("match", m.value())
			name := f.Key
			if i > 0 {
				name += "-" + strconv.Itoa(i+1)
			}
			b.set("name", t.unique("route", name))
			t.router(b, f, m.matcher)
			all = append(all, one{&ranked{matcher: m.matcher, route: b}, priority, len(f.Value.String("rule")), len(all)})
			t.routes = append(t.routes, b)
		}
	}
	// Without a priority the length of the rule is it.
	rank := func(o one) int {
		if o.priority != 0 {
			return o.priority
		}
		return o.length
	}
	slices.SortStableFunc(all, func(a, b one) int { return cmp.Compare(rank(b), rank(a)) })
	list := make([]*ranked, len(all))
	for i := range all {
		list[i] = all[i].ranked
	}
	prioritise(list)
	t.tellPrefixes(t.prefixes)
	t.listeners()
	for _, f := range tree.Map() {
		if f.Key == "tcp" || f.Key == "udp" {
			t.lose(nil, Lost, f.Pos, f.Key, "only HTTP is proxied", "")
		}
	}
	return nil
}

// listeners are no part of a dynamic configuration: those that are usual are
// written, with the certificates of this file.
func (t *traefik) listeners() {
	if t.tree.Get("tls") == nil && !t.secure {
		t.lose(nil, Note, config.Pos{File: t.file}, "entry points", "they stand in the static configuration, which is not read", "set listen")
		return
	}
	t.listen.set("web", ":80")
	tls := &block{}
	secure := mapOf("address", ":443", "tls", tls)
	for _, c := range t.tree.List("tls", "certificates") {
		cert, key := c.String("certFile"), c.String("keyFile")
		if t.opts.Exists(cert) && t.opts.Exists(key) {
			tls.push("certificates", mapOf("cert", cert, "key", key))
		} else {
			t.lose(secure, Lost, c.Pos, "certificate "+cert, "the file can't be read here", "write tls: { certificates: { cert: …, key: … } }")
		}
	}
	if !tls.has("certificates") {
		tls.set("self_signed", true)
		t.lose(secure, Lost, config.Pos{File: t.file}, "certificates", "this file names none that can be read: one is made at start", "tls: { acme: … } gets them as a certResolver does")
	}
	t.listen.set("websecure", secure)
	if o := t.tree.Get("tls", "options"); o != nil {
		t.lose(secure, Lost, o.Pos, "tls.options", "they are not translated", "min_version, client and profile of tls say the same")
	}
	t.lose(nil, Note, config.Pos{File: t.file}, "entry points", "they stand in the static configuration, which is not read: routes hold on all listeners", "set listen")
}

func (t *traefik) router(b *block, f config.TreeField, m matcher) {
	r := f.Value
	if r.Get("entryPoints") != nil && t.tree.Get("http", "routers") != nil {
		t.lose(nil, Note, r.Get("entryPoints").Pos, "entryPoints", "the route holds on all listeners", `when: listener == "…" binds it to one`)
	}
	service := bare(r.String("service"))
	t.to(b, r, service)
	for _, name := range r.Strings("middlewares") {
		t.middleware(b, bare(name), r.Get("middlewares").Pos, m)
	}
}

// bare is a name without its provider: auth@file.
func bare(name string) string {
	name, _, _ = strings.Cut(name, "@")
	return name
}

func (t *traefik) to(b *block, r *config.Tree, name string) {
	def := t.tree.Get("http", "services", name)
	if own, ok := t.services[name]; ok {
		b.set("to", own)
		return
	}
	if split, ok := t.splits[name]; ok {
		b.set("to", split)
		return
	}
	if t.busy[name] {
		t.lose(b, Lost, r.Pos, "service "+name, "it leads to itself", "")
		b.set("answer", 503)
		return
	}
	t.busy[name] = true
	defer delete(t.busy, name)
	switch {
	case def == nil && strings.HasPrefix(r.String("service"), "noop"):
		b.set("answer", 418)
	case def == nil:
		own := t.addService(cmp.Or(name, "service"), mapOf("targets", "http://127.0.0.1:8081"))
		if t.opts.Services[own] == "" {
			t.lose(b, Lost, r.Pos, "service "+r.String("service"), "it is not in this file", "set its targets, or import with --service "+own+"=http://host:port")
		}
		t.services[name] = own
		b.set("to", own)
	case def.Get("loadBalancer") != nil:
		t.services[name] = t.addService(name, t.loadBalancer(def.Get("loadBalancer"), name))
		b.set("to", t.services[name])
	case def.Get("weighted") != nil:
		t.weighted(b, def.Get("weighted"), name)
	case def.Get("mirroring") != nil:
		t.lose(b, Lost, def.Get("mirroring").Pos, "mirroring of service "+name, "requests are not copied: they go to the main service alone", "")
		t.to(b, r, bare(def.String("mirroring", "service")))
	case def.Get("failover") != nil:
		t.lose(b, Lost, def.Get("failover").Pos, "failover of service "+name, "there is no fallback: requests go to the main service alone", "")
		t.to(b, r, bare(def.String("failover", "service")))
	default:
		t.lose(b, Lost, def.Pos, "service "+name, "it is of no kind that is known", "")
		b.set("answer", 503)
	}
}

func (t *traefik) weighted(b *block, w *config.Tree, name string) {
	var split []any
	for _, s := range w.List("services") {
		inner := &block{}
		t.to(inner, s, bare(s.String("name")))
		own, ok := inner.get("to").(string)
		if !ok {
			t.lose(b, Lost, s.Pos, "service "+s.String("name")+" of weighted "+name, "a split within a split is not translated", "")
			continue
		}
		weight, err := strconv.Atoi(s.String("weight"))
		if err != nil {
			weight = 1
		}
		split = append(split, mapOf("service", own, "weight", weight))
	}
	if w.Get("sticky") != nil {
		t.lose(b, Lost, w.Pos, "sticky of weighted "+name, "a split is made for each request anew", "balance: sticky of a service keeps clients at a target")
	}
	if split == nil {
		b.set("answer", 503)
		return
	}
	t.splits[name] = split
	b.set("to", split)
}

func (t *traefik) loadBalancer(lb *config.Tree, name string) *block {
	b := &block{}
	var targets []any
	weighted := false
	path := ""
	for _, s := range lb.List("servers") {
		target, u := origin(s.String("url"))
		if target == "" {
			t.lose(b, Lost, s.Pos, "server "+s.String("url"), "it is no http, https or h2c URL", "")
			continue
		}
		if p := strings.TrimSuffix(u.Path, "/"); p != "" {
			path = p
		}
		if w, err := strconv.Atoi(s.String("weight")); err == nil && w != 1 {
			weighted = true
			targets = append(targets, mapOf("url", target, "weight", w))
		} else {
			targets = append(targets, target)
		}
	}
	if path != "" {
		t.lose(b, Differs, lb.Pos, "path "+path+" of the servers of "+name, "targets have no path", "rewrite: "+path+"{request.path} on the routes")
	}
	switch {
	case len(targets) == 0:
		t.lose(b, Lost, lb.Pos, "service "+name, "it has no servers", "set its targets")
		b.set("targets", "http://127.0.0.1:8081")
	case len(targets) == 1 && !weighted:
		b.set("targets", targets[0])
	default:
		b.set("targets", targets)
	}
	if !lb.Bool(true, "passHostHeader") {
		b.set("host", "target")
	}
	if h := lb.Get("healthCheck"); h != nil {
		health := mapOf("path", cmp.Or(h.String("path"), "/"))
		for _, key := range []string{"interval", "timeout"} {
			if v := h.String(key); v != "" {
				health.set(key, traefikTime(v))
			}
		}
		if host := h.String("hostname"); host != "" {
			health.set("host", host)
		}
		b.set("health", health)
	}
	if c := lb.Get("sticky", "cookie"); c != nil {
		kind := mapOf("kind", "sticky")
		if n := c.String("name"); n != "" {
			kind.set("cookie", n)
		}
		b.set("balance", kind)
		t.lose(b, Differs, c.Pos, "sticky.cookie", "the cookie has another value: clients may meet another target once", "")
	}
	if tr := bare(lb.String("serversTransport")); tr != "" {
		t.transport(b, t.tree.Get("http", "serversTransports", tr))
	}
	return b
}

func (t *traefik) transport(b *block, tr *config.Tree) {
	if tr.Bool(false, "insecureSkipVerify") {
		b.sub("tls").set("insecure", true)
	}
	if n := tr.String("serverName"); n != "" {
		b.sub("tls").set("server_name", n)
	}
	for _, c := range tr.Strings("rootCAs") {
		if t.opts.Exists(c) {
			b.sub("tls").set("ca", c)
		} else {
			t.lose(b, Lost, tr.Get("rootCAs").Pos, "rootCAs "+c, "the file can't be read here", "set tls: { ca: … }")
		}
	}
	for _, k := range [][2]string{{"dialTimeout", "connect"}, {"responseHeaderTimeout", "response"}, {"idleConnTimeout", "idle"}} {
		if v := tr.String("forwardingTimeouts", k[0]); v != "" && v != "0s" && v != "0" {
			b.sub("timeouts").set(k[1], traefikTime(v))
		}
	}
	if tr.Get("certificates") != nil {
		t.lose(b, Lost, tr.Get("certificates").Pos, "certificates", "they are not translated", "set tls: { cert: …, key: … }")
	}
}

// traefikTime is a duration as ours; a number counts seconds.
func traefikTime(text string) string {
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	if d, err := config.ParseDuration(text); err != nil || d <= 0 {
		return "1s"
	}
	return text
}

// middleware adds what a middleware does to a route.
func (t *traefik) middleware(b *block, name string, pos config.Pos, m matcher) {
	def := t.tree.Get("http", "middlewares", name)
	if def == nil {
		t.shut(b, pos, "middleware "+name, "it is not in this file, and may refuse requests", "write its policy")
		return
	}
	if t.busy["middleware "+name] {
		return
	}
	for _, f := range def.Map() {
		kind := strings.ToLower(f.Key)
		if kind == "chain" {
			t.busy["middleware "+name] = true
			for _, inner := range f.Value.Strings("middlewares") {
				t.middleware(b, bare(inner), f.Pos, m)
			}
			delete(t.busy, "middleware "+name)
			continue
		}
		if do := traefikMiddlewares[kind]; do != nil {
			do(t, b, f, m)
			continue
		}
		if slices.Contains([]string{"buffering", "contenttype", "grpcweb", "passtlsclientcert", "errors"}, kind) {
			t.lose(b, Lost, f.Pos, "middleware "+name+" ("+f.Key+")", "it is not translated", "")
			continue
		}
		t.shut(b, f.Pos, "middleware "+name+" ("+f.Key+")", "it is not translated, and may refuse requests", "decide who may use the route")
	}
}
