package policy

import (
	"errors"
	"testing"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

type claims = map[string]any

// somebody returns an exchange of somebody with claims; nil: of nobody.
func somebody(c claims) *exchange.Exchange {
	x := newExchange("/orders/7?v=1")
	if c != nil {
		x.Identity = &exchange.Identity{Name: "idp", Sub: "alice", Claims: c}
	}
	return x
}

// identified is the environment of a route with an identity policy.
func identified(t testing.TB) *Env {
	env := newEnv(t)
	env.identified = true
	return env
}

// code is how a policy answers: "" when it lets pass.
func code(t *testing.T, env *Env, spec Spec, x *exchange.Exchange) string {
	t.Helper()
	saw, err := serve(t, env, spec, x)
	if err == nil {
		if saw == "" {
			t.Error("the node was not asked")
		}
		return ""
	}
	if saw != "" {
		t.Errorf("refused, but the node saw %s", saw)
	}
	return exchange.AsError(err).Code
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		when   string
		claims claims
		want   string
	}{
		{`"users.read" in jwt.scope`, claims{"scope": "users.read users.write"}, ""},
		{`"users.read" in jwt.scope`, claims{"scope": "users.readall"}, "forbidden"},
		{`"users.read" in jwt.scope`, claims{}, "forbidden"},
		{`"users.read" in jwt.scope`, nil, "identity_required"},
		{`jwt.level > 3`, claims{"level": 4.0}, ""},
		{`jwt.level > 3`, claims{"level": "4"}, "forbidden"}, // can't be evaluated: refused
		{`jwt.level > 3`, claims{}, "forbidden"},
		{`jwt.tenant.id == "a"`, claims{"tenant": "a"}, "forbidden"},
		{`!(jwt.tenant.id == "a")`, claims{"tenant": "a"}, "forbidden"}, // an error is no false that could be turned round
		{`jwt.admin`, claims{"admin": true}, ""},
		{`jwt.admin`, claims{"admin": "true"}, "forbidden"},
		{`identity.sub == "alice"`, claims{}, ""},
		{`identity.name == "other"`, nil, "identity_required"},
		{`client.ip.inCIDR("10.0.0.0/8")`, nil, ""},
		{`client.ip.inCIDR("192.168.0.0/16")`, nil, "forbidden"}, // no credential would help
		{`request.method == "GET" && query.v == "1"`, nil, ""},
	} {
		if got := code(t, identified(t), &Allow{When: c.when}, somebody(c.claims)); got != c.want {
			t.Errorf("%s of %v: %q, want %q", c.when, c.claims, got, c.want)
		}
	}
	// Where there is no identity policy, nobody can be told how to prove who he is.
	if got := code(t, newEnv(t), &Allow{When: `jwt.admin`}, somebody(nil)); got != "forbidden" {
		t.Error(got)
	}
}

func TestAllowSaysWhereItIsWrong(t *testing.T) {
	pos := config.Pos{File: "g.yaml", Line: 7, Col: 12}
	_, err := (&Allow{When: `jwt.admin && clent.ip == "::1"`, WhenPos: pos}).Compile(newEnv(t))
	var f *Fault
	var e *expr.Error
	if !errors.As(err, &f) || !errors.As(err, &e) || f.Pos != pos || f.Text[e.Offset:e.Offset+8] != "clent.ip" {
		t.Errorf("%v", err)
	}
	if _, err := (&Allow{When: `"yes"`}).Compile(newEnv(t)); err == nil {
		t.Error("a text was accepted")
	}
}

func TestScopes(t *testing.T) {
	all, either := &Scopes{All: []string{"a", "b"}}, &Scopes{Any: []string{"a", "b"}}
	both := &Scopes{All: []string{"a"}, Any: []string{"b", "c"}}
	for _, c := range []struct {
		name   string
		spec   Spec
		claims claims
		want   string
	}{
		{"words", all, claims{"scope": "b c a"}, ""},
		{"list", all, claims{"scope": []any{"a", "b"}}, ""},
		{"list of texts", all, claims{"scp": []string{"a", "b"}}, ""},
		{"both claims count", all, claims{"scope": "a", "scp": []any{"b"}}, ""},
		{"one is missing", all, claims{"scope": "a"}, "scope_missing"},
		{"a longer word", all, claims{"scope": "aa b"}, "scope_missing"},
		{"a part of a word", all, claims{"scope": "a.b"}, "scope_missing"},
		{"only spaces separate", all, claims{"scope": "a,b a\tb a\u00a0b"}, "scope_missing"},
		{"an item is no list of words", all, claims{"scope": []any{"a b"}}, "scope_missing"},
		{"case matters", all, claims{"scope": "A B"}, "scope_missing"},
		{"not a text", all, claims{"scope": 7}, "scope_missing"},
		{"items that are no texts", all, claims{"scope": []any{1, nil, []any{"a", "b"}}}, "scope_missing"},
		{"a map", all, claims{"scope": map[string]any{"a": true, "b": true}}, "scope_missing"},
		{"none", all, claims{}, "scope_missing"},
		{"nobody", all, nil, "identity_required"},
		{"any", either, claims{"scope": "b"}, ""},
		{"none of any", either, claims{"scope": "c"}, "scope_missing"},
		{"all and any", both, claims{"scope": "a c"}, ""},
		{"all but none of any", both, claims{"scope": "a"}, "scope_missing"},
		{"any without all", both, claims{"scope": "b c"}, "scope_missing"},
	} {
		if got := code(t, identified(t), c.spec, somebody(c.claims)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Who is anonymous by permission of the route is told to show an identity.
func TestAnonymousIsNobody(t *testing.T) {
	x := somebody(nil)
	x.Identity = &exchange.Identity{Name: "guest", Sub: "anonymous", Claims: claims{"sub": "anonymous"}, Anonymous: true}
	if got := code(t, identified(t), &Scopes{All: []string{"a"}}, x); got != "identity_required" {
		t.Error(got)
	}
}

func TestScopesTellWhatWouldBeEnough(t *testing.T) {
	_, err := serve(t, identified(t), &Scopes{All: []string{"a"}, Any: []string{"b", "c"}}, somebody(claims{}))
	e := exchange.AsError(err)
	if got := fieldsOf(&e.Header); got != `WWW-Authenticate: Bearer error="insufficient_scope", scope="a b"` {
		t.Error(got)
	}
}

func TestRoles(t *testing.T) {
	admin := &Roles{All: []string{"admin"}}
	for _, c := range []struct {
		name   string
		spec   Spec
		claims claims
		want   string
	}{
		{"list", admin, claims{"roles": []any{"user", "admin"}}, ""},
		{"one role as a text", admin, claims{"roles": "admin"}, ""},
		{"a text is one role", admin, claims{"roles": "user admin"}, "role_missing"},
		{"below", admin, claims{"realm_access": map[string]any{"roles": []any{"admin"}}}, ""},
		{"below a claim of that name", admin, claims{"realm_access.roles": []any{"admin"}}, ""},
		{"below what is no object", admin, claims{"realm_access": []any{"admin"}}, "role_missing"},
		{"elsewhere", admin, claims{"groups": []any{"admin"}}, "role_missing"},
		{"configured", &Roles{Any: []string{"admin"}, Claim: []string{"resource_access.shop.roles"}},
			claims{"resource_access": map[string]any{"shop": map[string]any{"roles": []any{"admin"}}}}, ""},
		{"configured: the usual claims no longer count", &Roles{Any: []string{"admin"}, Claim: []string{"groups"}}, claims{"roles": []any{"admin"}}, "role_missing"},
		{"a name with dots", &Roles{All: []string{"admin"}, Claim: []string{"https://a.example/roles"}}, claims{"https://a.example/roles": []any{"admin"}}, ""},
		{"nobody", admin, nil, "identity_required"},
	} {
		if got := code(t, identified(t), c.spec, somebody(c.claims)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestScopesAndRolesNeedAnIdentity(t *testing.T) {
	for _, spec := range []Spec{&Scopes{All: []string{"a"}}, &Roles{All: []string{"a"}}} {
		if _, err := spec.Compile(newEnv(t)); err == nil {
			t.Errorf("%T was accepted on a route without identity", spec)
		}
	}
	for _, spec := range []Spec{&Scopes{}, &Roles{}, &Scopes{All: []string{""}}, &Scopes{Any: []string{"a b"}}, &Scopes{Any: []string{`a"`}}, &Roles{All: []string{""}}} {
		if _, err := spec.Compile(identified(t)); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}

// In shadow mode a refusal is counted, and nothing else happens.
func TestShadow(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		x    *exchange.Exchange
		want string
	}{
		"allow":         {&Allow{When: "false", Mode: shadow}, somebody(nil), "forbidden"},
		"scopes":        {&Scopes{All: []string{"a"}, Mode: shadow}, somebody(claims{}), "scope_missing"},
		"roles":         {&Roles{All: []string{"a"}, Mode: shadow}, somebody(nil), "identity_required"},
		"ip":            {&IP{Deny: prefixes("10.0.0.0/8"), Mode: shadow}, somebody(nil), "ip_forbidden"},
		"methods":       {&Methods{Allow: []string{"POST"}, Mode: shadow}, somebody(nil), "method_not_allowed"},
		"content_types": {&ContentTypes{Allow: []string{"image/*"}, Mode: shadow}, posting(`{}`), "media_type_unsupported"},
		"csrf":          {&CSRF{Mode: shadow}, posting(`{}`, "Origin: https://evil.example"), "csrf_refused"},
		"cors":          {&CORS{Origins: []Origin{{Text: "https://a.example"}}, Mode: shadow}, posting(`{}`, "Origin: https://evil.example"), "cors_refused"},
		"validate":      {&Validate{Body: &SchemaSpec{Schema: map[string]any{"type": "string"}}, Mode: shadow}, posting(`{}`), "request_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			env, counted := identified(t), ""
			env.Shadow = func(x *exchange.Exchange, policy, code string) { counted += policy + " " + code }
			if got := code(t, env, c.spec, c.x); got != "" || counted != name+" "+c.want {
				t.Errorf("answered %q, counted %q", got, counted)
			}
		})
	}
}

func TestAuthorizationDoesNotAllocate(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		x    *exchange.Exchange
	}{
		"ip":               {&IP{Allow: prefixes("10.0.0.0/8", "::/0"), Deny: prefixes("10.2.0.0/16")}, somebody(nil)},
		"scopes":           {&Scopes{All: []string{"a", "b"}}, somebody(claims{"scope": "x y a b"})},
		"scopes of a list": {&Scopes{Any: []string{"z", "b"}}, somebody(claims{"scp": []any{"a", "b"}})},
		"roles":            {&Roles{All: []string{"admin"}}, somebody(claims{"realm_access": map[string]any{"roles": []any{"user", "admin"}}})},
		"methods":          {&Methods{Allow: []string{"GET"}}, somebody(nil)},
		"content_types":    {&ContentTypes{Allow: []string{"application/json"}}, posting(`{}`)},
		"cors":             {&CORS{Origins: origins("https://*.b.example"), Credentials: true}, posting(`{}`, "Origin: https://a.b.example")},
		"security_headers": {&SecurityHeaders{HSTS: 1e9, NoSniff: true, Frame: "deny"}, somebody(nil)},
		"csrf":             {&CSRF{}, posting(`{}`, "Origin: https://a.example", "Cookie: a=1")},
	} {
		link, err := c.spec.Compile(identified(t))
		if err != nil {
			t.Fatal(err)
		}
		h := link(nodeOK)
		if n := testing.AllocsPerRun(200, func() {
			c.x.Response.Header.Truncate()
			if err := h.Serve(c.x); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	many := prefixes()
	for i := range 10_000 {
		many = append(many, prefixes(ipOf(i))...)
	}
	for _, c := range []struct {
		name string
		spec Spec
		x    *exchange.Exchange
	}{
		{"allow/scope", &Allow{When: `"users.read" in jwt.scope`}, somebody(claims{"scope": "users.read users.write"})},
		{"allow/three", &Allow{When: `request.method == "GET" && client.ip.inCIDR("10.0.0.0/8") && jwt.tenant == "a"`}, somebody(claims{"tenant": "a"})},
		{"scopes", &Scopes{All: []string{"users.read"}}, somebody(claims{"scope": "users.read users.write"})},
		{"roles", &Roles{All: []string{"admin"}}, somebody(claims{"realm_access": map[string]any{"roles": []any{"user", "admin"}}})},
		{"ip/2", &IP{Allow: prefixes("10.0.0.0/8", "192.168.0.0/16")}, somebody(nil)},
		{"ip/10000", &IP{Deny: many}, somebody(nil)},
		{"csrf", &CSRF{}, posting(`{}`, "Origin: https://a.example", "Cookie: a=1")},
		{"cors", &CORS{Origins: []Origin{{Text: "https://*.b.example"}}}, posting(`{}`, "Origin: https://a.b.example")},
		{"validate/query", &Validate{Query: &SchemaSpec{Schema: map[string]any{"properties": map[string]any{"v": map[string]any{"type": "integer"}}}}}, somebody(nil)},
	} {
		b.Run(c.name, func(b *testing.B) {
			link, err := c.spec.Compile(identified(b))
			if err != nil {
				b.Fatal(err)
			}
			h := link(nodeOK)
			b.ReportAllocs()
			for b.Loop() {
				c.x.Response.Header.Truncate()
				if err := h.Serve(c.x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
