package store

import (
	"testing"
	"time"
)

// TestLook: a look takes nothing, says no when all is used up, and knows nothing
// of other keys, whoever keeps the limit.
func TestLook(t *testing.T) {
	check := func(t *testing.T, s Store) {
		l := rate(t, s, "hourly", Rate{Count: 3, Per: time.Hour})
		key := []byte("alice")
		for range 10 {
			if d := l.Look(key); !d.Allowed || d.Limit != 3 || d.Remaining != 3 {
				t.Fatalf("before anything was used: %+v", d)
			}
		}
		for range 3 {
			if d := l.Look(key); !d.Allowed {
				t.Fatalf("while there is some left: %+v", d)
			}
			if d := l.Take(key, 1); !d.Allowed {
				t.Fatalf("take: %+v", d)
			}
		}
		eventually(t, 20*time.Second, "all is used up", func() bool { return !l.Look(key).Allowed })
		if d := l.Look(key); d.Allowed || d.Remaining != 0 || d.RetryAfter <= 0 {
			t.Errorf("used up: %+v", d)
		}
		if top := l.Top(3); len(top) != 1 || top[0].Key != "alice" || top[0].Refused == 0 {
			t.Errorf("top: %+v", top)
		}
		if d := l.Look([]byte("bob")); !d.Allowed {
			t.Errorf("another key: %+v", d)
		}
	}
	t.Run("memory", func(t *testing.T) { check(t, NewMemory(MemoryOptions{})) })
	for _, mode := range []Mode{Exact, Leased} {
		t.Run(string(mode), func(t *testing.T) { check(t, startServer(t).open(RedisOptions{Mode: mode, Timeout: 5 * time.Second})) })
	}
}

// TestLookOfAnotherReplica: what one replica has used up another one finds out,
// in leased mode when it asks for itself.
func TestLookOfAnotherReplica(t *testing.T) {
	for _, mode := range []Mode{Exact, Leased} {
		t.Run(string(mode), func(t *testing.T) {
			srv := startServer(t)
			key := []byte("alice")
			a := rate(t, srv.open(RedisOptions{Mode: mode, Timeout: 5 * time.Second}), "l", Rate{Count: 100, Per: time.Hour})
			b := rate(t, srv.open(RedisOptions{Mode: mode, Timeout: 5 * time.Second}), "l", Rate{Count: 100, Per: time.Hour})
			eventually(t, 20*time.Second, "the first uses all", func() bool { return !a.Take(key, 1).Allowed })
			eventually(t, 20*time.Second, "the second is told", func() bool {
				b.Take(key, 1)
				return !b.Look(key).Allowed
			})
		})
	}
}

// TestLookWithoutTheStore: on_failure decides, and nothing is taken.
func TestLookWithoutTheStore(t *testing.T) {
	for _, mode := range []Mode{Exact, Leased} {
		for on, want := range map[OnFailure]Decision{
			Local: {Allowed: true, Limit: 1, Remaining: 1}, Allow: {Allowed: true, Limit: 1, Remaining: 1}, Refuse: {Limit: 1, Unavailable: true, RetryAfter: time.Second},
		} {
			t.Run(string(mode)+" "+string(on), func(t *testing.T) {
				s := openRedis(t, RedisOptions{Addresses: []string{"127.0.0.1:1"}, Mode: mode, OnFailure: on, Wait: time.Millisecond, Dial: 100 * time.Millisecond})
				l := rate(t, s, "l", Rate{Count: 1, Per: time.Hour})
				eventually(t, 20*time.Second, "the breaker opens", func() bool { return !s.State().Ready })
				want.Degraded = true
				for range 3 {
					if d := l.Look([]byte("alice")); d != want {
						t.Errorf("%+v, want %+v", d, want)
					}
				}
				if on == Local {
					l.Take([]byte("alice"), 1)
					if d := l.Look([]byte("alice")); d.Allowed || !d.Degraded {
						t.Errorf("used up: %+v", d)
					}
				}
			})
		}
	}
}
