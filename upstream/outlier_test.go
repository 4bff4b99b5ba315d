package upstream

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

func ejectedOf(s *Service) (ejected, candidates int) {
	for _, t := range s.State().Targets {
		switch t.Status {
		case "ejected":
			ejected++
			candidates++
		case "up":
			candidates++
		}
	}
	return
}

func TestEjectionAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		s := mustOpen(t, Settings{Targets: urls(4), Outliers: Outliers{Failures: 3, Eject: 10 * time.Second}}, Options{Open: f.open})
		sick := f.at(addr(2))
		sick.answers(failing(exchange.ConnectFailed))
		for range 12 {
			do(s)
		}
		if st := s.State().Targets[2]; st.Status != "ejected" || time.Until(st.EjectedUntil) != 10*time.Second {
			t.Fatalf("after three failures in a row: %+v", st)
		}
		calls := sick.calls.Load()
		for range 100 {
			if _, err := do(s); err != nil {
				t.Fatalf("with the sick target ejected: %v", err)
			}
		}
		if sick.calls.Load() != calls {
			t.Error("an ejected target got requests")
		}
		time.Sleep(10*time.Second + time.Millisecond)
		for range 12 { // it comes back, fails again, and stays out for longer
			do(s)
		}
		if st := s.State().Targets[2]; st.Status != "ejected" || time.Until(st.EjectedUntil) != 20*time.Second {
			t.Errorf("the second time: %+v, want 20s", st)
		}
		time.Sleep(20*time.Second + time.Millisecond)
		sick.answers(status(200))
		time.Sleep(10 * time.Minute) // quiet time makes up for it
		sick.answers(failing(exchange.ConnectFailed))
		for range 12 {
			do(s)
		}
		if st := s.State().Targets[2]; time.Until(st.EjectedUntil) != 10*time.Second {
			t.Errorf("after a good while: out for %v, want 10s again", time.Until(st.EjectedUntil))
		}
	})
}

// A success in between starts the count again.
func TestOnlyFailuresInARowEject(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(2), Outliers: Outliers{Failures: 3}}, Options{Open: f.open})
	n := 0
	f.at(addr(0)).answers(func(x *exchange.Exchange) error {
		if n++; n%3 == 0 {
			return status(200)(x)
		}
		return status(503)(x)
	})
	for range 100 {
		do(s)
	}
	if e, _ := ejectedOf(s); e != 0 {
		t.Error("a target that answers every third time was ejected")
	}
}

// A body that breaks off is a failure, though its head was good.
func TestBrokenBodiesEject(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(2)}, Options{Open: f.open})
	for range 20 {
		x := request("GET", nil)
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		if x.Target == addr(0) {
			x.Err = exchange.UpstreamBroken.Because(nil)
		}
		x.Done()
	}
	if st := s.State().Targets[0]; st.Status != "ejected" {
		t.Errorf("a target whose bodies all break is %s", st.Status)
	}
}

func TestTheOnlyTargetIsNeverEjected(t *testing.T) {
	for n, most := range map[int]float64{1: 1, 3: 1} {
		f := newFleet()
		f.answer = func(string, *exchange.Exchange) error { return exchange.ConnectFailed.Because(nil) }
		s := mustOpen(t, Settings{Targets: urls(n), Outliers: Outliers{MaxEjected: most}}, Options{Open: f.open})
		for range 100 {
			if _, err := do(s); !exchange.ConnectFailed.Is(err) {
				t.Fatalf("%d targets: %v, want an attempt", n, err)
			}
		}
		if e, _ := ejectedOf(s); e != n-1 {
			t.Errorf("%d of %d targets are ejected", e, n)
		}
	}
}

// Whatever happens to targets, never more than the share of those that could
// be picked is ejected, and one is always left to pick.
func TestEjectionFloor(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			n, most := 1+r.IntN(12), 0.1+0.9*r.Float64()
			f := newFleet()
			s := mustOpen(t, Settings{
				Targets: urls(n), Health: &Health{Path: "/", Interval: time.Second},
				Outliers: Outliers{Failures: 1 + r.IntN(3), Eject: 5 * time.Second, MaxEjected: most},
			}, Options{Open: f.open})
			synctest.Wait()
			for step := range 300 {
				i := r.IntN(n)
				switch r.IntN(6) {
				case 0:
					f.at(addr(i)).answers(failing(exchange.UpstreamReset)) // fails its checks too
				case 1:
					f.at(addr(i)).answers(status(200))
				case 2:
					s.Drain(addr(i))
				case 3:
					s.Enable(addr(i))
				case 4:
					time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
				}
				for range 5 {
					do(s)
				}
				ejected, candidates := ejectedOf(s)
				if float64(ejected) > most*float64(candidates)+1e-9 {
					t.Fatalf("seed %d, step %d: %d of %d ejected, allowed %.2f", seed, step, ejected, candidates, most)
				}
				if candidates > 0 && ejected == candidates {
					t.Fatalf("seed %d, step %d: all %d are ejected", seed, step, candidates)
				}
				if _, err := do(s); (candidates == 0) != exchange.NoTarget.Is(err) {
					if _, now := ejectedOf(s); now == candidates {
						t.Fatalf("seed %d, step %d: %d candidates, and %v", seed, step, candidates, err)
					}
				}
			}
		})
	}
}

// A target that comes back gets its weight bit by bit.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		s := mustOpen(t, Settings{Targets: urls(2), SlowStart: 10 * time.Second}, Options{Open: f.open})
		share := func() float64 {
			before := f.at(addr(1)).calls.Load()
			for range 1000 {
				do(s)
			}
			return float64(f.at(addr(1)).calls.Load()-before) / 1000
		}
		if got := share(); got != 0.5 {
			t.Errorf("at first: share %v; a new service has no slow start", got)
		}
		s.Drain(addr(1))
		if got := share(); got != 0 {
			t.Errorf("drained: share %v", got)
		}
		s.Enable(addr(1))
		last := 0.0
		var got []string
		for range 11 {
			now := share()
			got = append(got, fmt.Sprintf("%.2f", now))
			if now < last-0.01 {
				t.Errorf("share fell from %v to %v", last, now)
			}
			last = now
			time.Sleep(time.Second + time.Millisecond)
		}
		if first := got[0]; first != "0.09" {
			t.Errorf("the first share is %s, want a tenth of the weight: 1/11", first)
		}
		if last != 0.5 {
			t.Errorf("the last share is %v, want 0.5; all: %v", last, got)
		}
	})
}

// What a policy puts in the place of an answer says nothing about the target.
func TestVerdictIsAboutTheTargetsOwnAnswer(t *testing.T) {
	f := newFleet()
	f.at(addr(0)).answers(status(503))
	s := mustOpen(t, Settings{Targets: urls(2), Outliers: Outliers{Failures: 3}}, Options{Open: f.open})
	for range 6 {
		x := request("GET", nil)
		s.Serve(x)
		x.DropResponse()
		x.Response.Status = 200 // from a cache, say
		x.Done()
	}
	if st := s.State().Targets[0]; st.Status != "ejected" || st.InFlight != 0 {
		t.Errorf("%s, %d in flight", st.Status, st.InFlight)
	}
}
