package route_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopura/exchange"
	"gopura/route"
)

// rule reads "GET|POST host/path"; a path that starts with ~ is a regexp. The
// text is its name and its value.
func rule(text string, more ...func(*route.Rule[string])) route.Rule[string] {
	r := route.Rule[string]{Name: text, Value: text}
	rest := text
	if methods, after, ok := strings.Cut(text, " "); ok {
		r.Methods, rest = strings.Split(methods, "|"), after
	}
	if host, re, ok := strings.Cut(rest, "~"); ok {
		rest, r.Regexp = host, regexp.MustCompile(re)
	} else if i := strings.IndexByte(rest, '/'); i >= 0 {
		r.Path, rest = rest[i:], rest[:i]
	}
	if rest != "" {
		r.Hosts = []string{rest}
	}
	for _, f := range more {
		f(&r)
	}
	return r
}

func priority(n int) func(*route.Rule[string]) {
	return func(r *route.Rule[string]) { r.Priority = n }
}

func header(name string, kind route.ValueKind, text string) func(*route.Rule[string]) {
	return func(r *route.Rule[string]) { r.Headers = append(r.Headers, value(name, kind, text)) }
}

func query(name string, kind route.ValueKind, text string) func(*route.Rule[string]) {
	return func(r *route.Rule[string]) { r.Query = append(r.Query, value(name, kind, text)) }
}

func value(name string, kind route.ValueKind, text string) route.Value {
	v := route.Value{Name: name, Kind: kind, Text: text}
	if kind == route.Regexp {
		v.Regexp = regexp.MustCompile(text)
	}
	return v
}

func when(text string, f func(*exchange.Exchange) bool) func(*route.Rule[string]) {
	return func(r *route.Rule[string]) { r.When, r.WhenText = f, text }
}

// tag makes rules of the same text different.
func tag(s string) func(*route.Rule[string]) {
	return func(r *route.Rule[string]) { r.Name, r.Value = s, s }
}

// request reads "GET host/path?query" and fields of "name: value".
func request(text string, fields ...string) *exchange.Exchange {
	x := new(exchange.Exchange)
	method, rest, _ := strings.Cut(text, " ")
	rest, query, ok := strings.Cut(rest, "?")
	i := strings.IndexByte(rest, '/')
	x.Request.Method, x.Request.Host, x.Request.Path = method, []byte(rest[:i]), []byte(rest[i:])
	if ok {
		x.Request.Query = []byte(query)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Request.Header.Add(name, value)
	}
	return x
}

func build(t testing.TB, rules ...route.Rule[string]) *route.Table[string] {
	t.Helper()
	table, conflicts := route.Build(rules)
	if len(conflicts) > 0 {
		t.Fatalf("conflicts: %+v", conflicts)
	}
	return table
}

func params(x *exchange.Exchange) string {
	var s []string
	for _, p := range x.Request.Params {
		s = append(s, p.Name+"="+string(p.Value))
	}
	return strings.Join(s, " ")
}

func TestMatch(t *testing.T) {
	type ask struct{ request, want, params string }
	for name, c := range map[string]struct {
		rules []route.Rule[string]
		asks  []ask
	}{
		"an exact segment beats a parameter beats a regexp beats a tail": {
			[]route.Rule[string]{rule("/*"), rule("/users/*"), rule("~^/users/[0-9]+(/|$)"), rule("/users/{id}"), rule("/users/me"), rule("/users/{id}/orders")},
			[]ask{
				{"GET a/users/me", "/users/me", ""},
				{"GET a/users/42", "/users/{id}", "id=42"},
				{"GET a/users/42/orders", "/users/{id}/orders", "id=42"},
				{"GET a/users/42/x", "~^/users/[0-9]+(/|$)", ""},
				{"GET a/users/x/y", "/users/*", "*=x/y"},
				{"GET a/users/", "/users/*", "*="},
				{"GET a/users", "/users/*", "*="},
				{"GET a/other", "/*", "*=other"},
				{"GET a/", "/*", "*="},
			},
		},
		"the walk comes back from a better segment that leads nowhere": {
			[]route.Rule[string]{rule("/a/b/c"), rule("/a/{x}/d"), rule("/{y}/b/e"), rule("/{z...}")},
			[]ask{
				{"GET h/a/b/c", "/a/b/c", ""},
				{"GET h/a/b/d", "/a/{x}/d", "x=b"},
				{"GET h/a/b/e", "/{y}/b/e", "y=a"},
				{"GET h/a/b/f", "/{z...}", "z=a/b/f"},
			},
		},
		"the left segment decides": {
			[]route.Rule[string]{rule("/admin/*"), rule("/{tenant}/settings")},
			[]ask{{"GET h/admin/settings", "/admin/*", "*=settings"}, {"GET h/acme/settings", "/{tenant}/settings", "tenant=acme"}},
		},
		"the host comes before the path": {
			[]route.Rule[string]{rule("a.example.com/*"), rule("*.example.com/x"), rule("*.b.example.com/*"), rule("/x/y"), rule("/*")},
			[]ask{
				{"GET a.example.com/x", "a.example.com/*", "*=x"},
				{"GET c.example.com/x", "*.example.com/x", ""},
				{"GET c.d.example.com/x", "*.example.com/x", ""},
				{"GET c.b.example.com/x", "*.b.example.com/*", "*=x"},
				{"GET example.com/x", "/*", "*=x"},
				{"GET xexample.com/x", "/*", "*=x"},
				{"GET c.example.com/x/y", "/x/y", ""},
				{"GET [::1]/x/y", "/x/y", ""},
			},
		},
		"hosts are configured in any case and with a final dot": {
			[]route.Rule[string]{rule("API.Example.com./x"), rule("*.EXAMPLE.com/x"), rule("[::1]/x")},
			[]ask{{"GET api.example.com/x", "API.Example.com./x", ""}, {"GET b.example.com/x", "*.EXAMPLE.com/x", ""}, {"GET [::1]/x", "[::1]/x", ""}},
		},
		"a priority comes before all": {
			[]route.Rule[string]{rule("a/x/{y}"), rule("GET /x/*", priority(1)), rule("/*", priority(-1)), rule("a/z")},
			[]ask{{"GET a/x/y", "GET /x/*", "*=y"}, {"POST a/x/y", "a/x/{y}", "y=y"}, {"GET a/z", "a/z", ""}, {"GET a/other", "/*", "*=other"}},
		},
		"GET includes HEAD, and HEAD by name comes first": {
			[]route.Rule[string]{rule("GET /x"), rule("HEAD /x"), rule("GET /y"), rule("/*")},
			[]ask{{"HEAD h/x", "HEAD /x", ""}, {"GET h/x", "GET /x", ""}, {"HEAD h/y", "GET /y", ""}, {"OPTIONS h/y", "/*", "*=y"}},
		},
		"slashes at the end tell paths apart, and a parameter is never empty": {
			[]route.Rule[string]{rule("/a"), rule("/a/"), rule("/b/{x}"), rule("/c/{x}/")},
			[]ask{{"GET h/a", "/a", ""}, {"GET h/a/", "/a/", ""}, {"GET h/b/", "", ""}, {"GET h/b/1/", "", ""}, {"GET h/c/1/", "/c/{x}/", "x=1"}},
		},
		"an exact segment can't be dodged by its encoding": {
			[]route.Rule[string]{rule("/v1/users:batch"), rule("/v1/{x}"), rule("/café/*"), rule("/a%20b"), rule("/%2A")},
			[]ask{
				{"GET h/v1/users:batch", "/v1/users:batch", ""},
				{"GET h/v1/users%3Abatch", "/v1/users:batch", ""},
				{"GET h/v1/users%253Abatch", "/v1/{x}", "x=users%253Abatch"},
				{"GET h/caf%C3%A9/x", "/café/*", "*=x"},
				{"GET h/a%20b", "/a%20b", ""},
				{"GET h/*", "/%2A", ""},
			},
		},
		"a regexp names parameters": {
			[]route.Rule[string]{rule("~^/v(?P<major>[0-9]+)/(?P<rest>.*)$"), rule("~^/w/(x|(?P<y>y))$")},
			[]ask{{"GET h/v2/a/b", "~^/v(?P<major>[0-9]+)/(?P<rest>.*)$", "major=2 rest=a/b"}, {"GET h/v/a", "", ""}, {"GET h/w/x", "~^/w/(x|(?P<y>y))$", ""}},
		},
		"more conditions win: method, then headers, then query, then when": {
			[]route.Rule[string]{
				rule("/x"), rule("GET /x"),
				rule("/x", header("X-Plan", route.Exact, "gold"), tag("gold")),
				rule("/x", header("X-Plan", route.Prefix, "g"), tag("g…")),
				rule("/x", header("X-Plan", route.Present, ""), tag("plan")),
				rule("/x", query("v", route.Exact, "a b"), tag("v")),
				rule("/x", when("id", func(x *exchange.Exchange) bool { return x.Request.Header.Has("w") }), tag("when")),
			},
			[]ask{
				{"GET h/x|x-plan: gold", "GET /x", ""},
				{"PUT h/x|x-plan: gold", "gold", ""},
				{"PUT h/x|x-plan: green", "g…", ""},
				{"PUT h/x|x-plan: red", "plan", ""},
				{"PUT h/x|x-plan: silver|x-plan: gold", "plan", ""}, // the first value counts
				{"PUT h/x?v=a+b|w: 1", "v", ""},
				{"PUT h/x?u=1&%76=a%20b&v=2", "v", ""},
				{"PUT h/x?v=2&v=a+b|w: 1", "when", ""},
				{"PUT h/x", "/x", ""},
			},
		},
		"when sees the parameters of its own rule": {
			[]route.Rule[string]{
				rule("/{a}/x", when("a is 1", func(x *exchange.Exchange) bool { return string(x.Request.Param("a")) == "1" })),
				rule("/{b}/{c}"),
			},
			[]ask{{"GET h/1/x", "/{a}/x", "a=1"}, {"GET h/2/x", "/{b}/{c}", "b=2 c=x"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := build(t, c.rules...)
			for _, a := range c.asks {
				parts := strings.Split(a.request, "|")
				x := request(parts[0], parts[1:]...)
				got, _ := table.Match(x)
				if got != a.want || params(x) != a.params {
					t.Errorf("%s: got %q with %q, want %q with %q", a.request, got, params(x), a.want, a.params)
				}
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	table := build(t,
		rule("GET /x"), rule("POST|PUT /x", header("a", route.Present, "")), rule("DELETE /x", header("a", route.Absent, "")),
		rule("PATCH other/x"), rule("GET /{y...}", priority(-1)), rule("POST /only"))
	for _, c := range []struct {
		request string
		want    route.Outcome
		allowed []string
	}{
		{"GET h/x", route.Found, nil},
		{"PATCH h/x", route.WrongMethod, []string{"DELETE", "GET", "HEAD"}},
		{"PATCH other/only", route.WrongMethod, []string{"GET", "HEAD", "POST"}},
		{"get h/x", route.WrongMethod, []string{"DELETE", "GET", "HEAD"}}, // methods are case-sensitive
		{"POST h/nowhere", route.WrongMethod, []string{"GET", "HEAD"}},
	} {
		x := request(c.request)
		if _, got := table.Match(x); got != c.want {
			t.Errorf("%s: outcome %v, want %v", c.request, got, c.want)
		}
		if got := table.Allowed(x); c.allowed != nil && !slices.Equal(got, c.allowed) {
			t.Errorf("%s: allowed %q, want %q", c.request, got, c.allowed)
		}
		if c.want != route.Found && len(x.Request.Params) > 0 {
			t.Errorf("%s: parameters %q without a route", c.request, params(x))
		}
	}
	x := request("OPTIONS h/x")
	x.Request.Path = []byte("*")
	if _, got := table.Match(x); got != route.NoRoute {
		t.Errorf("OPTIONS *: outcome %v, want no route", got)
	}
	if _, got := build(t).Match(request("GET h/x")); got != route.NoRoute {
		t.Errorf("an empty table: outcome %v, want no route", got)
	}
}

func TestOrder(t *testing.T) {
	table := build(t, rule("/*"), rule("GET /users/{id}"), rule("a.com/*"), rule("GET /users/me"), rule("/x", priority(1)))
	if got, want := table.Order(), []int{4, 2, 3, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestExplain(t *testing.T) {
	table := build(t,
		rule("GET /users/{id}"), rule("POST /users/{id}"), rule("a.example.com/users/*"),
		rule("/users/*", header("x-plan", route.Exact, "gold")), rule("/users/*"), rule("/orders/*"), rule("/*", priority(-1)))
	want := []string{
		`2 host: h is not a.example.com`,
		`0 won`,
		`1 method: GET is not POST`,
		`3 header x-plan: is not "gold"`,
		`4 "GET /users/{id}" comes first: its path is less specific`,
		`6 "GET /users/{id}" comes first: priority -1 is lower than 0`,
	}
	var got []string
	x := request("GET h/users/42")
	for _, c := range table.Explain(x) {
		if c.Won {
			c.Reason = "won"
		}
		got = append(got, fmt.Sprintf("%d %s", c.Rule, c.Reason))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if params(x) != "id=42" {
		t.Errorf("parameters %q", params(x))
	}
}

// again makes x a new exchange with the same request, as a front end does.
func again(x *exchange.Exchange) {
	r := x.Request
	x.Reset()
	x.Request = r
}

func TestMatchDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("with the race detector, pools forget what they are given now and then")
	}
	table := build(t,
		rule("GET /users/{id}/orders/{order}"), rule("*.example.com/files/*"), rule("~^/v[0-9]+/x"),
		rule("/a:b", header("x-plan", route.Prefix, "g"), query("v", route.Exact, "1"), query("w", route.Regexp, "^x y$")),
		rule("/{x}", when("w", func(x *exchange.Exchange) bool { return x.Request.Header.Has("w") })))
	for _, c := range []string{
		"GET h/users/42/orders/7", "GET cdn.example.com/files/a/b/c", "GET h/v2/x",
		"GET h/a%3Ab?v=%31&w=x+y|x-plan: gold", "GET h/x|w: 1", "GET h/nowhere/at/all", "POST h/users/42/orders/7",
	} {
		parts := strings.Split(c, "|")
		x := request(parts[0], parts[1:]...)
		n := testing.AllocsPerRun(200, func() {
			table.Match(x)
			again(x)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", c, n)
		}
	}
}
