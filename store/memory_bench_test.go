package store

import (
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var benchLimiters = []struct {
	name string
	open func(*Memory) (Limiter, error)
}{
	{"rate", func(m *Memory) (Limiter, error) {
		return m.Rate("r", Rate{Count: 1_000_000, Per: time.Second}, LimiterOptions{})
	}},
	{"calendar", func(m *Memory) (Limiter, error) {
		return m.Window("c", Window{Count: 2_000_000_000, Per: Day, Calendar: true}, LimiterOptions{})
	}},
	{"rolling", func(m *Memory) (Limiter, error) {
		return m.Window("w", Window{Count: 2_000_000_000, Per: Day}, LimiterOptions{})
	}},
}

func benchKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "10.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	return keys
}

// countCPU reports the processor time of an operation, which other processes of
// the machine distort less than the time of the clock.
func countCPU(b *testing.B) (stop func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkMemoryTake is a decision: about one key, about each of a million in turn,
// and about one or many keys from all processors at once.
func BenchmarkMemoryTake(b *testing.B) {
	for _, c := range benchLimiters {
		for _, n := range []int{1, 1 << 20} {
			keys := benchKeys(n)
			l, err := c.open(NewMemory(MemoryOptions{}))
			if err != nil {
				b.Fatal(err)
			}
			for _, k := range keys {
				l.Take(k, 1)
			}
			b.Run(c.name+"/keys="+strconv.Itoa(n), func(b *testing.B) {
				b.ReportAllocs()
				defer countCPU(b)()
				i := 0
				for b.Loop() {
					l.Take(keys[i&(n-1)], 1)
					i += 7919 // not in the order of insertion
				}
			})
			b.Run(c.name+"/keys="+strconv.Itoa(n)+"/contended", func(b *testing.B) {
				b.ReportAllocs()
				defer countCPU(b)()
				var start atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for i := int(start.Add(104729)); pb.Next(); i += 7919 {
						l.Take(keys[i&(n-1)], 1)
					}
				})
			})
		}
	}
}

// BenchmarkMemoryRefuse is the refusal of a key that is used up: what a flood costs.
func BenchmarkMemoryRefuse(b *testing.B) {
	l := open[Limiter](b)(NewMemory(MemoryOptions{}).Rate("r", Rate{Count: 1, Per: Day}, LimiterOptions{}))
	k := []byte("10.0.0.1")
	b.ReportAllocs()
	defer countCPU(b)()
	for b.Loop() {
		l.Take(k, 1)
	}
}

func TestDecisionsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range benchLimiters {
		l, err := c.open(NewMemory(MemoryOptions{}))
		if err != nil {
			t.Fatal(err)
		}
		k := []byte("10.0.0.1")
		l.Take(k, 1)
		if n := testing.AllocsPerRun(1000, func() { l.Take(k, 1); l.Peek(k); l.Charge(k, -1) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// TestMemoryOfKeys measures what a key takes, and holds the table to what it
// says.
func TestMemoryOfKeys(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("it is large")
	}
	const n = 1 << 19
	keys := benchKeys(n)
	for _, c := range benchLimiters {
		clock := newClock()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		l, err := c.open(NewMemory(MemoryOptions{Now: clock.now}))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			l.Take(k, 1)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		s := l.(described).describe()
		real := float64(after.HeapAlloc-before.HeapAlloc) / n
		t.Logf("%s: %.1f bytes a key, of %d keys; it says %.1f", c.name, real, s.Keys, float64(s.Bytes)/n)
		if said := float64(s.Bytes) / n; real > 1.15*said || s.Keys != n {
			t.Errorf("%s: %.1f bytes a key, it says %.1f", c.name, real, said)
		}
		if stated := map[string]float64{"rate": 51, "calendar": 51, "rolling": 165}[c.name]; real > stated {
			t.Errorf("%s: %.1f bytes a key, docs/limits.md says at most %.0f", c.name, real, stated)
		}
		runtime.KeepAlive(l)
	}
	runtime.KeepAlive(keys)
}

// TestMemoryOfLeases measures what a key takes that is leased from a shared store.
func TestMemoryOfLeases(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("it is large")
	}
	const n = 1 << 17
	keys := benchKeys(n)
	s := openRedis(t, RedisOptions{Addresses: []string{"127.0.0.1:1"}, OnFailure: Allow, Wait: time.Millisecond})
	l := rate(t, s, "l", Rate{Count: 10, Per: time.Second})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, k := range keys {
		l.Take(k, 1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	real := float64(after.HeapAlloc-before.HeapAlloc) / n
	held := l.(*leasedLimiter).describe()
	t.Logf("%.0f bytes a key, of %d keys; it says %d", real, held.Keys, leaseBytes)
	if held.Keys < n*9/10 || real > leaseBytes*1.15 {
		t.Errorf("%.0f bytes a key, docs/limits-redis.md says about %d", real, leaseBytes)
	}
	runtime.KeepAlive(keys)
}
