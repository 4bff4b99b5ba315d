package importer

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// matcher is the condition of a route, in our terms.
type matcher struct {
	hosts   []string // none: any; *.example.com takes the names below
	methods []string // none: any
	path    string   // a pattern; "" with a regexp
	regexp  string
	kept    *keptRegexp // of regexp; nil: compiled when it is needed
	headers []condition
	query   []condition
	when    []string // expressions, all of which must hold
}

// condition is on one header field or query parameter.
type condition struct{ name, kind, text string } // kind: exact, prefix, regexp, present

// value is how it is written: short where that says all.
func (m matcher) value() any {
	if m.regexp == "" && m.headers == nil && m.query == nil && m.when == nil && len(m.hosts) <= 1 && !strings.Contains(m.path, " ") {
		text := m.path
		if len(m.hosts) == 1 {
			text = m.hosts[0] + text
		}
		if len(m.methods) > 0 {
			text = strings.Join(m.methods, "|") + " " + text
		}
		return text
	}
	b := &block{}
	if len(m.hosts) > 0 {
		b.set("host", listOf(m.hosts))
	}
	if len(m.methods) > 0 {
		b.set("methods", listOf(m.methods))
	}
	if m.regexp != "" {
		b.set("regexp", m.regexp)
	} else {
		b.set("path", m.path)
	}
	for _, part := range []struct {
		key  string
		list []condition
	}{{"headers", m.headers}, {"query", m.query}} {
		for _, c := range part.list {
			switch c.kind {
			case "exact":
				b.sub(part.key).set(c.name, c.text)
			case "present":
				b.sub(part.key).set(c.name, mapOf("present", c.text != "false"))
			default:
				b.sub(part.key).set(c.name, mapOf(c.kind, c.text))
			}
		}
	}
	if len(m.when) > 0 {
		b.set("when", strings.Join(m.when, " && "))
	}
	return b
}

// ranked is a route with its condition.
type ranked struct {
	matcher
	route    *block
	priority int
}

// maxCompared bounds the pairs of routes that are compared; of a longer list
// each route that is not known to be alone gets a priority of its own.
const maxCompared = 4000

// prioritise gives priorities to routes, which stand in the order in which the
// source asks them, so that ours comes to the same: only where the more specific
// route of two that some request fits is not the one that the source asks first.
func prioritise(list []*ranked) {
	for _, r := range list {
		if r.regexp != "" {
			r.kept = keepRegexp(r.regexp)
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		r := list[i]
		if len(list) > maxCompared {
			r.priority = len(list) - i
			continue
		}
		for _, later := range list[i+1:] {
			if later.priority < r.priority || !meet(r.matcher, later.matcher) {
				continue
			}
			r.priority = later.priority
			if compare(r.matcher, later.matcher) >= 0 {
				r.priority++
			}
		}
	}
	for _, r := range list {
		if r.priority != 0 {
			r.route.set("priority", r.priority)
		}
	}
}

// compare is less than 0 when a is more specific than b by our rules, 0 when
// they tie, or differ from host to host.
func compare(a, b matcher) int {
	if len(a.hosts) == 0 && len(b.hosts) == 0 || len(a.hosts) == 1 && len(b.hosts) == 1 || worst(a.hosts) < best(b.hosts) || worst(b.hosts) < best(a.hosts) || flat(a.hosts) && flat(b.hosts) {
		if c := cmp.Compare(best(a.hosts), best(b.hosts)); c != 0 {
			return c
		}
	} else {
		return 0
	}
	return cmp.Or(strings.Compare(steps(a), steps(b)), before(len(a.methods) > 0, len(b.methods) > 0),
		weigh(a.headers, b.headers), weigh(a.query, b.query), before(a.when != nil, b.when != nil))
}

func flat(hosts []string) bool { return best(hosts) == worst(hosts) }

func best(hosts []string) int {
	n := 1 << 10
	for _, h := range hosts {
		n = min(n, hostRank(h))
	}
	return n
}

func worst(hosts []string) int {
	n := 0
	for _, h := range hosts {
		n = max(n, hostRank(h))
	}
	if len(hosts) == 0 {
		return 1 << 10
	}
	return n
}

// hostRank is smaller for the more specific.
func hostRank(h string) int {
	rest, wild := strings.CutPrefix(h, "*.")
	if !wild {
		return 0
	}
	return 1<<10 - 1 - strings.Count(rest, ".")
}

func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func weigh(a, b []condition) int {
	count := func(list []condition, kind string) (n int) {
		for _, c := range list {
			if c.kind == kind {
				n++
			}
		}
		return n
	}
	return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(count(b, "exact"), count(a, "exact")),
		cmp.Compare(count(b, "prefix"), count(a, "prefix")), cmp.Compare(count(b, "regexp"), count(a, "regexp")))
}

// steps sorts paths as the route table does: a byte for each segment, exact 'a'
// before parameter 'b' before regexp 'c' before the rest 'd'.
func steps(m matcher) string {
	text := m.path
	end := ""
	if m.regexp != "" {
		text, end = m.prefix(), "c"
		if i := strings.LastIndexByte(text, '/'); i >= 0 {
			text = text[:i]
		}
	}
	if text == "" {
		if end == "" {
			end = "d"
		}
		return end
	}
	var b strings.Builder
	for _, s := range strings.Split(text, "/")[1:] {
		switch {
		case m.regexp != "":
			b.WriteByte('a')
		case s == "*" || strings.HasSuffix(s, "...}"):
			b.WriteByte('d')
		case strings.HasPrefix(s, "{"):
			b.WriteByte('b')
		default:
			b.WriteByte('a')
		}
	}
	return b.String() + end
}

// keptRegexp is what is asked of an expression again and again.
type keptRegexp struct {
	compiled *regexp.Regexp // nil: it does not compile
	prefix   string
}

func keepRegexp(text string) *keptRegexp {
	re, _ := regexp.Compile(text)
	return &keptRegexp{re, regexpPrefix(text)}
}

// fits reports whether the expression takes a path; in doubt it does.
func (k *keptRegexp) fits(path string) bool { return k.compiled == nil || k.compiled.MatchString(path) }

func (m matcher) prefix() string {
	if m.kept != nil {
		return m.kept.prefix
	}
	return regexpPrefix(m.regexp)
}

// regexpPrefix is the text that every path of an anchored expression begins with.
func regexpPrefix(text string) string {
	re, err := regexp.Compile(strings.TrimPrefix(text, "^"))
	if err != nil {
		return ""
	}
	prefix, _ := re.LiteralPrefix()
	return prefix
}

// meet reports whether some request may fit both. In doubt it does.
func meet(a, b matcher) bool {
	return hostsMeet(a.hosts, b.hosts) && methodsMeet(a.methods, b.methods) && pathsMeet(a, b) &&
		valuesMeet(a.headers, b.headers) && valuesMeet(a.query, b.query)
}

func hostsMeet(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	for _, x := range a {
		for _, y := range b {
			wx, isX := strings.CutPrefix(x, "*")
			wy, isY := strings.CutPrefix(y, "*")
			if x == y || isX && strings.HasSuffix(y, wx) || isY && strings.HasSuffix(x, wy) {
				return true
			}
		}
	}
	return false
}

func methodsMeet(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(m string) bool {
		return slices.Contains(b, m) || m == "HEAD" && slices.Contains(b, "GET") || m == "GET" && slices.Contains(b, "HEAD")
	})
}

func valuesMeet(a, b []condition) bool {
	for _, x := range a {
		for _, y := range b {
			if strings.EqualFold(x.name, y.name) && x.kind == "exact" && y.kind == "exact" && x.text != y.text {
				return false
			}
		}
	}
	return true
}

// pathsMeet compares the texts that paths begin with.
func pathsMeet(a, b matcher) bool {
	x, exactX := start(a)
	y, exactY := start(b)
	switch {
	case exactX && exactY:
		return x == y
	case exactX && b.regexp != "":
		return b.fits(x)
	case exactY && a.regexp != "":
		return a.fits(y)
	case exactX:
		return strings.HasPrefix(x+"/", y)
	case exactY:
		return strings.HasPrefix(y+"/", x)
	}
	return strings.HasPrefix(x, y) || strings.HasPrefix(y, x)
}

func (m matcher) fits(path string) bool {
	if m.kept == nil {
		return keepRegexp(m.regexp).fits(path)
	}
	return m.kept.fits(path)
}

// start is the text that every path begins with; for /a/* that is "/a/", where
// /a counts as /a/.
func start(m matcher) (text string, exact bool) {
	if m.regexp != "" {
		return m.prefix(), false
	}
	if i := strings.IndexAny(m.path, "{*"); i >= 0 {
		return m.path[:i], false
	}
	return m.path, m.path != ""
}
