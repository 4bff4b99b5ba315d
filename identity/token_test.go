package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// What a token is taken apart into is what any other reader would find in it.
func FuzzToken(f *testing.F) {
	m := newMaker(f, "k", "ES256")
	good := toJSON(goodClaims("me"))
	for _, seed := range []string{
		m.sign(`{"alg":"ES256","kid":"k"}`, good), unsigned(`{"alg":"none"}`, good), "a.b.c", "..", "", "e30.e30.e30",
		m.sign(`{"alg":"ES256","typ":"at+JWT","b64":true}`, `{"a":[1,2.5,{"b":null}],"exp":1e9}`),
		unsigned(`{"alg":"RS256"}`, `{"a":1,"a":2}`), unsigned(`{"alg":"RS256","crit":[]}`, `{}`),
		unsigned(`{"alg":"RS256"}`, `{"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`}`),
		unsigned(`{"alg":"RS256"}`, `{"\ud800":1,"\ud801":2}`),
	} {
		f.Add(seed)
	}
	s := newDesk(f).jwt("{issuer: me, audience: shop, secret: 01234567890123456789012345678901, algorithms: HS256}")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := s.Identify(asking("Authorization: Bearer " + text)); err == nil {
			t.Fatalf("forged: %+v", id)
		}
		tok, err := parseToken(text)
		if err != nil {
			return
		}
		parts := strings.Split(text, ".")
		if len(parts) != 3 || len(text) > maxToken || tok.signed != parts[0]+"."+parts[1] || b64(string(tok.signature)) != parts[2] {
			t.Fatalf("taken apart wrongly: %q", text)
		}
		var header struct{ Alg, Kid string }
		raw, _ := decodeBase64(parts[0])
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil || json.Unmarshal(fields["alg"], &header.Alg) != nil || header.Alg != tok.alg {
			t.Fatalf("another alg: %q", raw)
		}
		raw, _ = decodeBase64(parts[1])
		if b64(string(raw)) != parts[1] {
			t.Fatalf("payload in two encodings: %q", parts[1])
		}
		var claims map[string]any
		if err := json.Unmarshal(raw, &claims); err != nil || len(claims) != len(tok.claims) {
			t.Fatalf("other claims: %v %q", err, raw)
		}
		tok.claims["sub"], claims["sub"] = "", ""
		for name := range claims {
			if _, ok := tok.claims[name]; !ok {
				t.Fatalf("a claim is missing: %q", name)
			}
		}
		(&rules{untyped: true}).check(tok, time.Now())
	})
}

// A set of keys, whatever it holds, gives keys that can be used.
func FuzzJWKS(f *testing.F) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		f.Add([]byte(toJSON(map[string]any{"keys": []any{newMaker(f, "k", alg).jwk()}})))
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"},null,1,"x",[]]}`))
	f.Add([]byte(`{"keys":{}}`))
	allowed := []string{"ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "Ed25519"}
	tok := &token{signed: "a.b", signature: make([]byte, 64), alg: "ES256"}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, _, err := parseJWKS(data, allowed)
		if err != nil {
			return
		}
		if len(set.keys) == 0 || len(set.keys) > maxKeys {
			t.Fatalf("%d keys", len(set.keys))
		}
		for _, k := range set.keys {
			if _, secret := k.key.([]byte); secret || len(k.algs) == 0 {
				t.Fatalf("%T for %v", k.key, k.algs)
			}
			for _, alg := range k.algs {
				tok.alg = alg
				if _, err := set.verify(tok); err == nil {
					t.Fatal("nothing verifies")
				}
			}
		}
		parseStaticKeys(data, allowed)
	})
}

// A token is remembered until it expires or its key goes, and for nobody else.
func TestTokenCache(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := newTokenCache(8)
	key := new(verifyKey)
	id := &exchange.Identity{Sub: "alice"}
	c.put(&verified{"token", now.Add(time.Minute), key, id}, now)
	if c.get([]byte("token"), now) != id || c.get([]byte("tokem"), now) != nil || c.get(nil, now) != nil {
		t.Error("the wrong one")
	}
	if c.get([]byte("token"), now.Add(time.Minute)) != nil {
		t.Error("expired, and still good")
	}
	if c.get([]byte("token"), now) != nil {
		t.Error("what has expired is kept")
	}
	c.put(&verified{"token", now.Add(time.Minute), key, id}, now)
	key.gone.Store(true)
	if c.get([]byte("token"), now) != nil {
		t.Error("its key is gone, and it is still good")
	}
	// It never holds more than it was made for.
	key = new(verifyKey)
	for n := range 1000 {
		c.put(&verified{fmt.Sprint(n), now.Add(time.Duration(n) * time.Second), key, id}, now)
		if c.get(fmt.Append(nil, n), now.Add(-time.Hour)) != id {
			t.Fatalf("%d is not remembered just after it came", n)
		}
	}
	held := 0
	for i := range c.slots {
		if c.slots[i].Load() != nil {
			held++
		}
	}
	if held != 8 {
		t.Errorf("%d of 8", held)
	}
	c.sweep(now.Add(time.Hour))
	for i := range c.slots {
		if c.slots[i].Load() != nil {
			t.Error("not swept")
		}
	}
	if off := newTokenCache(0); off.get([]byte("x"), now) != nil {
		t.Error("off")
	} else {
		off.put(&verified{}, now)
		off.sweep(now)
	}
}

// bearers returns sources with a remembered token each, by algorithm, and the
// exchanges that ask them.
func bearers(t testing.TB, more string) map[string]func() error {
	all := map[string]func() error{}
	for _, alg := range []string{"RS256", "ES256"} {
		m := newMaker(t, "k", alg)
		i := newIssuer(t, m)
		source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop" + more + "}")
		claims := with(i.good(), map[string]any{"scope": "users.read users.write", "email": "alice@example.com", "realm_access": map[string]any{"roles": []string{"a", "b"}}})
		x := asking("Accept: */*", "User-Agent: test", "Authorization: Bearer "+m.token(claims))
		if _, err := source.Identify(x); err != nil {
			t.Fatal(err)
		}
		all[alg] = func() error { _, err := source.Identify(x); return err }
	}
	return all
}

// A token that was verified before costs no allocation.
func TestRememberedTokenAllocatesNothing(t *testing.T) {
	for alg, identify := range bearers(t, "") {
		if n := testing.AllocsPerRun(1000, func() {
			if err := identify(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", alg, n)
		}
	}
}

// A token that was verified before is to cost at most 1.5 µs.
func BenchmarkRememberedToken(b *testing.B) {
	for alg, identify := range bearers(b, "") {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := identify(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewToken(b *testing.B) {
	for alg, identify := range bearers(b, ", cache: 0") {
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := identify(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What is refused before any signature is looked at.
func BenchmarkBadToken(b *testing.B) {
	s := newDesk(b).jwt("{issuer: me, audience: shop, secret: 01234567890123456789012345678901, algorithms: HS256}")
	for name, text := range map[string]string{
		"garbage": strings.Repeat("x", 800),
		"expired": unsigned(`{"alg":"RS256"}`, toJSON(with(goodClaims("me"), map[string]any{"exp": 1}))),
		"16 KiB":  string(bytes.Repeat([]byte("x"), maxToken+1)),
	} {
		x := asking("Authorization: Bearer " + text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Identify(x)
			}
		})
	}
}
