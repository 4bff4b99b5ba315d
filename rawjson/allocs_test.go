package rawjson

import "testing"

// wantNoAllocs fails when f allocates. With the race detector on, a sync.Pool
// forgets at random, so nothing is asked then.
func wantNoAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if raceEnabled {
		return
	}
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}
