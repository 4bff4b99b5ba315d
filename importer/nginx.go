package importer

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
)

// nginx translates a configuration of NGINX. Which location takes a request is
// told as it is there: see preference.
type nginx struct {
	*draft
	dir       string
	http      level
	upstreams map[string]*directive
	zones     map[string]nginxZone
	servers   []*nginxServer
	byTarget  map[string]string // what a service is made of, to its name
	sources   map[string]string // what a source of identity is made of, to its name
	prefixes  []string
	listeners []*nginxListener
	list      []*ranked // all routes in the order of preference
}

type nginxZone struct{ key, rate string }

type nginxServer struct {
	d       *directive
	level   level
	names   []string
	listens []nginxListen
}

type nginxListen struct {
	address  string
	ssl      bool
	standard bool // default_server
}

// nginxListener is an address and the servers that listen there.
type nginxListener struct {
	name, address string
	ssl           bool
	servers       []*nginxServer
	standard      *nginxServer
}

func fillNGINX(d *draft, src config.Source, _ *config.Tree) error {
	n := &nginx{draft: d, dir: filepath.Dir(src.Name), upstreams: map[string]*directive{}, zones: map[string]nginxZone{}, byTarget: map[string]string{}, sources: map[string]string{}}
	files := &nginxFiles{dir: n.dir, read: d.opts.ReadFile, glob: filepath.Glob, lost: func(pos config.Pos, what, why string) { n.lose(nil, Lost, pos, what, why, "") }}
	top, err := files.parse(src)
	if err != nil {
		return err
	}
	n.http = level{top}
	for _, d := range top {
		switch d.name {
		case "http":
			n.http = level{top, d.block}
		case "stream", "mail":
			n.lose(nil, Lost, d.pos, d.name, "only HTTP is proxied", "")
		}
	}
	n.readHTTP(n.http[len(n.http)-1])
	if len(n.servers) == 0 {
		return fmt.Errorf("%s: there is no server in it", src.Name)
	}
	n.writeListeners()
	if size := nginxSize(n.http.arg("client_max_body_size", "1m")); size != "off" {
		n.defaults.set("max_body", size)
	}
	if n.http.arg("gzip", "off") == "on" {
		n.defaults.set("compress", gzip(n.http))
	}
	groups := n.groups()
	for _, g := range groups {
		n.group(g, len(groups) == 1)
	}
	prioritise(n.list)
	for _, r := range n.list {
		n.routes = append(n.routes, r.route)
	}
	n.tellPrefixes(n.prefixes)
	return nil
}

// nginxQuiet are directives that say nothing about where requests go or who may
// send them, or whose work is done in another way.
var nginxQuiet = words(`access_log error_log log_format sendfile tcp_nopush tcp_nodelay keepalive_requests types default_type types_hash_max_size
	server_tokens charset worker_processes worker_connections user pid events http server location listen server_name upstream root index
	proxy_pass grpc_pass proxy_http_version proxy_buffering proxy_buffers proxy_buffer_size proxy_busy_buffers_size proxy_request_buffering
	proxy_redirect proxy_set_header grpc_set_header proxy_hide_header proxy_pass_header add_header client_max_body_size client_body_buffer_size
	client_header_buffer_size large_client_header_buffers limit_req_zone limit_req limit_req_status limit_req_log_level limit_conn_zone limit_conn
	limit_conn_status limit_conn_log_level allow deny auth_basic auth_basic_user_file auth_request ssl_certificate ssl_certificate_key ssl_protocols
	ssl_ciphers ssl_prefer_server_ciphers ssl_session_cache ssl_session_timeout ssl_session_tickets ssl_dhparam ssl_ecdh_curve ssl_stapling
	ssl_stapling_verify ssl_trusted_certificate http2 gzip gzip_types gzip_min_length gzip_vary gzip_comp_level gzip_proxied gzip_disable
	gzip_buffers gzip_http_version proxy_read_timeout proxy_connect_timeout proxy_send_timeout grpc_read_timeout grpc_connect_timeout
	grpc_send_timeout send_timeout client_body_timeout client_header_timeout keepalive_timeout return rewrite if set_real_ip_from real_ip_header
	real_ip_recursive resolver resolver_timeout log_not_found proxy_ssl_server_name proxy_ssl_name proxy_ssl_verify proxy_ssl_trusted_certificate
	proxy_ssl_certificate proxy_ssl_certificate_key proxy_next_upstream proxy_next_upstream_tries proxy_next_upstream_timeout internal
	satisfy limit_except reset_timedout_connection open_file_cache underscores_in_headers merge_slashes map_hash_bucket_size
	server_names_hash_bucket_size server_names_hash_max_size proxy_headers_hash_max_size proxy_headers_hash_bucket_size variables_hash_max_size
	proxy_socket_keepalive proxy_intercept_errors absolute_redirect port_in_redirect server_name_in_redirect etag if_modified_since
	proxy_cache_path proxy_cache_key proxy_cache_lock proxy_cache_use_stale proxy_cache_valid proxy_cache proxy_temp_path recursive_error_pages
	msie_padding aio directio output_buffers postpone_output ignore_invalid_headers load_module ssl_verify_client ssl_client_certificate
	ssl_verify_depth ssl_crl worker_rlimit_nofile daemon master_process lingering_close break autoindex try_files alias include`)

func words(text string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}

// guards are directives that keep somebody out.
var nginxGuards = regexp.MustCompile(`auth|access|secure_link|valid_referers|modsecurity|allow|deny|block|jwt|referer|naxsi|_lua`)

func (n *nginx) readHTTP(list []*directive) {
	for _, d := range list {
		switch d.name {
		case "upstream":
			if len(d.args) == 1 {
				n.upstreams[d.args[0]] = d
			}
		case "limit_req_zone", "limit_conn_zone":
			n.zone(d)
		case "server":
			n.server(d)
		case "set_real_ip_from":
			for _, a := range d.args {
				if isNetwork(a) {
					n.trusted = append(n.trusted, a)
				}
			}
		default:
			if !nginxQuiet[d.name] {
				n.untranslated(d)
			}
		}
	}
	for _, t := range [][2]string{{"client_header_timeout", "head"}, {"client_body_timeout", "body"}, {"keepalive_timeout", "idle"}, {"send_timeout", "write"}} {
		if v := n.http.arg(t[0], ""); v != "" && v != "0" {
			n.timeouts.set(t[1], nginxTime(v))
		}
	}
	if n.http.arg("merge_slashes", "on") == "off" {
		n.lose(nil, Lost, n.http.first("merge_slashes").pos, "merge_slashes off", "it is not translated", "paths: { merge_slashes: false }")
	}
}

// untranslated reports a directive that becomes nothing. Of two that are in every
// other file it says what happens without them.
func (n *nginx) untranslated(d *directive) {
	what := d.name + " " + strings.Join(d.args, " ")
	switch {
	case d.name == "map" && len(d.args) == 2 && d.args[0] == "$http_upgrade":
		n.lose(nil, Note, d.pos, what, "upgrades, WebSockets too, are passed on without it", "")
	case d.name == "map":
		n.lose(nil, Lost, d.pos, what, "it is not translated, and where the variable is used the report says so", "a route with when: for each case")
	case d.name == "error_page" && len(d.args) > 0 && !strings.HasPrefix(d.args[len(d.args)-1], "@"):
		n.lose(nil, Differs, d.pos, what, "errors of the gateway's own are problem documents (RFC 9457) with a code, and no pages; those of services are passed on", "")
	default:
		n.lose(nil, Lost, d.pos, what, "it is not translated", "")
	}
}

func (n *nginx) zone(d *directive) {
	z := nginxZone{}
	name := ""
	for i, a := range d.args {
		switch key, value, ok := strings.Cut(a, "="); {
		case i == 0:
			z.key = a
		case ok && key == "zone":
			name, _, _ = strings.Cut(value, ":")
		case ok && key == "rate":
			z.rate = value
		}
	}
	n.zones[name] = z
}

func (n *nginx) server(d *directive) {
	s := &nginxServer{d: d, level: n.http.with(d.block)}
	for _, names := range s.level.own("server_name") {
		for _, name := range names.args {
			if name != "_" && name != "" {
				s.names = append(s.names, strings.ToLower(name))
			}
		}
	}
	for _, l := range s.level.own("listen") {
		if len(l.args) == 0 {
			continue
		}
		one := nginxListen{address: nginxAddress(l.args[0])}
		for _, a := range l.args[1:] {
			one.ssl = one.ssl || a == "ssl"
			one.standard = one.standard || a == "default_server" || a == "default"
			if a == "quic" || a == "proxy_protocol" {
				n.lose(nil, Lost, l.pos, "listen … "+a, "it is not translated", map[string]string{"quic": `http: ["1.1", "2", "3"] of the listener offers HTTP/3`}[a])
			}
		}
		if one.address == "" {
			n.lose(nil, Lost, l.pos, "listen "+l.args[0], "it is no address of a TCP listener", "")
			continue
		}
		if slices.Contains(l.args, "quic") {
			continue
		}
		s.listens = append(s.listens, one)
	}
	if s.listens == nil {
		s.listens = []nginxListen{{address: ":80"}}
	}
	n.servers = append(n.servers, s)
}

// nginxAddress is an address as ours: *:80, 80, [::]:80 are :80.
func nginxAddress(text string) string {
	if _, err := strconv.Atoi(text); err == nil {
		return ":" + text
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "*"), "[::]")
	text = strings.TrimPrefix(text, "0.0.0.0")
	switch {
	case strings.HasPrefix(text, "unix:"), text == "":
		return ""
	case endsInPort(text):
		return text
	}
	return text + ":80"
}

var endsInPort = regexp.MustCompile(`:\d+$`).MatchString

// writeListeners finds the addresses, and writes them.
func (n *nginx) writeListeners() {
	for _, s := range n.servers {
		for _, l := range s.listens {
			i := slices.IndexFunc(n.listeners, func(o *nginxListener) bool { return o.address == l.address })
			if i < 0 {
				i = len(n.listeners)
				n.listeners = append(n.listeners, &nginxListener{address: l.address})
			}
			o := n.listeners[i]
			o.ssl = o.ssl || l.ssl || s.level.arg("ssl", "off") == "on"
			if l.standard && o.standard == nil {
				o.standard = s
			}
			if !slices.Contains(o.servers, s) {
				o.servers = append(o.servers, s)
			}
		}
	}
	for _, l := range n.listeners {
		if l.standard == nil {
			l.standard = l.servers[0]
		}
		port := l.address[strings.LastIndexByte(l.address, ':')+1:]
		l.name = n.unique("listener", map[string]string{"80": "http", "443": "https"}[port])
		if l.name == "" || strings.HasPrefix(l.name, "-") {
			l.name = n.unique("listener", "port"+port)
		}
		b := mapOf("address", l.address)
		if l.ssl {
			n.tls(b, l)
		} else if n.allRedirect(l) {
			b.set("redirect", "https")
		}
		if len(b.fields) == 1 && len(b.notes) == 0 {
			n.listen.set(l.name, l.address)
		} else {
			n.listen.set(l.name, b)
		}
	}
}

// allRedirect reports whether all that a listener does is to send clients to https.
func (n *nginx) allRedirect(l *nginxListener) bool {
	secure := slices.ContainsFunc(n.listeners, func(o *nginxListener) bool { return o.ssl && strings.HasSuffix(o.address, ":443") })
	for _, s := range l.servers {
		r := s.level.own("return")
		if !secure || len(s.level.own("location")) > 0 || len(r) != 1 || len(r[0].args) != 2 || r[0].args[0] != "301" && r[0].args[0] != "308" ||
			r[0].args[1] != "https://$host$request_uri" && r[0].args[1] != "https://$http_host$request_uri" {
			return false
		}
	}
	return true
}

func (n *nginx) tls(b *block, l *nginxListener) {
	t := &block{}
	var missing *directive
	for _, s := range l.servers {
		certs, keys := s.level.all("ssl_certificate"), s.level.all("ssl_certificate_key")
		for i, c := range certs {
			if i >= len(keys) || len(c.args) != 1 || len(keys[i].args) != 1 {
				continue
			}
			cert, key := n.file(c.args[0]), n.file(keys[i].args[0])
			if !n.opts.Exists(cert) || !n.opts.Exists(key) {
				missing = c
				continue
			}
			pair := mapOf("cert", cert, "key", key)
			if list, _ := t.get("certificates").([]any); !slices.ContainsFunc(list, func(p any) bool { return p.(*block).get("cert") == cert }) {
				t.push("certificates", pair)
			}
		}
	}
	if !t.has("certificates") {
		t.set("self_signed", true)
		pos := l.servers[0].d.pos
		if missing != nil {
			pos = missing.pos
		}
		n.lose(b, Lost, pos, "ssl_certificate", "the file can't be read here, so a certificate is made at start", "write tls: { certificates: { cert: …, key: … } }")
	} else if missing != nil {
		n.lose(b, Lost, missing.pos, "ssl_certificate", "the file can't be read here", "add it to certificates")
	}
	if p := l.standard.level.first("ssl_protocols"); p != nil && slices.Contains(p.args, "TLSv1.3") && !slices.Contains(p.args, "TLSv1.2") {
		t.set("min_version", "1.3")
	}
	if v := l.standard.level.arg("ssl_verify_client", "off"); v != "off" {
		ca := n.file(l.standard.level.arg("ssl_client_certificate", ""))
		if n.opts.Exists(ca) {
			t.set("client", mapOf("ca", ca, "mode", map[string]string{"on": "required", "optional": "optional"}[v]))
		} else {
			n.lose(b, Lost, l.standard.d.pos, "ssl_verify_client "+v, "its authorities can't be read here: no certificate is asked for, and all routes of the listener are closed", "write tls: { client: { ca: … } }")
		}
	}
	b.set("tls", t)
}

func (n *nginx) file(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return n.beside(filepath.Join(n.dir, name))
}

// nginxNames are the names of a server that are conditions of one kind.
type nginxNames struct {
	server *nginxServer
	hosts  []string
	when   string
	rank   int
}

// groups are listeners with the same servers, without those that only redirect.
func (n *nginx) groups() (list [][]*nginxListener) {
	for _, l := range n.listeners {
		if !l.ssl && n.allRedirect(l) {
			continue
		}
		i := slices.IndexFunc(list, func(g []*nginxListener) bool {
			return g[0].standard == l.standard && slices.Equal(g[0].servers, l.servers)
		})
		if i < 0 {
			list = append(list, []*nginxListener{l})
		} else {
			list[i] = append(list[i], l)
		}
	}
	return list
}

// group adds the routes of the servers of listeners, in the order in which their
// names are asked: exact ones, *.name by length, name.*, expressions, and at last
// the default server, which takes every other host.
func (n *nginx) group(g []*nginxListener, alone bool) {
	l := g[0]
	var names []nginxNames
	if len(l.servers) > 1 {
		for _, s := range l.servers {
			names = append(names, n.names(s)...)
		}
	}
	names = append(names, nginxNames{server: l.standard, rank: 5000})
	slices.SortStableFunc(names, func(a, b nginxNames) int { return cmp.Compare(a.rank, b.rank) })
	var on []string
	for _, l := range g {
		on = append(on, l.name)
	}
	for _, name := range names {
		m := matcher{hosts: name.hosts}
		if name.when != "" {
			m.when = append(m.when, name.when)
		}
		switch {
		case alone:
		case len(on) == 1:
			m.when = append(m.when, "listener == "+quoted(on[0]))
		default:
			m.when = append(m.when, "listener in "+exprList(on))
		}
		n.serverRoutes(name.server, m)
	}
}

func (n *nginx) names(s *nginxServer) (list []nginxNames) {
	var exact []string
	wild := map[int][]string{}
	for _, name := range s.names {
		switch {
		case strings.HasPrefix(name, "~"):
			expr, err := anchoredHost(name[1:])
			if err != nil {
				n.lose(nil, Lost, s.d.pos, "server_name "+name, "the expression is not one of RE2: "+err.Error(), "")
				continue
			}
			list = append(list, nginxNames{s, nil, "request.host.matches(" + quoted(expr) + ")", 4000})
		case strings.HasPrefix(name, "."):
			exact = append(exact, name[1:])
			wild[len(name)] = append(wild[len(name)], "*"+name)
		case strings.HasPrefix(name, "*."):
			wild[len(name)] = append(wild[len(name)], name)
		case strings.HasSuffix(name, ".*"):
			list = append(list, nginxNames{s, nil, "request.host.startsWith(" + quoted(strings.TrimSuffix(name, "*")) + ")", 3000 - len(name)})
		default:
			exact = append(exact, name)
		}
	}
	if exact != nil {
		list = append(list, nginxNames{s, exact, "", 0})
	}
	for length, hosts := range wild {
		list = append(list, nginxNames{s, hosts, "", 2000 - length})
	}
	slices.SortFunc(list, func(a, b nginxNames) int { return cmp.Compare(a.rank, b.rank) })
	return list
}

func anchoredHost(expr string) (string, error) {
	expr = strings.ReplaceAll(expr, "(?<", "(?P<")
	_, err := regexp.Compile(expr)
	return expr, err
}

// nginxTime is a time as ours: 60, 60s, 1m30s, 500ms.
func nginxTime(text string) string {
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	if d, err := config.ParseDuration(text); err != nil || d <= 0 {
		return "60s"
	}
	return text
}

// nginxSize is a size as ours.
func nginxSize(text string) string {
	text = strings.ToLower(text)
	for _, unit := range [][2]string{{"k", "KiB"}, {"m", "MiB"}, {"g", "GiB"}} {
		if s, ok := strings.CutSuffix(text, unit[0]); ok {
			return s + unit[1]
		}
	}
	if text == "0" {
		return "off"
	}
	return text
}
