package importer

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// What is written is YAML that is read again, whatever stood in the source, and
// nothing else is opened than what the caller gives.
func fuzzFormat(f *testing.F, from string, more ...string) {
	sources, _ := filepath.Glob("testdata/" + from + "/*")
	for _, path := range sources {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(".yaml.json.conf", filepath.Ext(path)) {
			f.Add(text)
			for _, part := range strings.Split(string(text), "\n\n") { // small ones are quick
				f.Add([]byte(part))
			}
		}
	}
	for _, text := range more {
		f.Add([]byte(text))
	}
	none := func(string) ([]byte, error) { return nil, os.ErrNotExist }
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 8<<10 {
			return
		}
		r, err := Import(config.Source{Name: "x", Data: text}, Options{From: from, ReadFile: none, Exists: func(string) bool { return false }})
		if err != nil {
			return
		}
		if _, err := config.ReadTree(config.Source{Name: "gopura.yaml", Data: r.Text}); err != nil {
			t.Errorf("%v\n%s", err, r.Text)
		}
	})
}

func FuzzOpenAPI(f *testing.F) {
	fuzzFormat(f, "openapi", `{swagger: "2.0", host: a, paths: {/a/{b}-{c}: {get: {parameters: [1]}}}}`, `{openapi: 3.0.0, servers: [{url: "//a:b/{c}"}], paths: {/{}: {get: {security: [{"": []}]}}}}`)
}

func FuzzKong(f *testing.F) {
	fuzzFormat(f, "kong", `{_format_version: "3.0", services: [{host: a, routes: [{paths: ["~/a(", "/b"], headers: {a: b}}], plugins: [{name: acl, config: {allow: 1}}]}]}`)
}

func FuzzTraefik(f *testing.F) {
	fuzzFormat(f, "traefik", `{http: {routers: {a: {rule: "!(Host(`+"`a`"+`)) || Path(\"/x\", \"/y\")", middlewares: [a, a]}}, middlewares: {a: {chain: {middlewares: [a]}}}}}`)
}

func FuzzNGINX(f *testing.F) {
	fuzzFormat(f, "nginx", "server { listen 80; location ~ ^/(a|b { return 301 $x; } }", "http { server { listen 443 ssl; server_name ~^(?<a>.+)$ .b c.*; location /a/ { proxy_pass http://$a/${b}c; rewrite ^/(.*)$ /$1 break; } if ($a) { return 1; } } }")
}

func FuzzKrakenD(f *testing.F) {
	fuzzFormat(f, "krakend", `{"version": 3, "endpoints": [{"endpoint": "/a/{b}", "backend": [{"host": [1], "url_pattern": "{b}"}]}]}`)
}

// FuzzTraefikRule holds what a rule is translated to against the rule itself: it
// compiles, and where only the path, the method and the host are asked for, it says
// of a request what the rule says.
func FuzzTraefikRule(f *testing.F) {
	for _, rule := range []string{
		"Host(`a.test`) && PathPrefix(`/x`)", "Host(`a`) || Host(`b`) && !Method(`GET`)", "(Path(`/a`, `/b`) || PathRegexp(`^/c.*`)) && Method(`POST`, `get`)",
		"HostRegexp(`{a:[a-z]+}.test`)", "HostRegexp(`(`, `a`)", "Headers(`a`, `b`) && Query(`a=b`)", "ClientIP(`10.0.0.0/8`, `::1`)", "!!Path(`/a\"\\`)", "PathRegexp(`(`, `.matches(`)",
		"Path(`/{a}/{b:[0-9]{2}}`)", "PathPrefix(`/`)", "((((", "Host(a)",
	} {
		f.Add(rule, "a.test", "GET", "/a")
	}
	env, err := expr.New(expr.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, host, method, path string) {
		if len(text) > 512 || !utf8.ValidString(text) { // a text of YAML is valid
			return
		}
		r, err := parseRule(text)
		if err != nil {
			return
		}
		list, err := r.alternatives()
		if err != nil {
			return
		}
		for _, a := range list {
			if a.regexp != "" {
				if _, err := regexp.Compile(a.regexp); err != nil {
					t.Errorf("%s: %v", text, err)
				}
			}
			for _, when := range a.when {
				if _, err := env.Compile(when, expr.Bool); err != nil {
					t.Errorf("%s became %s: %v", text, when, err)
				}
			}
		}
		code, err := r.expression()
		if err != nil {
			return
		}
		p, err := env.Compile(code, expr.Bool)
		if err != nil {
			t.Errorf("%s became %s: %v", text, code, err)
			return
		}
		want, simple := r.fits(host, method, path)
		if !simple || !strings.HasPrefix(path, "/") {
			return
		}
		x := &exchange.Exchange{Now: time.Unix(1, 0)}
		x.Request.Method, x.Request.Host, x.Request.Path = method, []byte(host), []byte(path)
		if got, err := p.Bool(x); err == nil && got != want {
			t.Errorf("%s became %s, which is %v of %s %s%s", text, code, got, method, host, path)
		}
	})
}

// fits says what a rule says of a request, where it asks for no more than that.
func (r *rule) fits(host, method, path string) (is, simple bool) {
	switch r.op {
	case "!":
		is, simple = r.of[0].fits(host, method, path)
		return !is, simple
	case "&&", "||":
		is = r.op == "&&"
		for _, part := range r.of {
			one, simple := part.fits(host, method, path)
			if !simple {
				return false, false
			}
			if r.op == "&&" {
				is = is && one
			} else {
				is = is || one
			}
		}
		return is, true
	}
	for _, a := range r.args {
		switch r.name {
		case "host":
			is = is || strings.ToLower(a) == host
		case "method":
			is = is || strings.ToUpper(a) == method
		case "path":
			is = is || a == path
		case "pathprefix":
			is = is || strings.HasPrefix(path, a)
		case "pathregexp":
			ok, err := regexp.MatchString(a, path)
			if err != nil {
				return false, false
			}
			is = is || ok
		default:
			return false, false
		}
	}
	return is, true
}
