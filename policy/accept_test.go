package policy

import (
	"strings"
	"testing"

	"gopura/exchange"
)

func TestMethods(t *testing.T) {
	spec := &Methods{Allow: []string{"POST", "GET"}}
	for method, want := range map[string]string{"GET": "", "HEAD": "", "POST": "", "PUT": "method_not_allowed", "get": "method_not_allowed", "OPTIONS": "method_not_allowed", "": "method_not_allowed"} {
		x := newExchange("/")
		x.Request.Method = method
		if got := code(t, newEnv(t), spec, x); got != want {
			t.Errorf("%s: %q", method, got)
		}
	}
	x := newExchange("/")
	x.Request.Method = "PUT"
	_, err := serve(t, newEnv(t), spec, x)
	e := exchange.AsError(err)
	if got := fieldsOf(&e.Header); e.Status != 405 || got != "Allow: GET, HEAD, POST" {
		t.Errorf("%d %s", e.Status, got)
	}
	for _, bad := range [][]string{nil, {""}, {"get"}, {"A B"}} {
		if _, err := (&Methods{Allow: bad}).Compile(newEnv(t)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestContentTypes(t *testing.T) {
	for _, c := range []struct {
		allow, sent string // sent: fields separated by |
		pass        bool
	}{
		{"application/json", "application/json", true},
		{"application/json", "Application/JSON; charset=utf-8", true},
		{"application/json", "application/json ;charset=utf-8", true},
		{"application/json", "application/jsonx", false},
		{"application/json", "text/plain", false},
		{"application/json", "text/plain; application/json", false},
		{"application/json", "application/json, text/plain", false},
		{"application/json", "", false},
		{"application/json", "application/json|application/json", false},
		{"application/json", "text/plain|application/json", false},
		{"application/json", "application/", false},
		{"application/json image/*", "image/png", true},
		{"image/*", "imagex/png", false},
		{"image/*", "image/", false},
		{"application/*+json", "application/problem+json", true},
		{"application/*+json", "application/+json", false},
		{"application/*+json", "application/json", false},
		{"*/*", "a/b", true},
		{"*/*", "nonsense", false},
	} {
		x := posting("{}")
		x.Request.Header.Del("Content-Type")
		if c.sent != "" {
			for s := range strings.SplitSeq(c.sent, "|") {
				x.Request.Header.Add("Content-Type", s)
			}
		}
		want := "media_type_unsupported"
		if c.pass {
			want = ""
		}
		if got := code(t, newEnv(t), &ContentTypes{Allow: strings.Fields(c.allow)}, x); got != want {
			t.Errorf("%s: %q: %q", c.allow, c.sent, got)
		}
	}
	if got := code(t, newEnv(t), &ContentTypes{Allow: []string{"application/json"}}, newExchange("/")); got != "" {
		t.Errorf("a request without a body: %q", got)
	}
	x := posting("")
	x.Request.Body = &pieces{} // of unknown length: it may be empty, and may not
	x.Request.Header.Set("Content-Type", "text/plain")
	_, err := serve(t, newEnv(t), &ContentTypes{Allow: []string{"application/json", "image/*"}}, x)
	e := exchange.AsError(err)
	if got := fieldsOf(&e.Header); e.Status != 415 || got != "Accept: application/json, image/*" {
		t.Errorf("%d %s", e.Status, got)
	}
	for _, bad := range []string{"", "json", "a/b;c=d", "*/json", "a/b*", "a/", "/b", "a/*+"} {
		if _, err := (&ContentTypes{Allow: []string{bad}}).Compile(newEnv(t)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
