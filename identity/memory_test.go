package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsBoundedAndForgets(t *testing.T) {
	m := newMemory[int, string](100)
	now := time.Now()
	for i := range 10_000 {
		m.set(i, fmt.Sprint(i), now.Add(time.Minute))
		m.get(0, now) // asked for all the time
	}
	if n := m.len(); n > 100 {
		t.Errorf("%d values are held, want at most 100", n)
	}
	if v, ok := m.get(9_999, now); !ok || v != "9999" {
		t.Errorf("the newest is %q, %v", v, ok)
	}
	if _, ok := m.get(0, now); !ok {
		t.Error("what is asked for all the time was forgotten")
	}
	if _, ok := m.get(9_999, now.Add(time.Minute)); ok {
		t.Error("a value outlived its time")
	}
	m.forget(9_999)
	if _, ok := m.get(9_999, now); ok {
		t.Error("a value that was to be forgotten is there")
	}
}

func TestDigestsDontMixParts(t *testing.T) {
	d := newDigester()
	if d.of("ab", "c") == d.of("a", "bc") || d.of("abc") == d.of("abc", "") {
		t.Error("different parts have the same digest")
	}
	once, twice := d.of("a"), d.of("a")
	if once != twice || d.of("a") == newDigester().of("a") {
		t.Error("a digest is of the process and of the text")
	}
}

// One call for all who ask at the same time; the first to ask may go away.
func TestFlightsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		var calls atomic.Int32
		call := func() (int, error) { time.Sleep(time.Second); return int(calls.Add(1)), nil }
		gone, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := f.do(gone, "k", call); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left got %v", err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		for range 20 {
			all.Go(func() {
				if v, err := f.do(t.Context(), "k", call); v != 1 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
			})
		}
		synctest.Wait()
		leave()
		all.Wait()
		if v, _ := f.do(t.Context(), "k", call); v != 2 {
			t.Errorf("a later call got %d: answers are not kept", v)
		}
		if _, err := f.do(t.Context(), "p", func() (int, error) { panic("no") }); err != errPanicked {
			t.Errorf("a panic gave %v", err)
		}
	})
}

func TestReplaysRememberExactly(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	r := newReplays(1000)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	key := func(i int) digest { return new(digester).of(fmt.Sprint(i)) }
	if r.add(key(1), at(0), at(60)) != fresh || r.add(key(1), at(60), at(60)) != replayed {
		t.Error("a message is known until its end, inclusive")
	}
	if r.add(key(1), at(62), at(120)) != fresh {
		t.Error("a message is forgotten after its end")
	}
	for i := 2; r.add(key(i), at(63), at(120+i%7)) == fresh; i++ {
	}
	if n := len(r.seen); n != 1000 {
		t.Errorf("%d are remembered, want 1000", n)
	}
	if r.add(key(-1), at(64), at(120)) != full || r.add(key(5), at(64), at(120)) != replayed {
		t.Error("a full memory refuses the new and knows the old")
	}
	if r.add(key(-1), at(10_000), at(10_060)) != fresh || len(r.seen) != 1 || len(r.ends) != 1 {
		t.Errorf("after a long pause %d are remembered in %d buckets", len(r.seen), len(r.ends))
	}
	if r.add(key(-2), at(10_001), at(10_002)) != fresh || r.add(key(-1), at(10_030), at(10_060)) != replayed {
		t.Error("an earlier end than the oldest must not disturb the others")
	}
}
