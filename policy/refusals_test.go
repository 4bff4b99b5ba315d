package policy

import (
	"testing"
	"testing/synctest"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/store"
)

// A limit of refusals counts nothing but refusals, each address (of IPv6, each
// /64) for itself, and what was counted is forgotten at the rate.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, scope, turnedAway := store.NewMemory(store.MemoryOptions{}), new(lifetime.Scope), 0
		r, err := OpenRefusals(s, scope, "identity staff refusals", config.Rate{Count: 3, Per: time.Minute}, func() { turnedAway++ })
		if err != nil {
			t.Fatal(err)
		}
		expect := func(what string, err error, retry string) {
			t.Helper()
			got := ""
			if err != nil {
				e := exchange.AsError(err)
				if got = string(e.Header.Get("Retry-After")); e.Code != "identity_limited" || e.Status != 429 {
					t.Errorf("%s: %v", what, err)
				}
			}
			if got != retry {
				t.Errorf("%s: Retry-After %q, want %q", what, got, retry)
			}
		}
		guesser := from("2001:db8::1")
		for range 100 {
			expect("a look takes nothing", r.Look(guesser), "")
		}
		for range 3 {
			expect("a refusal", r.Count(guesser), "")
		}
		expect("one too many", r.Count(guesser), "20")
		expect("a look after that", r.Look(guesser), "20")
		expect("the same /64", r.Look(from("2001:db8::2")), "20")
		expect("another", r.Look(from("2001:db8:0:1::1")), "")
		expect("the same through IPv4", r.Look(from("192.0.2.1")), "")
		time.Sleep(15 * time.Second)
		expect("before the time", r.Look(guesser), "5")
		time.Sleep(5 * time.Second)
		expect("one is back", r.Look(guesser), "")
		expect("and used", r.Count(guesser), "")
		expect("up", r.Look(guesser), "20")
		if turnedAway != 5 {
			t.Errorf("%d were counted, want 5", turnedAway)
		}
		if l := s.Find("identity staff refusals"); l == nil {
			t.Error("operators can't find it")
		}
		scope.Close()
		if l := s.Find("identity staff refusals"); l != nil {
			t.Error("it outlives its configuration")
		}
	})
}
