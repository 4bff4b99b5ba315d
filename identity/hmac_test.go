package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
)

// The test vectors of RFC 9421 appendix B.2.5 and B.2.6.
func TestSignatureVectors(t *testing.T) {
	secret, _ := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	der, _ := base64.StdEncoding.DecodeString("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")
	body := `{"hello": "world"}`
	digest := "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
	if !digestMatches(digest, []byte(body)) || digestMatches(digest, []byte(body+" ")) {
		t.Error("content-digest")
	}
	for _, c := range []struct {
		key              signer
		input, signature string
	}{
		{hmacSigner(secret), `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			`sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:`},
		{ed25519Signer(der[len(der)-32:]), `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			`sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:`},
	} {
		x := request("POST", "/foo?param=Value&Pet=dog", "Date: Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type: application/json",
			"Content-Digest: "+digest, "Signature-Input: "+c.input, "Signature: "+c.signature)
		x.Request.Authority, x.Request.Body = []byte("Example.com:443"), exchange.BytesBody([]byte(body))
		list, err := readSignatures(&x.Request.Header)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		base, err := list[0].base(x)
		if err != nil || !c.key.verify(base, list[0].signature) {
			t.Errorf("%s: %v\n%s", c.input, err, base)
		}
		if c.key.verify(append(base, ' '), list[0].signature) || c.key.verify(base, append(list[0].signature, 0)) || c.key.verify(base, nil) {
			t.Errorf("%s: something else passes", c.input)
		}
	}
}

// client signs requests as a client would, in code of its own.
type client struct {
	keyID   string
	secret  []byte
	private ed25519.PrivateKey
}

func (c *client) sign(x *exchange.Exchange, components, params string) *exchange.Exchange {
	var base strings.Builder
	r := &x.Request
	for name := range strings.FieldsSeq(components) {
		value := map[string]string{
			`"@method"`: r.Method, `"@authority"`: string(r.Authority), `"@path"`: string(r.Path), `"@query"`: "?" + string(r.Query),
			`"@request-target"`: string(r.Target), `"@scheme"`: r.Scheme, `"@target-uri"`: r.Scheme + "://" + string(r.Authority) + string(r.Target),
		}[name]
		if value == "" {
			value = string(r.Header.Get(strings.Trim(name, `"`)))
		}
		fmt.Fprintf(&base, "%s: %s\n", name, value)
	}
	input := "(" + components + ")" + params
	fmt.Fprintf(&base, "\"@signature-params\": %s", input)
	var sig []byte
	if c.private != nil {
		sig = ed25519.Sign(c.private, []byte(base.String()))
	} else {
		h := hmac.New(sha256.New, c.secret)
		h.Write([]byte(base.String()))
		sig = h.Sum(nil)
	}
	r.Header.Add("Signature-Input", "sig1="+input)
	r.Header.Add("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return x
}

func withBody(x *exchange.Exchange, body string) *exchange.Exchange {
	sum := sha256.Sum256([]byte(body))
	x.Request.Header.Add("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	x.Request.Body = exchange.BytesBody([]byte(body))
	return x
}

// pieces is a body of unknown length.
type pieces struct {
	exchange.Body
}

func (p *pieces) Len() int64 { return -1 }

const target = `"@method" "@authority" "@path" "@query"`

func TestHMAC(t *testing.T) {
	w := newWorld(t)
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	secret := "a shared secret of the builders"
	spec := &HMAC{
		Keys: []SigningKey{
			{ID: "build", Secret: config.NewSecret(secret), Claims: map[string]any{"role": "builder"}},
			{ID: "ship", Sub: "shipping", Ed25519: base64.StdEncoding.EncodeToString(public)},
		},
		Window: time.Minute, Body: 1 << 10, Nonce: "optional", Replay: 1000, Cover: []string{"X-Tenant"},
	}
	s := w.compile(spec)
	build, ship := &client{"build", []byte(secret), nil}, &client{"ship", nil, private}
	params := func(keyID, more string) string {
		return fmt.Sprintf(`;created=%d;keyid="%s"`, w.clock().Unix(), keyID) + more
	}
	get := func() *exchange.Exchange { return request("GET", "/orders?page=2", "X-Tenant: acme") }
	post := func(body string) *exchange.Exchange {
		return withBody(request("POST", "/orders", "X-Tenant: acme"), body)
	}
	all := target + ` "x-tenant"`
	n := 0
	fresh := func(keyID string) string { n++; return params(keyID, fmt.Sprintf(`;nonce="%d"`, n)) }
	created := func(d time.Duration) string {
		return fmt.Sprintf(`;created=%d;keyid="build"`, w.clock().Add(d).Unix())
	}
	id, _ := expect(t, s, build.sign(get(), all, fresh("build")), "build")
	if id != nil && (id.Claims["role"] != "builder" || id.Claims["key_id"] != "build") {
		t.Errorf("claims %v", id.Claims)
	}
	expect(t, s, ship.sign(get(), all, fresh("ship")), "shipping")
	expect(t, s, build.sign(get(), `"@method" "@target-uri" "x-tenant"`, fresh("build")), "build")
	expect(t, s, build.sign(get(), `"@method" "@authority" "@request-target" "x-tenant"`, fresh("build")), "build")
	expect(t, s, build.sign(get(), all, params("build", `;alg="hmac-sha256"`)), "build")
	expect(t, s, build.sign(post("{}"), all+` "content-digest"`, fresh("build")), "build")
	expect(t, s, get(), "none")

	for what, x := range map[string]*exchange.Exchange{
		"another key's secret":       (&client{"build", []byte("another secret, guessed"), nil}).sign(get(), all, fresh("build")),
		"an unknown key":             build.sign(get(), all, fresh("nobody")),
		"hmac with the public key":   (&client{"ship", public, nil}).sign(get(), all, fresh("ship")),
		"hmac, so it says":           (&client{"ship", public, nil}).sign(get(), all, params("ship", `;alg="hmac-sha256"`)),
		"no created":                 build.sign(get(), all, `;keyid="build"`),
		"created as text":            build.sign(get(), all, `;created="1";keyid="build"`),
		"too old":                    build.sign(get(), all, created(-61*time.Second)),
		"from the future":            build.sign(get(), all, created(61*time.Second)),
		"from a far future":          build.sign(get(), all, `;created=999999999999999;keyid="build"`),
		"expired":                    build.sign(get(), all, params("build", fmt.Sprintf(`;expires=%d`, w.clock().Unix()))),
		"no query":                   build.sign(get(), `"@method" "@authority" "@path" "x-tenant"`, fresh("build")),
		"no method":                  build.sign(get(), `"@authority" "@path" "@query" "x-tenant"`, fresh("build")),
		"no host":                    build.sign(get(), `"@method" "@path" "@query" "x-tenant"`, fresh("build")),
		"a field that must be":       build.sign(get(), target, fresh("build")),
		"a field that is not there":  build.sign(request("GET", "/"), all, fresh("build")),
		"an unknown component":       build.sign(get(), all+` "@status"`, fresh("build")),
		"a component twice":          build.sign(get(), all+` "@method"`, fresh("build")),
		"a component with parameter": build.sign(get(), all+` "x-tenant";sf`, fresh("build")),
		"an upper case field":        build.sign(get(), target+` "X-Tenant"`, fresh("build")),
		"a body that is not covered": build.sign(post("{}"), all, fresh("build")),
		"a signature without input":  request("GET", "/", "Signature: sig1=:AAAA:"),
		"an input without signature": request("GET", "/", "Signature-Input: sig1=();created=1;keyid=\"build\""),
		"nothing":                    request("GET", "/", "Signature-Input: ", "Signature: "),
	} {
		if _, err := s.Identify(x); !exchange.IdentityInvalid.Is(err) {
			t.Errorf("%s: %v", what, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", what, err)
		}
	}
	changed := map[string]func(*exchange.Request){
		"method":         func(r *exchange.Request) { r.Method = "DELETE" },
		"host":           func(r *exchange.Request) { r.Authority = []byte("evil.example.com") },
		"path":           func(r *exchange.Request) { r.Path = []byte("/orders/1") },
		"query":          func(r *exchange.Request) { r.Query = []byte("page=3") },
		"a field":        func(r *exchange.Request) { r.Header.Set("X-Tenant", "evil") },
		"a second field": func(r *exchange.Request) { r.Header.Add("X-Tenant", "evil") },
	}
	for what, change := range changed {
		x := build.sign(get(), all, fresh("build"))
		change(&x.Request)
		if _, err := s.Identify(x); !exchange.IdentityInvalid.Is(err) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	for _, c := range []struct {
		body exchange.Body
		want string
	}{
		{exchange.BytesBody([]byte("[]")), bad},
		{exchange.NoBody, bad},
		{&pieces{Body: exchange.BytesBody([]byte("{}"))}, "build"}, // of unknown length, and right
		{exchange.BytesBody(make([]byte, 2000)), "body_too_large"},
		{&pieces{Body: exchange.BytesBody(make([]byte, 2000))}, "body_too_large"},
	} {
		x := build.sign(post("{}"), all+` "content-digest"`, fresh("build"))
		x.Request.Body = c.body
		if expect(t, s, x, c.want); c.want == "build" {
			if got, err := exchange.ReadAll(x.Request.Body, 100); string(got) != "{}" || err != nil {
				t.Errorf("the body became %q, %v", got, err)
			}
		}
	}
}

// A message is accepted once, however its signature is written, also after a
// reload.
func TestHMACReplay(t *testing.T) {
	w := newWorld(t)
	secret := "a shared secret of the builders"
	spec := &HMAC{Keys: []SigningKey{{ID: "build", Secret: config.NewSecret(secret)}}, Window: time.Minute, Body: 1 << 10, Replay: 2}
	s := w.compile(spec)
	c := &client{"build", []byte(secret), nil}
	now := w.clock().Unix()
	sign := func(nonce string) *exchange.Exchange {
		return c.sign(request("GET", "/"), target, fmt.Sprintf(`;created=%d;keyid="build";nonce="%s"`, now, nonce))
	}
	expect(t, s, sign("a"), "build")
	expect(t, s, sign("a"), bad)
	spaced := sign("a")
	spaced.Request.Header.Set("Signature-Input", strings.Replace(string(spaced.Request.Header.Get("Signature-Input")), `" "`, `"  "`, 1))
	expect(t, s, spaced, bad)
	retire := w.reload()
	s = w.compile(spec)
	retire()
	expect(t, s, sign("a"), bad)
	expect(t, s, sign("b"), "build")
	expect(t, s, sign("c"), away) // nothing is forgotten to make room
	expect(t, s, sign("b"), bad)
	w.pass(62 * time.Second)
	expect(t, s, sign("a"), bad) // too old now
	now = w.clock().Unix()
	expect(t, s, sign("a"), "build")
	must := w.compile(&HMAC{Keys: spec.Keys, Window: time.Minute, Nonce: "required", Tag: "gopura", Replay: 1000})
	expect(t, must, c.sign(request("GET", "/"), target, fmt.Sprintf(`;created=%d;keyid="build";tag="gopura"`, now)), bad)
	expect(t, must, c.sign(request("GET", "/"), target, fmt.Sprintf(`;created=%d;keyid="build";nonce="1"`, now)), bad)
	expect(t, must, c.sign(request("GET", "/"), target, fmt.Sprintf(`;created=%d;keyid="build";nonce="1";tag="gopura"`, now)), "build")
}

func TestHMACSettings(t *testing.T) {
	w := newWorld(t)
	w.refuses(&HMAC{}, "no keys")
	w.refuses(&HMAC{Keys: []SigningKey{{ID: "a"}}}, "either")
	w.refuses(&HMAC{Keys: []SigningKey{{ID: "a", Secret: config.NewSecret("0123456789abcdef"), Ed25519: "x"}}}, "either")
	w.refuses(&HMAC{Keys: []SigningKey{{ID: "a", Ed25519: "AAAA"}}}, "32 bytes")
	w.refuses(&HMAC{Keys: []SigningKey{{ID: "a", Secret: config.NewSecret("base64:???")}}}, "not base64")
	err := w.refuses(&HMAC{Keys: []SigningKey{{ID: "a", Secret: config.NewSecret("hunter2")}}}, "at least 16")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestStructuredFields(t *testing.T) {
	for text, want := range map[string]string{
		`sig1=("@method" "a";x=?0);created=1;alg="a\"b"`: `("@method" "a";x=?0);created=1;alg="a\"b"`,
		`a=()`:                       `()`,
		`a=(  "b"   "c" ) ; d`:       `("b" "c");d`,
		`a=( "b" );c;d=tok/x:1;e=-5`: `("b");c;d=tok/x:1;e=-5`,
		`a=(:AAE=:)`:                 `(:AAE=:)`,
	} {
		if text == `a=(  "b"   "c" ) ; d` { // no space before a semicolon
			want = ""
		}
		m, err := parseDictionary(text)
		got := ""
		if err == nil {
			got = string(appendInnerList(nil, &m[0]))
		}
		if got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ",", "a", "a=1,", "a=1 b=2", "A=1", "1=1", "a=", "a=(", `a=("b"`, `a=("b""c")`, `a="b`, `a="\c"`, "a=\"\x80\"", "a=:!:", "a=:AA:", "a=?2", "a=1.5",
		"a=1234567890123456", "a=--1", "a=1;", "a=1;B", "a=1;b=1;b=2", "a=1,a=2", "a=@x", "a=(\n)", strings.Repeat("a", 9000),
	} {
		if m, err := parseDictionary(text); err == nil && text != "a" {
			t.Errorf("%q is read as %v", text, m)
		}
	}
}

// What is read is written in one way, which is read as the same.
func FuzzStructuredFields(f *testing.F) {
	f.Add(`sig1=("@method" "a";x=?0);created=1;alg="a\"b"`)
	f.Add(`a=:AAE=:;b, c=?1, d=tok`)
	f.Add(`a=(1 2 "x" :AA==: t);z`)
	f.Fuzz(func(t *testing.T, text string) {
		members, err := parseDictionary(text)
		if err != nil {
			return
		}
		write := func(list []sfMember) []byte {
			var b []byte
			for i := range list {
				if i > 0 {
					b = append(b, ", "...)
				}
				b = append(append(b, list[i].key...), '=')
				if list[i].isList {
					b = appendInnerList(b, &list[i])
				} else {
					b = appendParams(appendItem(b, list[i].item), list[i].params)
				}
			}
			return b
		}
		once := write(members)
		if len(once) > maxStructured {
			return
		}
		again, err := parseDictionary(string(once))
		if err != nil || !bytes.Equal(write(again), once) {
			t.Errorf("%q was written as %q, and that as %q (%v)", text, once, write(again), err)
		}
	})
}

// Nobody without the key gets in, whatever the fields say.
func FuzzSignature(f *testing.F) {
	w := newWorld(f)
	s := w.compile(&HMAC{Keys: []SigningKey{{ID: "k", Secret: config.NewSecret("a secret that nobody can guess")}}, Window: time.Minute, Replay: 1000})
	f.Add(`a=("@method" "@target-uri");created=1700000000;keyid="k"`, "a=:AAAA:", "sha-256=:AAAA:", []byte("x"))
	f.Add(`a=()`, "a", "", []byte(nil))
	w.now = time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, input, signature, digest string, body []byte) {
		x := request("POST", "/", "Signature-Input: "+input, "Signature: "+signature, "Content-Digest: "+digest)
		x.Request.Body = exchange.BytesBody(body)
		if id, err := s.Identify(x); err == nil {
			t.Errorf("%v is in", id)
		}
	})
}
