package config

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Check is the rule of a route: one node, and only one.
func (r *Route) Check(at *At) {
	var nodes []string
	for _, key := range []string{"to", "redirect", "answer", "compose", "reflection"} {
		if at.Has(key) {
			nodes = append(nodes, key)
		}
	}
	switch {
	case len(nodes) == 0:
		at.Hint("add to: <service>", "", "says what to match and not what to do: one of to, compose, redirect, answer, reflection is needed")
	case len(nodes) > 1:
		at.Problem(nodes[1], "a route has one of to, compose, redirect, answer, reflection; this one has %s", strings.Join(nodes, " and "))
	case at.Has("to"):
		r.checkSplits(at)
	case at.Has("compose"):
		r.checkCompose(at)
	}
	if at.Has("grpc") && !at.Has("to") {
		at.Hint("add to: <service>", "grpc", "there is no service to translate to")
	}
	if at.Has("respond") && !at.Has("compose") {
		at.Hint("add compose: {name: call}", "respond", "there are no results to make an answer of")
	}
	for i := range repeated(r.Use, itself) {
		at.Problem("use["+strconv.Itoa(i)+"]", "%s is named twice", quote(r.Use[i]))
	}
}

func (r *Route) checkSplits(at *At) {
	weights := 0
	for i := range r.To {
		weights += r.To[i].Weight
	}
	for i := range repeated(r.To, func(s *Split) string { return s.Service }) {
		at.Problem("to["+strconv.Itoa(i)+"]", "the service %s is named twice", quote(r.To[i].Service))
	}
	switch {
	case len(r.To) == 0:
		at.Problem("to", "names no service")
	case weights == 0:
		at.Problem("to", "at least one service needs a weight above 0")
	}
}

// Check is the rule of a match. It takes the short form apart, or puts it
// together from the parts.
func (m *Match) Check(at *At) {
	if at.node.kind != mapping {
		m.split(at)
	}
	for i, method := range m.Methods {
		key := "methods[" + strconv.Itoa(i) + "]"
		switch {
		case !isToken(method):
			hint := ""
			if strings.Contains(method, ",") {
				hint = severalMethods
			}
			at.Hint(hint, key, "%s is no method", at.Shown("methods", method))
		case strings.ToUpper(method) != method:
			hint := ""
			if !at.secret("methods") {
				hint = "did you mean " + quote(strings.ToUpper(method)) + "?"
			}
			at.Hint(hint, key, "%s is no method", at.Shown("methods", method))
		default:
			checkMethod(at, key, at.Shown("methods", method), method)
		}
	}
	for i := range repeated(m.Methods, itself) {
		at.Problem("methods["+strconv.Itoa(i)+"]", "the method %s is named twice", at.Shown("methods", m.Methods[i]))
		break
	}
	for i, host := range m.Hosts {
		if why := hostFault(host, true); why != "" {
			at.Hint(hostHint(m, host), "host["+strconv.Itoa(i)+"]", "%s is no host: %s", at.Shown("host", host), why)
		}
		m.Hosts[i] = strings.TrimSuffix(strings.ToLower(host), ".")
	}
	at.keep("host", m.Hosts...)
	m.checkPath(at)
	for _, h := range m.Headers {
		if !isToken(h.Name) {
			at.Problem(strings.TrimPrefix(join("headers", h.Name), "."), "%s is no name of a header field", quote(h.Name))
		}
	}
	if at.node.kind == mapping {
		m.Text = m.text(at)
	}
}

const severalMethods = "several methods are written GET|POST /path"

// hostHint says what was meant by a text before the path that is no host.
func hostHint(m *Match, host string) string {
	switch word, _, _ := strings.Cut(host, " "); {
	case slices.Contains(httpMethods, strings.TrimSpace(word)):
		return severalMethods
	case strings.HasPrefix(host, "^") || strings.HasPrefix(host, "~"):
		return `a regular expression is written match: { regexp: "^/users/[0-9]+$" }`
	}
	return ""
}

// checkSegments warns of a parameter as other gateways write it: it is a text
// like any other here, and a route that takes that text alone takes nothing.
func (m *Match) checkSegments(at *At) {
	for segment := range strings.SplitSeq(m.Path, "/") {
		if name, ok := strings.CutPrefix(segment, ":"); ok && name != "" && isToken(name) && !at.secret("path") {
			at.Advise("a parameter is written {"+name+"}", "path", "the path has a segment that is %s, to the letter", quote(segment))
		}
	}
}

func (m *Match) checkPath(at *At) {
	switch {
	case m.Path != "" && m.Regexp != "":
		at.Problem("regexp", "either a path or a regexp, not both")
	case m.Regexp != "":
		checkRegexp(at, "regexp", m.Regexp)
	case m.Path == "" && at.node.kind == mapping && !at.Has("path"):
		m.Path = "/*"
	case !strings.HasPrefix(m.Path, "/"):
		at.Hint("such as /users/{id} or GET example.com/users/*", "path", "%s has no path: a path begins with /", at.Shown("path", cmp.Or(m.Path, m.Text)))
	case strings.Contains(m.Path, "?"):
		at.Hint("match: {path: …, query: {name: value}}", "path", "a path has no query")
	case !isPath(m.Path):
		at.Problem("path", "%s is no path: no spaces, no control characters, no #", at.Shown("path", m.Path))
	default:
		m.checkSegments(at)
	}
}

// split takes "[METHOD[|METHOD]… ][host]/path" apart. The text that is left is
// the written one: it becomes the name of the route, which is no secret.
func (m *Match) split(at *At) {
	rest := strings.TrimSpace(m.Text)
	if methods, after, ok := strings.Cut(rest, " "); ok && !strings.Contains(methods, "/") {
		m.Methods, rest = strings.Split(methods, "|"), strings.TrimLeft(after, " ")
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		if i > 0 {
			m.Hosts = []string{rest[:i]}
		}
		m.Path = rest[i:]
	}
	at.keep("", slices.Concat(m.Methods, m.Hosts, []string{m.Path})...)
	m.Text = strings.TrimSpace(at.node.text)
}

// text puts the parts of a match together, as the name of a route and for
// people: not every part fits the short form.
func (m *Match) text(at *At) string {
	var b strings.Builder
	if methods := at.written("methods", m.Methods...); len(methods) > 0 {
		b.WriteString(strings.Join(methods, "|") + " ")
	}
	b.WriteString(strings.Join(at.written("host", m.Hosts...), "|"))
	if m.Regexp != "" {
		b.WriteString("~" + at.written("regexp", m.Regexp)[0])
	} else {
		b.WriteString(at.written("path", m.Path)[0])
	}
	for _, v := range m.Headers {
		b.WriteString(" header." + v.Name + v.written)
	}
	for _, v := range m.Query {
		b.WriteString(" query." + v.Name + v.written)
	}
	if m.When != "" {
		b.WriteString(" when " + at.written("when", m.When)[0])
	}
	return b.String()
}

// condition is the part of a match's text that the condition is.
func (v *ValueMatch) condition(at *At) string {
	switch {
	case v.Exact != nil:
		return "=" + at.written("exact", *v.Exact)[0]
	case v.Prefix != "":
		return "^=" + at.written("prefix", v.Prefix)[0]
	case v.Regexp != "":
		return "~" + at.written("regexp", v.Regexp)[0]
	case v.Present != nil && !*v.Present:
		return " absent"
	}
	return ""
}

// Check is the rule of a condition: exactly one.
func (v *ValueMatch) Check(at *At) {
	v.written = v.condition(at)
	set := 0
	for _, key := range []string{"exact", "prefix", "regexp", "present"} {
		if at.Has(key) {
			set++
		}
	}
	if at.node.kind == mapping && set != 1 {
		at.Problem("", "needs exactly one of exact, prefix, regexp, present")
		return
	}
	if at.Has("prefix") && v.Prefix == "" {
		at.Hint("present: true matches any value", "prefix", "the prefix is empty")
	}
	if at.Has("regexp") {
		checkRegexp(at, "regexp", v.Regexp)
	}
}

// checkRegexp complains about an expression that can't be compiled.
func checkRegexp(at *At, key, text string) {
	if text == "" {
		at.Problem(key, "the regular expression is empty")
		return
	}
	if _, err := regexp.Compile(text); err != nil {
		if at.Shown(key, text) == hidden {
			at.Problem(key, "not a regular expression (RE2)")
			return
		}
		at.Problem(key, "not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

// Check is the rule of a redirect.
func (r *Redirect) Check(at *At) {
	switch {
	case r.To == "":
		at.Problem("to", "the location is empty")
	case strings.ContainsAny(r.To, "\r\n"):
		at.Problem("to", "the location holds a line break")
	}
}

// Check is the rule of an answer.
func (a *Answer) Check(at *At) {
	body := at.Has("body") || at.Has("json")
	switch {
	case at.Has("body") && at.Has("json"):
		at.Problem("json", "either body or json, not both")
	case body && (a.Status == 204 || a.Status == 304): // RFC 9110, 15.3.5 and 15.4.5
		at.Problem("status", "an answer with status %d has no body", a.Status)
	}
	if at.Has("json") {
		if _, err := json.Marshal(a.JSON); err != nil {
			at.Problem("json", "can't be written as JSON: there is a number that JSON does not have")
		}
	}
	for _, h := range a.Headers {
		key := strings.TrimPrefix(join("headers", h.Name), ".")
		switch {
		case !isToken(h.Name):
			at.Problem(key, "%s is no name of a header field", quote(h.Name))
		case slices.Contains([]string{"connection", "content-length", "transfer-encoding", "trailer", "upgrade"}, strings.ToLower(h.Name)):
			at.Problem(key, "the gateway itself sets %s", h.Name)
		case strings.EqualFold(h.Name, "content-type") && a.ContentType != "":
			at.Problem(key, "either content_type or this header, not both")
		case strings.ContainsAny(h.Value, "\r\n\x00"):
			at.Problem(key, "the value holds a line break")
		}
	}
	if strings.ContainsAny(a.ContentType, "\r\n\x00") {
		at.Problem("content_type", "the value holds a line break")
	}
}
