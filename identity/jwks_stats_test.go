package identity

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What is told of an issuer's keys: how fetching them went, and how old they are.
func TestKeyStats(t *testing.T) {
	var down atomic.Bool
	key := newMaker(t, "k1", "ES256")
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(500)
			return
		}
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.key.Public(), KeyID: "k1", Use: "sig"}}})
	}))
	defer issuer.Close()
	at := keysAt{url: issuer.URL, refresh: time.Hour, cooldown: time.Second}
	now := time.Now()
	r, err := newRemoteKeys(at, CallTLS{}, []string{"ES256"}, newWorld(t).env.Log, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &jwtSource{jwtState: &jwtState{remote: r}}
	tell := func(fetched, failed uint64) {
		t.Helper()
		k, ok := s.KeyStats()
		if !ok || k.Fetched != fetched || k.Failed != failed || k.At.IsZero() != (fetched == 0) || fetched > 0 && !k.At.Equal(time.Unix(0, now.UnixNano())) {
			t.Errorf("%+v", k)
		}
	}
	tell(0, 0)
	down.Store(true)
	r.fetch()
	tell(0, 1)
	down.Store(false)
	r.fetch()
	tell(1, 1)
	down.Store(true)
	r.fetch()
	tell(1, 2)
	if _, ok := (&jwtSource{jwtState: &jwtState{}}).KeyStats(); ok {
		t.Error("keys that nobody fetches have a history")
	}
}
