package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// runScript makes one call at a time of the test's choice.
func runScript(t *testing.T, l *link, s shape, key string, a ask, now time.Time) answer {
	t.Helper()
	r := l.exchange(context.Background(), []call{{s.script(), key, s.args(a, now, true)}})[0]
	if r.err != nil {
		t.Fatal(r.err)
	}
	out, err := s.read(a, r.values, now)
	if err != nil {
		t.Fatal(err, r.values)
	}
	return out
}

// TestScriptsDecideAsMemory runs random traces through the limiters in memory
// and through the scripts, with one clock, and wants the same decisions.
//
// A key lives in Redis by Redis' own clock, so that the trace's clock runs
// ahead of it: nothing expires meanwhile, and a decision on what is over must
// come out of the numbers.
func TestScriptsDecideAsMemory(t *testing.T) {
	srv := startServer(t)
	store := srv.open(RedisOptions{})
	begin := time.Now().Add(time.Hour).Truncate(time.Hour)
	steps := 400
	if testing.Short() {
		steps = 60
	}
	pick := func(r *rand.Rand, d ...time.Duration) time.Duration { return d[r.IntN(len(d))] }
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := begin
		memory := NewMemory(MemoryOptions{Now: func() time.Time { return now }})
		var (
			local Limiter
			s     shape
			unit  time.Duration
			most  int64
		)
		switch seed % 3 {
		case 0:
			rt := Rate{Count: 1 + r.Int64N(50), Per: pick(r, time.Minute, 7*time.Minute, time.Hour), Burst: 1 + r.Int64N(40)}
			local, s, unit, most = rate(t, memory, "l", rt), newRateShape(rt), rt.Token(), rt.Burst
		case 1:
			w := Window{Count: 1 + r.Int64N(60), Per: pick(r, 10*time.Second, time.Minute, time.Hour), Zone: time.UTC}
			local, s, unit, most = window(t, memory, "l", w), newWindowShape(w), w.Per/time.Duration(w.Count), w.Count
		case 2:
			w := Window{Count: 1 + r.Int64N(60), Per: pick(r, time.Minute, time.Hour, Day), Calendar: true, Zone: time.UTC}
			local, s, unit, most = window(t, memory, "l", w), newWindowShape(w), w.Per/time.Duration(w.Count), w.Count
		}
		t.Run(fmt.Sprintf("seed %d: %v", seed, s), func(t *testing.T) {
			key := fmt.Sprintf("trace:%d", seed)
			for step := range steps {
				now = now.Add(time.Duration(r.Int64N(2*int64(unit) + 1))).Truncate(time.Microsecond)
				if r.IntN(40) == 0 {
					now = now.Add(unit * time.Duration(r.Int64N(2*most))).Truncate(time.Microsecond)
				}
				cost := int64(1)
				if r.IntN(4) == 0 {
					cost = r.Int64N(most + 1)
				}
				switch r.IntN(12) {
				case 0:
					cost = min(cost, most)
					local.Charge([]byte("k"), cost)
					// The scripts allow more to be owed than one limit: Charge asks for no more here.
					if d, _ := local.Peek([]byte("k")); d.Remaining == 0 {
						local.Reset([]byte("k"))
						srv.must("DEL", key)
						continue
					}
					runScript(t, store.link, s, key, ask{settle: cost}, now)
					continue
				case 1:
					local.Charge([]byte("k"), -cost)
					runScript(t, store.link, s, key, ask{settle: -cost}, now)
				}
				want := local.Take([]byte("k"), cost)
				got := runScript(t, store.link, s, key, ask{want: cost, least: cost}, now)
				if (got.granted == cost) != want.Allowed || got.remaining != want.Remaining {
					t.Fatalf("step %d at %v, cost %d: the script grants %d and leaves %d, memory says %+v", step, now.Sub(begin), cost, got.granted, got.remaining, want)
				}
				if !want.Allowed && near(got.retry, want.RetryAfter) || near(got.reset, want.ResetAfter) {
					t.Fatalf("step %d, cost %d: the script says retry %v, reset %v; memory %+v", step, cost, got.retry, got.reset, want)
				}
			}
		})
	}
}

// near says that two waits differ by more than the rounding to microseconds.
func near(a, b time.Duration) bool { return max(a-b, b-a) > 2*time.Microsecond }
