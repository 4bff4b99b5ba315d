package identity

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// slots bounds how much runs at once, and how much waits for that. Whoever is
// not known yet can make work for others to wait behind, so clients have their
// turns one after the other, and when all seats are taken, one who has many
// waiting makes room for one who has few.
type slots struct {
	mu    sync.Mutex
	free  int
	seats int // for those who wait
	taken int
	wait  time.Duration
	lines []*clientLine // that are not empty, the next one first
}

// clientLine is what waits for one client, the oldest first.
type clientLine struct {
	who     netip.Prefix
	waiters []chan error // of one place; nil: it has a slot
}

var errBusy = errors.New("too much of this is going on")

func newSlots(n, seats int, wait time.Duration) *slots {
	return &slots{free: n, seats: seats, wait: wait}
}

// take waits for a slot; who got one calls leave.
func (s *slots) take(ctx context.Context, from netip.Addr) error {
	ready, err := s.enqueue(neighbourhood(from))
	if ready == nil {
		return err
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case err := <-ready:
		return err
	case <-timer.C:
		err = errBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	if s.quit(ready) {
		return err
	}
	return <-ready // it was called in the same moment
}

// enqueue takes a slot, which is a nil channel without an error, or a seat.
func (s *slots) enqueue(who netip.Prefix) (ready chan error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 { // then nobody waits
		s.free--
		return nil, nil
	}
	i := slices.IndexFunc(s.lines, func(l *clientLine) bool { return l.who == who })
	own := 0
	if i >= 0 {
		own = len(s.lines[i].waiters)
	}
	if s.taken >= s.seats && !s.makeRoom(own+1) {
		return nil, errBusy
	}
	if i < 0 {
		i = len(s.lines)
		s.lines = append(s.lines, &clientLine{who: who})
	}
	ready = make(chan error, 1)
	s.lines[i].waiters = append(s.lines[i].waiters, ready)
	s.taken++
	return ready, nil
}

// makeRoom sends the newest of the longest line away, if that line has more
// than n. The line does not become empty.
func (s *slots) makeRoom(n int) bool {
	var longest *clientLine
	for _, l := range s.lines {
		if longest == nil || len(l.waiters) > len(longest.waiters) {
			longest = l
		}
	}
	if longest == nil || len(longest.waiters) <= n {
		return false
	}
	last := len(longest.waiters) - 1
	longest.waiters[last] <- errBusy
	longest.waiters = longest.waiters[:last]
	s.taken--
	return true
}

// quit gives a seat up; false: it was called already.
func (s *slots) quit(ready chan error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.lines {
		if k := slices.Index(l.waiters, ready); k >= 0 {
			l.waiters = slices.Delete(l.waiters, k, k+1)
			s.taken--
			if len(l.waiters) == 0 {
				s.lines = slices.Delete(s.lines, i, i+1)
			}
			return true
		}
	}
	return false
}

// leave hands the slot on to the next line, which then goes to the back.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		s.free++
		return
	}
	l := s.lines[0]
	l.waiters[0] <- nil
	l.waiters = slices.Delete(l.waiters, 0, 1)
	s.taken--
	s.lines = slices.Delete(s.lines, 0, 1)
	if len(l.waiters) > 0 {
		s.lines = append(s.lines, l)
	}
}
