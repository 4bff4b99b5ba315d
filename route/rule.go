package route

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopura/exchange"
)

// conditions is a Rule without its value, so that all but Table is free of
// type parameters.
type conditions struct {
	name, origin   string
	hosts, methods []string
	pathText       string
	regexp         *regexp.Regexp
	headers, query []Value
	when           func(*exchange.Exchange) bool
	whenText       string
	priority       int
}

// rule is a compiled Rule.
type rule struct {
	conditions
	index  int
	on     []host // at least one
	path   pattern
	detail detail
	dead   bool     // its conditions exclude each other
	groups []string // of the regexp that are parameters, by number; nil: none
}

// detail is the specificity of what is neither host nor path.
type detail struct {
	methods        bool
	headers, query weight
	when           bool
}

// weight is the specificity of a list of values: more of them, then more of
// the stricter kinds.
type weight struct{ all, exact, prefix, prefixBytes, regexp int }

func compile(i int, c *conditions) (*rule, error) {
	r := &rule{conditions: *c, index: i}
	r.methods = slices.Compact(slices.Sorted(slices.Values(c.methods)))
	for _, m := range r.methods {
		if !exchange.ValidName(m) {
			return nil, fmt.Errorf("method %q: not a token", m)
		}
	}
	if err := r.compileHosts(); err != nil {
		return nil, err
	}
	if err := r.compilePath(); err != nil {
		return nil, err
	}
	if err := errors.Join(checkHeaders(c.headers), checkValues("query", c.query)); err != nil {
		return nil, err
	}
	r.detail = detail{len(r.methods) > 0, weigh(r.headers), weigh(r.query), r.when != nil}
	return r, nil
}

func (r *rule) compileHosts() error {
	for _, text := range r.hosts {
		h, err := parseHost(text)
		if err != nil {
			return err
		}
		if !slices.Contains(r.on, h) {
			r.on = append(r.on, h)
		}
	}
	if len(r.on) == 0 || slices.Contains(r.on, host{}) {
		r.on = []host{{}}
	}
	return nil
}

func (r *rule) compilePath() error {
	if r.regexp == nil {
		p, err := parsePattern(r.pathText)
		if err != nil {
			return fmt.Errorf("path %q: %w", r.pathText, err)
		}
		r.path = *p
		return nil
	}
	if r.pathText != "" {
		return errors.New("path and regexp: a rule has one of them")
	}
	p, err := parseRegexp(r.regexp)
	if err != nil {
		return fmt.Errorf("regexp %q: %w", r.regexp, err)
	}
	if r.path = *p; p.params {
		r.groups = r.regexp.SubexpNames()
	}
	return nil
}

// owned are fields that belong to the wire: no header list has them.
var owned = []string{"host", "connection", "content-length", "transfer-encoding", "keep-alive", "te", "trailer", "upgrade", "proxy-connection"}

func checkHeaders(list []Value) error {
	for _, v := range list {
		switch {
		case !exchange.ValidName(v.Name):
			return fmt.Errorf("header %q: not a field name", v.Name)
		case strings.EqualFold(v.Name, "host"):
			return errors.New(`header "host": use the hosts of the rule`)
		case slices.Contains(owned, strings.ToLower(v.Name)):
			return fmt.Errorf("header %q: belongs to the connection, not to the request", v.Name)
		}
	}
	return checkValues("header", list)
}

func checkValues(what string, list []Value) error {
	for _, v := range list {
		switch {
		case v.Name == "":
			return fmt.Errorf("%s: a value without a name", what)
		case v.Kind > Regexp:
			return fmt.Errorf("%s %q: unknown kind of value", what, v.Name)
		case v.Kind == Regexp && v.Regexp == nil:
			return fmt.Errorf("%s %q: no regexp", what, v.Name)
		}
	}
	return nil
}

func weigh(list []Value) (w weight) {
	w.all = len(list)
	for _, v := range list {
		switch v.Kind {
		case Exact:
			w.exact++
		case Prefix:
			w.prefix++
			w.prefixBytes += len(v.Text)
		case Regexp:
			w.regexp++
		}
	}
	return w
}

// compare orders details, the more specific first.
func (d detail) compare(o detail) int {
	return cmp.Or(
		before(d.methods, o.methods),
		d.headers.compare(o.headers),
		d.query.compare(o.query),
		before(d.when, o.when),
	)
}

func (w weight) compare(o weight) int {
	return cmp.Or(
		cmp.Compare(o.all, w.all),
		cmp.Compare(o.exact, w.exact),
		cmp.Compare(o.prefix, w.prefix),
		cmp.Compare(o.prefixBytes, w.prefixBytes),
		cmp.Compare(o.regexp, w.regexp),
	)
}

// before orders true before false.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// forHEAD reports whether HEAD is one of the methods, and not only by way of
// GET. Of two rules that differ in nothing else, a HEAD request takes the one
// that names it.
func (r *rule) forHEAD() bool { return slices.Contains(r.methods, "HEAD") }

// allows reports whether the rule serves a method. GET includes HEAD.
func (r *rule) allows(method string) bool {
	if len(r.methods) == 0 {
		return true
	}
	for _, m := range r.methods {
		if m == method || method == "HEAD" && m == "GET" {
			return true
		}
	}
	return false
}

// accepts asks everything but host, path and method.
func (r *rule) accepts(x *exchange.Exchange) bool {
	for i := range r.headers {
		if !r.headers[i].testHeader(x) {
			return false
		}
	}
	for i := range r.query {
		if !r.query[i].testQuery(x) {
			return false
		}
	}
	if r.when == nil {
		return true
	}
	r.fill(x) // a when may ask for path parameters
	return r.when(x)
}
