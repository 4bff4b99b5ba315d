package identity

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gopura/exchange"
)

func bcrypted(t testing.TB, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// argonVector is of the reference implementation's own tests: password, somesalt,
// t=2, m=2^16, p=1.
func argonVector(t testing.TB) string {
	t.Helper()
	sum, err := hex.DecodeString("09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7")
	if err != nil {
		t.Fatal(err)
	}
	return "$argon2id$v=19$m=65536,t=2,p=1$" + base64.RawStdEncoding.EncodeToString([]byte("somesalt")) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

func TestPasswordHashes(t *testing.T) {
	long := strings.Repeat("x", 72)
	for _, c := range []struct{ hash, password, other string }{
		{bcrypted(t, "open sesame", 4), "open sesame", "open sesam"},
		{strings.Replace(bcrypted(t, "pw", 4), "$2a$", "$2y$", 1), "pw", "pw "},
		{bcrypted(t, long, 4), long, long + "x"}, // bcrypt alone would not see the difference
		{argonVector(t), "password", "passwore"},
		{bcrypted(t, "", 4), "", "x"},
	} {
		h, err := parsePasswordHash(c.hash)
		if err != nil {
			t.Errorf("%.20s: %v", c.hash, err)
			continue
		}
		if !h.matches([]byte(c.password)) || h.matches([]byte(c.other)) {
			t.Errorf("%.20s: %q must match, %q must not", c.hash, c.password, c.other)
		}
	}
}

func TestWeakAndDamagedHashesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=":     "too weak",
		"$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/": "too weak",
		"$1$abc$def":                            "too weak",
		"$6$salt$hash":                          "too weak",
		"rqXexS6ZhobKA":                         "too weak",
		"letmein":                               "not a bcrypt",
		"":                                      "not a bcrypt",
		"$2y$05$short":                          "damaged",
		"$2y$31$" + strings.Repeat("a", 53):     "cost",
		"$argon2i$v=19$m=65536,t=2,p=1$c29tc2FsdA$AAAA":                 "only argon2id",
		"$argon2id$v=16$m=65536,t=2,p=1$c29tc2FsdA$AAAA":                "damaged",
		"$argon2id$v=19$m=4294967295,t=2,p=1$c29tc2FsdA$AAAA":           "above",
		"$argon2id$v=19$m=65536,t=2$c29tc2FsdA$AAAA":                    "damaged",
		"$argon2id$v=19$m=8,t=1,p=2$c29tc2FsdHNhbHQ$" + "AAAAAAAAAAAAA": "above",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tc2FsdHNhbHQ$AAAA":           "damaged",
	} {
		_, err := parsePasswordHash(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
			continue
		}
		if len(text) > 8 && strings.Contains(err.Error(), text[len(text)-8:]) {
			t.Errorf("%q is shown: %v", text, err)
		}
	}
	w := newWorld(t)
	w.refuses(&Basic{File: w.file("weak", "# users\n\nada:"+bcrypted(t, "x", 4)+"\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")}, `line 4: user "bob"`)
	w.refuses(&Basic{File: w.file("twice", "ada:"+bcrypted(t, "x", 4)+"\nada:"+bcrypted(t, "x", 4))}, "twice")
	w.refuses(&Basic{File: w.file("empty", "# nobody\n")}, "no user")
	w.refuses(&Basic{File: "absent"}, "no such file")
}

func basicField(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestBasic(t *testing.T) {
	w := newWorld(t)
	s := w.compile(&Basic{File: w.file("users", "ada:"+bcrypted(t, "love:lace", 4)+"\ngrace:"+argonVector(t)+"\n"), Cache: time.Minute})
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, "none"},
		{[]string{"Authorization: Bearer abc"}, "none"},
		{[]string{"Authorization: Basically x"}, "none"},
		{[]string{basicField("ada", "love:lace")}, "ada"},
		{[]string{strings.Replace(basicField("ada", "love:lace"), "Basic", "bASIC", 1)}, "ada"},
		{[]string{basicField("grace", "password")}, "grace"},
		{[]string{basicField("ada", "lovelace")}, bad},
		{[]string{basicField("ada", "")}, bad},
		{[]string{basicField("mallory", "love:lace")}, bad},
		{[]string{basicField("", "")}, bad},
		{[]string{"Authorization: Basic"}, bad},
		{[]string{"Authorization: Basic !!!"}, bad},
		{[]string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ada"))}, bad},
		{[]string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ada:love\nlace"))}, bad},
		{[]string{"Authorization: Basic " + strings.Repeat("QUFB", 2000)}, bad},
		{[]string{basicField("ada", "love:lace"), basicField("grace", "password")}, bad},
	} {
		x := request("GET", "/", c.fields...)
		id, err := expect(t, s, x, c.want)
		if id != nil && (id.Name != "test" || id.Claims["sub"] != id.Sub || x.Request.Header.Has("Authorization")) {
			t.Errorf("identity %+v, and the password goes on: %v", id, x.Request.Header.Has("Authorization"))
		}
		if err != nil && (strings.Contains(err.Error(), "lace") || strings.Contains(err.Error(), "ada")) {
			t.Errorf("an error that shows a credential: %v", err)
		}
	}
	if got := s.(Challenger).Challenge(nil, None); got != `Basic realm="test", charset="UTF-8"` {
		t.Errorf("challenge: %s", got)
	}
	kept := w.compile(&Basic{File: "users", Forward: true})
	x := request("GET", "/", basicField("ada", "love:lace"))
	if expect(t, kept, x, "ada"); !x.Request.Header.Has("Authorization") {
		t.Error("forward: the field is gone")
	}
}

// countingHash counts how often it is computed, and how often at once.
type countingHash struct {
	password      string
	count         *atomic.Int32
	running, most *atomic.Int32
	takes         time.Duration
}

func (h countingHash) matches(p []byte) bool {
	h.count.Add(1)
	n := h.running.Add(1)
	for m := h.most.Load(); n > m && !h.most.CompareAndSwap(m, n); m = h.most.Load() {
	}
	time.Sleep(h.takes)
	h.running.Add(-1)
	return string(p) == h.password
}

func countedBasic(t testing.TB, w *world, takes time.Duration) (*basic, countingHash) {
	b := w.compile(&Basic{File: w.file("users", "ada:"+bcrypted(t, "x", 4)), Cache: time.Minute}).(*basic)
	h := countingHash{"secret", new(atomic.Int32), new(atomic.Int32), new(atomic.Int32), takes}
	b.users["ada"].hash = h
	return b, h
}

// A user who doesn't exist costs exactly what one who does costs: one hash. A
// right password costs it once, a wrong one that is repeated as well.
func TestBasicHashesOnce(t *testing.T) {
	w := newWorld(t)
	b, h := countedBasic(t, w, 0)
	step := func(user, password, want string, hashes int32) {
		t.Helper()
		before := h.count.Load()
		expect(t, b, request("GET", "/", basicField(user, password)), want)
		if n := h.count.Load() - before; n != hashes {
			t.Errorf("%s: %d hashes, want %d", user, n, hashes)
		}
	}
	step("ada", "secret", "ada", 1)
	step("ada", "secret", "ada", 0)
	step("ada", "wrong", bad, 1)
	step("ada", "wrong", bad, 0)
	step("nobody", "secret", bad, 1) // the right password of the decoy helps nobody
	step("nobody", "secret", bad, 0)
	w.pass(2 * time.Minute)
	step("ada", "secret", "ada", 1)
	step("nobody", "secret", bad, 1)
}

// Whoever tries passwords from one address keeps nobody else waiting for more
// than a turn.
func TestBasicTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hash = 100 * time.Millisecond
		b, _ := countedBasic(t, newWorld(t), hash)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				x := request("GET", "/", basicField("ada", fmt.Sprint("wrong", i)))
				x.Client.Addr = netip.MustParseAddrPort("198.51.100.1:1")
				b.Identify(x)
			})
		}
		synctest.Wait()
		x, start := request("GET", "/", basicField("ada", "secret")), time.Now()
		x.Client.Addr = netip.MustParseAddrPort("198.51.100.2:1")
		expect(t, b, x, "ada")
		if waited := time.Since(start); waited > 3*hash {
			t.Errorf("another client has waited for %v", waited)
		}
		all.Wait()
	})
}

// However many try, hashing takes no more than its slots, and nobody waits long.
func TestBasicBoundsHashing(t *testing.T) {
	w := newWorld(t)
	b, h := countedBasic(t, w, 2*time.Millisecond)
	expect(t, b, request("GET", "/", basicField("ada", "secret")), "ada")
	var all sync.WaitGroup
	var busy atomic.Int32
	for i := range 500 {
		all.Go(func() {
			_, err := b.Identify(request("GET", "/", basicField("ada", fmt.Sprint("wrong", i))))
			if exchange.IdentityUnavailable.Is(err) {
				busy.Add(1)
			} else if !exchange.IdentityInvalid.Is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	expect(t, b, request("GET", "/", basicField("ada", "secret")), "ada") // who is known needs no slot
	all.Wait()
	if most := int(h.most.Load()); most > max(1, runtime.GOMAXPROCS(0)/2) {
		t.Errorf("%d hashes at once", most)
	}
	if busy.Load() == 0 {
		t.Error("nobody was turned away")
	}
	before := h.count.Load()
	for range 50 { // all the same: one hash
		all.Go(func() { b.Identify(request("GET", "/", basicField("ada", "same"))) })
	}
	all.Wait()
	if n := h.count.Load() - before; n != 1 {
		t.Errorf("%d hashes for one credential", n)
	}
}

// A changed file forgets what was right before; an unchanged one doesn't.
func TestBasicAcrossReloads(t *testing.T) {
	w := newWorld(t)
	name := w.file("users", "ada:"+bcrypted(t, "old", 4))
	dir := w.env.Dir
	s := w.compile(&Basic{File: name, Cache: time.Minute}).(*basic)
	expect(t, s, request("GET", "/", basicField("ada", "old")), "ada")
	retire := w.reload()
	w.env.Dir = dir
	same := w.compile(&Basic{File: name, Cache: time.Minute}).(*basic)
	retire()
	if same.state != s.state {
		t.Error("a reload without a change forgot what is known")
	}
	retire = w.reload()
	w.env.Dir = dir
	w.file("users", "ada:"+bcrypted(t, "new", 4))
	changed := w.compile(&Basic{File: name, Cache: time.Minute})
	retire()
	expect(t, changed, request("GET", "/", basicField("ada", "old")), bad)
	expect(t, changed, request("GET", "/", basicField("ada", "new")), "ada")
}

func FuzzDecodeBasic(f *testing.F) {
	f.Add([]byte("YWRhOmxvdmU="))
	f.Add([]byte("Og=="))
	f.Add([]byte("YQ=="))
	f.Add([]byte("====="))
	f.Fuzz(func(t *testing.T, text []byte) {
		name, password, err := decodeBasic(text)
		if err == nil && (strings.Contains(name, ":") || base64.StdEncoding.EncodeToString([]byte(name+":"+password)) != string(text)) {
			t.Errorf("%q gave %q and %q", text, name, password)
		}
	})
}

func FuzzHtpasswd(f *testing.F) {
	f.Add([]byte("ada:" + bcrypted(f, "x", 4) + "\n# c\nbob:" + argonVector(f)))
	f.Add([]byte("a:b"))
	f.Add([]byte(":"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := parseHtpasswd(data)
		if err == nil && len(users) == 0 {
			t.Error("no users and no error")
		}
	})
}
