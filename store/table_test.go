package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that stands still until it is moved.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func open[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestRateAsSaid(t *testing.T) {
	c := newClock()
	m := NewMemory(MemoryOptions{Now: c.now})
	l := open[Limiter](t)(m.Rate("r", Rate{Count: 10, Per: time.Second, Burst: 3}, LimiterOptions{}))
	alice := []byte("alice")
	for i, want := range []Decision{
		{Allowed: true, Limit: 3, Remaining: 2, ResetAfter: 100 * time.Millisecond},
		{Allowed: true, Limit: 3, Remaining: 1, ResetAfter: 200 * time.Millisecond},
		{Allowed: true, Limit: 3, Remaining: 0, ResetAfter: 300 * time.Millisecond},
		{Allowed: false, Limit: 3, Remaining: 0, ResetAfter: 300 * time.Millisecond, RetryAfter: 100 * time.Millisecond},
	} {
		if d := l.Take(alice, 1); d != want {
			t.Errorf("%d: %+v, want %+v", i, d, want)
		}
	}
	if d := l.Take([]byte("bob"), 2); !d.Allowed || d.Remaining != 1 {
		t.Errorf("another key: %+v", d)
	}
	c.advance(100 * time.Millisecond)
	if d := l.Take(alice, 1); !d.Allowed {
		t.Errorf("a token has come back: %+v", d)
	}
	if d := l.Take(alice, 1000); d.Allowed || d.RetryAfter != 300*time.Millisecond {
		t.Errorf("what costs more than the bucket waits for a full one: %+v", d)
	}
	if d := l.Take(alice, -5); !d.Allowed || d.Remaining != 0 {
		t.Errorf("a cost below 0 is 0: %+v", d)
	}
	l.Charge(alice, -2)
	if d, ok := l.Peek(alice); !ok || d.Remaining != 2 || !d.Allowed {
		t.Errorf("given back: %+v", d)
	}
	l.Charge(alice, 100)
	l.Charge(alice, 100)
	if d, _ := l.Peek(alice); d.Allowed || d.ResetAfter != 600*time.Millisecond {
		t.Errorf("what is owed is at most one bucket: %+v", d)
	}
	l.Reset(alice)
	if d, _ := l.Peek(alice); !d.Allowed || d.Remaining != 3 {
		t.Errorf("reset: %+v", d)
	}
	if _, ok := l.Peek([]byte("nobody")); ok {
		t.Error("nobody is known")
	}
}

// bucket is the token bucket of the textbooks.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) refill(r Rate, now time.Time) {
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*float64(r.Count)/r.Per.Seconds(), float64(r.Burst))
	b.at = now
}

// The algorithm gives the decisions of a token bucket, on random traces, except
// where the bucket is within a rounding of enough.
func TestRateIsATokenBucket(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := Rate{Count: 1 + rnd.Int64N(1000), Per: time.Duration(1 + rnd.Int64N(int64(time.Minute)))}
		r.Per = max(r.Per, time.Duration(r.Count)*100000)
		r.Burst = 1 + rnd.Int64N(50)
		c := newClock()
		l := open[Limiter](t)(NewMemory(MemoryOptions{Now: c.now}).Rate("r", r, LimiterOptions{}))
		b := bucket{float64(r.Burst), c.now()}
		token := float64(r.Per) / float64(r.Count)
		for i := range 500 {
			c.advance(time.Duration(rnd.ExpFloat64() * token * 2 * rnd.Float64()))
			b.refill(r, c.now())
			cost := 1 + rnd.Int64N(min(r.Burst, 3))
			d := l.Take([]byte("k"), cost)
			const near = 0.01 // of a token: 500 roundings of 1 ns to at least 100 µs
			switch short := float64(cost) - b.tokens; {
			case d.Allowed && short > near, !d.Allowed && short < -near:
				t.Fatalf("seed %d, %v, step %d: %+v with %.4f tokens for %d", seed, r, i, d, b.tokens, cost)
			}
			if d.Allowed {
				b.tokens -= float64(cost)
			}
		}
	}
}

// grant is something that was admitted.
type grant struct {
	at   time.Time
	cost int64
}

// Never more is admitted than the bound, in no span of time; and who keeps
// below the rate is never refused.
func TestRateBounds(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		r := Rate{Count: 1 + rnd.Int64N(100), Per: time.Second, Burst: 1 + rnd.Int64N(20)}
		c := newClock()
		l := open[Limiter](t)(NewMemory(MemoryOptions{Now: c.now}).Rate("r", r, LimiterOptions{}))
		var grants []grant
		for range 400 {
			c.advance(time.Duration(rnd.Int64N(int64(r.Token()))))
			if rnd.IntN(3) == 0 {
				c.advance(time.Duration(rnd.Int64N(int64(time.Second))))
			}
			cost := 1 + rnd.Int64N(3)
			if d := l.Take([]byte("greedy"), cost); d.Allowed {
				grants = append(grants, grant{c.now(), min(cost, r.Burst)})
			}
		}
		for i := range grants {
			sum := int64(0)
			for _, g := range grants[i:] {
				sum += g.cost
				span := g.at.Sub(grants[i].at)
				if most := r.Burst + int64(span)*r.Count/int64(r.Per); sum > most {
					t.Fatalf("seed %d, %v: %d admitted in %v, more than %d", seed, r, sum, span, most)
				}
			}
		}
		for range 400 {
			c.advance(r.Token())
			if d := l.Take([]byte("modest"), 1); !d.Allowed {
				t.Fatalf("seed %d, %v: refused below the rate: %+v", seed, r, d)
			}
		}
	}
}

func TestRollingBounds(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		w := Window{Count: 1 + rnd.Int64N(40), Per: time.Duration(1+rnd.IntN(100)) * time.Minute}
		c := newClock()
		l := open[Limiter](t)(NewMemory(MemoryOptions{Now: c.now}).Window("w", w, LimiterOptions{}))
		var grants []grant
		for range 1000 {
			c.advance(time.Duration(rnd.Int64N(int64(w.Per) / 20)))
			cost := 1 + rnd.Int64N(2)
			d := l.Take([]byte("k"), cost)
			cost = min(cost, w.Count)
			used, sure := int64(0), int64(0) // in the last Per, and in Per and a slot
			for _, g := range grants {
				if age := c.now().Sub(g.at); age < w.Per {
					used += g.cost
					sure += g.cost
				} else if age <= w.Per+w.slot() {
					sure += g.cost
				}
			}
			if d.Allowed && used+cost > w.Count {
				t.Fatalf("seed %d, %v: %d and %d in one window", seed, w, used, cost)
			}
			if !d.Allowed && sure+cost <= w.Count {
				t.Fatalf("seed %d, %v: refused %d after %d", seed, w, cost, sure)
			}
			if d.Allowed {
				grants = append(grants, grant{c.now(), cost})
				continue
			}
			if d.RetryAfter <= 0 || d.RetryAfter > w.Per+w.slot() {
				t.Fatalf("seed %d: %+v", seed, d)
			}
			if rnd.IntN(4) == 0 { // what it promises holds, to the nanosecond
				c.advance(d.RetryAfter - 1)
				if early, _ := l.Peek([]byte("k")); cost == 1 && early.Allowed {
					t.Fatalf("seed %d: allowed before RetryAfter %v", seed, d.RetryAfter)
				}
				c.advance(1)
				if !l.Take([]byte("k"), cost).Allowed {
					t.Fatalf("seed %d: refused after RetryAfter %v", seed, d.RetryAfter)
				}
				grants = append(grants, grant{c.now(), cost})
			}
		}
	}
}

func TestCalendar(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		per            time.Duration
		at, start, end string
	}{
		{Day, "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"}, // 23 hours
		{Day, "2026-10-25T23:30:00+01:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"}, // 25 hours
		{Week, "2026-03-01T12:00:00+01:00", "2026-02-23T00:00:00+01:00", "2026-03-02T00:00:00+01:00"},
		{Month, "2026-12-31T23:59:59+01:00", "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		{time.Hour, "2026-03-01T12:34:00+01:00", "2026-03-01T12:00:00+01:00", "2026-03-01T13:00:00+01:00"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		start, end := Window{Count: 1, Per: c.per, Calendar: true, Zone: zone}.Span(at)
		if start.Format(time.RFC3339) != c.start || end.Format(time.RFC3339) != c.end {
			t.Errorf("%v at %s: %s to %s", c.per, c.at, start.Format(time.RFC3339), end.Format(time.RFC3339))
		}
	}

	c := newClock() // noon
	l := open[Limiter](t)(NewMemory(MemoryOptions{Now: c.now}).Window("w", Window{Count: 2, Per: Day, Calendar: true}, LimiterOptions{}))
	k := []byte("k")
	l.Take(k, 1)
	if d := l.Take(k, 1); !d.Allowed || d.Remaining != 0 || d.ResetAfter != 12*time.Hour {
		t.Errorf("%+v", d)
	}
	if d := l.Take(k, 1); d.Allowed || d.RetryAfter != 12*time.Hour {
		t.Errorf("%+v", d)
	}
	c.advance(12 * time.Hour)
	if d := l.Take(k, 1); !d.Allowed || d.Remaining != 1 {
		t.Errorf("a new day: %+v", d)
	}
}

// Many goroutines at one key get exactly what there is.
func TestContendedKeyIsExact(t *testing.T) {
	c := newClock()
	m := NewMemory(MemoryOptions{Now: c.now})
	for name, l := range map[string]Limiter{
		"rate":     open[Limiter](t)(m.Rate("a", Rate{Count: 1000, Per: time.Second}, LimiterOptions{})),
		"calendar": open[Limiter](t)(m.Window("b", Window{Count: 1000, Per: Day, Calendar: true}, LimiterOptions{})),
		"rolling":  open[Limiter](t)(m.Window("c", Window{Count: 1000, Per: Day}, LimiterOptions{})),
	} {
		var admitted atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 500 {
					if l.Take([]byte("k"), 1).Allowed {
						admitted.Add(1)
					}
				}
			})
		}
		all.Wait()
		if admitted.Load() != 1000 {
			t.Errorf("%s: %d admitted", name, admitted.Load())
		}
	}
}

// While keys come, grow the table and push each other out, no key gets more
// than it may have.
func TestGrowingUnderLoadIsExact(t *testing.T) {
	c := newClock()
	m := NewMemory(MemoryOptions{Now: c.now})
	const keys, burst = 20_000, 3
	for name, l := range map[string]Limiter{
		"rate":    open[Limiter](t)(m.Rate("a", Rate{Count: burst, Per: time.Hour}, LimiterOptions{})),
		"rolling": open[Limiter](t)(m.Window("b", Window{Count: burst, Per: time.Hour}, LimiterOptions{})),
	} {
		admitted := make([]atomic.Int32, keys)
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				for i := range keys * 2 {
					k := (i*7919 + w) % keys
					if l.Take(fmt.Appendf(nil, "key %d", k), 1).Allowed {
						admitted[k].Add(1)
					}
				}
			})
		}
		all.Wait()
		for k := range admitted {
			if n := admitted[k].Load(); n != burst {
				t.Fatalf("%s: key %d was admitted %d times", name, k, n)
			}
		}
		if s := l.(described).describe(); s.Keys != keys || s.Evicted != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// A flood of keys can't make room by pushing one out that is used up: it comes
// back with no less than it had.
func TestEvictionDoesNotReset(t *testing.T) {
	for name, open := range map[string]func(*Memory) (Limiter, error){
		"rate": func(m *Memory) (Limiter, error) {
			return m.Rate("r", Rate{Count: 10, Per: time.Hour}, LimiterOptions{MaxKeys: 512})
		},
		"calendar": func(m *Memory) (Limiter, error) {
			return m.Window("r", Window{Count: 10, Per: Day, Calendar: true}, LimiterOptions{MaxKeys: 512})
		},
		"rolling": func(m *Memory) (Limiter, error) {
			return m.Window("r", Window{Count: 10, Per: time.Hour}, LimiterOptions{MaxKeys: 512})
		},
	} {
		c := newClock()
		l, err := open(NewMemory(MemoryOptions{Now: c.now}))
		if err != nil {
			t.Fatal(err)
		}
		admitted := map[string]int{}
		rnd := rand.New(rand.NewPCG(1, 4))
		for i := range 200_000 {
			k := fmt.Sprint("flood ", rnd.IntN(5000))
			if i%3 == 0 {
				k = fmt.Sprint("attacker ", rnd.IntN(20))
			}
			if l.Take([]byte(k), 1).Allowed {
				if admitted[k]++; admitted[k] > 10 {
					t.Fatalf("%s: %q was admitted %d times", name, k, admitted[k])
				}
			}
		}
		if s := l.(described).describe(); s.Evicted == 0 || s.Keys > s.MaxKeys {
			t.Errorf("%s: %+v", name, s)
		}
		c.advance(25 * time.Hour)
		if d := l.Take([]byte("attacker 1"), 10); !d.Allowed {
			t.Errorf("%s: in the end it is forgotten: %+v", name, d)
		}
	}
}

// Keys that have used nothing lately are given up first: a flood of clients
// that come once does not push out those that are in use.
func TestIdleKeysGoFirst(t *testing.T) {
	c := newClock()
	l := open[Limiter](t)(NewMemory(MemoryOptions{Now: c.now}).Rate("r", Rate{Count: 10, Per: time.Second}, LimiterOptions{MaxKeys: 4096}))
	for i := range 100_000 {
		c.advance(time.Millisecond) // each is idle again after 100
		l.Take(fmt.Appendf(nil, "visitor %d", i), 1)
	}
	if s := l.(described).describe(); s.Evicted != 0 || s.Keys > 1024 {
		t.Errorf("%+v", s)
	}
}

func TestNamesKeepTheirState(t *testing.T) {
	c := newClock()
	m := NewMemory(MemoryOptions{Now: c.now})
	rate := func(n int64) Limiter {
		return open[Limiter](t)(m.Rate("r", Rate{Count: n, Per: time.Second}, LimiterOptions{}))
	}
	k := []byte("k")
	old := rate(10)
	old.Take(k, 5)
	next := rate(100)
	if d, _ := next.Peek(k); d.Remaining != 50 {
		t.Errorf("half is used, before and after: %+v", d)
	}
	old.Close()
	old.Close()
	if d, ok := next.Peek(k); !ok || d.Remaining != 50 {
		t.Errorf("the state lives as long as somebody has it open: %+v", d)
	}
	next.Close()
	if d, ok := rate(10).Peek(k); ok {
		t.Errorf("nobody had it open: %+v", d)
	}
	day := open[Limiter](t)(m.Window("w", Window{Count: 10, Per: Day}, LimiterOptions{}))
	day.Take(k, 5)
	if d, _ := open[Limiter](t)(m.Window("w", Window{Count: 20, Per: Day}, LimiterOptions{})).Peek(k); d.Remaining != 15 {
		t.Errorf("another count, the same use: %+v", d)
	}
	if d, ok := open[Limiter](t)(m.Window("w", Window{Count: 20, Per: Week}, LimiterOptions{})).Peek(k); ok {
		t.Errorf("another window: %+v", d)
	}
	if n := len(m.State().Limiters); n != 2 {
		t.Errorf("%+v", m.State())
	}
}

func TestTopFindsTheBusy(t *testing.T) {
	c := newClock()
	l := open[Limiter](t)(NewMemory(MemoryOptions{Now: c.now}).Rate("r", Rate{Count: 10, Per: time.Second}, LimiterOptions{}))
	for i := range 2000 {
		l.Take([]byte("loud"), 1)
		l.Take(fmt.Appendf(nil, "quiet %d", i), 1)
	}
	top := l.Top(3)
	if len(top) == 0 || top[0].Key != "loud" || top[0].Refused < 1900 || top[0].Remaining != 0 {
		t.Errorf("%+v", top)
	}
}

func TestWhatMakesNoSense(t *testing.T) {
	m := NewMemory(MemoryOptions{})
	for _, r := range []Rate{{}, {Count: 1}, {Count: 1, Per: 1000 * Day}, {Count: 100_000_000, Per: time.Second}, {Count: 1, Per: Day, Burst: 1000}, {Count: -1, Per: time.Second}} {
		if _, err := m.Rate("r", r, LimiterOptions{}); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
	for _, w := range []Window{{}, {Count: 1}, {Count: 1 << 40, Per: Day}, {Count: 1, Per: 7 * time.Hour, Calendar: true}} {
		if _, err := m.Window("w", w, LimiterOptions{}); err == nil {
			t.Errorf("%+v was accepted", w)
		}
	}
}
