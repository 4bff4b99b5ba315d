package importer

import (
	"cmp"

	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// content sets what a location answers with.
func (n *nginx) content(b *block, l level, loc *location, m matcher) {
	if r := l.own("return"); len(r) > 0 {
		n.doReturn(b, r[0], l)
		return
	}
	if d := l.first("internal"); d != nil && len(l.own("internal")) > 0 {
		b.set("answer", 404)
		return
	}
	for _, name := range []string{"proxy_pass", "grpc_pass"} {
		if p := l.own(name); len(p) > 0 && len(p[0].args) == 1 {
			n.proxy(b, l, loc, p[0], m)
			return
		}
	}
	pos, what := n.servers[0].d.pos, "files"
	if loc != nil {
		pos, what = loc.d.pos, "location "+strings.Join(loc.d.args, " ")
	}
	for _, name := range []string{"fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "js_content", "content_by_lua_block", "content_by_lua_file"} {
		if d := l.own(name); len(d) > 0 {
			n.lose(b, Lost, d[0].pos, name, "services speak HTTP or gRPC", "put a server in front of it")
			b.set("answer", 502)
			return
		}
	}
	if d := l.first("root"); d != nil || l.first("alias") != nil || l.first("try_files") != nil {
		if d != nil && loc == nil {
			pos = d.pos
		}
		n.lose(b, Lost, pos, what, "files are not served", "put a service behind this route")
	}
	b.set("answer", 404)
}

func (n *nginx) doReturn(b *block, d *directive, l level) {
	if len(d.args) == 0 {
		b.set("answer", 404)
		return
	}
	status, err := strconv.Atoi(d.args[0])
	text := ""
	if err != nil {
		status, text = 302, d.args[0]
	} else if len(d.args) > 1 {
		text = d.args[1]
	}
	switch {
	case slices.Contains([]int{301, 302, 303, 307, 308}, status) && text != "":
		to, ok := n.address(text, l)
		if !ok {
			n.lose(b, Lost, d.pos, "return "+strings.Join(d.args, " "), "a variable of it is not known here", "write redirect")
			b.set("answer", 404)
			return
		}
		b.set("redirect", mapOf("to", to, "status", status))
	case status < 200 || status > 599: // 444: the connection is closed
		n.lose(b, Differs, d.pos, "return "+d.args[0], "an answer is given in place of none", "")
		b.set("answer", 403)
	case text == "":
		b.set("answer", status)
	default:
		if strings.Contains(text, "$") {
			n.lose(b, Differs, d.pos, "return "+strings.Join(d.args, " "), "the text is given as it is: it has no variables here", "")
		}
		a := mapOf("status", status, "body", text)
		if t := l.arg("default_type", ""); strings.Contains(t, "/") {
			a.set("content_type", t)
		}
		b.set("answer", a)
	}
}

// proxy sends a location to a service.
func (n *nginx) proxy(b *block, l level, loc *location, d *directive, m matcher) {
	to := d.args[0]
	if d.name == "grpc_pass" && !strings.Contains(to, "://") {
		to = "grpc://" + to
	}
	u, err := url.Parse(to)
	if err != nil || strings.Contains(to, "$") || u.Host == "" && !strings.Contains(to, "unix:") {
		n.lose(b, Lost, d.pos, d.name+" "+d.args[0], "which service it is has to be known beforehand", "write to: with a service")
		b.set("answer", 502)
		return
	}
	path := ""
	if strings.Contains(to, "//unix:") {
		to, path, _ = strings.Cut(to[strings.Index(to, "unix:"):], ":/")
		rest := d.args[0][strings.Index(d.args[0], "unix:"):]
		to, path, _ = strings.Cut(strings.TrimPrefix(rest, "unix:"), ":")
		to = "unix:" + to
	} else {
		path = strings.TrimPrefix(to, u.Scheme+"://"+u.Host)
	}
	b.set("to", n.service(b, l, u, to, d))
	if path == "" || loc == nil {
		return
	}
	n.replacePath(b, loc, path, m, d)
}

// replacePath is for proxy_pass with a path: it takes the place of what the
// location says, text by text.
func (n *nginx) replacePath(b *block, loc *location, path string, m matcher, d *directive) {
	path = literal(path)
	switch {
	case loc.kind == '~':
		n.lose(b, Differs, d.pos, "proxy_pass with a path", "NGINX refuses it in such a location", "")
	case loc.kind == '=':
		b.set("rewrite", path)
	case m.path == "":
		b.set("rewrite", path+"{path.rest}")
	case path == "/" && strings.HasSuffix(loc.text, "/"):
		if loc.text != "/" {
			b.set("strip_prefix", strings.TrimSuffix(loc.text, "/"))
		}
	case path == loc.text:
	case strings.HasSuffix(loc.text, "/"):
		b.set("rewrite", path+`{path["*"]}`)
	default: // /a and /a/b, with the path /x: /x and /x/b
		b.set("rewrite", strings.TrimSuffix(path, "/")+`/{path["*"]}`)
		if path != "/" {
			n.lose(b, Differs, d.pos, d.name+" "+d.args[0], "the location has no slash at its end: for "+loc.text+" itself the service sees one at the end of the path, and no // within", "")
		}
	}
}

// service returns the service for a target, with what the location says about it.
func (n *nginx) service(route *block, l level, u *url.URL, to string, d *directive) string {
	b := &block{}
	name := u.Hostname()
	scheme := u.Scheme
	group := u.Host
	if up := n.upstreams[u.Host]; up != nil {
		n.upstream(b, up, scheme)
	} else if strings.HasPrefix(to, "unix:") {
		b.set("targets", to)
		name, group = strings.TrimSuffix(to[strings.LastIndexByte(to, '/')+1:], ".sock"), "localhost"
	} else {
		b.set("targets", scheme+"://"+u.Host)
	}
	n.host(route, b, l, group)
	if t := l.arg("proxy_read_timeout", l.arg("grpc_read_timeout", "")); t != "" {
		b.sub("timeouts").set("response", nginxTime(t))
	}
	if t := l.arg("proxy_connect_timeout", l.arg("grpc_connect_timeout", "")); t != "" {
		b.sub("timeouts").set("connect", nginxTime(t))
	}
	if scheme == "https" || scheme == "grpcs" {
		n.upstreamTLS(b, l, d)
	}
	if l.arg("proxy_next_upstream", "") == "off" {
		b.set("retries", "off")
	} else if next := l.first("proxy_next_upstream"); next != nil {
		var on []any
		for _, a := range next.args {
			switch a {
			case "error":
				on = append(on, "connect", "reset")
			case "timeout":
				on = append(on, "timeout")
			case "http_502", "http_503", "http_504":
				on = append(on, a[5:])
			case "non_idempotent":
				n.lose(b, Lost, next.pos, "proxy_next_upstream non_idempotent", "what is not idempotent is not sent twice", "")
			}
		}
		if on != nil {
			tries, _ := strconv.Atoi(l.arg("proxy_next_upstream_tries", "2"))
			b.set("retries", mapOf("attempts", min(max(tries-1, 1), 10), "on", on))
		}
	}
	text, _ := flow(b)
	if own, ok := n.byTarget[text]; ok && len(b.notes) == 0 {
		return own
	}
	own := n.addService(cmp.Or(strings.ReplaceAll(name, ".", "-"), "service"), b)
	n.byTarget[text] = own
	return own
}

// host sets the Host that the service sees: by default NGINX sends the name in
// proxy_pass, not the client's.
func (n *nginx) host(route, b *block, l level, group string) {
	value := "$proxy_host"
	for _, h := range append(l.all("proxy_set_header"), l.all("grpc_set_header")...) {
		if len(h.args) == 2 && strings.EqualFold(h.args[0], "Host") {
			value = h.args[1]
		}
	}
	switch value {
	case "$host", "$http_host", "$host:$server_port":
	case "$proxy_host":
		if n.upstreams[group] == nil {
			b.set("host", "target")
			if group == "localhost" {
				b.set("host", "localhost")
			}
		} else {
			b.set("host", group)
		}
	default:
		if to, ok := n.template(value, l); ok {
			route.sub("headers", "request").set("host", to)
		}
	}
}

func (n *nginx) upstreamTLS(b *block, l level, d *directive) {
	if l.arg("proxy_ssl_verify", "off") != "on" {
		b.sub("tls").set("insecure", true)
		n.lose(b, Note, d.pos, "proxy_ssl_verify", "NGINX does not verify the certificate of the service either", "take tls.insecure out as soon as you can")
	} else if ca := n.file(l.arg("proxy_ssl_trusted_certificate", "")); ca != "" {
		if n.opts.Exists(ca) {
			b.sub("tls").set("ca", ca)
		} else {
			n.lose(b, Lost, d.pos, "proxy_ssl_trusted_certificate "+ca, "the file can't be read here", "set tls: { ca: … }")
		}
	}
	if name := l.arg("proxy_ssl_name", ""); name != "" && !strings.Contains(name, "$") {
		b.sub("tls").set("server_name", name)
	}
	if l.first("proxy_ssl_certificate") != nil {
		n.lose(b, Lost, l.first("proxy_ssl_certificate").pos, "proxy_ssl_certificate", "it is not translated", "set tls: { cert: …, key: … } of the service")
	}
}

var upstreamQuiet = words("keepalive keepalive_timeout keepalive_requests keepalive_time zone server least_conn ip_hash hash random")

func (n *nginx) upstream(b *block, up *directive, scheme string) {
	weighted := false
	var targets []any
	failures := 0
	for _, d := range up.block {
		switch d.name {
		case "server":
			t := n.upstreamServer(b, d, scheme, &failures)
			if t == nil {
				continue
			}
			weighted = weighted || t.has("weight")
			targets = append(targets, t)
		case "least_conn":
			b.set("balance", "least_requests")
		case "ip_hash":
			b.set("balance", mapOf("kind", "hash", "key", "client.ip"))
		case "random":
			b.set("balance", "random")
		case "hash":
			if len(d.args) > 0 {
				if key, ok := n.expression(d.args[0]); ok {
					b.set("balance", mapOf("kind", "hash", "key", key))
					continue
				}
			}
			n.lose(b, Lost, d.pos, "hash "+strings.Join(d.args, " "), "the key is not known here", "set balance: { kind: hash, key: … }")
		default:
			if !upstreamQuiet[d.name] {
				n.lose(b, Lost, d.pos, d.name+" "+strings.Join(d.args, " "), "it is not translated", "")
			}
		}
	}
	if len(targets) == 0 {
		n.lose(b, Lost, up.pos, "upstream "+strings.Join(up.args, " "), "it has no server that is in use", "set its targets")
		targets = []any{mapOf("url", "http://127.0.0.1:8081")}
	}
	if !weighted {
		for i, t := range targets {
			targets[i] = t.(*block).get("url")
		}
	}
	if len(targets) == 1 && !weighted {
		b.set("targets", targets[0])
	} else {
		b.set("targets", targets)
	}
	if failures > 0 {
		b.set("outliers", mapOf("failures", failures))
	}
}

func (n *nginx) upstreamServer(b *block, d *directive, scheme string, failures *int) *block {
	if len(d.args) == 0 {
		return nil
	}
	address := d.args[0]
	t := mapOf("url", scheme+"://"+address)
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		t.set("url", "unix:"+path)
	}
	for _, a := range d.args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "weight":
			if w, err := strconv.Atoi(value); err == nil {
				t.set("weight", w)
			}
		case "down":
			n.lose(b, Note, d.pos, "server "+address+" down", "it is left out", "")
			return nil
		case "backup":
			n.lose(b, Lost, d.pos, "server "+address+" backup", "targets are all in use, or none is: it is left out, not to get requests that it is not for", "a weight of 0 keeps it listed")
			return nil
		case "max_fails":
			if f, err := strconv.Atoi(value); err == nil && f > 1 {
				*failures = max(*failures, f)
			} else if value == "0" {
				b.set("outliers", "off")
			}
		case "fail_timeout", "resolve", "slow_start":
		case "max_conns":
			if c, err := strconv.Atoi(value); err == nil && c > 0 {
				b.sub("connections").set("max", c)
			}
		default:
			n.lose(b, Lost, d.pos, "server "+address+" "+a, "it is not translated", "")
		}
	}
	return t
}

var nginxVariable = regexp.MustCompile(`\$(?:\{([a-zA-Z0-9_]+)\}|([a-zA-Z_][a-zA-Z0-9_]*|[0-9]))`)

// template is a text with variables as a template of ours; false: a variable is
// not known.
func (n *nginx) template(text string, l level) (string, bool) {
	var b strings.Builder
	for {
		at := nginxVariable.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		name := text[at[0]+1 : at[1]]
		b.WriteString(literal(text[:at[0]]))
		text = text[at[1]:]
		name = strings.Trim(name, "{}")
		if name == "is_args" {
			b.WriteString(isArgs)
			continue
		}
		fact := n.fact(name, l)
		if fact == "" {
			return "", false
		}
		b.WriteString("{" + fact + "}")
	}
	b.WriteString(literal(text))
	return b.String(), true
}

// address is a template of a path or URL, where the query has a place of its own.
func (n *nginx) address(text string, l level) (string, bool) {
	to, ok := n.template(text, l)
	return strings.NewReplacer("{request.target}", "{request.path}?{request.query}", isArgs, "?").Replace(to), ok
}

// isArgs is $is_args.
const isArgs = `{request.query == "" ? "" : "?"}`

var nginxFacts = map[string]string{
	"host": "request.host", "http_host": "request.host", "request_uri": "request.target", "uri": "request.path", "document_uri": "request.path",
	"remote_addr": "client.ip", "binary_remote_addr": "client.ip", "remote_port": "client.port", "scheme": "request.scheme", "args": "request.query",
	"query_string": "request.query", "request_method": "request.method", "request_id": "request.id", "server_protocol": "client.protocol",
	"ssl_client_s_dn": "tls.client.subject", "ssl_client_i_dn": "tls.client.issuer", "ssl_client_serial": "tls.client.serial", "ssl_server_name": "tls.sni",
	"ssl_protocol": "tls.version", "remote_user": "identity.sub",
}

// fact is what a variable is called here; "": there is none.
func (n *nginx) fact(name string, l level) string {
	if f := nginxFacts[name]; f != "" {
		return f
	}
	if len(name) == 1 && '1' <= name[0] && name[0] <= '9' {
		return "path.p" + name
	}
	for _, p := range [][3]string{{"http_", "header[", "-"}, {"cookie_", "cookie[", "_"}, {"arg_", "query[", "_"}} {
		if rest, ok := strings.CutPrefix(name, p[0]); ok && rest != "" {
			return p[1] + quoted(strings.ReplaceAll(rest, "_", p[2])) + "]"
		}
	}
	if name == "server_name" && l != nil {
		if host := l.arg("server_name", ""); host != "" && host != "_" && !strings.ContainsAny(host, "*~") {
			return quoted(host)
		}
	}
	return ""
}

// expression is a text of one variable or several as an expression.
func (n *nginx) expression(text string) (string, bool) {
	var parts []string
	for text != "" {
		at := nginxVariable.FindStringIndex(text)
		if at == nil || at[0] > 0 {
			return "", false
		}
		fact := n.fact(strings.Trim(text[1:at[1]], "{}"), nil)
		if fact == "" {
			return "", false
		}
		parts, text = append(parts, fact), text[at[1]:]
	}
	return strings.Join(parts, ` + " " + `), len(parts) > 0
}
