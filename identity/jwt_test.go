package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopura/exchange"
)

// A token of the issuer for us is accepted, with every kind of key.
func TestEveryAlgorithm(t *testing.T) {
	var signers []*maker
	for _, alg := range []string{"RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"} {
		signers = append(signers, newMaker(t, "key-"+alg, alg))
	}
	i := newIssuer(t, signers...)
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	for _, s := range signers {
		id, code := ask(source, s.token(i.good()))
		if code != "" {
			t.Errorf("%s: %s", s.alg, code)
			continue
		}
		if id.Name != "idp" || id.Sub != "alice" || id.Claims["aud"] != "shop" {
			t.Errorf("%s: %+v", s.alg, id)
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// What must never be accepted, though it is signed with the issuer's key.
func TestRefusedTokens(t *testing.T) {
	rs := newMaker(t, "rsa", "RS256")
	es := newMaker(t, "ec", "ES256")
	i := newIssuer(t, rs, es)
	var knocks atomic.Int64
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { knocks.Add(1) }))
	defer attacker.Close()
	mallory := newMaker(t, "rsa", "RS256")
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	now := time.Now().Unix()
	base := i.good()
	good := toJSON(base)
	head := func(more string) string { return `{"alg":"RS256","kid":"rsa"` + more + `}` }
	claims := func(more map[string]any) string { return rs.token(with(i.good(), more)) }
	raw := func(payload string) string { return rs.sign(head(""), payload) }
	exp := func(text string) string {
		return raw(strings.Replace(good, fmt.Sprintf(`"exp":%d`, base["exp"]), `"exp":`+text, 1))
	}
	if _, code := ask(source, raw(good)); code != "" {
		t.Fatalf("the token that all of these are made of: %s", code)
	}
	publicPEM := func(der []byte, kind, eol string) []byte {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		return bytes.ReplaceAll(text, []byte("\n"), []byte(eol))
	}
	der, err := x509.MarshalPKIXPublicKey(rs.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := `{"alg":"HS256","kid":"rsa"}`
	tampered := rs.token(i.good())
	dot := strings.LastIndexByte(tampered, '.')
	cases := map[string]string{
		"empty":      "",
		"two parts":  rs.token(i.good())[:dot],
		"four parts": rs.token(i.good()) + ".",
		"five parts": "a.b.c.d.e",
		"dots":       "..",

		"alg none":             unsigned(`{"alg":"none"}`, good),
		"alg None":             unsigned(`{"alg":"None"}`, good),
		"alg nOnE":             unsigned(`{"alg":"nOnE","kid":"rsa"}`, good),
		"alg none, signed":     rs.sign(`{"alg":"none","kid":"rsa"}`, good),
		"alg missing":          rs.sign(`{"kid":"rsa"}`, good),
		"alg a list":           rs.sign(`{"alg":["RS256"],"kid":"rsa"}`, good),
		"alg empty":            rs.sign(`{"alg":"","kid":"rsa"}`, good),
		"alg lower case":       rs.sign(`{"alg":"rs256","kid":"rsa"}`, good),
		"ALG":                  rs.sign(`{"ALG":"RS256","kid":"rsa"}`, good),
		"another alg":          rs.sign(`{"alg":"RS512","kid":"rsa"}`, good),
		"alg of the other key": rs.sign(`{"alg":"ES256","kid":"rsa"}`, good),
		"no signature":         tampered[:dot+1],
		"signature cut":        tampered[:len(tampered)-8],
		"signature longer":     tampered + "AAAA",
		"somebody else's key":  mallory.token(i.good()),
		"payload changed":      b64(head("")) + "." + b64(strings.Replace(good, "alice", "admin", 1)) + tampered[dot:],

		"HS256 with the PEM":      hmacToken("HS256", hs, good, publicPEM(der, "PUBLIC KEY", "\n")),
		"HS256 with CRLF PEM":     hmacToken("HS256", hs, good, publicPEM(der, "PUBLIC KEY", "\r\n")),
		"HS256 with trimmed PEM":  hmacToken("HS256", hs, good, bytes.TrimSpace(publicPEM(der, "PUBLIC KEY", "\n"))),
		"HS256 with the DER":      hmacToken("HS256", hs, good, der),
		"HS256 with the JWK":      hmacToken("HS256", hs, good, []byte(toJSON(rs.jwk()))),
		"HS256 with an empty key": hmacToken("HS256", hs, good, nil),

		"jku":          mallory.sign(head(`,"jku":"`+attacker.URL+`"`), good),
		"x5u":          mallory.sign(head(`,"x5u":"`+attacker.URL+`"`), good),
		"jwk":          mallory.sign(head(`,"jwk":`+toJSON(mallory.jwk())), good),
		"crit":         rs.sign(head(`,"crit":["exp"]`), good),
		"crit, empty":  rs.sign(head(`,"crit":[]`), good),
		"b64":          rs.sign(head(`,"b64":false`), good),
		"kid a number": rs.sign(`{"alg":"RS256","kid":1}`, good),
		"kid a path":   rs.sign(`{"alg":"RS256","kid":"../../../dev/null"}`, good),
		"kid SQL":      rs.sign(`{"alg":"RS256","kid":"x' UNION SELECT 'a"}`, good),
		"kid long":     rs.sign(`{"alg":"RS256","kid":"`+strings.Repeat("k", maxKeyID+1)+`"}`, good),
		"typ":          rs.sign(head(`,"typ":"logout+jwt"`), good),
		"typ a number": rs.sign(head(`,"typ":1`), good),

		"exp past":               claims(map[string]any{"exp": now - 31}),
		"exp long past":          claims(map[string]any{"exp": 1}),
		"exp zero":               claims(map[string]any{"exp": 0}),
		"exp missing":            claims(map[string]any{"exp": nil}),
		"exp a text":             claims(map[string]any{"exp": fmt.Sprint(now + 300)}),
		"exp true":               claims(map[string]any{"exp": true}),
		"exp null":               exp("null"),
		"exp negative":           exp("-1"),
		"exp 1e400":              exp("1e400"),
		"exp 1e300":              exp("1e300"),
		"exp 2^63":               exp("9223372036854775808"),
		"exp an object":          exp(`{"$numberLong":"99999999999"}`),
		"nbf future":             claims(map[string]any{"nbf": now + 120}),
		"nbf 1e300":              raw(strings.Replace(good, `"nbf":`, `"nbf":1e300,"x":`, 1)),
		"nbf -1.5":               raw(strings.Replace(good, `"nbf":`, `"nbf":-1.5,"x":`, 1)),
		"iat 1e300":              raw(strings.Replace(good, `"iat":`, `"iat":1e300,"x":`, 1)),
		"nbf a text":             claims(map[string]any{"nbf": "0"}),
		"iat future":             claims(map[string]any{"iat": now + 120}),
		"iat 1e400":              raw(strings.Replace(good, `"iat":`, `"iat":1e400,"x":`, 1)),
		"iss with slash":         claims(map[string]any{"iss": i.URL + "/"}),
		"iss in another case":    claims(map[string]any{"iss": strings.ToUpper(i.URL)}),
		"iss missing":            claims(map[string]any{"iss": nil}),
		"iss a list":             claims(map[string]any{"iss": []any{i.URL}}),
		"iss another":            claims(map[string]any{"iss": "https://evil.example"}),
		"aud missing":            claims(map[string]any{"aud": nil}),
		"aud empty list":         claims(map[string]any{"aud": []any{}}),
		"aud a list without us":  claims(map[string]any{"aud": []any{"shop2", "blog"}}),
		"aud a list with others": claims(map[string]any{"aud": []any{"shop", 1}}),
		"aud longer":             claims(map[string]any{"aud": "shopping"}),
		"aud shorter":            claims(map[string]any{"aud": "sho"}),
		"aud in another case":    claims(map[string]any{"aud": "Shop"}),
		"aud spaced":             claims(map[string]any{"aud": "blog shop"}),
		"aud an object":          claims(map[string]any{"aud": map[string]any{"shop": true}}),
		"sub a number":           claims(map[string]any{"sub": 7}),

		"no JSON":               raw("hello"),
		"a JSON list":           raw("[" + good + "]"),
		"JSON null":             raw("null"),
		"two JSON texts":        raw(good + good),
		"not UTF-8":             raw(strings.Replace(good, "alice", "al\xffice", 1)),
		"a member twice":        raw(`{"sub":"admin",` + good[1:]),
		"a deep member twice":   raw(`{"x":{"a":1,"a":2},` + good[1:]),
		"a header twice":        rs.sign(head(`,"kid":"ec"`), good),
		"an escaped twin":       raw(`{"su\u0062":"admin",` + good[1:]),
		"nested deeply":         raw(`{"x":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + "," + good[1:]),
		"nested very deeply":    raw(`{"x":` + strings.Repeat(`{"a":`, 1500) + "1" + strings.Repeat("}", 1500) + "," + good[1:]),
		"too many claims":       claims(manyClaims(maxClaims + 1)),
		"too long":              claims(map[string]any{"pad": strings.Repeat("x", maxToken)}),
		"header is no object":   rs.sign(`["alg"]`, good),
		"header is nested":      rs.sign(head(`,"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)), good),
		"padding":               tampered + "=",
		"standard base64":       strings.ReplaceAll(strings.ReplaceAll(tampered, "-", "+"), "_", "/") + "=",
		"a line break":          tampered[:20] + "\n" + tampered[20:],
		"bits that don't count": looseBits(tampered),
		"a JSON serialization":  `{"payload":"e30","signature":"e30"}`,
		"spaces":                tampered + " " + tampered,
		"a comma":               tampered + ",x",
	}
	for name, text := range cases {
		if _, code := ask(source, text); code != exchange.IdentityInvalid.Name {
			t.Errorf("%s: %q", name, code)
		}
	}
	if n := knocks.Load(); n != 0 {
		t.Errorf("a token made us call somebody %d times", n)
	}
}

func manyClaims(n int) map[string]any {
	m := map[string]any{}
	for i := range n {
		m["c"+fmt.Sprint(i)] = i
	}
	return m
}

// looseBits changes bits of the last character that a lenient decoder drops.
func looseBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last^1])
}

// What is unusual and right.
func TestAcceptedTokens(t *testing.T) {
	rs := newMaker(t, "rsa", "RS256")
	i := newIssuer(t, rs)
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: [shop, blog]}")
	now := time.Now().Unix()
	good := toJSON(i.good())
	for name, text := range map[string]string{
		"typ JWT":                rs.sign(`{"alg":"RS256","kid":"rsa","typ":"JWT"}`, good),
		"typ in lower case":      rs.sign(`{"alg":"RS256","kid":"rsa","typ":"jwt"}`, good),
		"typ at+jwt":             rs.sign(`{"alg":"RS256","kid":"rsa","typ":"application/at+jwt"}`, good),
		"no kid":                 rs.sign(`{"alg":"RS256"}`, good),
		"key headers ignored":    rs.sign(`{"alg":"RS256","kid":"rsa","jku":"http://127.0.0.1:1/","x5u":"x","jwk":{},"x5c":[],"x5t":""}`, good),
		"b64 true":               rs.sign(`{"alg":"RS256","kid":"rsa","b64":true}`, good),
		"a list of audiences":    rs.token(with(i.good(), map[string]any{"aud": []any{"x", "blog"}})),
		"exp within leeway":      rs.token(with(i.good(), map[string]any{"exp": now - 20})),
		"exp with a fraction":    rs.token(with(i.good(), map[string]any{"exp": float64(now) + 60.25})),
		"nbf within leeway":      rs.token(with(i.good(), map[string]any{"nbf": now + 20})),
		"only what is necessary": rs.token(map[string]any{"iss": i.URL, "aud": "shop", "exp": now + 60}),
	} {
		if _, code := ask(source, text); code != "" {
			t.Errorf("%s: %s", name, code)
		}
	}
}

// The settings narrow down what is accepted.
func TestNarrower(t *testing.T) {
	rs, ps, es := newMaker(t, "rsa", "RS256"), newMaker(t, "pss", "PS256"), newMaker(t, "ec", "ES256")
	i := newIssuer(t, rs, ps, es)
	claims := with(i.good(), map[string]any{"tenant": "acme", "plan": []any{"gold", "beta"}, "level": 3, "email": "", "verified": true})
	for _, c := range []struct {
		settings string
		token    string
		code     string
	}{
		{"algorithms: ES256", es.token(claims), ""},
		{"algorithms: ES256", rs.token(claims), "identity_invalid"},
		{"algorithms: [PS256, RS384]", ps.token(claims), ""},
		{"algorithms: [PS256, RS384]", rs.token(claims), "identity_invalid"},
		{"type: at+jwt", rs.sign(`{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, toJSON(claims)), ""},
		{"type: at+jwt", rs.sign(`{"alg":"RS256","kid":"rsa","typ":"JWT"}`, toJSON(claims)), "identity_invalid"},
		{"type: at+jwt", rs.token(claims), "identity_invalid"},
		{"require: [tenant, sub]", rs.token(claims), ""},
		{"require: azp", rs.token(claims), "identity_invalid"},
		{"require: email", rs.token(claims), "identity_invalid"},
		{"claims: {tenant: acme, level: 3, verified: true}", rs.token(claims), ""},
		{"claims: {tenant: acme, level: 4}", rs.token(claims), "identity_invalid"},
		{`claims: {level: "3"}`, rs.token(claims), "identity_invalid"},
		{"claims: {tenant: [globex, acme]}", rs.token(claims), ""},
		{"claims: {plan: gold}", rs.token(claims), ""},
		{"claims: {plan: silver}", rs.token(claims), "identity_invalid"},
		{"claims: {absent: x}", rs.token(claims), "identity_invalid"},
		{"leeway: 0", rs.token(with(claims, map[string]any{"exp": time.Now().Unix() - 1})), "identity_invalid"},
	} {
		source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop, " + c.settings + "}")
		if _, code := ask(source, c.token); code != c.code {
			t.Errorf("%s: %q, not %q", c.settings, code, c.code)
		}
	}
	anyone := newDesk(t).jwt("{issuer: " + i.URL + ", audience: any, subject: tenant}")
	if id, code := ask(anyone, rs.token(with(claims, map[string]any{"aud": nil}))); code != "" || id.Sub != "acme" {
		t.Errorf("audience any: %v %q", id, code)
	}
}

// Settings that would be a mistake are refused, each at its key.
func TestSettings(t *testing.T) {
	for settings, want := range map[string]string{
		"{issuer: http://idp.example.com, audience: a}":                 "issuer: keys that come over http",
		"{issuer: http://idp.example.com, audience: a, insecure: true}": "",
		"{issuer: http://127.0.0.1:1, audience: a}":                     "",
		"{issuer: idp, audience: a}":                                    "issuer: not an https URL",
		"{issuer: https://u:p@idp.example.com, audience: a}":            "issuer: a URL with a user",
		"{issuer: https://idp.example.com?a=b, audience: a}":            "issuer: an issuer has no query",
		"{issuer: any, audience: a}":                                    "issuer: to find the keys",
		"{issuer: any, audience: a, jwks: https://idp.example.com/k}":   "",
		"{issuer: x, audience: a, jwks: file:///etc/passwd}":            "jwks: not an https URL",
		"{issuer: x}":                                                          `the key "audience" is missing`,
		"{audience: a}":                                                        `the key "issuer" is missing`,
		"{issuer: x, audience: [], keys: k.pem}":                               "audience: names nobody",
		"{issuer: x, audience: [any, a], keys: k.pem}":                         "audience: any stands alone",
		"{issuer: https://x.example, audience: a, leeway: 61s}":                "leeway",
		"{issuer: x, audience: a, secret: 0123456789012345678901234567890123}": "algorithms: a secret is used only",
		"{issuer: x, audience: a, secret: 0123456789012345678901234567890123, algorithms: RS256}": "algorithms: RS256 is not for a secret",
		"{issuer: x, audience: a, secret: short, algorithms: HS256}":                              "secret: HS256 needs a secret of at least 32 bytes",
		"{issuer: https://x.example, audience: a, algorithms: HS256}":                             "algorithms: HS256 needs a secret",
		"{issuer: https://x.example, audience: a, algorithms: none}":                              "algorithms",
		"{issuer: x, audience: a, keys: k.pem, jwks: https://x.example}":                          "one of jwks, keys, secret",
		"{issuer: x, audience: a, keys: absent.pem}":                                              "keys[0]: open",
		"{issuer: x, audience: a, keys: '{}'}":                                                    "keys[0]: unknown or broken",
		"{issuer: https://x.example, audience: a, token: [bearer, query.]}":                       "token[1]",
		"{issuer: https://x.example, audience: a, token: header.Cookie}":                          "token[0]",
		"{issuer: https://x.example, audience: a, token: [cookie.a, cookie.a]}":                   "token[1]: \"cookie.a\" is named twice",
		"{issuer: https://x.example, audience: a, claims: {a: {b: c}}}":                           "claims.a: a claim is compared with",
		"{issuer: https://x.example, audience: a, claims: {a: []}}":                               "claims.a: no value will do",
		"{issuer: https://x.example, audience: a, ca: absent.pem}":                                "ca: open",
	} {
		d := newDesk(t)
		// The source is not prepared: nobody is asked.
		_, err := d.check(settings)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", settings, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, not %q", settings, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%s: the secret is shown: %v", settings, err)
		}
	}
}

// Keys may stand in files, in every usual form.
func TestStaticKeys(t *testing.T) {
	d := newDesk(t)
	rs, es, ed := newMaker(t, "", "RS256"), newMaker(t, "a", "ES256"), newMaker(t, "b", "EdDSA")
	der, _ := x509.MarshalPKIXPublicKey(rs.key.Public())
	files := map[string]string{
		"rsa.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"one.json": toJSON(es.jwk()),
		"set.json": toJSON(map[string]any{"keys": []any{es.jwk(), ed.jwk()}}),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inline, _ := json.Marshal(files["one.json"])
	for keys, ok := range map[string][]*maker{
		"rsa.pem":                  {rs},
		"one.json":                 {es},
		"set.json":                 {es, ed},
		"[rsa.pem, set.json]":      {rs, es, ed},
		string(inline):             {es},
		"[" + string(inline) + "]": {es},
	} {
		source := d.jwt("{issuer: me, audience: shop, keys: " + keys + "}")
		for _, s := range []*maker{rs, es, ed} {
			want := "identity_invalid"
			for _, o := range ok {
				if o == s {
					want = ""
				}
			}
			if _, code := ask(source, s.token(goodClaims("me"))); code != want {
				t.Errorf("%s: a token of %s: %q, not %q", keys, s.alg, code, want)
			}
		}
	}
	// A key without an id takes a token with any.
	rs.kid = "whatever"
	if _, code := ask(d.jwt("{issuer: me, audience: shop, keys: rsa.pem}"), rs.token(goodClaims("me"))); code != "" {
		t.Error(code)
	}
}

// A secret is used for what was asked for, and for nothing else.
func TestSecret(t *testing.T) {
	const secret = "a secret that is long enough for it"
	source := newDesk(t).jwt("{issuer: me, audience: shop, secret: " + secret + ", algorithms: HS256}")
	good := toJSON(goodClaims("me"))
	for _, c := range []struct{ alg, secret, code string }{
		{"HS256", secret, ""},
		{"HS256", secret + "!", "identity_invalid"},
		{"HS256", "", "identity_invalid"},
		{"HS384", secret, "identity_invalid"},
	} {
		if _, code := ask(source, hmacToken(c.alg, `{"alg":"`+c.alg+`"}`, good, []byte(c.secret))); code != c.code {
			t.Errorf("%s with %q: %q", c.alg, c.secret, code)
		}
	}
	if _, code := ask(source, newMaker(t, "", "RS256").token(goodClaims("me"))); code != "identity_invalid" {
		t.Errorf("RS256: %q", code)
	}
}

// The token may stand in other places, and is taken out on the way.
func TestPlaces(t *testing.T) {
	es := newMaker(t, "", "ES256")
	d := newDesk(t)
	os.WriteFile(filepath.Join(d.dir, "k.json"), []byte(toJSON(es.jwk())), 0o600)
	token := es.token(goodClaims("me"))
	const base = "{issuer: me, audience: shop, keys: k.json, token: [bearer, header.X-Token, cookie.session, query.t]"
	keep, strip := d.jwt(base+"}"), d.jwt(base+", strip: true}")
	shown := func(x *exchange.Exchange) string {
		var b strings.Builder
		for _, f := range x.Request.Header.Fields() {
			fmt.Fprintf(&b, "%s: %s|", f.Name, f.Value)
		}
		return b.String() + string(x.Request.Query)
	}
	for _, c := range []struct{ name, field, query, after, stripped string }{
		{"bearer", "Authorization: bearer " + token, "", "Authorization: bearer " + token + "|", ""},
		{"own header", "X-Token: " + token, "", "X-Token: " + token + "|", ""},
		{"cookie", "Cookie: a=1; session=" + token + "; b=2", "", "Cookie: a=1; session=" + token + "; b=2|", "Cookie: a=1; b=2|"},
		{"query", "", "a=1&t=" + token + "&b=2", "a=1&b=2", "a=1&b=2"},
		{"query, escaped name", "", "%74=" + token, "", ""},
	} {
		for source, want := range map[*jwtSource]string{keep: c.after, strip: c.stripped} {
			x := asking(c.field)
			x.Request.Query, x.Request.Target = []byte(c.query), []byte("/?"+c.query)
			if c.query == "" {
				x.Request.Query = nil
			}
			id, err := source.Identify(x)
			if err != nil || id.Sub != "alice" {
				t.Errorf("%s: %v", c.name, err)
			}
			if got := shown(x); got != want {
				t.Errorf("%s (strip %v): the service sees %q, not %q", c.name, source.strip, got, want)
			}
			if c.query != "" && bytes.Contains(x.Request.Target, []byte(token)) {
				t.Errorf("%s: the token is left in the target", c.name)
			}
		}
	}
	for name, x := range map[string]*exchange.Exchange{
		"another scheme": asking("Authorization: Basic YTpi"),
		"nothing":        asking(),
		"a near cookie":  asking("Cookie: sessions=" + token),
	} {
		if _, err := keep.Identify(x); err != None {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, x := range map[string]*exchange.Exchange{
		"two fields":   asking("Authorization: Bearer "+token, "Authorization: Bearer "+token),
		"two cookies":  asking("Cookie: session=" + token + "; session=x"),
		"cookie lines": asking("Cookie: session="+token, "Cookie: session=x"),
		"empty":        asking("Authorization: Bearer "),
		"bearer alone": asking("Authorization: Bearer"),
	} {
		if _, err := keep.Identify(x); !exchange.IdentityInvalid.Is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The challenge says what is wanted, and whether what was sent is bad.
func TestChallenge(t *testing.T) {
	s := newDesk(t).jwt("{issuer: me, audience: shop, secret: a secret that is long enough for it, algorithms: HS256}")
	if got := s.Challenge(asking(), None); got != `Bearer realm="idp"` {
		t.Error(got)
	}
	_, err := s.Identify(asking("Authorization: Bearer x"))
	if got := s.Challenge(asking(), err); got != `Bearer realm="idp", error="invalid_token"` {
		t.Error(got)
	}
}

// Errors go to the log: nothing of the token is in them.
func TestErrorsShowNoToken(t *testing.T) {
	rs := newMaker(t, "rsa", "RS256")
	i := newIssuer(t, rs)
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	secret := "planted-secret"
	mallory := newMaker(t, "rsa", "RS256")
	for _, text := range []string{
		mallory.token(with(i.good(), map[string]any{"sub": secret})),
		rs.token(with(i.good(), map[string]any{"aud": secret})),
		rs.token(with(i.good(), map[string]any{"iss": secret})),
		rs.token(with(i.good(), map[string]any{"exp": secret})),
		rs.sign(`{"alg":"RS256","typ":"`+secret+`"}`, toJSON(i.good())),
		secret, secret + "." + secret + "." + secret,
	} {
		_, err := source.Identify(asking("Authorization: Bearer " + text))
		if err == nil {
			t.Errorf("accepted: %s", text)
			continue
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			said := e.Error()
			if strings.Contains(said, secret) || len(text) > 40 && strings.Contains(said, text[len(text)-20:]) {
				t.Errorf("%v", err)
			}
		}
	}
}
