package identity

import (
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const keysYAML = `
owners:
  acme:
    claims: { plan: gold, scope: [orders.read, orders.write], limit: 7, sub: root }
    keys:
      - { hash: "%old%", id: old, expires: 2027-01-01 }
      - { hash: "%new%", id: new }
  beta: { keys: "%beta%" }
`

func TestAPIKey(t *testing.T) {
	w := newWorld(t)
	w.now = time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)
	old, next, beta := NewAPIKey(), NewAPIKey(), "a beta key, chosen by its owner"
	text := strings.NewReplacer("%old%", HashAPIKey(old, ""), "%new%", HashAPIKey(next, "pepper"), "%beta%", HashAPIKey(beta, "")).Replace(keysYAML)
	s := w.compile(&APIKey{File: w.file("keys.yaml", text), Header: "X-API-Key", Query: "api_key", Pepper: config.NewSecret("pepper")})
	for _, c := range []struct {
		target string
		fields []string
		want   string
	}{
		{"/", nil, "none"},
		{"/", []string{"X-API-Key: " + old}, "acme"},
		{"/", []string{"x-api-key: " + next}, "acme"},
		{"/", []string{"X-API-Key: " + beta}, "beta"},
		{"/", []string{"X-API-Key: " + old + "x"}, bad},
		{"/", []string{"X-API-Key: " + HashAPIKey(old, "")}, bad}, // the hash is no key
		{"/", []string{"X-API-Key: "}, bad},
		{"/", []string{"X-API-Key: " + strings.Repeat("k", 600)}, bad},
		{"/", []string{"X-API-Key: " + old, "X-API-Key: " + next}, bad},
		{"/?api_key=" + next, nil, "acme"},
		{"/?a=1&api%5Fkey=" + next + "&b=2", nil, "acme"},
		{"/?api_key=a+beta+key%2C+chosen+by+its+owner", nil, "beta"},
		{"/?api_key=" + next + "&api_key=" + next, nil, bad},
		{"/?api_key=%zz", nil, bad},
		{"/?api_key=" + next, []string{"X-API-Key: " + next}, bad},
		{"/?api_keys=" + next, nil, "none"},
	} {
		x := request("GET", c.target, c.fields...)
		id, err := expect(t, s, x, c.want)
		if id != nil && c.want == "acme" && (id.Claims["plan"] != "gold" || id.Claims["sub"] != "acme" || id.Claims["limit"] != int64(7)) {
			t.Errorf("claims %v", id.Claims)
		}
		for _, key := range []string{old, next} {
			if id != nil && (x.Request.Header.Has("X-API-Key") || strings.Contains(string(x.Request.Query), key)) {
				t.Errorf("%s: the key goes on", c.target)
			}
			if err != None && strings.Contains(string(x.Request.Target), key) {
				t.Errorf("a record would show the key: %s", x.Request.Target)
			}
			if err != nil && strings.Contains(err.Error(), key) {
				t.Errorf("an error shows the key: %v", err)
			}
		}
	}
	x := request("GET", "/list?a=1&api%5fkey="+next+"&b=%20")
	expect(t, s, x, "acme")
	if string(x.Request.Query) != "a=1&b=%20" || string(x.Request.Target) != "/list?a=1&api%5fkey=***&b=%20" {
		t.Errorf("the query became %s, the target %s", x.Request.Query, x.Request.Target)
	}
	w.pass(time.Hour) // into the new year
	expect(t, s, request("GET", "/", "X-API-Key: "+old), bad)
	id, _ := expect(t, s, request("GET", "/", "X-API-Key: "+next), "acme")
	if id != nil && id.Claims["key_id"] != "new" {
		t.Errorf("claims %v", id.Claims)
	}
}

func TestAPIKeyInAuthorization(t *testing.T) {
	w := newWorld(t)
	key := NewAPIKey()
	file := w.file("keys.yaml", "owners: { acme: { keys: \""+HashAPIKey(key, "")+"\" } }")
	s := w.compile(&APIKey{File: file, Header: "Authorization", Scheme: "ApiKey", Forward: true})
	x := request("GET", "/", "Authorization: apikey "+key)
	if expect(t, s, x, "acme"); !x.Request.Header.Has("Authorization") {
		t.Error("forward: the field is gone")
	}
	expect(t, s, request("GET", "/", "Authorization: Bearer "+key), "none")
	if got := s.(Challenger).Challenge(nil, None); got != `ApiKey realm="test"` {
		t.Errorf("challenge %s", got)
	}
	own := w.compile(&APIKey{File: file, Header: "X-Auth", Scheme: "Token"})
	expect(t, own, request("GET", "/", "X-Auth: Token "+key), "acme")
	expect(t, own, request("GET", "/", "X-Auth: "+key), "none")
	w.refuses(&APIKey{File: file, Header: "Authorization"}, "scheme")
	w.refuses(&APIKey{File: file, Header: "X Key"}, "field name")
}

// A key that was written in the place of its hash is in no error.
func TestKeyFilesThatAreWrong(t *testing.T) {
	w := newWorld(t)
	key := NewAPIKey()
	hash := HashAPIKey(key, "")
	for text, want := range map[string]string{
		"":                                     "empty",
		"owners: {}":                           "no key",
		"owners: { a: { keys: " + key + " } }": "never the key itself",
		"owners: { a: { keys: 'sha256:" + key + "' } }":                             "64 hexadecimal digits",
		"owners: { a: { keys: 'sha256:" + strings.Repeat("zz", 32) + "' } }":        "hexadecimal digits only",
		"owners: { a: { keys: '" + HashAPIKey(key, "p") + "' } }":                   "pepper",
		"owners: { a: { keys: ['" + hash + "', '" + hash + "'] } }":                 "twice",
		"owners: { a: { keys: { hash: '" + hash + "', expires: tomorrow } } }":      "expires",
		"owners: { a: { keys: { hsah: '" + hash + "' } } }":                         "missing",
		"owners: { a: { keys: '" + hash + "', name: x } }":                          "name",
		"owners: { a: { keys: { hash: '" + hash + "', id: '${env:HOME}' } } }":      "HOME",
		"owners: { a: { keys: [" + key + "], what: " + key + " } }":                 "what",
		"owners: { a: { keys: { hash: { text: " + key + " } } } }":                  "hash",
		"owners: { " + strings.Repeat("a: {", 100) + strings.Repeat("}", 100) + "}": "deep",
	} {
		if err := w.refuses(&APIKey{File: w.file("keys.yaml", text), Header: "X-API-Key"}, want); err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// 10,000 keys cost what one costs.
func BenchmarkAPIKey(b *testing.B) {
	w := newWorld(b)
	var text strings.Builder
	text.WriteString("owners:\n")
	key := NewAPIKey()
	for range 10_000 {
		text.WriteString("  \"" + NewAPIKey() + "\": { keys: \"" + HashAPIKey(NewAPIKey(), "") + "\" }\n")
	}
	text.WriteString("  acme: { keys: \"" + HashAPIKey(key, "") + "\" }\n")
	s, err := (&APIKey{File: w.file("keys.yaml", text.String()), Header: "X-API-Key", Forward: true}).Compile(w.env)
	if err != nil {
		b.Fatal(err)
	}
	x := request("GET", "/", "X-API-Key: "+key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Identify(x); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(strings.NewReplacer("%old%", HashAPIKey("a", ""), "%new%", HashAPIKey("b", "p"), "%beta%", HashAPIKey("c", "")).Replace(keysYAML)))
	f.Add([]byte("owners: { a: { keys: x } }"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys("keys.yaml", data, true)
		if err == nil && len(keys) == 0 {
			t.Error("no keys and no error")
		}
	})
}

// Taking a parameter out of a query leaves the others as they are, and nothing of
// its value anywhere.
func FuzzQueryCredential(f *testing.F) {
	f.Add("a=1&k=secret&b=2")
	f.Add("k=s")
	f.Add("%6b=s&k")
	f.Add("&&k=&")
	f.Fuzz(func(t *testing.T, query string) {
		x := request("GET", "/p?"+query)
		_, err := queryCredential(x, "k", false)
		for p := range parameters(x.Request.Query) {
			if err != None && p.is("k") {
				t.Errorf("%q: %q is left", query, x.Request.Query)
			}
		}
		if err == None && string(x.Request.Query) != query {
			t.Errorf("%q became %q", query, x.Request.Query)
		}
	})
}

// Only the gateway's own cookies are taken out.
func FuzzDropCookies(f *testing.F) {
	f.Add("a=1; own=2; b=3", "own=4")
	f.Add("own=", "")
	f.Add(";;=;a", "a==;")
	f.Fuzz(func(t *testing.T, one, two string) {
		if !exchange.ValidValue(one) || !exchange.ValidValue(two) {
			return
		}
		x := request("GET", "/", "Cookie: "+one, "Cookie: "+two)
		count := func() (own, other int) {
			for name := range cookies(x) {
				if string(name) == "own" {
					own++
				} else {
					other++
				}
			}
			return own, other
		}
		_, before := count()
		dropCookies(x, func(name []byte) bool { return string(name) == "own" })
		if own, other := count(); own != 0 || other != before {
			t.Errorf("%q, %q: %d of ours are left, %d of %d others", one, two, own, other, before)
		}
	})
}
