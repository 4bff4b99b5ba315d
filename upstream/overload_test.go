package upstream

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
)

var enforced = Overload{Mode: OverloadAdaptive}

const work = 50 * time.Millisecond

// A service of 20 workers and 50 ms gives 400 answers a second. With three
// times as many requests, from clients that wait for half a second, it goes on doing so:
// all in all, the worst case included of a service that answers also those that have gone.
func TestOverloadedServiceGivesWhatItCan(t *testing.T) {
	for _, o := range []Overload{enforced, {}} {
		onStage(t, 20, o, func(s *stage) {
			s.plant.stubborn = true
			s.run(10*time.Second, crowd{rate: 200, work: always(work), patience: time.Second / 2})
			got := s.run(30*time.Second, crowd{rate: 1200, work: always(work), patience: time.Second / 2})[0]
			peak := 400.0 * 30
			if o == enforced && float64(got.good) < 0.8*peak {
				t.Errorf("with protection: %v, want %v good", got, 0.8*peak)
			}
			if o == enforced {
				if later := s.run(10*time.Second, crowd{rate: 1200, work: always(work), patience: time.Second / 2})[0]; float64(later.good) < 0.9*4000 {
					t.Errorf("after half a minute: %v, want %v good", later, 0.9*4000)
				}
			}
			if o != enforced && float64(got.good) > 0.2*peak {
				t.Errorf("without protection: %v: the test shows nothing", got)
			}
		})
	}
}

// Nobody is refused by a healthy service, whatever its latency does: with workers
// enough, more work a request is no overload.
func TestHealthyServiceIsLeftAlone(t *testing.T) {
	mix := func(slowShare float64, fast, slow time.Duration) func(*rand.Rand) time.Duration {
		return func(r *rand.Rand) time.Duration {
			d := fast
			if r.Float64() < slowShare {
				d = slow
			}
			return time.Duration(float64(d) * (0.5 + r.ExpFloat64()/2))
		}
	}
	for name, phases := range map[string][][]crowd{
		"all requests become eight times slower": {
			{{rate: 400, work: mix(0, work, 0)}}, {{rate: 400, work: mix(0, 8*work, 0)}}, {{rate: 400, work: mix(0, work, 0)}},
		},
		"slow endpoints become the most used": {
			{{rate: 400, work: mix(0.1, work/5, 10*work)}}, {{rate: 400, work: mix(0.8, work/5, 10*work)}}, {{rate: 400, work: mix(0.1, work/5, 10*work)}},
		},
		"slow requests come on top of fast ones": {
			{{rate: 200, work: mix(0, work/5, 0)}}, {{rate: 200, work: mix(0, work/5, 0)}, {rate: 400, work: mix(0, 10*work, 0)}},
		},
		"bursts": {
			{{rate: 50, work: mix(0, work, 0)}}, {{rate: 2000, work: mix(0, work, 0)}}, {{rate: 50, work: mix(0, work, 0)}}, {{rate: 2000, work: mix(0, work, 0)}},
		},
		"thousands of long polls": {
			{{rate: 200, work: mix(0, work, 0)}}, {{rate: 200, work: mix(0, work, 0)}, {rate: 100, work: func(r *rand.Rand) time.Duration { return time.Duration(r.Float64() * 30e9) }}},
		},
		"long polls alone": {
			{{rate: 100, work: func(r *rand.Rand) time.Duration { return time.Duration(r.Float64() * 30e9) }}},
			{{rate: 100, work: func(r *rand.Rand) time.Duration { return time.Duration((0.9 + r.Float64()/10) * 30e9) }}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, 1<<20, enforced, func(s *stage) {
				for _, crowds := range phases {
					for i, o := range s.run(20*time.Second, crowds...) {
						if o.good != o.sent {
							t.Errorf("%v/s: %v", crowds[i].rate, o)
						}
					}
				}
			})
		})
	}
}

// Many clients that ask again as soon as they are answered, and wait for as long as it
// takes, only wait for each other: nobody is better off when one is refused. The same
// is seen when it is the gateway's own machine that is too slow.
func TestClosedCircleIsNeverRefused(t *testing.T) {
	onStage(t, 20, enforced, func(s *stage) {
		s.run(5*time.Second, crowd{rate: 200, work: always(work)})
		end, o := time.Now().Add(20*time.Second), new(outcome)
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				for time.Now().Before(end) {
					s.one(crowd{}, work, o, &mu, true)
				}
			})
		}
		all.Wait()
		if o.refused != 0 || o.gone != 0 || o.good < 0.95*400*20 {
			t.Errorf("%v", o)
		}
	})
}

// A service that becomes slow, with workers enough, loses the clients that don't want to
// wait for it. That is no overload: nobody else must be refused because of them.
func TestImpatientClientsOfASlowService(t *testing.T) {
	onStage(t, 1<<20, enforced, func(s *stage) {
		around := func(d time.Duration) func(*rand.Rand) time.Duration {
			return func(r *rand.Rand) time.Duration { return time.Duration(float64(d) * (0.5 + r.ExpFloat64()/2)) }
		}
		s.run(10*time.Second, crowd{rate: 400, work: around(work), patience: time.Second / 2})
		if o := s.run(60*time.Second, crowd{rate: 400, work: around(8 * work), patience: time.Second / 2})[0]; o.refused != 0 || o.share() < 0.6 {
			t.Errorf("%v", o)
		}
	})
}

// A service whose workers become ten times slower has a tenth of its capacity left,
// and goes on giving that. When it recovers, so do its clients, at once.
func TestServiceThatBecomesSlowAndRecovers(t *testing.T) {
	onStage(t, 20, enforced, func(s *stage) {
		usual := crowd{rate: 200, work: always(work), patience: 2 * time.Second}
		if o := s.run(20*time.Second, usual)[0]; o.good != o.sent {
			t.Errorf("before: %v", o)
		}
		ill := usual
		ill.work = always(10 * work)
		if o, peak := s.run(60*time.Second, ill)[0], 40.0*60; float64(o.good) < 0.8*peak {
			t.Errorf("while it is slow: %v, want %v good", o, 0.8*peak)
		}
		s.run(3*time.Second, usual)
		if o := s.run(20*time.Second, usual)[0]; o.good != o.sent {
			t.Errorf("three seconds after: %v", o)
		}
		if st := s.service.State().Overload; st.Phase != "watching" || st.Limit != 0 {
			t.Errorf("at the end: %+v", st)
		}
	})
}

// The gateway may start when the service is overloaded already: what it sees at first
// is not what is usual.
func TestStartIntoOverload(t *testing.T) {
	onStage(t, 20, enforced, func(s *stage) {
		s.run(10*time.Second, crowd{rate: 1200, work: always(work), patience: time.Second})
		got := s.run(20*time.Second, crowd{rate: 1200, work: always(work), patience: time.Second})[0]
		if peak := 400.0 * 20; float64(got.good) < 0.8*peak {
			t.Errorf("%v, want %v good", got, 0.8*peak)
		}
	})
}

// A mix of fast and slow requests, twice as many as the service can serve.
func TestOverloadOfAMix(t *testing.T) {
	onStage(t, 20, enforced, func(s *stage) {
		mixed := func(r *rand.Rand) time.Duration { // 50 ms in the mean, 2.5 ms in the median
			return time.Duration(r.ExpFloat64() * r.ExpFloat64() * r.ExpFloat64() * float64(work))
		}
		s.run(10*time.Second, crowd{rate: 200, work: mixed, patience: time.Second})
		got := s.run(30*time.Second, crowd{rate: 800, work: mixed, patience: time.Second})[0]
		if peak := 400.0 * 30; float64(got.good) < 0.8*peak {
			t.Errorf("%v, want %v good", got, 0.8*peak)
		}
	})
}

// The least important requests are given up first, and the critical ones not at all
// while there are others to give up.
func TestImportance(t *testing.T) {
	onStage(t, 20, enforced, func(s *stage) {
		c := func(rate float64, i exchange.Importance) crowd {
			return crowd{rate: rate, work: always(work), patience: time.Second, importance: i}
		}
		s.run(10*time.Second, c(200, exchange.Normal))
		all := []crowd{c(100, exchange.Critical), c(200, exchange.Normal), c(300, exchange.Low), c(600, exchange.Background)}
		s.run(5*time.Second, all...)
		got := s.run(20*time.Second, all...)
		critical, normal, low, background := got[0], got[1], got[2], got[3]
		if critical.share() < 0.99 || normal.share() < 0.95 || low.share() > 0.5 || background.share() > 0.05 {
			t.Errorf("critical %v\nnormal %v\nlow %v\nbackground %v", critical, normal, low, background)
		}
	})
}

// In shadow mode nobody is refused and nobody waits, but it is counted.
func TestShadowOnlyCounts(t *testing.T) {
	onStage(t, 20, Overload{Mode: OverloadShadow}, func(s *stage) {
		s.run(10*time.Second, crowd{rate: 200, work: always(work)})
		got := s.run(5*time.Second, crowd{rate: 1200, work: always(work), patience: time.Second})[0]
		if got.refused != 0 {
			t.Errorf("%v", got)
		}
		if st := s.service.State().Overload; st.Refused["normal"] < 1000 || st.Waited != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A client that goes away while it waits leaves nothing behind, and takes nothing.
func TestWaitersLeave(t *testing.T) {
	onStage(t, 1, Overload{Mode: OverloadAdaptive, Wait: 10 * time.Second}, func(s *stage) {
		s.service.limiter.bound(1)
		got := s.run(time.Second, crowd{rate: 100, work: always(time.Second), patience: time.Second / 10})[0]
		if got.gone < got.sent-5 || got.refused > 5 {
			t.Errorf("%v", got)
		}
		if st := s.service.State().Overload; st.InFlight != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestMedian(t *testing.T) {
	var l latencies
	for i := range 1000 {
		l.add(time.Duration(i) * time.Millisecond)
	}
	c, n := l.take()
	if m := c.quantile(float64(n)/2) / 1e6; n != 1000 || m < 480 || m > 520 {
		t.Errorf("the median of 0 to 999 ms is %v ms of %d", m, n)
	}
	for _, d := range []time.Duration{-1, 0, 1, time.Microsecond, time.Hour, 1 << 62} {
		l.add(d)
	}
	if _, n := l.take(); n != 6 {
		t.Errorf("%d of 6 are counted", n)
	}
}

func TestLimiterAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := mustOpen(t, Settings{Targets: urls(1), Overload: enforced}, Options{Open: newFleet().open})
	x := request("GET", nil)
	if n := testing.AllocsPerRun(1000, func() {
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		x.Done()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who sends a large body decides how long that takes. So it holds no place: slow senders keep
// nobody out, however few places there are.
func TestLargeBodiesHoldNoPlace(t *testing.T) {
	l := newLimiter("s", enforced, func(string) {})
	l.limit.Store(1)
	now := func() int64 { return 0 }
	for range 100 {
		if _, err := l.enter(request("POST", &pieces{list: []string{strings.Repeat("x", largeBody+1)}, sized: true}), now, 0); err != nil {
			t.Fatal(err)
		}
	}
	small, err := l.enter(request("GET", nil), now, 0)
	if err != nil || small.generation == noSlot {
		t.Errorf("somebody else: %v, %v", small, err)
	}
	if _, ok := l.take(1); ok {
		t.Error("a small one is not counted")
	}
}

// A client that takes long to send its body says nothing about the service: what
// counts is how long the service took when it had all of it.
func TestSlowBodiesAreNoSlowService(t *testing.T) {
	l := newLimiter("s", enforced, func(string) {})
	l.vainAfter.Store(int64(time.Second))
	l.due.Store(1 << 62) // nobody takes stock meanwhile
	now := func() int64 { return 0 }
	leave := func(upload, waited time.Duration, v verdict, err error) {
		t.Helper()
		x := request("POST", &pieces{list: []string{"a"}})
		held, e := l.enter(x, now, 0)
		if e != nil {
			t.Fatal(e)
		}
		x.Upload, x.Upstream = upload, waited
		l.leave(held, x, v, err)
	}
	leave(9*time.Second, 9*time.Second+10*time.Millisecond, good, nil)
	if c, n := l.took.take(); n != 1 || c.quantile(0.5) > 20e6 {
		t.Errorf("%d answers, their median %v", n, time.Duration(c.quantile(0.5)))
	}
	gone := exchange.ClientGone.Because(nil)
	leave(9*time.Second, 9*time.Second, bad, gone)
	if n := l.vain.Load(); n != 0 {
		t.Errorf("%d waited in vain, of those that never sent their body", n)
	}
	leave(9*time.Second, 11*time.Second, bad, gone)
	if n, took := l.vain.Load(), time.Duration(l.vainTime.Load()); n != 1 || took != 2*time.Second {
		t.Errorf("%d waited in vain for %v, want one for 2s", n, took)
	}
}
