package policy

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/route"
)

func newEnv(t testing.TB) *Env {
	t.Helper()
	e, err := expr.New(expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &Env{Expr: e, Route: "r", CleanPath: func(a *exchange.Arena, p []byte) ([]byte, error) { return route.Clean(a, p, route.CleanOptions{}) }}
}

func newExchange(target string) *exchange.Exchange {
	x := &exchange.Exchange{Client: &exchange.Client{Addr: netip.MustParseAddrPort("10.1.2.3:4711")}}
	path, query, found := strings.Cut(target, "?")
	x.Request = exchange.Request{Method: "GET", Scheme: "https", Host: []byte("a.example"), Authority: []byte("a.example"), Path: []byte(path), Body: exchange.NoBody}
	if found {
		x.Request.Query = []byte(query)
	}
	return x
}

// serve runs one policy in front of a node that answers 200, and returns what
// the node saw as "path?query".
func serve(t *testing.T, env *Env, spec Spec, x *exchange.Exchange) (string, error) {
	t.Helper()
	link, err := spec.Compile(env)
	if err != nil {
		t.Fatal(err)
	}
	saw := ""
	err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		saw = string(x.Request.Path)
		if x.Request.Query != nil {
			saw += "?" + string(x.Request.Query)
		}
		x.Response.Status = 200
		return nil
	})).Serve(x)
	return saw, err
}

func fieldsOf(h *exchange.Header) string {
	var s []string
	for _, f := range h.Fields() {
		s = append(s, fmt.Sprintf("%s: %s", f.Name, f.Value))
	}
	return strings.Join(s, "; ")
}

// logged is a policy that notes when it ran.
type logged struct {
	name string
	log  *[]string
	err  error
}

func (l *logged) Compile(*Env) (exchange.Middleware, error) {
	if l.err != nil {
		return nil, l.err
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error { *l.log = append(*l.log, l.name); return next.Serve(x) })
	}, nil
}

func TestChainRunsInTheOrderOfTheStages(t *testing.T) {
	var log []string
	var policies []config.Policy
	for _, name := range []string{"headers", "rewrite", "max_body", "strip_prefix"} { // the order of the file
		policies = append(policies, config.Policy{Name: name, Spec: &logged{name: name, log: &log}})
	}
	link, faults := Chain(newEnv(t), policies)
	if faults != nil {
		t.Fatal(faults)
	}
	link(exchange.HandlerFunc(func(*exchange.Exchange) error { log = append(log, "node"); return nil })).Serve(newExchange("/"))
	if got := strings.Join(log, " "); got != "max_body strip_prefix rewrite headers node" {
		t.Error(got)
	}
}

func TestChainReportsAllFaults(t *testing.T) {
	pos := config.Pos{File: "g.yaml", Line: 3, Col: 5}
	_, faults := Chain(newEnv(t), []config.Policy{
		{Name: "nope", Spec: &logged{}, Pos: pos},
		{Name: "rewrite", Spec: &Rewrite{To: "/{qery.v}"}, Pos: pos},
		{Name: "max_body", Spec: &logged{err: errors.New("broken")}, Pos: pos},
		{Name: "max_body", Spec: &logged{}, Pos: pos},
		{Name: "headers", Pos: pos, Spec: &Headers{Request: RequestEdits{
			Set: []config.Pair{{Name: "Host", Value: "x"}, {Name: "X-A", Value: "{"}, {Name: "x-a", Value: "1"}, {Name: "X-B", Value: "a\nb"}},
			Add: []config.Pair{{Name: "Transfer-Encoding", Value: "chunked"}, {Name: "X Y", Value: "1"}}, Remove: []string{"Content-Length", "*"}, Host: "a b"},
			Response: ResponseEdits{Set: []config.Pair{{Name: "Host", Value: "1"}}}}},
	})
	var got []string
	for _, f := range faults {
		if f.Pos != pos {
			t.Errorf("%v has no place", f)
		}
		got = append(got, f.Error())
	}
	want := `policy max_body: broken
policy max_body: given twice
policy rewrite: to: unknown fact qery (did you mean query?)
policy headers: request.set.Host: the host is not among the fields: write headers: {request: {host: …}}
policy headers: request.set.X-A: { without its } ({{ stands for a brace)
policy headers: request.set.x-a: the field is named twice
policy headers: request.set.X-B: a header value holds no control characters
policy headers: request.add.Transfer-Encoding: Transfer-Encoding belongs to the connection, the gateway writes it itself
policy headers: request.add.X Y: not a field name: "X Y"
policy headers: request.remove: Content-Length belongs to the connection, the gateway writes it itself
policy headers: request.remove: not a field name: ""
policy headers: response.set.Host: a response has no Host
policy headers: request.host: a host is written as name, name:port or address
policy nope: there is no such policy`
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

func TestKindsDecode(t *testing.T) {
	for i, k := range ConfigKinds() {
		if _, ok := k.New().(Spec); !ok || k.Doc == "" || k.Name != Kinds[i].Name {
			t.Errorf("%s is not complete", k.Name)
		}
	}
}

func TestStripPrefix(t *testing.T) {
	for _, c := range []struct{ prefix, target, want, header string }{
		{"/api", "/api/users?x=1", "/users?x=1", "/api"},
		{"/api/", "/api/users", "/users", "/api"},
		{"/api", "/api", "/", "/api"},
		{"/api", "/api/", "/", "/api"},
		{"/api", "/apiary", "/apiary", ""}, // whole segments only
		{"/api", "/x/api/y", "/x/api/y", ""},
		{"/api/v1", "/api/v1/a%20b", "/a%20b", "/api/v1"},
		{"/api/v1", "/api/v12", "/api/v12", ""},
	} {
		x := newExchange(c.target)
		x.Request.Header.Add("X_Forwarded_Prefix", "/evil") // the client's word
		saw, err := serve(t, newEnv(t), &StripPrefix{Prefix: c.prefix}, x)
		want := ""
		if c.header != "" {
			want = "X-Forwarded-Prefix: " + c.header
		}
		if err != nil || saw != c.want || fieldsOf(&x.Request.Header) != want {
			t.Errorf("%s of %s: %s, %q, %v", c.prefix, c.target, saw, fieldsOf(&x.Request.Header), err)
		}
	}
	for _, prefix := range []string{"", "/", "api", "/a/../b", "/a//b", "//a", "/a b", "/%61", "/a?b"} {
		if _, err := (&StripPrefix{Prefix: prefix}).Compile(newEnv(t)); err == nil {
			t.Errorf("%q was accepted", prefix)
		}
	}
	// Where double slashes are kept, what is left must not name a host.
	env := newEnv(t)
	env.CleanPath = func(a *exchange.Arena, p []byte) ([]byte, error) {
		return route.Clean(a, p, route.CleanOptions{KeepDoubleSlash: true})
	}
	if _, err := serve(t, env, &StripPrefix{Prefix: "/api"}, newExchange("/api//evil.example")); !exchange.BadTarget.Is(err) {
		t.Error(err)
	}
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ to, target, want string }{
		{"/fixed", "/a?q=1", "/fixed?q=1"},
		{"/fixed?", "/a?q=1", "/fixed"},
		{"/fixed?a=b", "/a?q=1", "/fixed?a=b"},
		{"/v2{request.path}", "/a/b%20c?q=1", "/v2/a/b%20c?q=1"},
		{"/u/{query.id}?v={query.v}&w=1", "/a?id=a%20b&v=x%26y", "/u/a%20b?v=x%26y&w=1"},
		{"/x?{request.query}&more=1", "/a?q=1", "/x?q=1&more=1"},
		{"/{path.id}", "/a", "/a%2Cb"},
	} {
		x := newExchange(c.target)
		x.Request.Params = []exchange.Param{{Name: "id", Value: []byte("a%2Cb")}}
		if saw, err := serve(t, newEnv(t), &Rewrite{To: c.to}, x); err != nil || saw != c.want {
			t.Errorf("%s of %s: %s, %v; want %s", c.to, c.target, saw, err, c.want)
		}
	}
	for _, to := range []string{"", "x", "{query.v}", "//x", "/a/../b", "/a/./b", "/a//{query.v}", "/v2/{request.path}", "/a b", "/a#b", "/%2e%2e/x", "/%2", "/a%2fb", "/..;/a"} {
		if _, err := (&Rewrite{To: to}).Compile(newEnv(t)); err == nil {
			t.Errorf("%q was accepted", to)
		}
	}
}

// No value that a client sends can move the path elsewhere.
func TestRewriteRefusesWhatCouldBeReadDifferently(t *testing.T) {
	attacks := []string{"..", ".", "%2e%2e", "%2E.", "..%2f..%2fadmin", "a%2Fb", "a%5cb", "..%3b", "%00", "a%0d%0ab", "", "%7f", "%2f%2fevil.example", "..%3Bx"}
	for _, clean := range []bool{true, false} {
		for _, to := range []string{"/v2/{query.v}/x", "/{query.v}", "/{query.v}/admin", "/.{query.v}", "/a/{query.v}{query.w}"} {
			for _, v := range attacks {
				env := newEnv(t)
				if !clean {
					env.CleanPath = nil
				}
				x := newExchange("/a?v=" + v + "&w=" + v)
				saw, err := serve(t, env, &Rewrite{To: to}, x)
				if err != nil {
					if e := exchange.AsError(err); e.Status != 400 || saw != "" {
						t.Errorf("%s with %q: %v, the node saw %q", to, v, err, saw)
					}
					continue
				}
				path, _, _ := strings.Cut(saw, "?")
				if got, err := route.Clean(&x.Arena, []byte(path), route.CleanOptions{}); err != nil || string(got) != path {
					t.Errorf("%s with %q: %q is not normal", to, v, path)
				}
				if strings.Count(path, "/") != strings.Count(to, "/") {
					t.Errorf("%s with %q: %q has other segments", to, v, path)
				}
			}
		}
	}
}

func FuzzRewrite(f *testing.F) {
	for _, s := range []string{"..", "a/b", "%2e", "", "a;b", "\x00", "é", "%", "..;x"} {
		f.Add(s, s)
	}
	env := newEnv(f)
	link, err := (&Rewrite{To: `/v2/{header["a"]}/{header["b"]}?q={header["a"]}`}).Compile(env)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x := newExchange("/x")
		x.Request.Header.Add("a", a)
		x.Request.Header.Add("b", b)
		link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
			p := string(x.Request.Path)
			if got, err := route.Clean(&x.Arena, x.Request.Path, route.CleanOptions{}); err != nil || string(got) != p || strings.Count(p, "/") != 3 || strings.ContainsAny(string(x.Request.Query), "&# /") {
				t.Errorf("%q, %q: %q ? %q", a, b, p, x.Request.Query)
			}
			return nil
		})).Serve(x)
	})
}

func TestHeaders(t *testing.T) {
	x := newExchange("/?v=1")
	for _, f := range []string{"X-Old: 1", "x_user: admin", "X-User: root", "X-Internal-A: 1", "x_internal_b: 1", "Keep: k"} {
		name, value, _ := strings.Cut(f, ": ")
		x.Request.Header.Add(name, value)
	}
	spec := &Headers{
		Request: RequestEdits{
			Set:    []config.Pair{{Name: "X-User", Value: "{identity.sub}"}, {Name: "X-Old", Value: "2"}},
			Add:    []config.Pair{{Name: "X-Via", Value: "a"}, {Name: "Keep", Value: "{client.ip} {query.v}"}},
			Remove: []string{"X-Internal-*"}, Host: "b.example:80",
		},
		Response: ResponseEdits{Set: []config.Pair{{Name: "Server", Value: "gopura"}}, Remove: []string{"x-powered-by"}, Add: []config.Pair{{Name: "X-Path", Value: "{request.path}"}}},
	}
	x.Identity = &exchange.Identity{Sub: "alice"}
	link, err := spec.Compile(newEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Response.Status = 200
		x.Response.Header.Add("Server", "s")
		x.Response.Header.Add("X-Powered-By", "p")
		x.Response.Header.Add("server", "t")
		return nil
	})).Serve(x)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fieldsOf(&x.Request.Header), "Keep: k; X-User: alice; X-Old: 2; X-Via: a; Keep: 10.1.2.3 1"; got != want {
		t.Errorf("request: %s; want %s", got, want)
	}
	if got, want := fieldsOf(&x.Response.Header), "Server: gopura; X-Path: /"; got != want {
		t.Errorf("response: %s; want %s", got, want)
	}
	if string(x.Request.Authority) != "b.example:80" {
		t.Errorf("host: %s", x.Request.Authority)
	}
}

func TestHeadersNeverSendControls(t *testing.T) {
	spec := &Headers{Request: RequestEdits{Set: []config.Pair{{Name: "X-V", Value: "{query.v}"}}}}
	for _, v := range []string{"a%0d%0aX-User: admin", "%00", "%0a", "%7f"} {
		if saw, err := serve(t, newEnv(t), spec, newExchange("/?v="+v)); !exchange.BadRequest.Is(err) || saw != "" {
			t.Errorf("%s: %v, the node saw %q", v, err, saw)
		}
	}
	// In a response: the answer is dropped, not sent without the field.
	closed := 0
	x := newExchange("/?v=%0a")
	link, err := (&Headers{Response: ResponseEdits{Add: []config.Pair{{Name: "X-V", Value: "{query.v}"}}}}).Compile(newEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Response = exchange.Response{Status: 200, Body: &pieces{closed: &closed}}
		return nil
	})).Serve(x)
	if !exchange.BadRequest.Is(err) || x.Response.Status != 0 || closed != 1 {
		t.Errorf("%v, status %d, closed %d", err, x.Response.Status, closed)
	}
}

func TestHeadersLeaveFailuresAlone(t *testing.T) {
	x := newExchange("/")
	link, err := (&Headers{Response: ResponseEdits{Set: []config.Pair{{Name: "A", Value: "b"}}}}).Compile(newEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	err = link(exchange.HandlerFunc(func(*exchange.Exchange) error { return exchange.ConnectFailed.Because(nil) })).Serve(x)
	if !exchange.ConnectFailed.Is(err) || x.Response.Header.Len() != 0 {
		t.Errorf("%v; %s", err, fieldsOf(&x.Response.Header))
	}
}

// pieces is a body of unknown length.
type pieces struct {
	list   []string
	closed *int
}

func (p *pieces) Next() ([]byte, error) {
	if len(p.list) == 0 {
		return nil, io.EOF
	}
	s := p.list[0]
	p.list = p.list[1:]
	return []byte(s), nil
}
func (p *pieces) Len() int64                { return -1 }
func (p *pieces) Trailer() *exchange.Header { return nil }
func (p *pieces) Close() error {
	if p.closed != nil {
		*p.closed++
	}
	return nil
}

func TestMaxBody(t *testing.T) {
	for _, c := range []struct {
		name    string
		body    exchange.Body
		mode    string
		read    string // what the node got
		refused bool
		shadow  int
	}{
		{"announced, fits", exchange.BytesBody([]byte("12345")), enforce, "12345", false, 0},
		{"announced, too large", exchange.BytesBody([]byte("123456")), enforce, "", true, 0},
		{"streamed, fits", &pieces{list: []string{"123", "45"}}, enforce, "12345", false, 0},
		{"streamed, too large", &pieces{list: []string{"123", "456", "7"}}, enforce, "123", true, 0},
		{"announced, shadow", exchange.BytesBody([]byte("123456")), shadow, "123456", false, 1},
		{"streamed, shadow", &pieces{list: []string{"123", "456", "7"}}, shadow, "1234567", false, 1},
		{"none", exchange.NoBody, enforce, "", false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, counted := newEnv(t), 0
			env.Shadow = func(x *exchange.Exchange, policy, code string) {
				if policy != "max_body" || code != "body_too_large" {
					t.Errorf("shadow %s %s", policy, code)
				}
				counted++
			}
			link, err := (&MaxBody{Size: 5, Mode: c.mode}).Compile(env)
			if err != nil {
				t.Fatal(err)
			}
			x := newExchange("/")
			x.Request.Body = c.body
			got := ""
			err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
				for {
					p, err := x.Request.Body.Next()
					if err != nil { // a node that swallows the error does not hide it
						if p, again := x.Request.Body.Next(); again == nil {
							t.Errorf("after %v there was %q", err, p)
						}
						break
					}
					got += string(p)
				}
				x.Response.Status = 200
				return nil
			})).Serve(x)
			if got != c.read || exchange.BodyTooLarge.Is(err) != c.refused || !c.refused && err != nil || counted != c.shadow {
				t.Errorf("read %q, %v, shadow %d", got, err, counted)
			}
			if c.refused && x.Response.Status != 0 {
				t.Error("the answer to half a body was kept")
			}
		})
	}
}
