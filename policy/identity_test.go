package policy

import (
	"errors"
	"strings"
	"testing"

	"gopura/config"
	"gopura/exchange"
	"gopura/identity"
)

// teller is a source that says what the test wants.
type teller struct {
	id        *exchange.Identity
	err       error
	challenge string
	asked     *int
	touch     func(x *exchange.Exchange)
}

func (k teller) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	if k.asked != nil {
		*k.asked++
	}
	if k.touch != nil {
		k.touch(x)
	}
	return k.id, k.err
}

func (k teller) Challenge(*exchange.Exchange, error) string { return k.challenge }

type fallback struct{ teller }

func (fallback) Fallback() {}

func identities(t *testing.T, sources map[string]identity.Source) *Env {
	env := newEnv(t)
	env.Identity = func(name string) (identity.Source, bool) { s, ok := sources[name]; return s, ok }
	return env
}

// Any of the sources will do, in order; the worst of what they say is the
// refusal, and nobody with a bad credential becomes anonymous.
func TestIdentityAsksSources(t *testing.T) {
	alice, bob := &exchange.Identity{Name: "a", Sub: "alice"}, &exchange.Identity{Name: "b", Sub: "bob"}
	sources := map[string]identity.Source{
		"none":  teller{err: identity.None, challenge: "Bearer"},
		"none2": teller{err: identity.None, challenge: "Basic realm=x"},
		"bad":   teller{err: exchange.IdentityInvalid.Because(errors.New("why")), challenge: "Bearer error=x"},
		"down":  teller{err: exchange.IdentityUnavailable.Because(nil)},
		"alice": teller{id: alice},
		"bob":   teller{id: bob},
		"guest": fallback{teller{id: &exchange.Identity{Name: "guest"}}},
		"wrong": teller{},
	}
	for _, c := range []struct{ accept, who, code, challenges string }{
		{"alice", "alice", "", ""},
		{"alice bob", "alice", "", ""},
		{"none bob", "bob", "", ""},
		{"bad bob", "bob", "", ""},
		{"down bob", "bob", "", ""},
		{"none", "", "identity_required", "Bearer"},
		{"none none2", "", "identity_required", "Bearer, Basic realm=x"},
		{"none bad", "", "identity_invalid", "Bearer, Bearer error=x"},
		{"bad none", "", "identity_invalid", "Bearer error=x, Bearer"},
		{"bad down", "", "identity_unavailable", ""},
		{"down bad", "", "identity_unavailable", ""},
		{"none guest", "", "", ""},
		{"guest none", "", "", ""},
		{"guest alice", "alice", "", ""},
		{"bad guest", "", "identity_invalid", "Bearer error=x"},
		{"guest bad", "", "identity_invalid", "Bearer error=x"},
		{"down guest", "", "identity_unavailable", ""},
		{"wrong", "", "internal", ""},
	} {
		x := newExchange("/")
		_, err := serve(t, identities(t, sources), &Identity{Accept: strings.Fields(c.accept)}, x)
		code, challenges := "", ""
		if err != nil {
			e := exchange.AsError(err)
			code = e.Code
			for v := range e.Header.Values("WWW-Authenticate") {
				challenges += ", " + string(v)
			}
		}
		who := ""
		if x.Identity != nil {
			who = x.Identity.Sub
		}
		if code != c.code || who != c.who || strings.TrimPrefix(challenges, ", ") != c.challenges {
			t.Errorf("%s: %q, %q, %q", c.accept, who, code, challenges)
		}
	}
}

// A refusal is recorded with its source and cause; in shadow mode it is counted
// as well, and the request goes on without an identity.
func TestIdentityShadowAndAudit(t *testing.T) {
	for _, mode := range []string{"enforce", "shadow"} {
		env := identities(t, map[string]identity.Source{
			"idp": teller{err: identity.None}, "partners": teller{err: exchange.IdentityInvalid.Because(errors.New("why"))},
		})
		var records, shadows []string
		env.Refused = func(_ *exchange.Exchange, policy, part string, e *exchange.Error) {
			records = append(records, policy+" "+part+" "+e.Error())
		}
		env.Shadow = func(_ *exchange.Exchange, policy, code string) { shadows = append(shadows, policy+" "+code) }
		x := newExchange("/")
		saw, err := serve(t, env, &Identity{Accept: []string{"idp", "partners"}, Mode: mode}, x)
		if got := strings.Join(records, "; "); got != "identity partners identity_invalid: why" {
			t.Errorf("%s: %s", mode, got)
		}
		passed := mode == "shadow"
		if (err == nil) != passed || (saw != "") != passed || (len(shadows) == 1) != passed || x.Identity != nil {
			t.Errorf("%s: %v, saw %q, shadows %v", mode, err, saw, shadows)
		}
	}
}

// Claims become header fields; what can't be told for certain is left out.
func TestIdentityForward(t *testing.T) {
	claims := map[string]any{
		"sub": "alice", "n": int64(1_730_000_000), "f": 1.5, "ok": true, "null": nil, "empty": "",
		"list": []any{"a", "b", int64(3)}, "commas": []any{"a,admin", "b"}, "lists": []any{[]any{"a"}},
		"address": map[string]any{"country": "IN"}, "https://example.com/tenant": "acme", "a.b": "dotted", "a": map[string]any{"b": "deep"},
		"lines": "a\r\nX-Admin: 1", "nul": []any{"a\x00"}, "unicode": "Ärzte",
	}
	env := identities(t, map[string]identity.Source{"idp": teller{id: &exchange.Identity{Sub: "alice", Claims: claims}}})
	var asserted []string
	env.Asserts = func(names ...string) { asserted = append(asserted, names...) }
	for claim, want := range map[string]string{
		"sub": "alice", "n": "1730000000", "f": "1.5", "ok": "true", "list": "a,b,3", "address.country": "IN", "address.city": "",
		"https://example.com/tenant": "acme", "a.b": "dotted", "unicode": "Ärzte",
		"null": "", "empty": "", "commas": "", "lists": "", "address": "", "lines": "", "nul": "", "absent": "", "sub.x": "",
	} {
		x := newExchange("/")
		x.Request.Header.Add("X_Who", "admin")
		if _, err := serve(t, env, &Identity{Accept: []string{"idp"}, Forward: []config.Pair{{Name: "X-Who", Value: claim}}}, x); err != nil {
			t.Fatal(err)
		}
		if got := fieldsOf(&x.Request.Header); want == "" && got != "" || want != "" && got != "X-Who: "+want {
			t.Errorf("%s: %q", claim, got)
		}
	}
	if len(asserted) == 0 || asserted[0] != "X-Who" {
		t.Errorf("asserted: %v", asserted)
	}
}

// What a source adds to the answer is in it, whatever the service answers; a
// source that answers itself is the end.
func TestIdentityAndResponse(t *testing.T) {
	cookie := teller{id: &exchange.Identity{}, touch: func(x *exchange.Exchange) { x.Response.Header.Add("Set-Cookie", "s=1") }}
	x := newExchange("/")
	if _, err := serve(t, identities(t, map[string]identity.Source{"s": cookie}), &Identity{Accept: []string{"s"}}, x); err != nil {
		t.Fatal(err)
	}
	if got := fieldsOf(&x.Response.Header); got != "Set-Cookie: s=1" {
		t.Errorf("%q", got)
	}
	link, err := (&Identity{Accept: []string{"s"}}).Compile(identities(t, map[string]identity.Source{"s": cookie}))
	if err != nil {
		t.Fatal(err)
	}
	failed := exchange.ConnectFailed.Because(nil)
	err = link(exchange.HandlerFunc(func(*exchange.Exchange) error { return failed })).Serve(newExchange("/"))
	if e := exchange.AsError(err); e.Code != failed.Code || fieldsOf(&e.Header) != "Set-Cookie: s=1" || failed.Header.Len() != 0 {
		t.Errorf("when the service fails: %v, %q", err, fieldsOf(&e.Header))
	}
	login := teller{err: identity.Answered, touch: func(x *exchange.Exchange) { x.Response.Status = 303 }}
	x = newExchange("/")
	saw, err := serve(t, identities(t, map[string]identity.Source{"s": login}), &Identity{Accept: []string{"s"}}, x)
	if err != nil || saw != "" || x.Response.Status != 303 {
		t.Errorf("%v, saw %q, status %d", err, saw, x.Response.Status)
	}
}

// Mistakes are found when the configuration is.
func TestIdentityFaults(t *testing.T) {
	sources := map[string]identity.Source{"idp": teller{}}
	for want, spec := range map[string]*Identity{
		"there is no source":   {Accept: []string{"ipd"}},
		"named twice":          {Accept: []string{"idp", "idp"}},
		"names no source":      {},
		"more than 16":         {Accept: strings.Split(strings.Repeat("idp ", 17), " ")[:17]},
		"belongs to the conne": {Accept: []string{"idp"}, Forward: []config.Pair{{Name: "Connection", Value: "sub"}}},
		"the field is named":   {Accept: []string{"idp"}, Forward: []config.Pair{{Name: "X-A", Value: "sub"}, {Name: "x-a", Value: "sub"}}},
		"needs the name":       {Accept: []string{"idp"}, Forward: []config.Pair{{Name: "X-A"}}},
	} {
		if _, err := spec.Compile(identities(t, sources)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}

// Who is known already costs nothing more.
func TestIdentityAllocatesNothing(t *testing.T) {
	env := identities(t, map[string]identity.Source{"idp": teller{id: &exchange.Identity{Sub: "alice", Claims: map[string]any{"email": "a@example.com"}}}})
	link, err := (&Identity{Accept: []string{"idp"}, Forward: []config.Pair{{Name: "X-User", Value: "sub"}, {Name: "X-Email", Value: "email"}}}).Compile(env)
	if err != nil {
		t.Fatal(err)
	}
	h := link(exchange.HandlerFunc(func(*exchange.Exchange) error { return nil }))
	x := newExchange("/")
	h.Serve(x)
	if n := testing.AllocsPerRun(100, func() {
		if err := h.Serve(x); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
