package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// soak is one run.
type soak struct {
	options
	gateway  *gateway
	services *services
	load     *load
	started  time.Time
	quiet    sample // before the load
	after    sample // when it has gone
	unrest   error  // what it still held long after that
	samples  []sample
	faults   []span
	reloaded int
	upgraded []time.Time
}

// span is a time in which something was broken.
type span struct {
	kind       string
	begin, end time.Time
}

func begin(dir string, o options) (*soak, error) {
	s := &soak{options: o}
	var err error
	if s.services, err = serve(); err != nil {
		return nil, err
	}
	wait := patience
	if o.faultEvery == 0 {
		wait = deadline // nothing is broken: who is slow has no processor
	}
	if s.gateway, err = launch(dir, o.binary, s.services, wait); err != nil {
		s.services.close()
		return nil, err
	}
	if s.load, err = newLoad(s.gateway, s.services, o.progress); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *soak) close() {
	if s.load != nil {
		s.load.close()
	}
	s.gateway.kill()
	s.services.close()
}

// hold keeps everything going for its time, and then lets it come to rest.
func (s *soak) hold(ctx context.Context) (err error) {
	time.Sleep(time.Second)
	if s.quiet, err = s.gateway.sample(); err != nil {
		return err
	}
	s.started = time.Now()
	length := time.Duration(s.minutes * float64(time.Minute))
	counted := s.options.upgrades > 0 || s.options.reloads > 0
	if counted {
		length = 3 * time.Hour // until all are done
	}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var work, all sync.WaitGroup
	fault := make(chan error, 8)
	for _, f := range []func(context.Context) error{s.reload, s.upgrade} {
		work.Go(func() {
			if err := f(ctx); err != nil {
				fault <- err
				cancel()
			}
		})
	}
	all.Go(func() { s.load.run(ctx, s.rate) })
	all.Go(func() { s.breakAndHeal(ctx) })
	all.Go(func() { s.watch(ctx) })
	if counted {
		work.Wait()
		time.Sleep(2 * time.Second) // of load after the last one
		cancel()
	}
	work.Wait()
	all.Wait()
	select {
	case err := <-fault:
		return err
	default:
	}
	s.unrest = s.rest()
	return nil
}

// reload puts a new configuration in force again and again.
func (s *soak) reload(ctx context.Context) error {
	if s.options.upgrades > 0 && s.options.reloads == 0 {
		return nil
	}
	for n := 1; s.options.reloads == 0 || n <= s.options.reloads; n++ {
		if !pause(ctx, s.reloadEvery) {
			return nil
		}
		if err := s.gateway.reload(n); err != nil {
			return fmt.Errorf("reload %d: %w", n, err)
		}
		s.reloaded = n
	}
	return nil
}

// upgrade hands over to a new process now and then, and waits until the old one is gone.
func (s *soak) upgrade(ctx context.Context) error {
	if s.options.reloads > 0 && s.options.upgrades == 0 {
		return nil
	}
	for n := 1; s.options.upgrades == 0 || n <= s.options.upgrades; n++ {
		if !pause(ctx, max(s.upgradeEvery, time.Second/2)) {
			return nil
		}
		s.load.moving(true)
		at := time.Now()
		err := s.gateway.upgrade()
		s.load.moving(false)
		if err != nil {
			return fmt.Errorf("upgrade %d: %w", n, err)
		}
		s.upgraded = append(s.upgraded, at)
		fmt.Fprintf(s.progress, "%7s  upgraded: process %d serves, the one before it was gone after %.1f s\n", s.clock(), s.gateway.pid.Load(), time.Since(at).Seconds())
	}
	return nil
}

// breakAndHeal has the frail service fail in one way after the other.
func (s *soak) breakAndHeal(ctx context.Context) {
	if s.faultEvery <= 0 {
		return
	}
	for n := 0; pause(ctx, s.faultEvery/2); n++ {
		kind := faultKinds[n%len(faultKinds)]
		at := time.Now()
		s.services.break_(kind)
		pause(ctx, s.faultEvery/2)
		s.services.heal()
		s.faults = append(s.faults, span{kind, at, time.Now()})
	}
}

// watch takes a sample each second and says now and then how it goes.
func (s *soak) watch(ctx context.Context) {
	var before int64
	last := time.Now()
	for n := 1; pause(ctx, time.Second); n++ {
		x, err := s.gateway.sample()
		if err != nil {
			continue // between two processes
		}
		sent := s.load.sent()
		x.rate = float64(sent-before) / x.at.Sub(last).Seconds()
		before, last = sent, x.at
		s.samples = append(s.samples, x)
		if n%30 == 0 {
			fmt.Fprintf(s.progress, "%7s  %8d requests, %d wrong, %d expected failures; RSS %.1f MiB, heap %.1f MiB, %.0f goroutines, %.0f descriptors\n",
				s.clock(), sent, s.load.wrong(), s.load.expected(), x.rss/(1<<20), x.heap/(1<<20), x.goroutines, x.descriptors)
		}
	}
}

// rest waits until what the load has left behind is gone: idle connections have their time.
func (s *soak) rest() error {
	s.load.close()
	var err error
	for end := time.Now().Add(30 * time.Second); ; {
		if s.after, err = s.gateway.sample(); err == nil && s.settled() == nil {
			return nil
		}
		if time.Now().After(end) {
			dump, _ := s.gateway.ask("GET", "/debug/pprof/goroutine?debug=1")
			return fmt.Errorf("%w\n%.4000s", errors.Join(err, s.settled()), dump)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// settled says what is more than it was before the load.
func (s *soak) settled() error {
	for _, c := range []struct {
		name        string
		then, now   float64
		ofEachSlack float64
	}{
		{"goroutines", s.quiet.goroutines, s.after.goroutines, 40}, // HTTP/2 keeps as many for the next streams as there were at once
		{"descriptors", s.quiet.descriptors, s.after.descriptors, 8},
		{"connections", s.quiet.connections, s.after.connections, 2},
	} {
		if c.now > c.then+c.ofEachSlack {
			return fmt.Errorf("30 s after the load there are %.0f %s, and there were %.0f before it", c.now, c.name, c.then)
		}
	}
	return nil
}

func (s *soak) clock() string { return time.Since(s.started).Round(time.Second).String() }

// pause is false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
