package expr

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"cel.dev/cel-go/common/types"

	"gopura/exchange"
)

// request is the exchange that the tests ask about.
func request() *exchange.Exchange {
	x := &exchange.Exchange{
		Client: &exchange.Client{Addr: netip.MustParseAddrPort("10.1.2.3:4711"), Protocol: "HTTP/1.1", Listener: "main"},
		Route:  "orders",
		ID:     []byte("id-1"),
		Identity: &exchange.Identity{Name: "idp", Sub: "alice", Claims: map[string]any{
			"sub": "alice", "age": 42.0, "scope": "users.read users.write", "groups": []any{"dev", "ops"},
			"org": map[string]any{"id": "o1"}, "admin": true}},
	}
	x.Request = exchange.Request{
		Method: "GET", Scheme: "https", Host: []byte("shop.example"), Path: []byte("/users/a%20b"), Query: []byte("v=1&v=2&page%2Dsize=a+b%21&empty="),
		Target: []byte("/users/a%20b?v=1"), Body: exchange.NoBody,
		Params: []exchange.Param{{Name: "id", Value: []byte("a%20b")}, {Name: "*", Value: []byte("x/y%20z")}},
	}
	x.Request.Header.Add("X-Plan", "gold")
	x.Request.Header.Add("Cookie", "a=1; session=s%3D1")
	x.Request.Header.Add("Cookie", "b=2")
	x.Request.Header.Add("X-Empty", "")
	return x
}

func newEnv(t testing.TB) *Env {
	t.Helper()
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPrograms(t *testing.T) {
	env, x := newEnv(t), request()
	for _, c := range []struct{ text, want string }{
		// Single facts.
		{`request.method`, "GET"}, {`request.scheme`, "https"}, {`request.host`, "shop.example"},
		{`request.path`, "/users/a%20b"}, {`request.target`, "/users/a%20b?v=1"}, {`request.id`, "id-1"},
		{`client.ip`, "10.1.2.3"}, {`client.port`, "4711"}, {`client.protocol`, "HTTP/1.1"}, {`listener`, "main"}, {`route`, "orders"},
		{`path.id`, "a b"}, {`path["*"]`, "x/y z"}, {`query.v`, "1"}, {`query["page-size"]`, "a b!"},
		{`header["x-plan"]`, "gold"}, {`header["X-Plan"]`, "gold"}, {`cookie.session`, "s%3D1"}, {`cookie["b"]`, "2"},
		{`identity.name`, "idp"}, {`identity.sub`, "alice"}, {`jwt.sub`, "alice"}, {`jwt.age`, "42"}, {`jwt.admin`, "true"},
		{`tls.version`, ""}, {`tls.sni`, ""},
		// What is not there is empty.
		{`header["x-none"]`, ""}, {`query.none`, ""}, {`cookie.none`, ""}, {`path.none`, ""}, {`jwt.none`, ""},
		{`header["x-none"] == ""`, "true"}, {`jwt.none == null`, "true"}, {`"a" in jwt.scope`, "false"},
		// Absence and emptiness.
		{`has(header.host2)`, "false"}, {`"x-empty" in header`, "true"}, {`"x-none" in header`, "false"}, {`has(query.empty)`, "true"},
		{`has(jwt.sub)`, "true"}, {`has(jwt.none)`, "false"}, {`has(cookie.a) && has(path.id)`, "true"},
		{`query[?"none"].orValue("d")`, "d"}, {`query[?"v"].orValue("d")`, "1"}, {`jwt.?none.orValue("d")`, "d"},
		// Real expressions.
		{`"users.read" in jwt.scope`, "true"}, {`jwt.scope.join(" ")`, "users.read users.write"}, {`"ops" in jwt.groups`, "true"},
		{`jwt.org.id`, "o1"}, {`jwt.groups.exists(g, g == "dev")`, "true"}, {`jwt.age > 18`, "true"},
		{`client.ip.inCIDR("10.0.0.0/8")`, "true"}, {`client.ip.inCIDR(["192.168.0.0/16", "10.1.2.3"])`, "true"}, {`client.ip.inCIDR("::/0")`, "false"},
		{`"::ffff:10.0.0.1".inCIDR("10.0.0.0/8")`, "true"}, {`"fe80::1%eth0".inCIDR("fe80::/10")`, "true"},
		{`request.method + " " + path.id.upperAscii()`, "GET A B"}, {`client.port + 1`, "4712"},
		{`query["v" + ""] + header["x-" + "plan"]`, "1gold"}, {`header["x-plan"].matches("^g.*d$")`, "true"},
		{`request.method in ["GET", "HEAD"]`, "true"}, {`base64.encode(b"hi")`, "aGk="}, {`[1, 2].map(v, v + 1)[1]`, "3"},
		{`"é" + path.id`, "éa b"}, {`"constant"`, "constant"}, {`null`, ""}, {`1.5`, "1.5"},
	} {
		p, err := env.Compile(c.text, String)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, err := p.String(x)
		if err != nil || got != c.want {
			t.Errorf("%s = %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

func TestValues(t *testing.T) {
	env, x := newEnv(t), request()
	p, err := env.Compile(`{"m": request.method, "n": [1, 2u, 1.5, true, null], "o": jwt.org, "c": jwt.scope}`, Any)
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Value(x)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(p)
	m := v.(map[string]any)
	if m["m"] != "GET" || len(m["n"].([]any)) != 5 || m["o"].(map[string]any)["id"] != "o1" || m["c"].([]any)[1] != "users.write" {
		t.Errorf("got %#v", v)
	}
	if v, err := mustCompile(t, env, `jwt.age`, Any).Value(x); v != 42.0 || err != nil {
		t.Errorf("a claim keeps its type: %#v, %v", v, err)
	}
	if v, err := mustCompile(t, env, `jwt.none`, Any).Value(x); v != nil || err != nil {
		t.Errorf("a claim that is not there is nil: %#v, %v", v, err)
	}
	if v, _ := mustCompile(t, env, `client.port`, Any).Value(x); v != int64(4711) {
		t.Errorf("the port is a number: %#v", v)
	}
}

// overwrite evaluates p for another request: what that writes must not show
// through in a value that was returned before.
func overwrite(p *Program) {
	y := request()
	y.Request.Method, y.Request.Params[0].Value = "XXXXXXX", []byte("YYYYYYYYYYYYY")
	for range 100 {
		p.Value(y)
	}
}

func TestValuesAreTheCallersOwn(t *testing.T) {
	env, x := newEnv(t), request()
	p := mustCompile(t, env, `path.id + "" == "" ? "" : path.id.substring(0)`, String)
	s, err := p.String(x)
	overwrite(p)
	if s != "a b" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	v, err := mustCompile(t, env, `[request.method, path.id]`, Any).Value(x)
	overwrite(p)
	if l := v.([]any); l[0] != "GET" || l[1] != "a b" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	_, err = mustCompile(t, env, `path.id.inCIDR("::/0")`, Bool).Bool(x)
	overwrite(p)
	if !strings.Contains(err.Error(), `"a b"`) {
		t.Error(err)
	}
	_, err = mustCompile(t, env, `jwt.org[path.id] == "x"`, Bool).Bool(x) // CEL words this error late
	overwrite(p)
	if !strings.Contains(err.Error(), "no such key: a b") {
		t.Error(err)
	}
}

// One program serves many requests at once.
func TestConcurrentUse(t *testing.T) {
	env := newEnv(t)
	p := mustCompile(t, env, `path.id.upperAscii() + header["x-plan"]`, String)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			x := request()
			x.Request.Params[0].Value = []byte(strings.Repeat(string(rune('a'+i)), i+1))
			want := strings.Repeat(string(rune('A'+i)), i+1) + "gold"
			for range 500 {
				if s, err := p.String(x); s != want || err != nil {
					t.Errorf("%q, %v; want %q", s, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func mustCompile(t testing.TB, e *Env, text string, k Kind) *Program {
	t.Helper()
	p, err := e.Compile(text, k)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestCompileErrors(t *testing.T) {
	env := newEnv(t)
	for _, c := range []struct {
		text   string
		kind   Kind
		offset int
		want   string
	}{
		{`header["x"] == "a" && request.methd == "GET"`, Bool, 22, "unknown fact request.methd (did you mean method?)"},
		{`request.foo`, Any, 0, "unknown fact request.foo (request has host, id, method, path, query, scheme, target, trace_id)"},
		{`client.ip == "1" || headr["x"] == ""`, Bool, 20, "unknown fact headr (did you mean header?)"},
		{`"é" == qery.v`, Bool, 8, "unknown fact qery (did you mean query?)"},
		{`request.headers["x"] == "a"`, Bool, 0, `unknown fact request.headers (write header["name"])`},
		{`request.cookie == "a"`, Bool, 0, `unknown fact request.cookie (write cookie["name"])`},
		{`request.method = "GET"`, Bool, 15, `syntax error: unexpected "=", where == compares`},
		{`header`, Any, 0, `header is a table of values, not a value (write header.name or header["name"])`},
		{`header.all(h, h != "")`, Bool, 0, `header is a table of values, not a value (write header.name or header["name"])`},
		{`request == "x"`, Bool, 0, "request is not a value (request.method, request.scheme, request.host, request.path, request.query, request.target, request.id, request.trace_id)"},
		{`header["Host"]`, String, 0, "the host is not among the headers (use request.host)"},
		{`header["x y"]`, String, 0, `not a header name: "x y"`},
		{`path.id.lowerAscci()`, String, 18, "unknown function lowerAscci (did you mean lowerAscii?)"},
		{`client.ip.inCIDR("10.0.0.0/33")`, Bool, 17, `not a network: "10.0.0.0/33"`},
		{`client.ip.inCIDR(["10.0.0.0/8", "x"])`, Bool, 32, `not a network: "x"`},
		{`header["x"].matches(header["y"])`, Bool, 19, "the pattern of matches must be written out, not computed"},
		{`path.id.replace("", header.x)`, String, 15, "replace wants two texts that are written out"},
		{`path.id.replace("a", "aaaaaaaaaaaaaaaaaaaaaaaaa")`, String, 15, "replace wants two texts that are written out"},
		{`T{a: 1}`, Any, 1, "messages are not available here: T{…}"},
		{`header["x"].matches("(")`, Bool, 20, "invalid matches argument"},
		{`request.method`, Bool, 0, "the expression must be true or false, but it is a string"},
		{`[1]`, String, 0, `the expression must be a text, but it is a list(int) (use string(…), or .join(",") for a list)`},
		{`has(request.method)`, Bool, 4, `request.method is always there (compare it with "")`},
		{`1 + `, Any, 4, "syntax error: something is missing at the end"},
		{``, Any, 0, "syntax error: something is missing at the end"},
		{`{"u": user +}`, Any, 12, `syntax error: unexpected "}"`},
		{`size(header["x"]`, Any, 16, "syntax error: a ) is missing at the end"},
		{`a # b`, Any, 2, `syntax error: unexpected "#"`},
		{`request.method`, List, 0, "the expression must be a list, but it is a string"},
		{`"x"`, Number, 0, "the expression must be a number, but it is a string"},
		{`request.method.startsWith(1)`, Any, 25, "startsWith of a string does not take (int)"},
		{`size(1)`, Any, 4, "size does not take (int)"},
		{`request.method + 1`, Any, 15, "string + int does not go together"},
	} {
		_, err := env.Compile(c.text, c.kind)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := e.Error(); e.Offset != c.offset || len(got) < len(c.want) || got[:len(c.want)] != c.want {
			t.Errorf("%s:\n got %d %s\nwant %d %s", c.text, e.Offset, got, c.offset, c.want)
		}
	}
}

// Whoever decides by a program that fails must refuse, so failing must be an
// error and not a value.
func TestRuntimeErrors(t *testing.T) {
	env, x := newEnv(t), request()
	many := make([]any, 1000)
	for i := range many {
		many[i] = "a claim"
	}
	x.Identity.Claims["many"] = many
	for text, want := range map[string]string{
		`jwt.org.none == "x"`:                      "no such key: none",
		`jwt.none.deeper == "x"`:                   "no such key: deeper",
		`"a" in jwt.none`:                          "no such overload",
		`jwt.sub > 1`:                              "no such overload",
		`jwt.sub`:                                  "it is a string, not true or false",
		`path.id.inCIDR("10.0.0.0/8")`:             `not an IP address: "a b"`,
		`!header["x-none"].inCIDR("10.0.0.0/8")`:   `not an IP address: ""`,
		`client.ip.inCIDR(header["x-plan"])`:       `not a network: "gold"`,
		`jwt.many.all(a, jwt.many.all(b, a == b))`: "actual cost limit exceeded",
		`int(header["x-plan"]) == 1`:               "type conversion error",
		`jwt.groups[9] == "x"`:                     "index out of bounds",
	} {
		p := mustCompile(t, env, text, Bool)
		if ok, err := p.Bool(x); ok || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, %v; want %s", text, ok, err, want)
		}
	}
	for text, want := range map[string]string{
		`jwt.groups`: "a list has no text", `jwt.org`: "a map has no text", `jwt.scope`: "a list has no text",
	} {
		if s, err := mustCompile(t, env, text, String).String(x); s != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %q, %v; want %s", text, s, err, want)
		}
	}
}

// A fact that an expression does not use is not computed, and one behind a
// decided && neither.
func TestFactsAreLazy(t *testing.T) {
	env, x := newEnv(t), request()
	p := mustCompile(t, env, `request.method == "POST" && jwt.sub == "alice" && client.ip != ""`, Bool)
	if got := strings.Join(p.Facts(), " "); got != "request.method jwt client.ip" {
		t.Errorf("facts: %s", got)
	}
	a := p.enter(x)
	if _, err := p.eval(a); err != nil {
		t.Fatal(err)
	}
	if got := string(a.scratch); got != "GET" {
		t.Errorf("computed %q, want only the method", got)
	}
	p.leave(a)
	if a.x != nil || len(a.scratch) != 0 {
		t.Error("the activation keeps what it knew of the request")
	}
}

// No identity, no TLS, a client on a unix socket: every fact has a value.
func TestFactsOfABareExchange(t *testing.T) {
	env := newEnv(t)
	x := &exchange.Exchange{Client: &exchange.Client{}, Request: exchange.Request{Body: exchange.NoBody}}
	for _, f := range facts {
		text := f.name
		switch {
		case f.table:
			text += ".x"
		case f.typ != nil && f.typ.Kind() == types.ListKind:
			text += `.join(",")`
		}
		for _, text := range []string{text, `string(dyn(` + text + `) == dyn(""))`} {
			if _, err := mustCompile(t, env, text, String).String(x); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"", "true", `request.method == "GET"`, `header["x"]`, `has(query.v)`, `"a" in jwt.scope`, `client.ip.inCIDR(["10.0.0.0/8"])`,
		`jwt.groups.exists(g, g == "dev")`, `header.x.matches("^a+$")`, `{"a": [1, 2u, 1.5, b"x", null]}`, `query[?"a"].orValue("b")`, `request`, `header`,
		`"é" == qery.v`, `T{a: 1}`, `[1].map(x, x)[0]`, `base64.encode(b"x")`, `"%s".format([1])`, `a.b.c`, `((((`, `'''`, "\n\n1+", `timestamp("x")`, `duration("1s")`,
		`path.id.replace("a", "b").split("b").join(",")`, `request[header]`, `jwt[jwt.sub]`, `header[header["x"]]`, `type(jwt.sub) == string`} {
		f.Add(s)
	}
	env := newEnv(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []Kind{Any, Bool, String} {
			p, err := env.Compile(text, kind)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) || e.Message == "" {
					t.Fatalf("%q: %#v", text, err)
				}
				continue
			}
			x := request()
			for _, err := range []error{second(p.Bool(x)), second(p.String(x)), second(p.Value(x))} {
				if err != nil && strings.Contains(err.Error(), "internal error") {
					t.Fatalf("%q: %v", text, err)
				}
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A route knows its path parameters, so a name that is none of them is found
// when the configuration is read, not as an empty text in production.
func TestForRouteKnowsThePathParameters(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := e.ForRoute([]string{"id", "order"})
	if _, err := r.Compile(`path.id + path["order"]`, String); err != nil {
		t.Error(err)
	}
	_, err = r.TemplateFor("/v2/{path.ordr}", Path)
	var fault *Error
	if !errors.As(err, &fault) || fault.Hint != "did you mean order?" || fault.Offset != 5 {
		t.Errorf("%+v", err)
	}
	if _, err := e.Compile("path.anything", String); err != nil {
		t.Error("without a route any name may be there:", err)
	}
}
