package route_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gopura/exchange"
	"gopura/route"
)

// The reference is the documented sentence, word by word: sort all rules by
// specificity for a request, take the first one that matches.

// fit is how well a rule fits a request: compared from left to right, smaller
// is better.
type fit []int

func reference(rules []route.Rule[string], x *exchange.Exchange) (best int, outcome route.Outcome, ties [][2]int) {
	type candidate struct {
		rule int
		fit  fit
	}
	var list []candidate
	for i := range rules {
		if f, ok := fits(&rules[i], x); ok {
			list = append(list, candidate{i, f})
		} else if f != nil {
			outcome = route.WrongMethod
		}
	}
	if len(list) == 0 {
		return -1, outcome, nil
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return slices.Compare(a.fit, b.fit) })
	for i, a := range list {
		for _, b := range list[i+1:] {
			if slices.Equal(a.fit, b.fit) {
				ties = append(ties, [2]int{a.rule, b.rule})
			}
		}
	}
	return list[0].rule, route.Found, ties
}

// fits returns nil when something else than the method is wrong.
func fits(r *route.Rule[string], x *exchange.Exchange) (fit, bool) {
	f := fit{-r.Priority}
	host, ok := hostFit(r.Hosts, string(x.Request.Host))
	if !ok {
		return nil, false
	}
	path, ok := pathFit(r, string(x.Request.Path))
	if !ok {
		return nil, false
	}
	f = append(append(f, host), path...)
	f = append(f, 0) // ends the path
	f = append(f, -min(len(r.Methods), 1))
	f = append(f, valuesFit(r.Headers)...)
	f = append(f, valuesFit(r.Query)...)
	for _, v := range r.Headers {
		fields := slices.Collect(x.Request.Header.Values(v.Name))
		if !holds(v, len(fields) > 0, func() string { return string(fields[0]) }) {
			return nil, false
		}
	}
	for _, v := range r.Query {
		q, _ := url.ParseQuery(string(x.Request.Query))
		if !holds(v, q.Has(v.Name), func() string { return q.Get(v.Name) }) {
			return nil, false
		}
	}
	if r.When != nil {
		f = append(f, -1)
		if !r.When(x) {
			return nil, false
		}
	} else {
		f = append(f, 0)
	}
	m := x.Request.Method
	named := slices.Contains(r.Methods, m)
	if m == "HEAD" && named {
		f = append(f, -1)
	} else {
		f = append(f, 0)
	}
	return f, len(r.Methods) == 0 || named || m == "HEAD" && slices.Contains(r.Methods, "GET")
}

func hostFit(hosts []string, name string) (fit int, ok bool) {
	best, found := 0, false
	for _, h := range hosts {
		f := 0
		switch suffix, wild := strings.CutPrefix(h, "*"); {
		case h == "*":
			f = 1000
		case wild && strings.HasSuffix(name, suffix):
			f = 1000 - strings.Count(suffix, ".")
		case h != name:
			continue
		}
		if !found || f < best {
			best, found = f, true
		}
	}
	if len(hosts) == 0 {
		return 1000, true
	}
	return best, found
}

// pathFit gives each segment of the pattern a number: 1 exact, 2 parameter,
// 3 regexp, 4 tail.
func pathFit(r *route.Rule[string], path string) (f fit, ok bool) {
	if r.Regexp != nil {
		_, after, _ := strings.Cut(r.Regexp.String(), "^/")
		for {
			step, rest, more := strings.Cut(after, "/")
			if !more || strings.ContainsAny(step, "[(.") {
				return append(f, 3), r.Regexp.MatchString(path)
			}
			f, after = append(f, 1), rest
		}
	}
	want, have := strings.Split(r.Path, "/")[1:], strings.Split(path, "/")[1:]
	for i, s := range want {
		if s == "*" || strings.HasSuffix(s, "...}") {
			return append(f, 4), true
		}
		if i == len(have) {
			return nil, false
		}
		text, _ := url.PathUnescape(have[i])
		if strings.HasPrefix(s, "{") {
			f, ok = append(f, 2), text != ""
		} else {
			f, ok = append(f, 1), text == s
		}
		if !ok {
			return nil, false
		}
		// "/a/*" matches "/a" too.
		if i+1 == len(have) && i+2 == len(want) && (want[i+1] == "*" || strings.HasSuffix(want[i+1], "...}")) {
			return append(f, 4), true
		}
	}
	return f, len(want) == len(have)
}

func valuesFit(list []route.Value) fit {
	n := map[route.ValueKind]int{}
	length := 0
	for _, v := range list {
		n[v.Kind]++
		if v.Kind == route.Prefix {
			length += len(v.Text)
		}
	}
	return fit{-len(list), -n[route.Exact], -n[route.Prefix], -length, -n[route.Regexp]}
}

func holds(v route.Value, there bool, get func() string) bool {
	switch {
	case v.Kind == route.Absent || !there:
		return !there && v.Kind == route.Absent
	case v.Kind == route.Exact:
		return get() == v.Text
	case v.Kind == route.Prefix:
		return strings.HasPrefix(get(), v.Text)
	case v.Kind == route.Regexp:
		return v.Regexp.MatchString(get())
	}
	return true
}

// The world of the property test is small, so that rules meet often and every
// request can be tried.
var world = struct {
	ruleHosts, rulePaths, ruleMethods      []string
	hosts, methods, paths, values, queries []string
	ruleValues                             []route.Value
}{
	ruleHosts: []string{"", "", "", "a.com", "b.a.com", "*.a.com", "*.b.a.com"},
	rulePaths: []string{
		"/", "/a", "/a/", "/b", "/{x}", "/*", "/a/b", "/a/{x}", "/{x}/b", "/{x}/{y}", "/a/*", "/{x}/*", "/a/b/*", "/{x}/b/*", "/a/{x}/c", "/{x}/b/c", "/{x}/{y}/c",
		"~^/a/[ab]", "~^/a/[bc]$", "~^/a/.*$", "~^/[ab]/", "~^/[^/]+/c$", "~^/a/b/c$", "~^/.*c$", "~^(/a|/b)/b",
	},
	ruleMethods: []string{"", "", "", "GET ", "GET ", "POST ", "HEAD ", "GET|POST ", "HEAD|PUT "},
	hosts:       []string{"a.com", "b.a.com", "c.b.a.com", "x.org"},
	methods:     []string{"GET", "HEAD", "POST", "PUT", "DELETE"},
	paths:       []string{"/", "/a", "/a/", "/b", "/c", "/%3A", "/a/a", "/a/b", "/a/c", "/b/b", "/b/c", "/c/", "/a//b", "/a/b/c", "/a/b/", "/b/b/c", "/c/c/c", "/a/b/c/d", "/c/b/a/d"},
	values:      []string{"-", "", "g", "go", "gold", "s"},
	queries:     []string{"", "v", "v=g", "v=go&v=s", "%76=%67old", "u=g&v=s"},
	ruleValues: []route.Value{
		value("", route.Present, ""), value("", route.Absent, ""), value("", route.Exact, "g"), value("", route.Exact, "gold"), value("", route.Prefix, "g"),
		value("", route.Prefix, "go"), value("", route.Regexp, "^g.*d$"), value("", route.Regexp, "^(s|go)$"), value("", route.Regexp, "o"),
	},
}

func pick[E any](r *rand.Rand, list []E) E { return list[r.IntN(len(list))] }

// some picks a few, so that the rules of one table have much in common.
func some[E any](r *rand.Rand, list []E, n int) (few []E) {
	for range n {
		few = append(few, pick(r, list))
	}
	return few
}

func randomRules(r *rand.Rand) (rules []route.Rule[string]) {
	hosts, paths := some(r, world.ruleHosts, 2), some(r, world.rulePaths, 3)
	for i := range 2 + r.IntN(9) {
		c := rule(pick(r, world.ruleMethods) + pick(r, hosts) + pick(r, paths))
		for range r.IntN(5) / 4 {
			c.Hosts = append(c.Hosts, pick(r, []string{"a.com", "*.a.com", "x.org"}))
		}
		for range r.IntN(6) / 3 {
			v := pick(r, world.ruleValues)
			v.Name = "X-Plan"
			c.Headers = append(c.Headers, v)
		}
		for range r.IntN(6) / 3 {
			v := pick(r, world.ruleValues)
			v.Name = "v"
			c.Query = append(c.Query, v)
		}
		switch r.IntN(16) {
		case 0:
			c.When, c.WhenText = func(x *exchange.Exchange) bool { return x.Request.Scheme == "https" }, "secure"
		case 1:
			c.When, c.WhenText = func(x *exchange.Exchange) bool { return x.Request.Scheme == "http" }, "!(secure)"
		}
		if r.IntN(3) == 0 {
			c.Priority = r.IntN(3) - 1
		}
		c.Value = fmt.Sprint(i)
		rules = append(rules, c)
	}
	return rules
}

func everyRequest(yield func(*exchange.Exchange)) {
	for _, host := range world.hosts {
		for _, method := range world.methods {
			for _, path := range world.paths {
				for _, value := range world.values {
					for _, query := range world.queries {
						for _, scheme := range []string{"http", "https"} {
							x := request(method + " " + host + path + "?" + query)
							x.Request.Scheme = scheme
							if value != "-" {
								x.Request.Header.Add("x-plan", value)
							}
							yield(x)
						}
					}
				}
			}
		}
	}
}

// FuzzReference compares tables of random rules with the reference, on every
// request of a small world, and holds the conflicts to their word: a tie that
// some request shows is reported, a reported one is shown by some request, and
// what is shadowed never wins.
func FuzzReference(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed)
	}
	var requests []*exchange.Exchange
	everyRequest(func(x *exchange.Exchange) { requests = append(requests, x) })
	f.Fuzz(func(t *testing.T, seed uint64) {
		rules := randomRules(rand.New(rand.NewPCG(seed, 0)))
		table, conflicts := route.Build(rules)
		shown, won := map[[2]int]bool{}, map[int]bool{}
		for _, x := range requests {
			best, outcome, ties := reference(rules, x)
			want := ""
			if best >= 0 {
				want = rules[best].Value
				won[best] = true
			}
			if got, o := table.Match(x); got != want || o != outcome {
				t.Fatalf("%s %s%s?%s %q: got %q, %v; want %q, %v\n%s", x.Request.Method, x.Request.Host, x.Request.Path, x.Request.Query,
					x.Request.Header.Get("x-plan"), got, o, want, outcome, print(rules))
			}
			for _, tie := range ties {
				shown[[2]int{max(tie[0], tie[1]), min(tie[0], tie[1])}] = true
			}
		}
		checkConflicts(t, rules, conflicts, shown, won)
	})
}

func checkConflicts(t *testing.T, rules []route.Rule[string], conflicts []route.Conflict, shown map[[2]int]bool, won map[int]bool) {
	reported := map[int]bool{}
	for _, c := range conflicts {
		switch {
		case c.Kind == route.Ambiguous && !shown[[2]int{c.Rule, c.Other}]:
			t.Errorf("rules %d and %d are called ambiguous, but no request shows it\n%s", c.Rule, c.Other, print(rules))
		case c.Kind == route.Shadowed && won[c.Rule]:
			t.Errorf("rule %d is called shadowed (%s), but it wins\n%s", c.Rule, c.Message, print(rules))
		case c.Kind == route.Invalid:
			t.Errorf("rule %d: %s", c.Rule, c.Message)
		}
		reported[c.Rule] = reported[c.Rule] || c.Kind == route.Ambiguous
	}
	for pair := range shown {
		if !reported[pair[0]] {
			t.Errorf("rules %d and %d tie, which is not reported\n%s", pair[0], pair[1], print(rules))
		}
	}
}

func print(rules []route.Rule[string]) string {
	var b strings.Builder
	for i, r := range rules {
		fmt.Fprintf(&b, "%d: %q %q %q %v headers %v query %v when %q priority %d\n", i, r.Methods, r.Hosts, r.Path, r.Regexp, r.Headers, r.Query, r.WhenText, r.Priority)
	}
	return b.String()
}

// TestExplainAgrees: the slow answer and the fast one are the same.
func TestExplainAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for range 40 {
		rules := randomRules(r)
		table, _ := route.Build(rules)
		for range 200 {
			x := request(pick(r, world.methods) + " " + pick(r, world.hosts) + pick(r, world.paths) + "?" + pick(r, world.queries))
			got, outcome := table.Match(x)
			at := slices.IndexFunc(table.Explain(x), func(c route.Candidate) bool { return c.Won })
			if (at >= 0) != (outcome == route.Found) || at >= 0 && rules[table.Explain(x)[at].Rule].Value != got {
				t.Fatalf("%s %s%s: Match says %q, Explain %+v\n%s", x.Request.Method, x.Request.Host, x.Request.Path, got, table.Explain(x), print(rules))
			}
		}
	}
}
