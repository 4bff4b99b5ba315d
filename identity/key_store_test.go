package identity

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/store"
)

// counted is a store that counts what it is asked, and can be switched off.
type counted struct {
	store.Values
	mu    sync.Mutex
	asked int
	off   bool
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, bool, error) {
	c.mu.Lock()
	c.asked++
	off := c.off
	c.mu.Unlock()
	if off {
		return nil, false, errors.New("gone")
	}
	return c.Values.Get(ctx, key)
}

func (c *counted) switchOff(off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

// since returns how often it was asked since the last time.
func (c *counted) since() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.asked
	c.asked = 0
	return n
}

func keyStore(name string) *KeyStore {
	return &KeyStore{Name: name, Cache: 10 * time.Second, Negative: 5 * time.Second, Stale: time.Hour, Entries: 100, Unknown: 20, Timeout: time.Second}
}

// storeWorld is a world with a store.
func storeWorld(t *testing.T) (*world, *counted) {
	w, values := newWorld(t), &counted{Values: store.NewValues()}
	w.env.Values = values
	return w, values
}

func showing(key string) *exchange.Exchange { return request("GET", "/", "X-API-Key: "+key) }

// A key in the store is asked for once in a while, known or not; it lives on
// while the store is away, and what nobody knows is then a matter for later.
func TestKeyStore(t *testing.T) {
	w, values := storeWorld(t)
	s := w.compile(&APIKey{Store: keyStore("partners"), Header: "X-API-Key"})
	key, late := NewAPIKey(), NewAPIKey()
	add := func(key string, k StoredKey) {
		t.Helper()
		k.Hash = HashAPIKey(key, "")
		if err := AddKey(t.Context(), values, "partners", k); err != nil {
			t.Fatal(err)
		}
	}
	add(key, StoredKey{Owner: "acme", ID: "k1", Claims: map[string]any{"plan": "gold", "sub": "root", "limit": 7}, Created: time.Now()})
	asked := func(want int) {
		t.Helper()
		if n := values.since(); n != want {
			t.Errorf("the store was asked %d times, want %d", n, want)
		}
	}
	asked(1) // to find out whether it answers
	for range 3 {
		id, _ := expect(t, s, showing(key), "acme")
		if id.Claims["plan"] != "gold" || id.Claims["sub"] != "acme" || id.Claims["key_id"] != "k1" || id.Claims["limit"] != int64(7) {
			t.Errorf("claims %v", id.Claims)
		}
	}
	asked(1)
	for range 3 {
		expect(t, s, showing(late), bad)
	}
	asked(1)
	add(late, StoredKey{Owner: "beta"})
	expect(t, s, showing(late), bad) // it is not looked for again so soon
	w.pass(6 * time.Second)
	expect(t, s, showing(late), "beta")
	asked(1)

	values.switchOff(true)
	w.pass(11 * time.Second)
	for range 3 {
		expect(t, s, showing(key), "acme")
	}
	asked(1) // who does not answer is left alone for a second
	expect(t, s, showing(NewAPIKey()), away)
	asked(0)
	w.pass(2 * time.Second)
	expect(t, s, showing(NewAPIKey()), away)
	asked(1)
	w.pass(2 * time.Hour)
	expect(t, s, showing(key), away) // nothing lives on for ever
	values.switchOff(false)
	w.pass(2 * time.Second)
	expect(t, s, showing(key), "acme")
	for _, says := range []string{"does not answer", "answers again"} {
		if n := strings.Count(said(w), says); n != 1 {
			t.Errorf("%q is logged %d times", says, n)
		}
	}

	if revoked, err := RevokeKeys(t.Context(), values, "partners", func(k StoredKey) bool { return k.ID == "k1" }); err != nil || len(revoked) != 1 {
		t.Fatalf("%v, %v", revoked, err)
	}
	expect(t, s, showing(key), "acme")
	w.pass(11 * time.Second)
	expect(t, s, showing(key), bad)
	if strings.Contains(said(w), key) {
		t.Error("a key is in the log")
	}
}

// Who tries keys makes the store be asked so often and no more; keys that are
// remembered don't suffer.
func TestKeyStoreHammered(t *testing.T) {
	w, values := storeWorld(t)
	s := w.compile(&APIKey{Store: keyStore("partners"), Header: "X-API-Key"})
	key := NewAPIKey()
	if err := AddKey(t.Context(), values, "partners", StoredKey{Hash: HashAPIKey(key, ""), Owner: "acme"}); err != nil {
		t.Fatal(err)
	}
	expect(t, s, showing(key), "acme")
	values.since()
	for range 500 {
		_, err := s.Identify(showing(NewAPIKey()))
		if c := exchange.AsError(err).Code; c != "identity_invalid" && c != away {
			t.Fatal(err)
		}
	}
	if n := values.since(); n > 20 {
		t.Errorf("500 keys that nobody knows: the store is asked %d times", n)
	}
	w.pass(11 * time.Second)
	expect(t, s, showing(key), "acme")
	if held := s.(*apiKey).known.(*storedKeys).state; held.unknown.len() > 100 || held.known.len() > 100 {
		t.Errorf("%d and %d remembered", held.known.len(), held.unknown.len())
	}
}

// An entry that says when it expires is refused from then on, one that can't be
// read is nobody's, and another set or pepper is another key.
func TestKeyStoreEntries(t *testing.T) {
	w, values := storeWorld(t)
	s := w.compile(&APIKey{Store: keyStore("partners"), Header: "X-API-Key", Pepper: config.NewSecret("pepper")})
	key, plain, foreign, broken := NewAPIKey(), NewAPIKey(), NewAPIKey(), NewAPIKey()
	in := func(set, hash string, k StoredKey) {
		t.Helper()
		if k.Hash = hash; k.Owner == "" {
			k.Owner = "acme"
		}
		if err := AddKey(t.Context(), values, set, k); err != nil {
			t.Fatal(err)
		}
	}
	in("partners", HashAPIKey(key, "pepper"), StoredKey{Expires: time.Now().Add(time.Hour)})
	in("partners", HashAPIKey(plain, ""), StoredKey{})
	in("others", HashAPIKey(foreign, "pepper"), StoredKey{})
	values.Set(t.Context(), keyAt("partners", HashAPIKey(broken, "pepper")), []byte(`{"owner":"a","owner":"b"}`), 0)
	expect(t, s, showing(key), "acme")
	expect(t, s, showing(plain), bad)
	expect(t, s, showing(foreign), bad)
	expect(t, s, showing(broken), away)
	w.pass(61 * time.Minute)
	expect(t, s, showing(key), bad)
	if err := AddKey(t.Context(), values, "partners", StoredKey{Hash: HashAPIKey(plain, ""), Owner: "acme"}); err == nil {
		t.Error("a key is added twice")
	}
	for _, k := range []StoredKey{{Owner: "acme"}, {Hash: plain, Owner: "acme"}, {Hash: HashAPIKey(foreign, "")}, {Hash: HashAPIKey(foreign, ""), Owner: "acme", Expires: time.Now().Add(-time.Hour)}} {
		if err := AddKey(t.Context(), values, "partners", k); err == nil || strings.Contains(err.Error(), plain) {
			t.Errorf("%+v: %v", k, err)
		}
	}
	for _, key := range []string{key, plain, foreign} {
		raw, _ := values.Keys(t.Context(), "")
		for _, name := range raw {
			text, _, _ := values.Values.Get(t.Context(), name)
			if strings.Contains(name, key) || bytes.Contains(text, []byte(key)) {
				t.Error("the store has the key itself")
			}
		}
	}
	list, err := ListKeys(t.Context(), values, "partners")
	if err != nil || len(list) != 3 || list[0].Owner != "?" {
		t.Errorf("%+v, %v", list, err)
	}
}

// slowValues is a store that takes its time, and lets four calls through at once
// as Redis' does.
type slowValues struct {
	store.Values
	pause time.Duration
	calls chan struct{}
}

func (v *slowValues) Get(ctx context.Context, key string) ([]byte, bool, error) {
	select {
	case v.calls <- struct{}{}:
		defer func() { <-v.calls }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	select {
	case <-time.After(v.pause):
		return v.Values.Get(ctx, key)
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// While one client tries keys without end and the store is slow, known keys are
// asked for again, new keys of others are found, and the store does not count as
// away.
func TestKeyStoreFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		values := &slowValues{store.NewValues(), 100 * time.Millisecond, make(chan struct{}, 4)}
		w.env.Values, w.env.Now = values, time.Now
		spec := keyStore("partners")
		spec.Unknown, spec.Timeout = 500, 5*time.Second
		s := w.compile(&APIKey{Store: spec, Header: "X-API-Key"})
		known, fresh := NewAPIKey(), NewAPIKey()
		for key, owner := range map[string]string{known: "known", fresh: "new"} {
			if err := AddKey(t.Context(), values.Values, "partners", StoredKey{Hash: HashAPIKey(key, ""), Owner: owner}); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, s, showing(known), "known")
		time.Sleep(spec.Cache + time.Second) // it has to be asked for again

		var all sync.WaitGroup
		flood := func(n int) {
			for range n {
				all.Go(func() { s.Identify(showing(NewAPIKey())) })
			}
		}
		flood(200)
		synctest.Wait()
		start := time.Now()
		expect(t, s, showing(known), "known")
		if d := time.Since(start); d > 150*time.Millisecond {
			t.Errorf("a known key waits %v behind made-up ones", d)
		}
		flood(200)
		synctest.Wait()
		expect(t, s, showing(NewAPIKey()), away) // one more of the client that floods
		x := showing(fresh)
		x.Client.Addr = netip.MustParseAddrPort("198.51.100.1:1")
		expect(t, s, x, "new")
		all.Wait()
		if text := said(w); text != "" {
			t.Errorf("the log says %s", text)
		}
	})
}

// An owner has one key of an id, so that revoking it by that means one key.
func TestAddKeyTwice(t *testing.T) {
	v := store.NewValues()
	add := func(owner, id string) error {
		return AddKey(t.Context(), v, "partners", StoredKey{Hash: HashAPIKey(NewAPIKey(), ""), Owner: owner, ID: id})
	}
	for _, c := range []struct {
		owner, id string
		ok        bool
	}{{"acme", "a", true}, {"acme", "a", false}, {"acme", "b", true}, {"other", "a", true}, {"acme", "", true}, {"acme", "", true}} {
		if err := add(c.owner, c.id); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "revoke it first") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := RevokeKeys(t.Context(), v, "partners", func(k StoredKey) bool { return k.Owner == "acme" && k.ID == "a" }); err != nil {
		t.Fatal(err)
	}
	if err := add("acme", "a"); err != nil {
		t.Errorf("after it was revoked: %v", err)
	}
}

// What is remembered outlives a reload, but not another store.
func TestKeyStoreReload(t *testing.T) {
	w, values := storeWorld(t)
	spec := &APIKey{Store: keyStore("partners"), Header: "X-API-Key"}
	key := NewAPIKey()
	if err := AddKey(t.Context(), values, "partners", StoredKey{Hash: HashAPIKey(key, ""), Owner: "acme"}); err != nil {
		t.Fatal(err)
	}
	expect(t, w.compile(spec), showing(key), "acme")
	retire := w.reload()
	w.env.Values = values
	s := w.compile(spec)
	retire()
	values.since()
	expect(t, s, showing(key), "acme")
	if n := values.since(); n != 0 {
		t.Errorf("after a reload the store was asked %d times", n)
	}
	retire = w.reload()
	w.env.Values, w.env.StoreKey = store.NewValues(), "another"
	s = w.compile(spec)
	retire()
	expect(t, s, showing(key), bad)
}

func TestKeyStoreFaults(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		spec *APIKey
		says string
	}{
		{&APIKey{Header: "X-API-Key"}, "a file of keys or a store"},
		{&APIKey{Header: "X-API-Key", File: "keys.yaml", Store: keyStore("a")}, "one of the two"},
		{&APIKey{Header: "X-API-Key", Store: keyStore("a")}, "need the top-level store"},
		{&APIKey{Header: "X-API-Key", Store: keyStore("a:b")}, "the name of a set"},
	} {
		if _, err := c.spec.Compile(w.env); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.spec, err)
		}
	}
}

func FuzzStoredKey(f *testing.F) {
	f.Add([]byte(`{"owner":"acme","id":"k1","claims":{"plan":"gold"},"created":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"owner":"acme","expires":7}`))
	f.Add([]byte(`{"owner":"a","owner":"b"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parseStoredKey(text); err == nil && k.Owner == "" {
			t.Error("a key of nobody")
		}
	})
}

// said is what was logged so far.
func said(w *world) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}
