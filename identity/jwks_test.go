package identity

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gopura/exchange"
)

// Of a published set, keys that are not for verifying signatures, or can't be
// read, are skipped; the others serve.
func TestUnusableKeysAreSkipped(t *testing.T) {
	good := newMaker(t, "good", "ES256")
	rs := newMaker(t, "rsa", "RS256")
	edit := func(m *maker, kid string, more map[string]any) map[string]any {
		return with(m.jwk(), with(map[string]any{"kid": kid}, more))
	}
	i := newIssuer(t)
	i.keys = []map[string]any{
		{"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AAAA"},
		{"kty": "XYZ", "kid": "unknown"},
		{"kid": "nothing"},
		{"kty": "oct", "kid": "secret", "k": b64("0123456789012345678901234567890123")},
		edit(rs, "enc", map[string]any{"use": "enc", "alg": nil}),
		edit(rs, "ops", map[string]any{"use": nil, "key_ops": []string{"sign", "encrypt"}}),
		edit(rs, "mismatch", map[string]any{"alg": "ES256"}),
		edit(rs, "oaep", map[string]any{"alg": "RSA-OAEP"}),
		edit(rs, "hs", map[string]any{"alg": "HS256"}),
		edit(rs, "private", map[string]any{"d": "AAAA"}),
		edit(rs, "small", map[string]any{"n": b64(strings.Repeat("\xff", 128))}),
		edit(rs, "even", map[string]any{"e": "AQAA"}),
		edit(good, "off-curve", map[string]any{"x": b64(strings.Repeat("x", 32))}),
		edit(rs, "x5c", map[string]any{"x5c": []string{"garbage"}, "x5u": "http://127.0.0.1:1/"}),
		good.jwk(),
	}
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	for _, m := range []*maker{good, {"x5c", "RS256", rs.key}} {
		if _, code := ask(source, m.token(i.good())); code != "" {
			t.Errorf("%s: %q", m.kid, code)
		}
	}
	for _, kid := range []string{"enc", "ops", "mismatch", "oaep", "hs", "private", "even"} {
		m := &maker{kid, "RS256", rs.key}
		if _, code := ask(source, m.token(i.good())); code != exchange.IdentityInvalid.Name {
			t.Errorf("%s: %q", kid, code)
		}
	}
	if set := source.remote.set.Load(); len(set.keys) != 2 {
		t.Errorf("%d keys", len(set.keys))
	}
}

// A key's own alg and the algorithms of its type bind it: a token can't choose.
func TestKeyIsBoundToItsAlgorithm(t *testing.T) {
	bound := newMaker(t, "bound", "RS256")
	free := newMaker(t, "free", "RS256")
	i := newIssuer(t, bound)
	i.keys = append(i.keys, with(free.jwk(), map[string]any{"alg": nil, "use": nil}))
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	for _, c := range []struct {
		m    *maker
		alg  string
		code string
	}{{bound, "RS256", ""}, {bound, "PS256", "identity_invalid"}, {bound, "RS512", "identity_invalid"}, {free, "PS256", ""}, {free, "RS512", ""}} {
		m := &maker{c.m.kid, c.alg, c.m.key}
		if _, code := ask(source, m.token(i.good())); code != c.code {
			t.Errorf("%s with %s: %q", c.m.kid, c.alg, code)
		}
	}
}

// Of many keys that a token without kid could be from, only some are tried.
func TestTriesAreBounded(t *testing.T) {
	set := new(keySet)
	for n := range 3 * maxTries {
		m := newMaker(t, fmt.Sprint(n), "ES256")
		k, err := newVerifyKey(m.key.Public(), m.kid, "", []string{"ES256"})
		if err != nil {
			t.Fatal(err)
		}
		set.keys = append(set.keys, k)
	}
	if _, n := set.candidates("", "ES256"); n != maxTries {
		t.Errorf("%d are tried", n)
	}
	if keys, n := set.candidates("20", "ES256"); n != 1 || keys[0].kid != "20" {
		t.Errorf("with its kid: %d", n)
	}
	if _, n := set.candidates("20", "RS256"); n != 0 {
		t.Errorf("with another alg: %d", n)
	}
}

// Keys are rotated with overlap, the configuration is reloaded in the middle,
// and not one good token is refused.
func TestRotation(t *testing.T) {
	here := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, here) }) // last of all
	old, next := newMaker(t, "2024", "ES256"), newMaker(t, "2025", "ES256")
	i := newIssuer(t, old)
	d := newDesk(t)
	settings := "{issuer: " + i.URL + ", audience: shop, cooldown: 1s}"
	var source atomic.Pointer[jwtSource]
	source.Store(d.jwt(settings))
	var signing atomic.Pointer[maker]
	signing.Store(old)
	var refused, asked atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				token := signing.Load().token(with(i.good(), map[string]any{"jti": n}))
				if _, code := ask(source.Load(), token); code != "" {
					refused.Add(1)
					t.Errorf("%s: %s", signing.Load().kid, code)
					return
				}
				asked.Add(1)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	i.publish(old, next) // overlap
	source.Store(d.reload(settings))
	signing.Store(next)
	time.Sleep(50 * time.Millisecond)
	source.Store(d.reload(settings + " # changed"))
	time.Sleep(50 * time.Millisecond)
	close(stop)
	clients.Wait()
	if refused.Load() > 0 || asked.Load() < 10 {
		t.Errorf("%d of %d refused", refused.Load(), asked.Load())
	}
	if n := i.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, not one at start and one for the new key", n)
	}
	// The old key goes: its tokens are good no more, remembered or not.
	token := old.token(i.good())
	if _, code := ask(source.Load(), token); code != "" {
		t.Fatal(code)
	}
	i.publish(next)
	source.Load().remote.fetch()
	if _, code := ask(source.Load(), token); code != exchange.IdentityInvalid.Name {
		t.Errorf("after its key has gone: %q", code)
	}
	d.scope.Close()
}

// The key behind an id is replaced: one bad signature makes us look again.
func TestSameIDAnotherKey(t *testing.T) {
	first, second := newMaker(t, "current", "ES256"), newMaker(t, "current", "ES256")
	i := newIssuer(t, first)
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	i.publish(second)
	if _, code := ask(source, second.token(i.good())); code != "" {
		t.Errorf("the new key: %q", code)
	}
	if _, code := ask(source, first.token(i.good())); code != exchange.IdentityInvalid.Name {
		t.Errorf("the old key: %q", code)
	}
}

// Requests with made-up key ids, with an issuer that misbehaves in every way:
// it is asked once in a cooldown, and known keys go on working.
func TestMadeUpKeys(t *testing.T) {
	known := newMaker(t, "known", "ES256")
	mallory := newMaker(t, "", "ES256")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{mallory.jwk()}})
	}))
	defer elsewhere.Close()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	z.Write(make([]byte, 16<<20))
	z.Close()
	slow := make(chan struct{})
	for name, answer := range map[string]http.HandlerFunc{
		"right":   nil,
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"empty":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[]}`) },
		"null":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `null`) },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			for b := make([]byte, 64<<10); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		},
		"a bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		},
		"slow": func(w http.ResponseWriter, r *http.Request) { <-slow },
		"to a file": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		},
		"to another":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, 302) },
		"to https":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "https://"+r.Host+"/keys", 302) },
		"in a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", 302) },
		"hangs up": func(w http.ResponseWriter, r *http.Request) {
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, known)
			i.Config.ErrorLog = nil
			source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
			i.answers(answer)
			before := i.fetches.Load()
			var all sync.WaitGroup
			payload := b64(toJSON(i.good()))
			for n := range 1000 {
				all.Go(func() {
					header := b64(fmt.Sprintf(`{"alg":"ES256","kid":"made-up-%d"}`, n))
					x := asking("Authorization: Bearer " + header + "." + payload + "." + b64(strings.Repeat("s", 64)))
					if _, err := source.Identify(x); !exchange.IdentityInvalid.Is(err) {
						t.Errorf("%v", err)
					}
				})
				if n == 500 {
					if _, code := ask(source, known.token(i.good())); code != "" {
						t.Errorf("a known key: %s", code)
					}
				}
				if n == 100 && name == "slow" {
					time.AfterFunc(200*time.Millisecond, func() { close(slow) })
				}
			}
			all.Wait()
			want := int64(1)
			if name == "in a circle" {
				want = 5
			}
			if n := i.fetches.Load() - before; n != want {
				t.Errorf("the issuer was asked %d times", n)
			}
			if _, code := ask(source, known.token(i.good())); code != "" {
				t.Errorf("a known key, after it: %s", code)
			}
		})
	}
}

// Without keys nobody can be refused for good: 503, and for what is bad in any
// case 401. As soon as the issuer is there, tokens are good.
func TestIssuerIsDownAtStart(t *testing.T) {
	m := newMaker(t, "k", "ES256")
	i := newIssuer(t, m)
	i.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
	if _, code := ask(source, m.token(i.good())); code != exchange.IdentityUnavailable.Name {
		t.Errorf("a good token: %q", code)
	}
	for _, bad := range []string{"x", m.token(with(i.good(), map[string]any{"exp": 1})), unsigned(`{"alg":"none"}`, toJSON(i.good()))} {
		if _, code := ask(source, bad); code != exchange.IdentityInvalid.Name {
			t.Errorf("a bad token: %q", code)
		}
	}
	i.answers(nil)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, code := ask(source, m.token(i.good())); code == "" {
			return
		} else if time.Now().After(end) {
			t.Fatalf("the issuer is back, and still: %q", code)
		}
	}
}

// The discovery document must be the issuer's own, and lead to a safe place.
func TestDiscovery(t *testing.T) {
	m := newMaker(t, "k", "ES256")
	for name, claim := range map[string]func(*issuer) string{
		"another issuer": func(i *issuer) string { return "https://evil.example" },
		"with a slash":   func(i *issuer) string { return i.URL + "/" },
		"another case":   func(i *issuer) string { return strings.ToUpper(i.URL) },
		"none":           func(i *issuer) string { return "" },
	} {
		i := newIssuer(t, m)
		i.claimed = claim(i)
		source := newDesk(t).jwt("{issuer: " + i.URL + ", audience: shop}")
		if _, code := ask(source, m.token(i.good())); code != exchange.IdentityUnavailable.Name {
			t.Errorf("%s: %q", name, code)
		}
		if i.fetches.Load() != 0 {
			t.Errorf("%s: keys were fetched", name)
		}
	}
	for _, address := range []string{"http://idp.example.com/keys", "file:///etc/passwd", "", "//x", "ftp://x/y", "https://u:p@x/y", "javascript:1"} {
		if err := checkAddress(address, false); err == nil {
			t.Errorf("%s is accepted", address)
		}
	}
	// Over TLS, with the issuer's own authority.
	i := newIssuer(t, m)
	s := httptest.NewTLSServer(i.Config.Handler)
	defer s.Close()
	i.URL, i.claimed = s.URL, s.URL
	d := newDesk(t)
	if _, code := ask(d.jwt("{issuer: "+s.URL+", audience: shop, ca: "+caFile(t, s)+"}"), m.token(i.good())); code != "" {
		t.Errorf("over TLS: %s", code)
	}
	if _, code := ask(d.jwt("{issuer: "+s.URL+", audience: shop}"), m.token(i.good())); code != exchange.IdentityUnavailable.Name {
		t.Errorf("over TLS with an unknown authority: %s", code)
	}
}

// A part of the state is kept over a reload as long as what it goes by stays.
func TestReloadKeepsKeysAndTokens(t *testing.T) {
	m := newMaker(t, "k", "ES256")
	i := newIssuer(t, m)
	d := newDesk(t)
	base := "{issuer: " + i.URL + ", audience: shop"
	first := d.jwt(base + "}")
	for _, c := range []struct {
		settings     string
		keys, tokens bool
	}{
		{"\n\n" + base + "}", true, true},
		{base + ", require: sub}", true, false},
		{base + ", cache: 16}", true, false},
		{base + ", cooldown: 5s}", false, false},
		{base + ", algorithms: ES256}", false, false},
	} {
		next := d.reload(c.settings)
		if (next.remote == first.remote) != c.keys || (next.cache == first.cache) != c.tokens {
			t.Errorf("%s: keys kept %v, tokens kept %v", c.settings, next.remote == first.remote, next.cache == first.cache)
		}
		first = next
	}
	d.scope.Close()
	if n := d.pool.Len(); n != 0 {
		t.Errorf("%d values are still held", n)
	}
}

// offline is a remote set over a transport of the test, for tests of time.
func offline(t *testing.T, at keysAt, answer func() (*http.Response, error)) (*remoteKeys, *atomic.Int64) {
	t.Helper()
	r, err := newRemoteKeys(at, CallTLS{}, []string{"ES256"}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int64)
	r.client.Client.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		asked.Add(1)
		return answer()
	})
	return r, asked
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func keysAnswer(head http.Header, makers ...*maker) (*http.Response, error) {
	var keys []any
	for _, m := range makers {
		keys = append(keys, m.jwk())
	}
	if head == nil {
		head = http.Header{}
	}
	return &http.Response{StatusCode: 200, Header: head, Body: io.NopCloser(strings.NewReader(toJSON(map[string]any{"keys": keys})))}, nil
}

// How often the issuer is asked follows its own word, between a minute and the
// configured limit.
func TestRefresh(t *testing.T) {
	m := newMaker(t, "k", "ES256")
	for control, want := range map[string][2]int64{ // in two hours, at least and at most
		"":                        {8, 10},
		"max-age=600":             {12, 15},
		"public, max-age=1":       {119, 136},
		"no-store":                {119, 136},
		"max-age=86400":           {2, 4},
		"max-age=999999999999999": {8, 10},
		"max-age=-5":              {8, 10},
	} {
		synctest.Test(t, func(t *testing.T) {
			head := http.Header{"Cache-Control": {control}}
			r, asked := offline(t, keysAt{url: "https://idp.example/k", refresh: time.Hour, cooldown: time.Second}, func() (*http.Response, error) { return keysAnswer(head, m) })
			r.start(t.Context())
			time.Sleep(2 * time.Hour)
			if n := asked.Load(); n < want[0] || n > want[1] {
				t.Errorf("%q: asked %d times in two hours", control, n)
			}
			r.Close()
		})
	}
}

// An issuer that is down is asked again soon, then more and more rarely; the
// last good keys stay.
func TestBackoff(t *testing.T) {
	m := newMaker(t, "k", "ES256")
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		r, asked := offline(t, keysAt{url: "https://idp.example/k", refresh: time.Hour, cooldown: time.Second}, func() (*http.Response, error) {
			if down.Load() {
				return nil, io.ErrUnexpectedEOF
			}
			return keysAnswer(nil, m)
		})
		r.start(t.Context())
		if asked.Load() != 1 || r.set.Load() != nil {
			t.Errorf("asked %d times", asked.Load())
		}
		time.Sleep(time.Minute)
		if n := asked.Load(); n < 8 || n > 12 {
			t.Errorf("without keys, asked %d times in a minute", n)
		}
		down.Store(false)
		time.Sleep(maxBackoff)
		good := r.set.Load()
		if good == nil {
			t.Fatal("no keys though the issuer is back")
		}
		down.Store(true)
		asked.Store(0)
		time.Sleep(24 * time.Hour)
		if n := asked.Load(); n < 250 || n > 350 {
			t.Errorf("with old keys, asked %d times in a day", n)
		}
		if r.set.Load() != good {
			t.Error("the last good keys are gone")
		}
		r.Close()
	})
}

// For keys that are not known the issuer is asked once in a cooldown, for the
// same one once a minute, all waiting requests together.
func TestCooldown(t *testing.T) {
	m := newMaker(t, "k", "ES256")
	synctest.Test(t, func(t *testing.T) {
		r, asked := offline(t, keysAt{url: "https://idp.example/k", refresh: time.Hour, cooldown: 10 * time.Second}, func() (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return keysAnswer(nil, m)
		})
		r.start(t.Context())
		asked.Store(0)
		for n := range 1000 {
			go r.missing(t.Context(), fmt.Sprint(n))
		}
		time.Sleep(time.Second)
		if asked.Load() != 1 {
			t.Errorf("1000 requests: asked %d times", asked.Load())
		}
		time.Sleep(60 * time.Second)
		asked.Store(0)
		for n := range 600 { // one a second, and two seconds more for those that ask: twelve minutes
			r.missing(t.Context(), fmt.Sprint("other-", n))
			time.Sleep(time.Second)
		}
		if n := asked.Load(); n < 60 || n > 76 {
			t.Errorf("other ids for twelve minutes: asked %d times", n)
		}
		time.Sleep(time.Minute)
		asked.Store(0)
		for range 600 {
			r.missing(t.Context(), "one")
			time.Sleep(time.Second)
		}
		if n := asked.Load(); n < 9 || n > 13 {
			t.Errorf("one id for ten minutes: asked %d times", n)
		}
		if len(r.unknown) > maxUnknown {
			t.Errorf("%d ids are remembered", len(r.unknown))
		}
		r.Close()
	})
}

// Who waits for a fetch waits neither for ever nor longer than its client.
func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		r, _ := offline(t, keysAt{url: "https://idp.example/k", refresh: time.Hour, cooldown: time.Second}, func() (*http.Response, error) {
			<-block
			return nil, io.ErrUnexpectedEOF
		})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		r.start(ctx) // as the gateway does before it is ready
		cancel()
		if time.Since(start) != 3*time.Second {
			t.Errorf("the start waited %v", time.Since(start))
		}
		start = time.Now()
		if r.missing(t.Context(), "k") || time.Since(start) != maxFetchWaiter {
			t.Errorf("a request waited %v", time.Since(start))
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		start = time.Now()
		if r.missing(ctx, "k") || time.Since(start) != time.Second {
			t.Errorf("a client that went away waited %v", time.Since(start))
		}
		cancel()
		close(block)
		r.Close()
		if r.missing(t.Context(), "after the end") {
			t.Error("a closed set asks")
		}
	})
}
