package policy

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/store"
)

func limitEnv(t testing.TB) *Env {
	env := newEnv(t)
	env.Scope, env.Pool, env.Shapes = new(lifetime.Scope), new(lifetime.Pool), map[string]string{}
	env.Store = store.NewMemory(store.MemoryOptions{})
	env.Local = env.Store
	return env
}

func from(addr string) *exchange.Exchange {
	x := newExchange("/")
	if addr == "" {
		x.Client = &exchange.Client{}
		return x
	}
	x.Client = &exchange.Client{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 1)}
	return x
}

func TestKeys(t *testing.T) {
	with := func(addr, h string) *exchange.Exchange {
		x := from(addr)
		x.Request.Header.Add("X-Key", h)
		return x
	}
	named := with("10.1.2.3", "")
	named.Identity = &exchange.Identity{Name: "idp", Sub: "alice", Claims: map[string]any{"org": "a|b!", "n": 7, "list": []any{"x"}}}
	for _, c := range []struct {
		key  []string
		x    *exchange.Exchange
		want string
	}{
		{[]string{"client.ip"}, from("10.1.2.3"), "10.1.2.3"},
		{[]string{"client.ip"}, from("::ffff:10.1.2.3"), "10.1.2.3"},
		{[]string{"client.ip"}, from("2001:db8:1:2:aaaa::1"), "2001:db8:1:2::/64"},
		{[]string{"client.ip"}, from("2001:db8:1:2:ffff::2"), "2001:db8:1:2::/64"},
		{[]string{"client.ip"}, from("fe80::1%eth0"), "fe80::/64"},
		{[]string{"client.ip"}, from(""), "unknown"},
		{[]string{`header["x-key"]`}, with("10.1.2.3", "abc"), "abc"},
		{[]string{`header["x-key"]`}, with("10.1.2.3", ""), "!10.1.2.3"},
		{[]string{`header["x-key"]`}, from("2001:db8:1:2:aaaa::1"), "!2001:db8:1:2::/64"},
		{[]string{`header["x-key"]`}, with("10.1.2.3", "!10.1.2.4"), `\!10.1.2.4`},
		{[]string{`header["x-key"]`, "client.ip"}, with("10.1.2.3", `a|b\`), `a\|b\\|10.1.2.3`},
		{[]string{"jwt.sub", "client.ip"}, from("10.1.2.3"), "!10.1.2.3|10.1.2.3"},
		{[]string{"identity.sub"}, named, "alice"},
		{[]string{"jwt.org"}, named, `a\|b\!`},
		{[]string{"jwt.n"}, named, "7"},
		{[]string{"jwt.list"}, named, "!10.1.2.3"}, // no text
		{nil, named, ""},
	} {
		k, err := compileKey(limitEnv(t), c.key, config.Pos{})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(k.append([]byte("before "), c.x)); got != "before "+c.want {
			t.Errorf("%v: %q, want %q", c.key, got, c.want)
		}
	}
}

// Different values never give one key.
func FuzzKeys(f *testing.F) {
	f.Add("a", "b", "a|b", "")
	f.Add("!", `\`, `\!`, `\\`)
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		join := func(p, q string) string {
			k := append(escapeKey([]byte(p), 0), '|')
			n := len(k)
			return string(escapeKey(append(k, q...), n))
		}
		if join(a, b) == join(c, d) && (a != c || b != d) {
			t.Errorf("%q %q and %q %q are both %q", a, b, c, d, join(a, b))
		}
	})
}

func TestCosts(t *testing.T) {
	for _, c := range []struct {
		v    any
		want int64
	}{
		{int64(3), 3}, {int64(0), 0}, {int64(-3), 1}, {uint64(math.MaxUint64), 1 << 31}, {2.9, 2}, {-1.0, 1}, {math.NaN(), 1}, {math.Inf(1), 1 << 31},
		{"12", 12}, {"-1", 1}, {"x", 1}, {nil, 1}, {true, 1}, {[]any{}, 1},
	} {
		if got := costFrom(c.v); got != c.want {
			t.Errorf("%v costs %d, want %d", c.v, got, c.want)
		}
	}
}

func TestAllowances(t *testing.T) {
	for text, want := range map[string]Allowance{
		"10/s":                    {10, time.Second, ""},
		"5/10s per client.ip":     {5, 10 * time.Second, "client.ip"},
		"1000/month per jwt.sub ": {1000, store.Month, "jwt.sub"},
		"2/week":                  {2, store.Week, ""},
		`1/h per header["a b"]`:   {1, time.Hour, `header["a b"]`},
	} {
		var a Allowance
		if err := a.UnmarshalText([]byte(text)); err != nil || a != want {
			t.Errorf("%q: %+v %v", text, a, err)
		}
	}
	for _, text := range []string{"", "10", "0/s", "-1/s", "10/s by x", "10/fortnight", "x/week", "0/month"} {
		if err := new(Allowance).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	for text, want := range map[string]Slots{"10": {10, ""}, "3 per client.ip": {3, "client.ip"}} {
		var s Slots
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %+v %v", text, s, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "x", "10 by x"} {
		if err := new(Slots).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// limiting compiles a policy in front of a node that answers 200.
func limiting(t testing.TB, env *Env, spec Spec) exchange.Handler {
	t.Helper()
	link, err := spec.Compile(env)
	if err != nil {
		t.Fatal(err)
	}
	return link(nodeOK)
}

// gone is a store that can't be asked and refuses, as on_failure: refuse has it.
type gone struct{ store.Store }

func (gone) Rate(string, store.Rate, store.LimiterOptions) (store.Limiter, error) {
	return goneLimiter{}, nil
}

type goneLimiter struct{ store.Limiter }

func (goneLimiter) Take([]byte, int64) store.Decision {
	return store.Decision{Degraded: true, Unavailable: true}
}
func (goneLimiter) Close() {}

func TestAStoreThatIsGoneIsNoLimit(t *testing.T) {
	env := limitEnv(t)
	env.Store = gone{}
	err := limiting(t, env, &Limit{{Rate: Allowance{Count: 1, Per: time.Second}, Store: "shared"}}).Serve(from("10.1.2.3"))
	if !exchange.LimitUnavailable.Is(err) {
		t.Errorf("%v", err)
	}
	if err := limiting(t, env, &Limit{{Rate: Allowance{Count: 1, Per: time.Second}, Store: "local", Name: "x"}}).Serve(from("10.1.2.3")); err != nil {
		t.Errorf("a local limit has nothing to do with it: %v", err)
	}
}

func TestAnIPv6ClientHasOneBucket(t *testing.T) {
	h := limiting(t, limitEnv(t), &Limit{{Rate: Allowance{2, time.Hour, "client.ip"}}})
	refused := 0
	for i := range 100 {
		if h.Serve(from(fmt.Sprintf("2001:db8::%x", i+1))) != nil {
			refused++
		}
	}
	if refused != 98 {
		t.Errorf("%d of 100 addresses of one /64 were refused", refused)
	}
	if err := h.Serve(from("2001:db8:0:1::1")); err != nil {
		t.Errorf("the next /64: %v", err)
	}
}

func TestFaultsOfLimits(t *testing.T) {
	rate := Allowance{Count: 1, Per: time.Second}
	for want, spec := range map[string]Spec{
		"either per or key, not both":                 &Limit{{Rate: Allowance{1, time.Second, "client.ip"}, Key: []string{"jwt.sub"}}},
		"a name is made of letters":                   &Limit{{Rate: rate, Name: `a"b`}},
		"not a field name":                            &Limit{{Rate: rate, CostHeader: "a b"}},
		"there are no plans":                          &Limit{{Rate: rate, By: "jwt.plan"}},
		"all plans are counted by the key":            &Limit{{Rate: rate, By: "jwt.plan", Plans: []Plan{{Name: "a", Rate: Allowance{1, time.Second, "client.ip"}}}}},
		"at most ten million a second":                &Limit{{Rate: Allowance{Count: 1 << 40, Per: time.Second}}},
		"more than 8 limits":                          new(Limit(make([]LimitRule, 9))),
		"more than 8 parts":                           &Limit{{Rate: rate, Key: make([]string, 9)}},
		"unknown fact":                                &Concurrency{Max: Slots{1, "clint.ip"}},
		"the calendar knows months":                   &Quota{{Limit: Allowance{Count: 1, Per: 7 * time.Hour}, Calendar: true}},
		"another limit is called \"x\" and has other": &Limit{{Rate: rate, Name: "x"}, {Rate: Allowance{Count: 2, Per: time.Second}, Name: "x"}},
	} {
		_, err := spec.Compile(limitEnv(t))
		if err == nil || !contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func contains(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

func TestLimitsTellNothingWhenOff(t *testing.T) {
	h := limiting(t, limitEnv(t), &Limit{{Rate: Allowance{Count: 1, Per: time.Hour}, Headers: "off"}})
	h.Serve(from("10.1.2.3"))
	var e *exchange.Error
	if err := h.Serve(from("10.1.2.3")); !errors.As(err, &e) || fieldsOf(&e.Header) != "Retry-After: 3600" {
		t.Errorf("%+v", e)
	}
}

var limitCases = []struct {
	name string
	spec Spec
}{
	{"limit", &Limit{{Rate: Allowance{1_000_000, time.Second, "client.ip"}}}},
	{"limit_always", &Limit{{Rate: Allowance{1_000_000, time.Second, "client.ip"}, Headers: "always"}}},
	{"limit_two_keys", &Limit{{Rate: Allowance{Count: 1_000_000, Per: time.Second}, Key: []string{`header["x-key"]`, "client.ip"}}}},
	{"quota", &Quota{{Limit: Allowance{2_000_000_000, 24 * time.Hour, "client.ip"}}}},
	{"quota_calendar", &Quota{{Limit: Allowance{2_000_000_000, 24 * time.Hour, "client.ip"}, Calendar: true}}},
	{"concurrency", &Concurrency{Max: Slots{10, "client.ip"}}},
	{"concurrency_queue", &Concurrency{Max: Slots{Max: 10}, Queue: &Queue{Max: 10, Wait: time.Second}}},
}

func serveOne(h exchange.Handler, x *exchange.Exchange, c *exchange.Client) error {
	x.Reset()
	x.Client = c
	err := h.Serve(x)
	x.Done()
	return err
}

func TestLimitsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range limitCases {
		h := limiting(t, limitEnv(t), c.spec)
		x := from("10.1.2.3")
		client := x.Client
		if n := testing.AllocsPerRun(500, func() {
			if err := serveOne(h, x, client); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkLimits(b *testing.B) {
	for _, c := range limitCases {
		b.Run(c.name, func(b *testing.B) {
			h := limiting(b, limitEnv(b), c.spec)
			x := from("10.1.2.3")
			client := x.Client
			b.ReportAllocs()
			for b.Loop() {
				serveOne(h, x, client)
			}
		})
	}
}
