package upstream

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

func TestBreakerOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		var events []string
		s := mustOpen(t, Settings{
			Targets: urls(1),
			Breaker: &Breaker{FailureRate: 0.5, Minimum: 20, Window: 10 * time.Second, Pause: 5 * time.Second},
		}, Options{Open: f.open, Notify: func(e Event) { events = append(events, e.Kind) }})
		f.at(addr(0)).answers(status(503))
		for range 19 {
			do(s) // below the minimum, it never opens
		}
		if got := s.State().Breaker.Phase; got != "closed" {
			t.Fatalf("%s after 19 failures, want closed", got)
		}
		do(s)
		if got := s.State().Breaker.Phase; got != "open" {
			t.Fatalf("%s after 20 failures of 20, want open", got)
		}
		calls := f.at(addr(0)).calls.Load()
		for range 100 {
			if _, err := do(s); !exchange.CircuitOpen.Is(err) {
				t.Fatalf("open breaker: %v, want circuit_open", err)
			}
		}
		if f.at(addr(0)).calls.Load() != calls {
			t.Error("an open breaker let requests pass")
		}

		time.Sleep(5 * time.Second)
		do(s) // the first probe fails: another pause
		if _, err := do(s); !exchange.CircuitOpen.Is(err) {
			t.Fatalf("after a failed probe: %v, want circuit_open", err)
		}

		time.Sleep(5 * time.Second)
		f.at(addr(0)).answers(status(200))
		for range halfOpenProbes {
			if _, err := do(s); err != nil {
				t.Fatal(err)
			}
		}
		if st := s.State().Breaker; st.Phase != "closed" || st.Failures != 0 {
			t.Errorf("%+v after good probes, want closed and a clean window", st)
		}
		want := "[breaker_open breaker_half_open breaker_open breaker_half_open breaker_closed]"
		if got := joinWords(events); got != want {
			t.Errorf("events %s\nwant   %s", got, want)
		}
	})
}

// The rate counts over a sliding window: old failures are forgotten.
func TestBreakerForgets(t *testing.T) {
	b := newBreaker(Breaker{FailureRate: 0.5, Minimum: 10, Window: 10 * time.Second, Pause: time.Second}, nil)
	at := func(seconds float64) int64 { return int64(seconds * float64(time.Second)) }
	for i := range 9 {
		p, _ := b.enter(at(float64(i) / 10))
		b.leave(p, at(float64(i)/10), bad)
	}
	p, _ := b.enter(at(11))
	b.leave(p, at(11), bad)
	if got := phase(b.word.Load() & 3); got != closed {
		t.Errorf("%v: nine failures of eleven seconds ago still count", got)
	}
}

// Half-open, only a few requests test the service, however many come at once;
// what was sent before the breaker opened says nothing about now.
func TestHalfOpenIsBounded(t *testing.T) {
	b := newBreaker(Breaker{FailureRate: 0.5, Minimum: 1, Window: 10 * time.Second, Pause: time.Second}, nil)
	early, _ := b.enter(0)
	p, _ := b.enter(0)
	b.leave(p, 0, bad)
	now := int64(time.Second)
	var mu sync.Mutex
	var passes []pass
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if p, ok := b.enter(now); ok {
				mu.Lock()
				passes = append(passes, p)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(passes) != halfOpenProbes {
		t.Fatalf("%d probes at a time, want %d", len(passes), halfOpenProbes)
	}
	b.leave(early, now, bad)
	b.leave(passes[0], now, neutral) // its client went away: the slot is free again
	p, ok := b.enter(now)
	if !ok {
		t.Fatal("a probe without a verdict keeps its slot")
	}
	for _, p := range append(passes[1:], p) {
		b.leave(p, now, good)
	}
	if got := phase(b.word.Load() & 3); got != closed {
		t.Errorf("%v after %d good probes", got, halfOpenProbes)
	}
}

// A probe that panics gives its slot back and opens the breaker again.
func TestPanicLeavesNothingBehind(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(1), Breaker: &Breaker{}}, Options{Open: f.open})
	f.at(addr(0)).answers(func(*exchange.Exchange) error { panic("test") })
	for range 100 {
		func() {
			defer func() { recover() }()
			do(s)
		}()
	}
	if st := s.State(); st.InFlight != 0 || st.Targets[0].InFlight != 0 || st.Failures == 0 {
		t.Errorf("after panics: %d in flight, %d at the target, %d failures", st.InFlight, st.Targets[0].InFlight, st.Failures)
	}
}

func TestWhatIsAFailure(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		err    error
		want   verdict
	}{
		{"an answer", 200, nil, good},
		{"a crash of one request", 500, nil, good},
		{"a client error", 404, nil, good},
		{"bad gateway", 502, nil, bad},
		{"overload", 503, nil, bad},
		{"gateway timeout", 504, nil, bad},
		{"no connection", 0, exchange.ConnectFailed.Because(nil), bad},
		{"reset", 0, exchange.UpstreamReset.Because(nil), bad},
		{"silence", 0, exchange.UpstreamTimeout.Because(nil), bad},
		{"nonsense", 0, exchange.UpstreamMalformed.Because(nil), bad},
		{"our own limit", 0, exchange.TargetBusy.Because(nil), neutral},
		{"a kept connection that was closed", 0, exchange.UpstreamStale.Because(nil), neutral},
		{"the client left", 0, exchange.ClientGone.Because(nil), neutral},
		{"the client's body", 0, exchange.BadBody.Because(nil), neutral},
		{"anything else", 0, errors.New("x"), neutral},
	} {
		x := request("GET", nil)
		x.Response.Status = c.status
		if got := judge(x, c.err); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
}

// A route's deadline counts against a target that was silent most of the time,
// and never when the client had not sent everything.
func TestDeadlineOfASilentTarget(t *testing.T) {
	x := request("GET", nil)
	x.Start = time.Now()
	x.Deadline = x.Start.Add(time.Second)
	err := exchange.ExchangeTimeout.Because(nil)
	x.Upstream = 900 * time.Millisecond
	if judge(x, err) != bad {
		t.Error("a target silent for 0.9 of 1 s is not blamed")
	}
	x.Upstream = 100 * time.Millisecond
	if judge(x, err) != neutral {
		t.Error("a target that had 0.1 of 1 s is blamed")
	}
	x.Upstream = 900 * time.Millisecond
	x.Request.Body = &pieces{list: []string{"slow"}}
	if judge(x, err) != neutral {
		t.Error("a target that waits for the client's body is blamed")
	}
}
