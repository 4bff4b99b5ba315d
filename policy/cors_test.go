package policy

import (
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// posting is a POST with a JSON body, of nobody, to https://a.example.
func posting(body string, fields ...string) *exchange.Exchange {
	x := newExchange("/orders")
	x.Request.Method = "POST"
	x.Request.Body = exchange.BytesBody([]byte(body))
	x.Request.Header.Add("Content-Type", "application/json")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Request.Header.Add(name, value)
	}
	return x
}

func preflighting(fields ...string) *exchange.Exchange {
	x := posting("", fields...)
	x.Request.Method = "OPTIONS"
	return x
}

func origins(list ...string) (out []Origin) {
	for _, s := range list {
		if re, ok := strings.CutPrefix(s, "~"); ok {
			out = append(out, Origin{Regexp: re})
		} else {
			out = append(out, Origin{Text: s})
		}
	}
	return out
}

func TestOriginPatterns(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{"https://app.example.com", "https://app.example.com", "http://app.example.com https://app.example.com:8443 https://app.example.com.evil.test https://xapp.example.com https://app.example.com/ https://APP.example.com null"},
		{"HTTPS://App.Example.com:443", "https://app.example.com", "https://app.example.com:443"},
		{"http://a.example:80", "http://a.example", "https://a.example"},
		{"https://*.example.com", "https://a.example.com https://a.b.example.com", "https://example.com https://.example.com https://aexample.com https://a..example.com https://evil.test/.example.com https://evil.test#.example.com https://evil.test?.example.com https://u@evil.test:x.example.com http://a.example.com https://a.example.com:8443 https://a.example.com.evil.test https://a.example.co"},
		{"https://*.example.com:8443", "https://a.example.com:8443", "https://a.example.com https://a.example.com:84430"},
		{"http://localhost:*", "http://localhost http://localhost:1 http://localhost:65535", "http://localhost.evil.test:80 http://localhost: http://localhost:80.evil.test http://localhost:123456 http://localhost:80@evil.test https://localhost:80"},
		{"http://*.localhost:*", "http://a.localhost:3000 http://a.localhost", "http://localhost:3000"},
		{"http://[::1]:3000", "http://[::1]:3000", "http://[::2]:3000"},
		{"http://[::1]:*", "http://[::1]:3000 http://[::1]", "http://[::1]:x"},
		{"capacitor://localhost", "capacitor://localhost", "http://localhost"},
		{"null", "null", "https://null"},
		{"*", "null https://anything.test", ""},
		{`~https://pr-[0-9]+\.example\.com`, "https://pr-7.example.com", "https://pr-7.example.com.evil.test xhttps://pr-7.example.com https://pr-7xexample.com https://pr-7.example.com:1"},
		{`~https://a\.test|https://b\.test`, "https://a.test https://b.test", "https://a.test.evil.test evil://https://b.test"},
	} {
		o := origins(c.pattern)[0]
		p, err := parseOrigin(&o)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		for _, s := range strings.Fields(c.yes) {
			if !p.matches([]byte(s)) {
				t.Errorf("%s does not take %s", c.pattern, s)
			}
		}
		for _, s := range append(strings.Fields(c.no), "", "https://"+strings.Repeat("a.", 300)+"example.com") {
			if c.pattern != "*" && p.matches([]byte(s)) {
				t.Errorf("%s takes %s", c.pattern, s)
			}
		}
	}
	for _, bad := range []string{"", "example.com", "https://", "https://*", "https://*.com", "https://a*.example.com", "https://*example.com", "https://a.*.com", "https://a.example/",
		"https://a.example/x", "https://u@a.example", "https://a.example?x", "https://a.example:x", "https://a.example:", "https://a example", "*://a.example", "**", "~(", "~a)|(b", "https://ü.example", "https://[::1"} {
		o := origins(bad)[0]
		if p, err := parseOrigin(&o); err == nil {
			t.Errorf("%s was accepted: %+v", bad, p)
		}
	}
}

func TestCORSAnswersPreflights(t *testing.T) {
	ask := "Access-Control-Request-Method: PUT"
	for _, c := range []struct {
		name   string
		spec   CORS
		fields []string
		want   string // fields of the answer; "": refused
	}{
		{"exact", CORS{Origins: origins("https://app.test"), Methods: []string{"GET", "PUT"}, Headers: []string{"X-A", "Authorization"}, MaxAge: time.Minute},
			[]string{"Origin: https://app.test", ask, "Access-Control-Request-Headers: x-a"},
			"Access-Control-Allow-Origin: https://app.test; Access-Control-Allow-Methods: GET, PUT; Access-Control-Allow-Headers: X-A, Authorization; Access-Control-Max-Age: 60"},
		{"credentials", CORS{Origins: origins("https://*.app.test"), Credentials: true},
			[]string{"Origin: https://x.app.test", ask},
			"Access-Control-Allow-Origin: https://x.app.test; Access-Control-Allow-Credentials: true; Access-Control-Allow-Methods: GET, HEAD, POST; Access-Control-Max-Age: 0"},
		{"any", CORS{Origins: origins("*"), Methods: []string{"*"}, Headers: []string{"*"}}, []string{"Origin: null", ask},
			"Access-Control-Allow-Origin: *; Access-Control-Allow-Methods: *; Access-Control-Allow-Headers: *; Access-Control-Allow-Headers: Authorization; Access-Control-Max-Age: 0"},
		{"private network", CORS{Origins: origins("https://app.test"), PrivateNetwork: true},
			[]string{"Origin: https://app.test", ask, "Access-Control-Request-Private-Network: true"},
			"Access-Control-Allow-Origin: https://app.test; Access-Control-Allow-Methods: GET, HEAD, POST; Access-Control-Max-Age: 0; Access-Control-Allow-Private-Network: true"},
		{"private network, not configured", CORS{Origins: origins("https://app.test")},
			[]string{"Origin: https://app.test", ask, "Access-Control-Request-Private-Network: true"},
			"Access-Control-Allow-Origin: https://app.test; Access-Control-Allow-Methods: GET, HEAD, POST; Access-Control-Max-Age: 0"},
		{"unknown origin", CORS{Origins: origins("https://app.test"), Credentials: true}, []string{"Origin: https://evil.test", ask}, ""},
		{"two origins", CORS{Origins: origins("https://app.test")}, []string{"Origin: https://app.test", "Origin: https://evil.test", ask}, ""},
	} {
		x := preflighting(c.fields...)
		saw, err := serve(t, newEnv(t), &c.spec, x)
		if saw != "" {
			t.Errorf("%s: the node saw a preflight", c.name)
		}
		if c.want == "" {
			e := exchange.AsError(err)
			if e.Code != "cors_refused" || e.Status != 403 || fieldsOf(&e.Header) != "Vary: "+varyAsked {
				t.Errorf("%s: %v with %s", c.name, err, fieldsOf(&e.Header))
			}
			continue
		}
		want := "Vary: " + varyAsked + "; Gopura-Answer: preflight; " + c.want
		if got := fieldsOf(&x.Response.Header); err != nil || x.Response.Status != 204 || !x.Response.Made || got != want {
			t.Errorf("%s: %v, %d\n%s, want\n%s", c.name, err, x.Response.Status, got, want)
		}
	}
}

// What is no preflight is an ordinary request, whatever its method.
func TestPreflight(t *testing.T) {
	for _, c := range []struct {
		method string
		fields []string
		want   string
	}{
		{"OPTIONS", []string{"Origin: https://a.test", "Access-Control-Request-Method: PUT"}, "PUT"},
		{"OPTIONS", []string{"Origin: https://a.test", "Access-Control-Request-Method: PURGE"}, "PURGE"},
		{"OPTIONS", []string{"Origin: https://a.test"}, ""},
		{"OPTIONS", []string{"Access-Control-Request-Method: PUT"}, ""},
		{"OPTIONS", []string{"Origin: https://a.test", "Access-Control-Request-Method: "}, ""},
		{"OPTIONS", []string{"Origin: https://a.test", "Access-Control-Request-Method: A B"}, ""},
		{"OPTIONS", []string{"Origin: https://a.test", "Access-Control-Request-Method: " + strings.Repeat("A", 33)}, ""},
		{"GET", []string{"Origin: https://a.test", "Access-Control-Request-Method: PUT"}, ""},
		{"options", []string{"Origin: https://a.test", "Access-Control-Request-Method: PUT"}, ""},
	} {
		x := posting("", c.fields...)
		x.Request.Method = c.method
		if got := Preflight(&x.Request); got != c.want {
			t.Errorf("%s %v: %q", c.method, c.fields, got)
		}
	}
}

func TestCORSOnAnswersAndFailures(t *testing.T) {
	theirs := []string{"Access-Control-Allow-Origin: *", "access-control-allow-credentials: true", "Vary: Accept-Encoding", "X-A: 1"}
	for _, c := range []struct {
		name   string
		spec   CORS
		origin string
		answer string // fields beside the service's own
		failed string // fields of a failure
	}{
		{"known", CORS{Origins: origins("https://app.test"), Credentials: true, Expose: []string{"X-A"}}, "https://app.test",
			"Vary: Origin; Access-Control-Allow-Origin: https://app.test; Access-Control-Allow-Credentials: true; Access-Control-Expose-Headers: X-A", ""},
		{"unknown", CORS{Origins: origins("https://app.test"), Credentials: true}, "https://evil.test", "Vary: Origin", ""},
		{"none", CORS{Origins: origins("https://app.test"), Credentials: true}, "", "Vary: Origin", ""},
		{"any", CORS{Origins: origins("*")}, "https://evil.test", "Access-Control-Allow-Origin: *", ""},
		{"any, no origin", CORS{Origins: origins("*")}, "", "Access-Control-Allow-Origin: *", ""},
	} {
		link, err := c.spec.Compile(newEnv(t))
		if err != nil {
			t.Fatal(err)
		}
		x := posting("{}")
		if c.origin != "" {
			x.Request.Header.Add("Origin", c.origin)
		}
		err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
			x.Response.Status = 200
			for _, f := range theirs {
				name, value, _ := strings.Cut(f, ": ")
				x.Response.Header.Add(name, value)
			}
			return nil
		})).Serve(x)
		if got, want := fieldsOf(&x.Response.Header), "Vary: Accept-Encoding; X-A: 1; "+c.answer; err != nil || got != want {
			t.Errorf("%s: %s, want %s (%v)", c.name, got, want, err)
		}
		shared := exchange.ConnectFailed.Because(nil)
		err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error { return shared })).Serve(x)
		e := exchange.AsError(err)
		if got := fieldsOf(&e.Header); e.Code != shared.Code || got != c.answer {
			t.Errorf("%s, failed: %s, want %s (%v)", c.name, got, c.answer, err)
		}
		if shared.Header.Len() != 0 {
			t.Errorf("%s: an error that others share was changed", c.name)
		}
	}
}

// A route's methods are what pages may use, unless others are named.
func TestCORSMethodsOfTheRoute(t *testing.T) {
	env := newEnv(t)
	env.Methods = []string{"PUT", "DELETE"}
	x := preflighting("Origin: https://app.test", "Access-Control-Request-Method: PUT")
	if _, err := serve(t, env, &CORS{Origins: origins("https://app.test")}, x); err != nil {
		t.Fatal(err)
	}
	if got := string(x.Response.Header.Get("Access-Control-Allow-Methods")); got != "PUT, DELETE" {
		t.Error(got)
	}
}

func TestCORSRefusesWhatCanNotBe(t *testing.T) {
	for name, spec := range map[string]CORS{
		"no origin":                           {},
		"any with credentials":                {Origins: origins("*"), Credentials: true},
		"any among others with credentials":   {Origins: origins("https://a.test", "*"), Credentials: true},
		"null with credentials":               {Origins: origins("null"), Credentials: true},
		"a regexp for any with credentials":   {Origins: origins("~.*"), Credentials: true},
		"any method with credentials":         {Origins: origins("https://a.test"), Credentials: true, Methods: []string{"*"}},
		"any header with credentials":         {Origins: origins("https://a.test"), Credentials: true, Headers: []string{"*"}},
		"any exposed header with credentials": {Origins: origins("https://a.test"), Credentials: true, Expose: []string{"*"}},
		"a header that is none":               {Origins: origins("https://a.test"), Headers: []string{"X A"}},
		"a method with a line break":          {Origins: origins("https://a.test"), Methods: []string{"GET\r\nX: 1"}},
		"an origin with a path":               {Origins: origins("https://a.test/")},
		"* beside names":                      {Origins: origins("https://a.test"), Headers: []string{"*", "X-A"}},
		"a negative age":                      {Origins: origins("https://a.test"), MaxAge: -1},
	} {
		if _, err := spec.Compile(newEnv(t)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestTakesPreflightsOnlyWhenEnforced(t *testing.T) {
	if !(&CORS{}).Enforced() || (&CORS{Mode: shadow}).Enforced() {
		t.Error("a cors policy in shadow mode passes preflights on: routing must not take them for another method")
	}
}

// No pattern takes an origin that another host could have.
func FuzzOrigin(f *testing.F) {
	f.Add("https://*.example.com", "https://a.example.com")
	f.Add("http://localhost:*", "http://localhost:80@evil.test")
	f.Add("https://*.example.com:*", "https://evil.test/.example.com:1")
	f.Add("http://[::1]:*", "http://[::1]:1")
	f.Fuzz(func(t *testing.T, pattern, origin string) {
		p, err := parseOrigin(&Origin{Text: pattern})
		if err != nil || p.any || !p.matches([]byte(origin)) {
			return
		}
		if p.exact != "" {
			if origin != p.exact {
				t.Errorf("%q takes %q", pattern, origin)
			}
			return
		}
		rest, ok := strings.CutPrefix(origin, p.scheme)
		if !ok || strings.ContainsAny(rest, "/?#@\\ \r\n\x00,") {
			t.Errorf("%q takes %q", pattern, origin)
		}
		if host, _, _ := strings.Cut(rest, ":"); p.below != "" && !strings.HasSuffix(host, p.below) {
			t.Errorf("%q takes %q", pattern, origin)
		}
	})
}
