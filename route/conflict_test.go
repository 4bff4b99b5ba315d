package route_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/route"
)

func TestConflicts(t *testing.T) {
	yes := func(*exchange.Exchange) bool { return true }
	type rules = []route.Rule[string]
	for name, c := range map[string]struct {
		rules rules
		want  []string // kind rule other
	}{
		"the same rule twice":                  {rules{rule("GET /x"), rule("GET /x")}, []string{"ambiguous 1 0"}},
		"other names of parameters":            {rules{rule("/{a}/x"), rule("/{b}/x")}, []string{"ambiguous 1 0"}},
		"another name of a tail":               {rules{rule("/a/*"), rule("/a/{rest...}")}, []string{"ambiguous 1 0"}},
		"another encoding":                     {rules{rule("/caf%c3%a9/%41"), rule("/café/A")}, []string{"ambiguous 1 0"}},
		"hosts that differ in case":            {rules{rule("A.com/x"), rule("a.com./x")}, []string{"ambiguous 1 0"}},
		"one method in common":                 {rules{rule("GET|PUT /x"), rule("POST|PUT /x")}, []string{"ambiguous 1 0"}},
		"each rule is reported once":           {rules{rule("/x"), rule("/x"), rule("/x")}, []string{"ambiguous 1 0", "ambiguous 2 0"}},
		"different methods":                    {rules{rule("GET /x"), rule("POST /x")}, nil},
		"HEAD beside GET":                      {rules{rule("GET /x"), rule("HEAD /x")}, nil},
		"different hosts":                      {rules{rule("a.com/x"), rule("b.com/x"), rule("*.a.com/x"), rule("*.b.com/x"), rule("/x")}, nil},
		"a wildcard below a wildcard":          {rules{rule("*.a.com/x"), rule("*.b.a.com/x")}, nil},
		"paths that meet but differ in rank":   {rules{rule("/a/{x}"), rule("/{x}/b"), rule("/a/*"), rule("/*")}, nil},
		"a trailing slash":                     {rules{rule("/a"), rule("/a/")}, nil},
		"a priority decides":                   {rules{rule("/x"), rule("/x", header("a", route.Exact, "1"), priority(1))}, nil},
		"different exact header values":        {rules{rule("/x", header("a", route.Exact, "1")), rule("/x", header("A", route.Exact, "2"))}, nil},
		"different exact query values":         {rules{rule("/x", query("a", route.Exact, "1")), rule("/x", query("a", route.Exact, "2"))}, nil},
		"different headers":                    {rules{rule("/x", header("a", route.Exact, "1")), rule("/x", header("b", route.Exact, "2"))}, []string{"ambiguous 1 0"}},
		"query names have a case":              {rules{rule("/x", query("a", route.Exact, "1")), rule("/x", query("A", route.Exact, "2"))}, []string{"ambiguous 1 0"}},
		"present and absent":                   {rules{rule("/x", header("a", route.Present, "")), rule("/x", header("a", route.Absent, ""))}, nil},
		"a longer prefix is more specific":     {rules{rule("/x", header("a", route.Prefix, "g")), rule("/x", header("a", route.Prefix, "go"))}, nil},
		"prefixes that exclude each other":     {rules{rule("/x", header("a", route.Prefix, "gx")), rule("/x", header("a", route.Prefix, "go"))}, nil},
		"regexps of values that meet":          {rules{rule("/x", header("a", route.Regexp, "^a")), rule("/x", header("a", route.Regexp, "b$"))}, []string{"ambiguous 1 0"}},
		"regexps of values that never meet":    {rules{rule("/x", header("a", route.Regexp, "^a")), rule("/x", header("a", route.Regexp, "^b"))}, nil},
		"regexps of values, case folded":       {rules{rule("/x", header("a", route.Regexp, "^(?i)ab$")), rule("/x", header("a", route.Regexp, "^aB$"))}, []string{"ambiguous 1 0"}},
		"regexps of paths that meet":           {rules{rule("~^/a/[0-9]+$"), rule("~^/a/1.*$")}, []string{"ambiguous 1 0"}},
		"regexps of paths that never meet":     {rules{rule("~^/a/[0-9]+$"), rule("~^/a/[a-z]+$"), rule("~^/a/[0-9]+/x$"), rule("~^/b/[0-9]+$")}, nil},
		"a regexp without an end":              {rules{rule("~^/a/[0-9]"), rule("~^/a/[0-9]+/x$")}, []string{"ambiguous 1 0"}},
		"alternatives":                         {rules{rule("~^/(a|b)/x$"), rule("~^/(c|b)/x$"), rule("~^/(d|e)/x$")}, []string{"ambiguous 1 0"}},
		"a when can't be compared":             {rules{rule("/x", when("a", yes)), rule("/x", when("b", yes))}, []string{"ambiguous 1 0"}},
		"a when and its negation":              {rules{rule("/x", when("a", yes)), rule("/x", when("!(a)", yes))}, nil},
		"a when beside none":                   {rules{rule("/x", when("a", yes)), rule("/x")}, nil},
		"covered by a priority":                {rules{rule("/a/*", priority(1)), rule("GET h.com/a/{x}"), rule("~^/a/b"), rule("/a"), rule("/{x}/b")}, []string{"shadowed 1 0", "shadowed 2 0", "shadowed 3 0"}},
		"not covered: other methods":           {rules{rule("GET /*", priority(1)), rule("GET|POST /x"), rule("HEAD /x"), rule("/x")}, []string{"shadowed 2 0"}},
		"covered by two together":              {rules{rule("GET /*", priority(1)), rule("POST /*", priority(1)), rule("GET|POST /x")}, []string{"shadowed 2 0"}},
		"not covered: a host is left":          {rules{rule("*.a.com/*", priority(1)), rule("b.a.com/x"), rule("*.b.a.com/x"), rule("a.com/x"), rule("/x")}, []string{"shadowed 1 0", "shadowed 2 0"}},
		"not covered: conditions":              {rules{rule("/*", priority(1), header("a", route.Prefix, "g")), rule("/x", header("a", route.Exact, "gold")), rule("/y", header("a", route.Present, "")), rule("/z")}, []string{"shadowed 1 0"}},
		"covered by the same when":             {rules{rule("/*", priority(1), when("a", yes)), rule("/x", when("a", yes)), rule("/y", when("b", yes)), rule("/z")}, []string{"shadowed 1 0"}},
		"an exact path within a regexp":        {rules{rule("~^/[a-c]$", priority(1)), rule("/b"), rule("/d"), rule("/{x}")}, []string{"shadowed 1 0"}},
		"conditions that exclude each other":   {rules{rule("/x", header("a", route.Exact, "1"), header("A", route.Absent, ""))}, []string{"shadowed 0 -1"}},
		"a parameter does not cover its slash": {rules{rule("/a/{x}", priority(1)), rule("/a/"), rule("/a/{x}/b")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, conflicts := route.Build(c.rules)
			var got []string
			for _, c := range conflicts {
				got = append(got, fmt.Sprintf("%v %d %d", c.Kind, c.Rule, c.Other))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestConflictMessage(t *testing.T) {
	a, b := rule("GET /x"), rule("GET /x")
	a.Origin = "gopura.yaml:12:5"
	_, conflicts := route.Build([]route.Rule[string]{a, b})
	want := `matches the same requests as "GET /x" (gopura.yaml:12:5) and is not more specific: add a condition or a priority to one of them`
	if len(conflicts) != 1 || conflicts[0].Message != want {
		t.Errorf("got %+v, want %s", conflicts, want)
	}
}

func TestInvalid(t *testing.T) {
	for _, c := range []struct {
		rule route.Rule[string]
		want string // part of the message
	}{
		{rule("h"), ""}, // any path
		{route.Rule[string]{Path: "users"}, "must start with /"},
		{rule("/a//b"), "empty segment"},
		{rule("/a/../b"), "dot segment"},
		{rule("/a/%2e"), "dot segment"},
		{rule("/a?b=1"), "query"},
		{rule("/a#b"), "#"},
		{rule("/%zz"), "percent-encoding"},
		{rule("/a%00"), "control"},
		{rule("/*/a"), "only be the last segment"},
		{rule("/{x...}/a"), "only be the last segment"},
		{rule("/a*"), "whole segment"},
		{rule("/a{x}"), "whole segment"},
		{rule("/{x}.json"), "whole segment"},
		{rule("/{}"), "not a parameter"},
		{rule("/{a-b}"), "letters, digits and _"},
		{rule("/{1a}"), "not a parameter"},
		{rule("/{...}"), "not a parameter"},
		{rule("/{a}/{a}"), "twice"},
		{rule("/{a}/{a...}"), "twice"},
		{rule("/" + strings.Repeat("a/", 70)), "segments"},
		{rule("/" + strings.Repeat("a", 5000)), "longer"},
		{rule("~/admin"), "anchored"},
		{rule("~(^/a|/b)"), "anchored"},
		{rule("~(?m)^/a"), "anchored"},
		{rule("~^/" + strings.Repeat("a/", 70)), "segments"},
		{rule("~^admin"), "must start with ^/"},
		{route.Rule[string]{Path: "/a", Regexp: regexp.MustCompile("^/a")}, "one of them"},
		{rule("a.com:80/x"), "port"},
		{rule("a.*.com/x"), "wildcard"},
		{rule("münchen.de/x"), "xn--"},
		{rule("a..com/x"), "empty label"},
		{route.Rule[string]{Hosts: []string{"a b"}}, "can't stand in a host"},
		{route.Rule[string]{Hosts: []string{""}}, "1 to 253"},
		{rule("GET,POST /x"), "method"},
		{rule("/x", header("a b", route.Present, "")), "field name"},
		{rule("/x", header("Host", route.Exact, "a")), "hosts of the rule"},
		{rule("/x", header("Connection", route.Present, "")), "belongs to the connection"},
		{rule("/x", query("", route.Present, "")), "without a name"},
		{route.Rule[string]{Query: []route.Value{{Name: "a", Kind: route.Regexp}}}, "no regexp"},
	} {
		table, conflicts := route.Build([]route.Rule[string]{c.rule, rule("/rest")})
		switch {
		case c.want == "" && len(conflicts) > 0:
			t.Errorf("%q: %+v", c.rule.Name, conflicts)
		case c.want != "" && (len(conflicts) != 1 || conflicts[0].Kind != route.Invalid || !strings.Contains(conflicts[0].Message, c.want)):
			t.Errorf("%q %q: got %+v, want %q", c.rule.Name, c.rule.Path, conflicts, c.want)
		}
		if v, _ := table.Match(request("GET x/rest")); c.want != "" && v != "/rest" {
			t.Errorf("%q: an invalid rule spoils the others", c.rule.Name)
		}
	}
}

// TestConflictsOfManyRules: what is quick for a few must not be quadratic.
func TestConflictsOfManyRules(t *testing.T) {
	const n = 3_000
	for name, make := range map[string]func(i int) route.Rule[string]{
		"a tenant each":     func(i int) route.Rule[string] { return rule("GET /x", header("x-tenant", route.Exact, fmt.Sprint(i))) },
		"all the same":      func(i int) route.Rule[string] { return rule("GET /x") },
		"a regexp each":     func(i int) route.Rule[string] { return rule(fmt.Sprintf("~^/[a-z]+/%d$", i%200)) },
		"a priority each":   func(i int) route.Rule[string] { return rule(fmt.Sprintf("/a/%d/*", i), priority(i)) },
		"one for all first": func(i int) route.Rule[string] { return rule(fmt.Sprintf("/a/%d", i), priority(-i)) },
	} {
		var rules []route.Rule[string]
		for i := range n {
			rules = append(rules, make(i))
		}
		start := time.Now()
		_, conflicts := route.Build(rules)
		t.Logf("%s: %v, %d conflicts", name, time.Since(start), len(conflicts))
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
}

// TestTiesAcrossParts: a long list is compared in parts, and what has no part
// is compared with all.
func TestTiesAcrossParts(t *testing.T) {
	var rules []route.Rule[string]
	for i := range 40 {
		r := rule("/x", query("tenant", route.Exact, fmt.Sprint(i)))
		if i == 20 {
			r = rule("/x", query("zone", route.Exact, "a"))
		}
		rules = append(rules, r)
	}
	_, conflicts := route.Build(rules)
	want := []string{fmt.Sprint(20, 0)}
	for i := 21; i < 40; i++ {
		want = append(want, fmt.Sprint(i, 20))
	}
	var got []string
	for _, c := range conflicts {
		got = append(got, fmt.Sprint(c.Rule, c.Other))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzPattern: a pattern is refused with a reason, or it matches the paths that
// it spells out.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"/", "/a/{b}/*", "/{rest...}", "/%41/é", "/a/", "", "/{a", "/a}", "//", "/.;", "/%2F", "/a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		table, conflicts := route.Build([]route.Rule[int]{{Path: text, Value: 7}})
		if len(conflicts) > 0 {
			if c := conflicts[0]; c.Kind != route.Invalid || c.Message == "" {
				t.Fatalf("%q: %+v", text, c)
			}
			return
		}
		// A path of this pattern: each parameter "p", each byte escaped.
		var path []byte
		for part := range strings.SplitSeq(strings.TrimPrefix(text, "/"), "/") {
			path = append(path, '/')
			switch {
			case part == "*" || strings.HasSuffix(part, "...}"):
				path = append(path, "p/q"...)
			case strings.HasPrefix(part, "{"):
				path = append(path, 'p')
			default:
				for i := 0; i < len(part); i++ {
					if part[i] == '%' {
						path = append(path, part[i:i+3]...)
						i += 2
					} else {
						path = fmt.Appendf(path, "%%%02X", part[i])
					}
				}
			}
		}
		var x exchange.Exchange
		x.Request.Method = "GET"
		x.Request.Path, _ = route.Clean(&x.Arena, path, route.CleanOptions{KeepEncodedSlash: true})
		if x.Request.Path == nil {
			return // what has encoded controls or a disguised dot segment never arrives
		}
		if v, o := table.Match(&x); o != route.Found || v != 7 {
			t.Fatalf("%q does not match %q", text, x.Request.Path)
		}
		for _, p := range x.Request.Params {
			if p.Name == "" || !strings.Contains(text, p.Name) || p.Name != "*" && string(p.Value) != "p" && string(p.Value) != "p/q" {
				t.Fatalf("%q: parameter %q=%q", text, p.Name, p.Value)
			}
		}
	})
}
