package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// members is the control side of a service: what may change while it serves.
type members struct {
	mu      sync.Mutex
	specs   []*spec
	targets []*Target // in order of specs and addresses
	maglev  *maglev   // nil: to be built
	timer   *time.Timer
	closed  bool

	ctx    context.Context // of checks and lookups
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// maxTargets bounds the addresses of a service, whatever DNS says.
const maxTargets = 4096

// update makes targets of the addresses that specs now have. Those that stay
// keep their state; those that left end when their last request has.
func (s *Service) update(first bool) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	known := map[string]*Target{}
	for _, t := range s.targets {
		known[t.key] = t
	}
	var next []*Target
	for _, sp := range s.specs {
		for _, address := range sp.addresses {
			key := sp.URL + " " + address
			t := known[key]
			if delete(known, key); t == nil && len(next) < maxTargets {
				t = s.join(sp, address, first)
			}
			if t != nil {
				next = append(next, t)
			}
		}
	}
	s.targets, s.maglev = next, nil
	s.publish()
	for _, t := range known {
		if t.stop != nil {
			t.stop()
		}
		s.notify(t, "left", "")
	}
	s.mu.Unlock()
	for _, t := range known {
		t.retire()
	}
}

// join opens a target and starts its checks.
func (s *Service) join(sp *spec, address string, first bool) *Target {
	t := s.newTarget(sp, address)
	if !first {
		s.ramp(t)
	}
	if s.set.Health != nil {
		ctx, cancel := context.WithCancel(s.ctx)
		t.stop = cancel
		s.wg.Go(func() { s.check(ctx, sp, t) })
	}
	if !first {
		s.notify(t, "joined", "")
	}
	return t
}

// candidate reports whether t may be picked, ejection aside.
func (t *Target) candidate() bool { return !t.draining && t.health != unhealthy }

func (t *Target) ejected() bool { return !t.ejectedUntil.IsZero() }

// ejectable returns how many of n candidates may be ejected at a time: the
// configured share, and never the last one.
func (s *Service) ejectable(n int) int {
	return min(int(max(s.set.Outliers.MaxEjected, 0)*float64(n)+1e-9), n-1)
}

// eject takes t out of the rotation for a time, unless too many are out. The
// more often, the longer; quiet time makes up for it.
func (s *Service) eject(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.failures.Store(0)
	if s.closed || t.ejected() || !t.candidate() || !slices.Contains(s.targets, t) {
		return
	}
	candidates, out := 0, 0
	for _, t := range s.targets {
		if t.candidate() {
			candidates++
			if t.ejected() {
				out++
			}
		}
	}
	if out >= s.ejectable(candidates) {
		return
	}
	now, o := time.Now(), s.set.Outliers
	if !t.returned.IsZero() {
		t.streak = max(0, t.streak-int(now.Sub(t.returned)/o.Eject))
	}
	t.streak = min(t.streak+1, 10)
	t.ejections++
	t.ejectedUntil, t.since = now.Add(o.Eject*time.Duration(t.streak)), now
	s.notify(t, "ejected", fmt.Sprintf("%d failures in a row, for %v", o.Failures, t.ejectedUntil.Sub(now)))
	s.publish()
}

// giveBack ends an ejection.
func (s *Service) giveBack(t *Target, now time.Time) {
	t.ejectedUntil, t.returned, t.since = time.Time{}, now, now
	s.ramp(t)
	s.notify(t, "returned", "")
}

// ramp starts the slow start of t.
func (s *Service) ramp(t *Target) {
	if s.set.SlowStart > 0 {
		t.rampFrom = time.Now()
	}
}

// rampSteps is how many steps a slow start has.
const rampSteps = 10

// step returns the tenths of its weight that t has, and when it has more.
func (s *Service) step(t *Target, now time.Time) (tenths int64, next time.Time) {
	if t.rampFrom.IsZero() {
		return rampSteps, next
	}
	tenths = int64(now.Sub(t.rampFrom) * rampSteps / s.set.SlowStart)
	if tenths >= rampSteps {
		t.rampFrom = time.Time{}
		return rampSteps, next
	}
	tenths = max(tenths, 1) // the first step has the weight of the second: zero would be no start
	return tenths, t.rampFrom.Add(s.set.SlowStart * time.Duration(tenths+1) / rampSteps)
}

// publish replaces the picker by one for the present condition of the targets
// and sets the timer to when time alone will change it. It runs under the mutex.
func (s *Service) publish() {
	now := time.Now()
	s.settle(now)
	var targets []*Target
	var weights []int64
	var next time.Time
	earlier := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, t := range s.targets {
		earlier(t.ejectedUntil)
		if t.candidate() && !t.ejected() {
			tenths, at := s.step(t, now)
			earlier(at)
			targets = append(targets, t)
			weights = append(weights, int64(t.weight)*tenths)
		}
	}
	s.picker.Store(&table{s.newPicker(targets, weights)})
	if s.timer != nil {
		s.timer.Stop()
	}
	if !next.IsZero() {
		s.timer = time.AfterFunc(next.Sub(now), s.tick)
	}
}

// settle ends the ejections that are over, and those that are too many now
// that others are out for another reason: the next to end go first.
func (s *Service) settle(now time.Time) {
	candidates := 0
	var out []*Target
	for _, t := range s.targets {
		if t.ejected() && !now.Before(t.ejectedUntil) {
			s.giveBack(t, now)
		}
		if t.candidate() {
			candidates++
			if t.ejected() {
				out = append(out, t)
			}
		}
	}
	if surplus := len(out) - s.ejectable(candidates); surplus > 0 && len(out) > 0 {
		slices.SortFunc(out, func(a, b *Target) int { return a.ejectedUntil.Compare(b.ejectedUntil) })
		for _, t := range out[:surplus] {
			s.giveBack(t, now)
		}
	}
}

// tick is the timer's: time has changed something.
func (s *Service) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.publish()
	}
}

func (s *Service) newPicker(targets []*Target, weights []int64) Picker {
	if len(targets) == 0 {
		return nobody{s.whyNobody()}
	}
	r := newRotation(targets, weights)
	switch s.set.Balance.Kind {
	case LeastRequests:
		return &leastRequests{r, s.options.Rand}
	case Random:
		return &random{r, s.options.Rand}
	case Hash:
		if s.maglev == nil {
			s.maglev = newMaglev(s.targets)
		}
		p := &hashed{maglev: s.maglev, key: s.options.Hash, none: &random{r, s.options.Rand}}
		for _, t := range s.maglev.members {
			p.up = append(p.up, t.candidate() && !t.ejected())
		}
		return p
	case Sticky:
		p := &sticky{roundRobin: &roundRobin{r, &s.cursor}, cookie: s.set.Balance.Cookie, byID: map[string]*Target{}}
		for _, t := range targets {
			p.byID[t.id] = t
		}
		return p
	}
	return &roundRobin{r, &s.cursor}
}

// whyNobody is the cause that stands in the log with no_healthy_target.
func (s *Service) whyNobody() error {
	if len(s.targets) == 0 {
		for _, sp := range s.specs {
			if sp.err != nil {
				return fmt.Errorf("service %q: %w", s.set.Name, sp.err)
			}
		}
		return fmt.Errorf("service %q has no address yet", s.set.Name)
	}
	drained := 0
	for _, t := range s.targets {
		if t.draining {
			drained++
		}
	}
	return fmt.Errorf("service %q: of %d targets %d are drained and the others fail their health check", s.set.Name, len(s.targets), drained)
}

// Drain takes targets, named by address or URL, out of the rotation: requests
// in flight end, new ones go elsewhere.
func (s *Service) Drain(target string) error { return s.setDraining(target, true) }

// Enable puts drained targets back.
func (s *Service) Enable(target string) error { return s.setDraining(target, false) }

func (s *Service) setDraining(target string, draining bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the service is closed")
	}
	found := false
	for _, t := range s.targets {
		if t.Address != target && t.URL != target {
			continue
		}
		found = true
		if t.draining == draining {
			continue
		}
		t.draining, t.since = draining, time.Now()
		if draining {
			s.notify(t, "drained", "")
		} else {
			s.ramp(t)
			s.notify(t, "enabled", "")
		}
	}
	if !found {
		return fmt.Errorf("service %q has no target %q", s.set.Name, target)
	}
	s.publish()
	return nil
}

func (s *Service) notify(t *Target, kind, detail string) {
	if s.options.Notify == nil {
		return
	}
	e := Event{Service: s.set.Name, Kind: kind, Detail: detail}
	if t != nil {
		e.Target = t.Address
	}
	s.options.Notify(e)
}
