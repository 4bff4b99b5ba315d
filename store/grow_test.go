package store

import "testing"

// A table that may grow pushes nobody out, also while it is small and keys
// meet in one set: 20,000 small tables.
func TestGrowingPushesNobodyOut(t *testing.T) {
	var s shard
	for round := range uint64(20_000) {
		tb := &table{maxSets: 64}
		sets := make([]set, 1)
		s.sets.Store(&sets)
		s.keys = 0
		for i := range uint64(64) {
			k := hash{(round*64+i)*0x9e3779b97f4a7c15 | 1, (round*64 + i) * 0xbf58476d1ce4e5b9 >> 7}
			if _, ok, _ := tb.enter(&s, k, span{zero: 1, full: 100, most: 200}, 1, 100); !ok {
				t.Fatal("it is refused")
			}
		}
		if s.keys != 64 || tb.evicted.Load() > 0 {
			t.Fatalf("round %d: %d of 64 keys are left", round, s.keys)
		}
	}
}
