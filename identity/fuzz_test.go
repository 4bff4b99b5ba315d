package identity

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A pattern takes what the expression takes that it stands for.
func FuzzSAN(f *testing.F) {
	for _, s := range []string{"dns:*.example.com", "dns:**.a", "uri:spiffe://a/*/b/**", "email:*@a", "ip:::1", "dns:", "dns:***a**", "uri:*://a"} {
		f.Add(s, "x.example.com")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := parseSAN(text)
		if err != nil || len(text) > 100 || len(name) > 200 {
			return
		}
		lower := func(s string) string {
			if p.fold {
				return strings.ToLower(s)
			}
			return s
		}
		want := expression(p).MatchString(lower(name)) && strings.IndexByte(name, 0) < 0
		if strings.ToValidUTF8(name, "") != name || strings.ToValidUTF8(text, "") != text {
			p.matches(name)
			return
		}
		if got := p.matches(name); got != want {
			t.Errorf("%q of %q is %v", text, name, got)
		}
	})
}

func expression(p sanPattern) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for rest := p.text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**"):
			b.WriteString(`.+`)
			rest = rest[2:]
		case rest[0] == '*':
			b.WriteString(`[^\x00` + regexp.QuoteMeta(p.stops) + `]+`)
			rest = rest[1:]
		default:
			n := strings.IndexByte(rest, '*')
			if n < 0 {
				n = len(rest)
			}
			b.WriteString(regexp.QuoteMeta(strings.ToValidUTF8(rest[:n], "")))
			rest = rest[n:]
		}
	}
	return regexp.MustCompile(b.String() + `\z`)
}

// An answer about a token makes it good only when it says so, in a form that any
// reader takes for the same.
func FuzzIntrospection(f *testing.F) {
	for _, s := range []string{`{"active":true,"exp":2000000000,"aud":["a"],"iss":"i"}`, `{"active":"true"}`, `{"active":true,"active":false}`, `{"active":true,"exp":1e400}`, `{"active":true,"nbf":-1,"exp":"9"}`, `[true]`, `{"active":true,"aud":[1,["a"]]}`} {
		f.Add([]byte(s))
	}
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, text []byte) {
		claims, err := readObject(text, maxClaims)
		if err != nil {
			return
		}
		i := &introspection{settings: &Introspection{Audience: "a", Issuer: "i"}}
		if !i.holds(claims, now) {
			return
		}
		var said struct {
			Active bool   `json:"active"`
			Iss    string `json:"iss"`
			Aud    any    `json:"aud"`
		}
		if err := json.Unmarshal(text, &said); err != nil || !said.Active || said.Iss != "i" {
			t.Errorf("%s holds (%v)", text, err)
		}
		if list, ok := said.Aud.([]any); said.Aud != "a" && (!ok || len(list) == 0) {
			t.Errorf("%s is for us", text)
		}
		if exp, ok := timeClaim(claims, "exp"); ok && (exp.Year() < -300_000_000 || subjectClaim(claims) == "\x00") {
			t.Error(exp)
		}
	})
}

// Where a login leads back to is on the same host, as a browser reads it.
func FuzzReturn(f *testing.F) {
	for _, s := range []string{"/", "/a?b=c", "//evil.test", "/\\evil.test", "/\t/evil.test", "/a//b", "/./..//x", "/%2f%2fevil.test", "https://evil.test", "/@evil.test", "/#//evil"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: "shop.test", Path: "/"}
	f.Fuzz(func(t *testing.T, text string) {
		if !safeReturn(text) {
			return
		}
		for _, read := range []string{text, strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(text)} {
			u, err := base.Parse(read)
			if err == nil && (u.Host != "shop.test" || u.Scheme != "https" || u.User != nil) {
				t.Errorf("%q leads to %s", text, u)
			}
		}
	})
}

// What was sealed is a session with numbers that can be written again, or none.
func FuzzSessionText(f *testing.F) {
	f.Add([]byte(`{"i":"x","s":"ada","c":{"n":1,"f":1.5,"big":123456789012345678901234567890}}`))
	f.Add([]byte(`{"i":"x","s":"ada","c":{"n":1e999,"l":[1e9999999999]}}`))
	f.Add([]byte(`{"i":"x","s":"","c":{}}`))
	o := &oidcLogin{name: "web"}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := o.parse(text)
		if err != nil {
			return
		}
		if s.id == nil || s.id.Sub == "" || s.ID == "" {
			t.Errorf("%s is nobody's", text)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Errorf("%s can't be sealed again: %v", text, err)
		}
	})
}
