package importer

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// policies sets the policies of a location.
func (n *nginx) policies(b *block, l level, loc *location) {
	n.access(b, l)
	n.authenticate(b, l, loc)
	for i := range l {
		for _, d := range l[i] {
			if !nginxQuiet[d.name] && nginxGuards.MatchString(d.name) && (i > 0 || d.name != "http") {
				n.shut(b, d.pos, d.name+" "+strings.Join(d.args, " "), "it can refuse requests, and is not translated", "decide who may use the route")
			}
		}
	}
	if v := l.arg("ssl_verify_client", "off"); v == "on" && !n.opts.Exists(n.file(l.arg("ssl_client_certificate", ""))) {
		n.shut(b, l.first("ssl_verify_client").pos, "ssl_verify_client", "its authorities can't be read here", "write tls: { client: { ca: … } } of the listener")
	}
	if b.has("answer") || b.has("redirect") {
		n.answerHeaders(b, l)
		return
	}
	n.limits(b, l)
	if d := l.first("client_max_body_size"); d != nil && len(d.args) == 1 {
		if size := nginxSize(d.args[0]); size != n.defaults.get("max_body") {
			b.set("max_body", size)
		}
	}
	n.requestHeaders(b, l)
	n.answerHeaders(b, l)
	n.cache(b, l)
	switch on := l.arg("gzip", "off") == "on"; {
	case !on && n.defaults.has("compress"):
		b.set("compress", "off")
	case on && !n.defaults.has("compress"):
		b.set("compress", gzip(l))
	}
	if d := l.own("limit_except"); len(d) > 0 {
		methods := upper(d[0].args)
		for _, m := range methods {
			if m == "GET" {
				methods = append(methods, "HEAD")
			}
		}
		b.set("methods", listOf(methods))
		n.lose(b, Differs, d[0].pos, "limit_except "+strings.Join(d[0].args, " "), "other methods are refused for everybody, with 405 and not 403", "")
	}
}

// gzip is what a level says about compressing.
func gzip(l level) *block {
	types := []any{"text/html"}
	if d := l.first("gzip_types"); d != nil {
		for _, t := range d.args {
			if t != "text/html" && strings.Contains(t, "/") {
				types = append(types, t)
			}
		}
	}
	return mapOf("codings", "gzip", "types", types)
}

// access is for allow and deny, of which the first that fits decides; of ours
// deny decides.
func (n *nginx) access(b *block, l level) {
	var list []*directive
	for i := len(l) - 1; i >= 0 && list == nil; i-- {
		for _, d := range l[i] {
			if d.name == "allow" || d.name == "deny" {
				list = append(list, d)
			}
		}
	}
	if list == nil {
		return
	}
	var allow, deny []string
	closed := false
	for _, d := range list {
		if len(d.args) != 1 {
			continue
		}
		if a := d.args[0]; a == "all" {
			closed = d.name == "deny"
			break
		} else if !isNetwork(a) {
			n.shut(b, d.pos, d.name+" "+a, "it is no network", "write the networks under ip")
			return
		} else if d.name == "allow" {
			allow = append(allow, a)
		} else {
			for _, before := range allow {
				if overlap(before, a) {
					n.shut(b, d.pos, "allow "+before+" before deny "+a, "of networks that overlap, deny counts here", "write the networks under ip so that they don't")
					return
				}
			}
			deny = append(deny, a)
		}
	}
	ip := &block{}
	if closed && len(allow) > 0 {
		ip.set("allow", listOf(allow))
	} else if closed {
		deny = []string{"0.0.0.0/0", "::/0"}
	}
	if len(deny) > 0 {
		ip.set("deny", listOf(deny))
	}
	if len(ip.fields) > 0 {
		b.set("ip", ip)
	}
}

func network(text string) netip.Prefix {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, _ := netip.ParsePrefix(text)
	return p
}

func overlap(a, b string) bool { return network(a).Overlaps(network(b)) }

func (n *nginx) authenticate(b *block, l level, loc *location) {
	basic, request := l.first("auth_basic"), l.first("auth_request")
	on := basic != nil && len(basic.args) == 1 && basic.args[0] != "off"
	asks := request != nil && len(request.args) == 1 && request.args[0] != "off"
	if d := l.first("satisfy"); d != nil && len(d.args) == 1 && d.args[0] == "any" && (on || asks) {
		n.shut(b, d.pos, "satisfy any", "addresses and identity must both fit here", "write allow: with both")
		return
	}
	if on {
		n.basic(b, l, basic)
	}
	if asks {
		n.authRequest(b, l, request)
	}
}

func (n *nginx) basic(b *block, l level, d *directive) {
	file := n.file(l.arg("auth_basic_user_file", ""))
	text, err := n.opts.ReadFile(n.source(l.arg("auth_basic_user_file", "")))
	if err != nil || file == "" {
		n.shut(b, d.pos, "auth_basic", "its file of users can't be read here", "identity: { staff: { basic: { file: … } } }")
		return
	}
	for _, line := range strings.Split(string(text), "\n") {
		_, hash, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(hash, "$2") && !strings.HasPrefix(hash, "$argon2id$") {
			n.shut(b, d.pos, "auth_basic_user_file "+file, "it has hashes other than bcrypt and argon2id, which are too weak", "make it anew with htpasswd -B")
			return
		}
	}
	if n.sources["basic "+file] == "" {
		name := n.unique("identity", slug(strings.ToLower(d.args[0]), "users"))
		n.identity.set(name, mapOf("basic", mapOf("file", file, "realm", d.args[0], "forward", true)))
		n.sources["basic "+file] = name
	}
	b.set("identity", n.sources["basic "+file])
}

// source is a file as it can be read now.
func (n *nginx) source(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return n.dir + "/" + name
}

// authRequest finds the location that answers, which must lead to a service.
func (n *nginx) authRequest(b *block, l level, d *directive) {
	var server level
	for _, s := range n.servers {
		for i := range l {
			if len(s.d.block) > 0 && len(l[i]) > 0 && &s.d.block[0] == &l[i][0] {
				server = s.level
			}
		}
	}
	why := "the location is not found"
	if server != nil {
		if loc := find(n.locations(server, ""), d.args[0]); loc != nil {
			why = "it is no plain proxy_pass to a URL"
			if p := loc.level.own("proxy_pass"); len(p) == 1 && len(p[0].args) == 1 && !strings.Contains(p[0].args[0], "$") {
				if target, u := origin(p[0].args[0]); target != "" && n.upstreams[u.Host] == nil && strings.HasPrefix(target, "http") {
					url := p[0].args[0]
					if u.Path == "" {
						url += d.args[0]
					}
					if n.sources["ask "+url] == "" {
						name := n.unique("identity", "ask-"+slug(u.Hostname(), "service"))
						n.identity.set(name, mapOf("forward_auth", mapOf("url", url)))
						n.sources["ask "+url] = name
						n.lose(nil, Note, d.pos, "auth_request", "the service is sent Authorization, Cookie and X-Forwarded-*", "send: names further fields, copy: those of its answer that are passed on")
					}
					b.push("identity", n.sources["ask "+url])
					return
				}
			}
		}
	}
	n.shut(b, d.pos, "auth_request "+d.args[0], why, "identity: { ask: { forward_auth: http://… } }")
}

func (n *nginx) limits(b *block, l level) {
	for _, d := range l.all("limit_req") {
		n.limitReq(b, d)
	}
	for _, d := range l.all("limit_conn") {
		if len(d.args) != 2 {
			continue
		}
		key, ok := n.expression(n.zones[d.args[0]].key)
		if n.zones[d.args[0]].key == "$server_name" {
			key, ok = "", true
		}
		if !ok || b.has("concurrency") {
			n.lose(b, Lost, d.pos, "limit_conn "+strings.Join(d.args, " "), "its key is not known here, or there is another one", "concurrency: 10 per client.ip")
			continue
		}
		text := d.args[1]
		if key != "" {
			text += " per " + key
		}
		b.set("concurrency", mapOf("max", text, "name", slug(d.args[0], "zone")))
	}
}

func (n *nginx) limitReq(b *block, d *directive) {
	zone, burst, nodelay := "", 0, false
	for _, a := range d.args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "zone":
			zone = value
		case "burst":
			burst, _ = strconv.Atoi(value)
		case "nodelay":
			nodelay = true
		case "delay":
			nodelay = true
			n.lose(b, Differs, d.pos, "limit_req "+a, "nobody waits: what is within the burst passes at once", "queue: lets requests wait")
		}
	}
	z := n.zones[zone]
	key, ok := n.expression(z.key)
	if z.key == "$server_name" {
		key, ok = "", true
	}
	count, unit, _ := strings.Cut(z.rate, "r/")
	perSecond, err := strconv.ParseFloat(count, 64)
	if !ok || err != nil || perSecond <= 0 || unit != "s" && unit != "m" {
		n.lose(b, Lost, d.pos, "limit_req zone="+zone, "its key or rate is not known here", "limit: 10/s per client.ip")
		return
	}
	rate := count + "/s"
	if unit == "m" {
		rate = count + "/min"
		perSecond /= 60
	}
	if key != "" {
		rate += " per " + key
	}
	rule := mapOf("rate", rate, "burst", burst+1, "name", slug(zone, "zone"))
	if burst > 0 && !nodelay {
		rule.set("burst", 1)
		wait := min(math.Ceil(float64(burst)/perSecond), 600)
		rule.set("queue", mapOf("max", burst, "wait", strconv.Itoa(int(max(wait, 1)))+"s"))
	}
	b.push("limit", rule)
	n.lose(nil, Note, d.pos, "limit_req", "the refusal is 429, with Retry-After, and not 503", "")
}

// forwardedFields are told by the gateway in any case.
var forwardedFields = words("host x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-scheme x-request-id connection upgrade proxy accept-encoding content-length transfer-encoding te keep-alive x-forwarded-server via forwarded content-type-options")

func (n *nginx) requestHeaders(b *block, l level) {
	for _, d := range append(l.all("proxy_set_header"), l.all("grpc_set_header")...) {
		if len(d.args) != 2 {
			continue
		}
		name, value := d.args[0], d.args[1]
		lower := strings.ToLower(name)
		if lower == "accept-encoding" && value == "" {
			b.sub("headers", "request").set("remove", "Accept-Encoding")
			continue
		}
		if forwardedFields[lower] {
			if lower == "x-forwarded-for" {
				n.lose(nil, Note, d.pos, name, "the gateway sets X-Forwarded-*, Forwarded, Via and X-Request-Id itself, and believes those of trusted_proxies alone", "")
			}
			continue
		}
		if value == "" {
			b.sub("headers", "request").push("remove", name)
			continue
		}
		to, ok := n.template(value, l)
		if !ok {
			n.lose(b, Lost, d.pos, d.name+" "+name+" "+value, "a variable of it is not known here", "headers: { request: { set: … } }")
			continue
		}
		b.sub("headers", "request", "set").set(name, to)
	}
}

func (n *nginx) answerHeaders(b *block, l level) {
	for _, d := range l.all("add_header") {
		if len(d.args) < 2 {
			continue
		}
		to, ok := n.template(d.args[1], l)
		if !ok || strings.Contains(to, "{path.") && !strings.Contains(to, "{{") && b.has("answer") {
			n.lose(b, Lost, d.pos, "add_header "+d.args[0], "a variable of it is not known here", "headers: { response: { add: … } }")
			continue
		}
		if to == "" {
			continue
		}
		b.sub("headers", "response", "add").set(d.args[0], to)
		if len(d.args) == 2 {
			n.lose(nil, Note, d.pos, "add_header", "fields are added to answers of every status, as with always", "")
		}
	}
	for _, d := range l.all("proxy_hide_header") {
		if len(d.args) == 1 && b.has("to") {
			b.sub("headers", "response").push("remove", d.args[0])
		}
	}
}

func (n *nginx) cache(b *block, l level) {
	d := l.first("proxy_cache")
	if d == nil || len(d.args) != 1 || d.args[0] == "off" {
		return
	}
	c := mapOf("ttl", "0")
	for _, v := range l.all("proxy_cache_valid") {
		switch {
		case len(v.args) == 1:
			c.set("ttl", nginxTime(v.args[0]))
		case len(v.args) > 1 && (v.args[0] == "200" || v.args[0] == "any"):
			c.set("ttl", nginxTime(v.args[len(v.args)-1]))
		default:
			n.lose(b, Differs, v.pos, "proxy_cache_valid "+strings.Join(v.args, " "), "one time is for all statuses", "")
		}
	}
	if k := l.first("proxy_cache_key"); k != nil {
		n.lose(b, Differs, k.pos, "proxy_cache_key", "the key is scheme, host, path and query", "cache: { key: … } adds to it")
	}
	b.set("cache", c)
}
