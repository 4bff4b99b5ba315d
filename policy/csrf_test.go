package policy

import (
	"strings"
	"testing"
)

func TestCSRF(t *testing.T) {
	const token = "0123456789abcdefghijkl"
	plain, trusting := &CSRF{}, &CSRF{Trusted: origins("https://app.test", "https://*.pages.test")}
	lax, double := &CSRF{Unknown: "allow"}, &CSRF{Token: &CSRFToken{Cookie: "__Host-csrf", Header: "X-CSRF-Token"}}
	for _, c := range []struct {
		name   string
		spec   *CSRF
		method string
		fields string // separated by |
		pass   bool
	}{
		{"safe", plain, "GET", "Origin: https://evil.test|Cookie: s=1|Sec-Fetch-Site: cross-site", true},
		{"safe without anything", plain, "HEAD", "Cookie: s=1", true},
		{"the page itself", plain, "POST", "Sec-Fetch-Site: same-origin|Origin: https://a.example|Cookie: s=1", true},
		{"typed by the user", plain, "POST", "Sec-Fetch-Site: none|Cookie: s=1", true},
		{"another site", plain, "POST", "Sec-Fetch-Site: cross-site|Origin: https://evil.test|Cookie: s=1", false},
		{"another host of the site", plain, "POST", "Sec-Fetch-Site: same-site|Origin: https://b.a.example|Cookie: s=1", false},
		{"an odd word", plain, "POST", "Sec-Fetch-Site: Same-Origin|Cookie: s=1", false},
		{"the field twice", plain, "POST", "Sec-Fetch-Site: same-origin|Sec-Fetch-Site: cross-site|Cookie: s=1", false},
		{"another site, before there was a session", plain, "POST", "Sec-Fetch-Site: cross-site|Origin: https://evil.test", false},
		{"an unknown method", plain, "PURGE", "Sec-Fetch-Site: cross-site|Cookie: s=1", false},
		{"origin alone", plain, "DELETE", "Origin: https://a.example|Cookie: s=1", true},
		{"origin with the default port", plain, "DELETE", "Origin: https://a.example:443|Cookie: s=1", true},
		{"origin of another site", plain, "DELETE", "Origin: https://evil.test|Cookie: s=1", false},
		{"origin over http", plain, "DELETE", "Origin: http://a.example|Cookie: s=1", false},
		{"origin with another port", plain, "DELETE", "Origin: https://a.example:8443|Cookie: s=1", false},
		{"a host that begins so", plain, "DELETE", "Origin: https://a.example.evil.test|Cookie: s=1", false},
		{"null", plain, "POST", "Origin: null|Cookie: s=1", false},
		{"empty", plain, "POST", "Origin: |Cookie: s=1", false},
		{"two origins", plain, "POST", "Origin: https://a.example|Origin: https://evil.test|Cookie: s=1", false},
		{"referer alone", plain, "POST", "Referer: https://a.example/form?x#y|Cookie: s=1", true},
		{"referer of another site", plain, "POST", "Referer: https://evil.test/?https://a.example/|Cookie: s=1", false},
		{"referer that is no URL", plain, "POST", "Referer: a.example|Cookie: s=1", false},
		{"a program with a cookie", plain, "POST", "Cookie: s=1", false},
		{"a program without", plain, "POST", "Authorization: Bearer x", true},
		{"a program with a cookie, allowed", lax, "POST", "Cookie: s=1", true},
		{"… but not another site", lax, "POST", "Origin: https://evil.test|Cookie: s=1", false},
		{"trusted", trusting, "POST", "Origin: https://app.test|Sec-Fetch-Site: cross-site|Cookie: s=1", true},
		{"trusted pattern", trusting, "POST", "Origin: https://x.pages.test|Sec-Fetch-Site: cross-site|Cookie: s=1", true},
		{"trusted by referer", trusting, "POST", "Referer: https://app.test/|Cookie: s=1", true},
		{"not trusted", trusting, "POST", "Origin: https://app.test.evil.test|Sec-Fetch-Site: cross-site|Cookie: s=1", false},
		{"token", double, "POST", "Origin: https://a.example|Cookie: s=1; __Host-csrf=" + token + "|X-CSRF-Token: " + token, true},
		{"no token", double, "POST", "Origin: https://a.example|Cookie: s=1; __Host-csrf=" + token, false},
		{"another token", double, "POST", "Origin: https://a.example|Cookie: __Host-csrf=" + token + "|X-CSRF-Token: " + token + "x", false},
		{"a token without its cookie", double, "POST", "Origin: https://a.example|Cookie: x__Host-csrf=" + token + "|X-CSRF-Token: " + token, false},
		{"empty tokens", double, "POST", "Origin: https://a.example|Cookie: __Host-csrf=|X-CSRF-Token: ", false},
		{"a token that can be guessed", double, "POST", "Origin: https://a.example|Cookie: __Host-csrf=1234|X-CSRF-Token: 1234", false},
		{"a planted second cookie", double, "POST", "Origin: https://a.example|Cookie: __Host-csrf=" + token + "; __Host-csrf=" + token + "|X-CSRF-Token: " + token, false},
		{"a second cookie field", double, "POST", "Origin: https://a.example|Cookie: __Host-csrf=" + token + "|Cookie: __Host-csrf=x|X-CSRF-Token: " + token, false},
		{"token, but another site", double, "POST", "Origin: https://evil.test|Cookie: __Host-csrf=" + token + "|X-CSRF-Token: " + token, false},
		{"token, safe", double, "GET", "Cookie: s=1", true},
	} {
		x := posting("{}", strings.Split(c.fields, "|")...)
		x.Request.Method = c.method
		want := "csrf_refused"
		if c.pass {
			want = ""
		}
		if got := code(t, newEnv(t), c.spec, x); got != want {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
}

// A WebSocket begins with a GET, and with the user's cookies.
func TestCSRFOfWebSockets(t *testing.T) {
	for origin, want := range map[string]string{"https://a.example": "", "https://evil.test": "csrf_refused"} {
		x := posting("", "Origin: "+origin, "Cookie: s=1")
		x.Request.Method, x.Request.Upgrade = "GET", []byte("websocket")
		if got := code(t, newEnv(t), &CSRF{Token: &CSRFToken{Cookie: "a", Header: "b"}}, x); got != want {
			t.Errorf("%s: %q", origin, got)
		}
	}
}

func TestCSRFTrustsNobodyByAccident(t *testing.T) {
	for _, o := range []string{"*", "null", "a.example", "https://*.com"} {
		if _, err := (&CSRF{Trusted: origins(o)}).Compile(newEnv(t)); err == nil {
			t.Errorf("%s was accepted", o)
		}
	}
	if _, err := (&CSRF{Token: &CSRFToken{}}).Compile(newEnv(t)); err == nil {
		t.Error("a token without names was accepted")
	}
}
