package policy

import (
	"strings"
	"testing"

	"gopura/config"
	"gopura/exchange"
)

// decoded is a policy's settings as a configuration has them.
func decoded(t testing.TB, text string) Spec {
	t.Helper()
	d, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte("listen: :8080\nroutes:\n  - match: /\n    answer: 200\n    " + text + "\n")}}, config.Options{Policies: ConfigKinds()})
	if err != nil {
		t.Fatal(err)
	}
	return d.Routes[0].Policies[0].Spec.(Spec)
}

func TestSecurityHeaders(t *testing.T) {
	const usual = "X-Content-Type-Options: nosniff; X-Frame-Options: DENY; Content-Security-Policy: frame-ancestors 'none'; Referrer-Policy: strict-origin-when-cross-origin"
	for _, c := range []struct{ text, scheme, theirs, want string }{
		{"security_headers: on", "https", "", "Strict-Transport-Security: max-age=31536000; " + usual},
		{"security_headers: on", "http", "", usual}, // a promise made in the clear could be anybody's
		{"security_headers: on", "https", "x-frame-options: SAMEORIGIN|strict-transport-security: max-age=1", "x-frame-options: SAMEORIGIN; strict-transport-security: max-age=1; " + strings.Replace(usual, "X-Frame-Options: DENY; ", "", 1)},
		{"security_headers: { replace: true, hsts: off, nosniff: false, referrer: off }", "https", "x-frame-options: SAMEORIGIN|X-Frame-Options: ALLOWALL", "X-Frame-Options: DENY; Content-Security-Policy: frame-ancestors 'none'"},
		{"security_headers: { hsts: 730d, hsts_subdomains: true, hsts_preload: true, nosniff: false, frame: off, referrer: off }", "https", "", "Strict-Transport-Security: max-age=63072000; includeSubDomains; preload"},
		{"security_headers: { hsts: off, nosniff: false, frame: same_origin, referrer: no-referrer, csp: \"default-src 'self';\", permissions: camera=(), coop: same-origin, coep: require-corp, corp: same-site }", "https", "",
			"X-Frame-Options: SAMEORIGIN; Content-Security-Policy: default-src 'self'; frame-ancestors 'self'; Referrer-Policy: no-referrer; Permissions-Policy: camera=(); Cross-Origin-Opener-Policy: same-origin; Cross-Origin-Embedder-Policy: require-corp; Cross-Origin-Resource-Policy: same-site"},
		{"security_headers: { hsts: off, nosniff: false, frame: off, referrer: off, csp: \"frame-ancestors https://a.test\" }", "https", "", "Content-Security-Policy: frame-ancestors https://a.test"},
	} {
		link, err := decoded(t, c.text).Compile(newEnv(t))
		if err != nil {
			t.Fatal(err)
		}
		x := newExchange("/")
		x.Request.Scheme = c.scheme
		err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
			for f := range strings.SplitSeq(c.theirs, "|") {
				if name, value, ok := strings.Cut(f, ": "); ok {
					x.Response.Header.Add(name, value)
				}
			}
			return nil
		})).Serve(x)
		if got := fieldsOf(&x.Response.Header); err != nil || got != c.want {
			t.Errorf("%s over %s:\n%s, want\n%s (%v)", c.text, c.scheme, got, c.want, err)
		}
		// Answers to failures have them as well.
		err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error { return exchange.ErrBodyTooLarge })).Serve(x)
		if e := exchange.AsError(err); e.Code != "body_too_large" || e.Header.Len() == 0 {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	for _, bad := range []string{"{ hsts_preload: true }", "{ hsts: 1d, hsts_subdomains: true, hsts_preload: true }", "{ hsts: off, hsts_subdomains: true }", "{ hsts: 1ms }", `{ csp: "a\nb" }`} {
		if _, err := decoded(t, "security_headers: "+bad).Compile(newEnv(t)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if exchange.AsError(exchange.ErrBodyTooLarge).Header.Len() != 0 {
		t.Error("an error that all share was changed")
	}
}
