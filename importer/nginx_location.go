package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// location is one of a server. The zero kind is a prefix.
type location struct {
	d      *directive
	level  level
	kind   byte   // '=' exact, '^' prefix before expressions, '~' expression, '@' named, 0 prefix
	text   string // path, or expression
	within string // prefix of the location around it
	kept   *keptRegexp
}

// expression is text compiled, once.
func (l *location) expression() *keptRegexp {
	if l.kept == nil {
		l.kept = keepRegexp(l.text)
	}
	return l.kept
}

// locations are those of a block and of the blocks in them.
func (n *nginx) locations(l level, within string) (list []*location) {
	for _, d := range l.own("location") {
		loc := &location{d: d, level: l.with(d.block), within: within}
		args := d.args
		if len(args) == 1 { // location =/x or ~x
			for _, op := range []string{"=", "^~", "~*", "~"} {
				if rest, ok := strings.CutPrefix(args[0], op); ok && rest != "" {
					args = []string{op, rest}
					break
				}
			}
		}
		switch {
		case len(args) == 2 && args[0] == "=":
			loc.kind, loc.text = '=', args[1]
		case len(args) == 2 && args[0] == "^~":
			loc.kind, loc.text = '^', args[1]
		case len(args) == 2 && args[0] == "~":
			loc.kind, loc.text = '~', args[1]
		case len(args) == 2 && args[0] == "~*":
			loc.kind, loc.text = '~', "(?i)"+args[1]
		case len(args) == 1 && strings.HasPrefix(args[0], "@"):
			loc.kind, loc.text = '@', args[0]
		case len(args) == 1:
			loc.text = args[0]
		default:
			n.lose(nil, Lost, d.pos, "location "+strings.Join(d.args, " "), "it is not understood", "")
			continue
		}
		if loc.kind == '~' {
			expr, err := anchoredRegexp(strings.ReplaceAll(loc.text, "(?<", "(?P<"))
			if err != nil {
				n.lose(nil, Lost, d.pos, "location "+strings.Join(d.args, " "), "the expression is not one of RE2 ("+err.Error()+"): its requests go where they would without it", "write it without look-around and back references")
				continue
			}
			loc.text = expr
		}
		inner := within
		if loc.kind == 0 || loc.kind == '^' {
			inner = loc.text
		}
		list = append(append(list, loc), n.locations(loc.level, inner)...)
	}
	return list
}

// find is what NGINX does with a path: the exact location, else the longest
// prefix, unless an expression comes before it.
func find(list []*location, path string) (found *location) {
	for _, l := range list {
		switch {
		case l.kind == '=' && l.text == path:
			return l
		case (l.kind == 0 || l.kind == '^') && strings.HasPrefix(path, l.text) && (found == nil || len(l.text) > len(found.text)):
			found = l
		}
	}
	if found != nil && found.kind == '^' {
		return found
	}
	for _, l := range list {
		if l.kind == '~' && strings.HasPrefix(path, l.within) && l.expression().fits(path) {
			return l
		}
	}
	return found
}

// serverRoutes adds the routes of a server, for the hosts of m.
func (n *nginx) serverRoutes(s *nginxServer, m matcher) {
	n.unknown(nil, s.d.block)
	if !n.serverIfs(s, m) {
		return
	}
	if r := s.level.own("return"); len(r) > 0 { // before any location
		m.path = "/*"
		n.add(m, s.level, nil, func(b *block) { n.doReturn(b, r[0], s.level) })
		return
	}
	all := n.locations(s.level, "")
	list := slices.DeleteFunc(slices.Clone(all), func(l *location) bool { return l.kind == '@' })
	for _, l := range preference(list) {
		one := m
		one.when = slices.Clip(m.when)
		if l.restrict != "" && l.restrict != "/" {
			one.when = append(one.when, "request.path.startsWith("+quoted(l.restrict)+")")
		}
		n.location(one, l.location, list)
	}
	if !slices.ContainsFunc(list, func(l *location) bool { return (l.kind == 0 || l.kind == '^') && l.text == "/" }) {
		m.path = "/*"
		n.add(m, s.level, nil, func(b *block) { n.content(b, s.level, nil, m) })
	}
}

// preferred is a location, for the paths that begin with restrict.
type preferred struct {
	*location
	restrict string
}

// preference puts locations into an order in which the first that fits is the
// one that NGINX takes. Exact ones; then, the longest first, prefixes with ^~ and
// those within such a prefix, the latter behind the expressions for their paths;
// then expressions in the order of the file; then other prefixes.
func preference(list []*location) (out []preferred) {
	var prefixes, expressions []*location
	for _, l := range list {
		switch l.kind {
		case '=':
			out = append(out, preferred{l, ""})
		case '~':
			expressions = append(expressions, l)
		default:
			prefixes = append(prefixes, l)
		}
	}
	slices.SortStableFunc(expressions, func(a, b *location) int { return len(b.within) - len(a.within) })
	slices.SortStableFunc(prefixes, func(a, b *location) int { return len(b.text) - len(a.text) })
	var rest []*location
	for _, l := range prefixes {
		inside := slices.ContainsFunc(prefixes, func(o *location) bool {
			return o.kind == '^' && len(o.text) < len(l.text) && strings.HasPrefix(l.text, o.text)
		})
		switch {
		case l.kind == '^':
			out = append(out, preferred{l, ""})
		case inside:
			for _, e := range expressions {
				if p := e.expression().prefix; strings.HasPrefix(l.text, e.within) && (strings.HasPrefix(p, l.text) || strings.HasPrefix(l.text, p)) {
					out = append(out, preferred{e, l.text})
				}
			}
			out = append(out, preferred{l, ""})
		default:
			rest = append(rest, l)
		}
	}
	for _, e := range expressions {
		out = append(out, preferred{e, e.within})
	}
	for _, l := range rest {
		out = append(out, preferred{l, ""})
	}
	return out
}

// location adds the routes of a location.
func (n *nginx) location(m matcher, l *location, list []*location) {
	n.unknown(nil, l.d.block)
	switch l.kind {
	case '=':
		if !plainPath(l.text) {
			m.regexp = "^" + regexp.QuoteMeta(l.text) + "$"
		} else {
			m.path = l.text
		}
	case '~':
		m.regexp = nameGroups(l.text)
	default:
		n.slash(m, l, list)
		m.path = prefixPattern(l.text)
		if m.path == "" {
			m.regexp = "^" + regexp.QuoteMeta(l.text) + "(?P<rest>.*)"
		} else if !strings.HasSuffix(l.text, "/") {
			n.prefixes = append(n.prefixes, l.text)
		}
	}
	n.rewrites(m, l)
	n.add(m, l.level, l, func(b *block) { n.content(b, l.level, l, m) })
}

func plainPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "{}*? \t\r\n\\") && !strings.Contains(path[1:], "//")
}

// slash is for /x where there is a location /x/: NGINX redirects when that is
// proxied, and otherwise looks for another one.
func (n *nginx) slash(m matcher, l *location, list []*location) {
	path := strings.TrimSuffix(l.text, "/")
	if path == l.text || path == "" || !plainPath(path) || slices.ContainsFunc(list, func(o *location) bool { return o.kind == '=' && o.text == path }) {
		return
	}
	m.path = path
	if l.level.own("proxy_pass") != nil || l.level.own("grpc_pass") != nil {
		n.add(m, level{nil}, nil, func(b *block) {
			b.set("redirect", mapOf("to", literal(l.text)+"?{request.query}", "status", 301))
			n.answerHeaders(b, l.level)
		})
		return
	}
	if o := find(list, path); o != nil && o.kind != '~' {
		n.add(m, o.level, o, func(b *block) { n.content(b, o.level, o, m) })
	}
}

// nameGroups gives groups without a name one that path parameters can have.
func nameGroups(expr string) string {
	var b strings.Builder
	count, inClass := 0, false
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		b.WriteByte(c)
		switch {
		case c == '\\' && i+1 < len(expr):
			i++
			b.WriteByte(expr[i])
		case c == '[':
			inClass = true
		case c == ']':
			inClass = false
		case c == '(' && !inClass && !strings.HasPrefix(expr[i:], "(?"):
			count++
			fmt.Fprintf(&b, "?P<p%d>", count)
		}
	}
	if _, err := regexp.Compile(b.String()); err != nil {
		return expr
	}
	return b.String()
}

// add adds a route with its policies.
func (n *nginx) add(m matcher, l level, loc *location, fill func(b *block)) {
	b := &block{}
	b.set("match", m.value())
	fill(b)
	if len(l) > 0 && l[0] != nil {
		n.policies(b, l, loc)
	}
	n.list = append(n.list, &ranked{matcher: m, route: b})
}

// rewrites adds routes for the rewrites of a location that are redirects, or end
// its rewriting: each is a condition of its own.
func (n *nginx) rewrites(m matcher, l *location) {
	for _, r := range l.level.own("rewrite") {
		flag := ""
		if len(r.args) == 3 {
			flag = r.args[2]
		}
		what := "rewrite " + strings.Join(r.args, " ")
		if len(r.args) < 2 || flag == "last" || flag == "" && !strings.HasPrefix(r.args[1], "http") {
			n.lose(nil, Lost, r.pos, what, "paths are not looked up again after they have been changed", "write a route with match: { regexp: … } and rewrite")
			continue
		}
		expr, err := anchoredRegexp(r.args[0])
		to, ok := n.address(strings.TrimSuffix(r.args[1], "?"), l.level)
		if err != nil || !ok {
			n.lose(nil, Lost, r.pos, what, "the expression or a variable of it is not known here", "write a route with match: { regexp: … }")
			continue
		}
		one := m
		one.path, one.regexp = "", nameGroups(expr)
		if m.regexp != "" {
			one.when = append(slices.Clip(m.when), "request.path.matches("+quoted(m.regexp)+")")
		} else if start, exact := start(m); start != "/" && start != "" {
			one.when = append(slices.Clip(m.when), "request.path.startsWith("+quoted(strings.TrimSuffix(start, "/"))+")")
			if exact {
				one.when[len(one.when)-1] = "request.path == " + quoted(start)
			}
		}
		if flag == "break" {
			n.add(one, l.level, l, func(b *block) {
				n.content(b, l.level, l, m)
				b.fields = slices.DeleteFunc(b.fields, func(f field) bool { return f.key == "rewrite" || f.key == "strip_prefix" })
				b.set("rewrite", to)
			})
			continue
		}
		status := map[string]int{"permanent": 301}[flag]
		if status == 0 {
			status = 302
		}
		query := "?{request.query}"
		if strings.HasSuffix(r.args[1], "?") || strings.Contains(r.args[1], "?") {
			query = ""
		}
		n.add(one, l.level, l, func(b *block) { b.set("redirect", mapOf("to", to+query, "status", status)) })
	}
}

// serverIfs translates the conditions of a server that end in a redirect, as
// certbot writes them; false: they take everything.
func (n *nginx) serverIfs(s *nginxServer, m matcher) bool {
	for _, d := range s.level.own("if") {
		cond := strings.Trim(strings.Join(d.args, " "), "() ")
		l := s.level.with(d.block)
		r := l.own("return")
		one := m
		one.path = "/*"
		one.when = slices.Clip(m.when)
		name, value, ok := strings.Cut(cond, " = ")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch strings.TrimSpace(name) {
		case "$host":
			if len(m.hosts) > 0 && !slices.Contains(m.hosts, value) {
				continue
			}
			one.hosts = []string{value}
		case "$http_host":
			one.hosts = []string{value}
		case "$scheme":
			one.when = append(one.when, "request.scheme == "+quoted(value))
		case "$request_method":
			one.methods = []string{value}
		default:
			ok = false
		}
		if !ok || len(r) == 0 {
			n.lose(nil, Lost, d.pos, "if ("+cond+")", "only equality of $host, $scheme and $request_method with a return is translated", "write a route with match: { when: … }")
			continue
		}
		n.add(one, s.level, nil, func(b *block) { n.doReturn(b, r[0], l) })
	}
	for _, d := range s.level.own("rewrite") {
		if len(d.args) == 3 && (d.args[2] == "permanent" || d.args[2] == "redirect") {
			n.rewrites(withPath(m, "/*"), &location{d: d, level: level{s.level[0], {d}}})
			continue
		}
		n.lose(nil, Lost, d.pos, "rewrite "+strings.Join(d.args, " "), "paths are not changed before they are matched", "write a route with match: { regexp: … } and rewrite")
	}
	return true
}

func withPath(m matcher, path string) matcher { m.path = path; return m }

// unknown tells of directives that are not translated. One that keeps somebody
// out closes the route: see policies.
func (n *nginx) unknown(_ *block, list []*directive) {
	for _, d := range list {
		if !nginxQuiet[d.name] && !nginxGuards.MatchString(d.name) {
			n.untranslated(d)
		}
	}
}
