package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// TestFaultsOfTheStore breaks the link to Redis in each way, under load. Nobody
// waits longer than the store's timeout, limits go on by on_failure, and the
// store decides again when the link is good. What is only slow or sliced, and in
// time, costs nothing.
func TestFaultsOfTheStore(t *testing.T) {
	timeout := calm * 500 * time.Millisecond
	links := []struct {
		mode, toxics string
		holds        bool // the store goes on deciding
	}{
		{"exact", "slicer downstream average_size=3 size_variation=1 delay=10", true},
		{"exact", "off", false},
		{"exact", "latency downstream latency=5000", false},
		{"exact", "reset_peer downstream timeout=0", false},
		{"exact", "timeout downstream timeout=0", false},
		{"exact", "timeout upstream timeout=0", false},
		{"exact", "limit_data downstream bytes=100", false},
		{"leased", "slicer downstream average_size=3 size_variation=1 delay=10", true},
		{"leased", "timeout downstream timeout=0", false},
	}
	redis := startRedis(t)
	var all sync.WaitGroup
	few := make(chan struct{}, 5) // at a time
	for i, l := range links {
		link := badLinkTo(t, redis.addr)
		g := sharing(t, 1, fmt.Sprintf(`url: "redis://%s", mode: %s, timeout: %s, prefix: "%s%d"`, link.address, l.mode, timeout, l.mode, i), "20/s")[0]
		up := func() bool { return g.metric(`gopura_store_up{store="redis"}`) == 1 }
		local := func() float64 { return g.metric(`gopura_store_decisions_total{by="local"}`) }
		all.Go(func() {
			few <- struct{}{}
			defer func() { <-few }()
			name := l.mode + ", " + l.toxics
			load := startFlood(t, []*gate{g}, 2, 15*time.Millisecond)
			defer load.end()
			if !comesTrue(10*time.Second, func() bool { return up() && g.metric(`gopura_store_decisions_total{by="`+l.mode+`"}`) > 10 }) {
				t.Errorf("%s: the store does not decide before the fault", name)
			}
			link.set(l.toxics)
			switch {
			case l.holds:
				before := local()
				time.Sleep(500 * time.Millisecond)
				if n := local() - before; n > 20 { // a busy machine may be late
					t.Errorf("%s: %v decisions without the store", name, n)
				}
			case !comesTrue(10*time.Second, func() bool { return !up() && local() > 0 }):
				t.Errorf("%s: nobody sees that the store is gone", name)
			}
			codes, waits := load.account()
			wellBehaved(t, "local", codes, waits, 3*timeout+calm*slowMachine)
			link.set("")
			if !comesTrue(10*time.Second, func() bool {
				n := local()
				time.Sleep(50 * time.Millisecond)
				return up() && local() == n
			}) {
				t.Errorf("%s: the store does not decide again", name)
			}
		})
	}
	all.Wait()
}

func comesTrue(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}

// TestFaultsOfTheIssuer: as long as an issuer's keys could never be had, its
// tokens are nobody's fault (503), at once; one whose keys are known may break
// in any way, and nobody notices.
func TestFaultsOfTheIssuer(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(set) }))
	defer issuer.Close()
	signed := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://idp.example.com/", "aud": "shop", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	signed.Header["kid"] = "k"
	token, err := signed.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, toxics := range []string{"off", "reset_peer downstream timeout=0", "limit_data downstream bytes=60", "timeout downstream timeout=0", "latency downstream latency=60000"} {
		all.Go(func() {
			link := badLinkTo(t, strings.TrimPrefix(issuer.URL, "http://"))
			link.set(toxics)
			g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
identity: { idp: { jwt: { issuer: https://idp.example.com/, audience: shop, jwks: "http://%s/keys" } } }
routes: [{match: /*, identity: idp, answer: 204}]
`, link.address))
			ask := func() (string, time.Duration) {
				r, _ := http.NewRequest("GET", g.url("/"), nil)
				r.Header.Set("Authorization", "Bearer "+token)
				begun := time.Now()
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					return err.Error(), 0
				}
				resp.Body.Close()
				return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Gopura-Answer")), time.Since(begun)
			}
			if got, took := ask(); got != "503 identity_unavailable" || took > calm*slowMachine {
				t.Errorf("no keys, %s: %s after %v", toxics, got, took)
			}
			link.set("")
			if !comesTrue(20*time.Second, func() bool { got, _ := ask(); return got == "204 answer" }) {
				t.Errorf("after %s: the token is not taken", toxics)
				return
			}
			link.set(toxics)
			if got, took := ask(); got != "204 answer" || took > calm*slowMachine {
				t.Errorf("keys that are known, %s: %s after %v", toxics, got, took)
			}
		})
	}
	all.Wait()
}
