package store

import (
	"testing"
	"time"
)

// BenchmarkRedisTake is a decision by each mode, from one caller and from many.
func BenchmarkRedisTake(b *testing.B) {
	srv := startServer(b)
	for _, mode := range []Mode{Exact, Leased} {
		for _, l := range []struct {
			name string
			r    Rate
		}{{"allowed", Rate{Count: 10_000_000, Per: time.Second}}, {"refused", Rate{Count: 1, Per: time.Hour}}} {
			s := srv.open(RedisOptions{Mode: mode, Timeout: time.Second})
			limiter := rate(b, s, l.name+string(mode), l.r)
			key := []byte("203.0.113.7")
			limiter.Take(key, 1)
			time.Sleep(50 * time.Millisecond)
			b.Run(string(mode)+"/"+l.name+"/one", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					limiter.Take(key, 1)
				}
			})
			b.Run(string(mode)+"/"+l.name+"/many", func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(32)
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						limiter.Take(key, 1)
					}
				})
			})
		}
	}
}

// TestLeasedTakeAllocatesNothing is the promise of the hot path.
func TestLeasedTakeAllocatesNothing(t *testing.T) {
	srv := startServer(t)
	s := srv.open(RedisOptions{})
	for name, r := range map[string]Rate{"allowed": {Count: 1_000_000, Per: time.Second}, "refused": {Count: 1, Per: time.Hour}} {
		l := rate(t, s, name, r)
		key := []byte("203.0.113.7")
		l.Take(key, 1)
		time.Sleep(20 * time.Millisecond)
		// Calls in the background allocate; there are few of them.
		if n := testing.AllocsPerRun(20_000, func() { l.Take(key, 1) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
