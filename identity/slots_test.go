package identity

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlotsBoundWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2, 3, time.Second)
		var running, most, busy atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if s.take(t.Context(), netip.Addr{}) != nil {
					busy.Add(1)
					return
				}
				defer s.leave()
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(800 * time.Millisecond)
				running.Add(-1)
			})
			synctest.Wait()
		}
		all.Wait()
		// Two run, two of the three that wait get their turn, one has waited too long.
		if most.Load() != 2 || busy.Load() != 16 {
			t.Errorf("%d ran at once, %d were turned away", most.Load(), busy.Load())
		}
	})
}

// One client that fills every seat keeps nobody else out: a newcomer takes the
// place of its latest, and is next but one.
func TestSlotsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 4, time.Minute)
		var order []string // one at a time runs
		var all sync.WaitGroup
		busy := map[string]int{}
		come := func(name, from string) {
			all.Go(func() {
				if s.take(t.Context(), netip.MustParseAddr(from)) != nil {
					busy[name]++
					return
				}
				order = append(order, name)
				time.Sleep(time.Second)
				s.leave()
			})
			synctest.Wait()
		}
		for i := range 10 { // of one /64, which is one client
			come("flood", netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}).String())
		}
		come("ada", "198.51.100.1")
		come("bob", "198.51.100.2")
		come("eve", "198.51.100.3")
		come("eve", "198.51.100.3") // four wait, one for each: nobody makes room
		all.Wait()
		if got := strings.Join(order, " "); got != "flood flood ada bob eve" {
			t.Errorf("served: %s", got)
		}
		if busy["flood"] != 8 || busy["eve"] != 1 || len(busy) != 2 {
			t.Errorf("turned away: %v", busy)
		}
		if s.free != 1 || s.taken != 0 || len(s.lines) != 0 {
			t.Errorf("left behind: %d free, %d seats taken, %d lines", s.free, s.taken, len(s.lines))
		}
	})
}

// Who is called in the moment in which it gives up has its slot, and nobody
// loses one: whatever the order, in the end all are free.
func TestSlotsAreNotLost(t *testing.T) {
	s := newSlots(2, 8, time.Minute)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			from := netip.AddrFrom4([4]byte{10, 0, 0, byte(i / 2)})
			for range 300 {
				ctx, cancel := context.WithCancel(context.Background())
				go cancel()
				if s.take(ctx, from) == nil {
					s.leave()
				}
			}
		})
	}
	all.Wait()
	if s.free != 2 || s.taken != 0 || len(s.lines) != 0 {
		t.Errorf("left behind: %d free, %d seats taken, %d lines", s.free, s.taken, len(s.lines))
	}
}
