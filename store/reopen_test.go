package store

import (
	"testing"
	"time"
)

// A configuration that is refused opens limiters with its numbers and closes
// them again: then the numbers of the one in force hold as before, with what
// was used.
func TestAClosedOpeningChangesNothing(t *testing.T) {
	srv := startServer(t)
	for name, s := range map[string]Store{
		"memory": NewMemory(MemoryOptions{}), "leased": srv.open(RedisOptions{Timeout: 5 * time.Second}), "exact": srv.open(RedisOptions{Mode: Exact, Prefix: "other", Timeout: 5 * time.Second}),
	} {
		t.Run(name, func(t *testing.T) {
			ours := rate(t, s, "l", Rate{Count: 10, Per: time.Hour})
			for range 4 {
				ours.Take([]byte("k"), 1)
			}
			for _, o := range []LimiterOptions{{}, {MaxKeys: 5000}} { // also one that keeps its keys elsewhere
				refused, err := s.Rate("l", Rate{Count: 1000, Per: time.Hour}, o)
				if err != nil {
					t.Fatal(err)
				}
				refused.Close()
				refused.Close()
			}
			if l := s.State().Limiters; len(l) != 1 || l[0].Limit != "10/h" {
				t.Errorf("in force: %+v", l)
			}
			eventually(t, 20*time.Second, "6 of 10 are left", func() bool { // what is leased is told in the background
				d, _ := s.Find("l").Peek([]byte("k"))
				return d.Limit == 10 && d.Remaining == 6
			})
			passed := 0
			for range 50 {
				if ours.Take([]byte("k"), 1).Allowed {
					passed++
				}
				time.Sleep(time.Millisecond)
			}
			if passed != 6 {
				t.Errorf("%d passed, 6 were left", passed)
			}
		})
	}
}
