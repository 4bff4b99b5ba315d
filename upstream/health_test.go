package upstream

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

// A target goes after the configured failures in a row and comes back after
// the configured successes; its very first check decides alone.
func TestHealthThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		f.at(addr(1)).answers(status(500))
		s := mustOpen(t, Settings{
			Targets: urls(2),
			Health:  &Health{Path: "/healthz?deep=1", Interval: 10 * time.Second, Healthy: 2, Unhealthy: 3},
		}, Options{Open: f.open})
		health := func(i int) string { return s.State().Targets[i].Health }
		if health(0) != "unchecked" {
			t.Errorf("before the first check: %s", health(0))
		}
		if _, err := do(s); err != nil {
			t.Errorf("before the first check: %v, want an answer", err)
		}
		time.Sleep(time.Second)
		if health(0) != "healthy" || health(1) != "unhealthy" {
			t.Fatalf("after the first check: %s, %s", health(0), health(1))
		}

		f.at(addr(0)).answers(status(500))
		checks := 0
		for health(0) == "healthy" {
			time.Sleep(time.Second)
			if checks++; checks > 100 {
				t.Fatal("three failed checks changed nothing")
			}
		}
		if checks < 18 || checks > 34 { // three intervals, each a tenth shorter or longer
			t.Errorf("unhealthy after %d s, want about 30", checks)
		}
		if _, err := do(s); !exchange.NoTarget.Is(err) {
			t.Errorf("all unhealthy: %v, want no_healthy_target at once", err)
		}
		if got := s.State().Targets[0].HealthError; got != "status 500 is not in 200-399" {
			t.Errorf("the state explains: %q", got)
		}

		f.at(addr(0)).answers(status(204))
		time.Sleep(23 * time.Second)
		if health(0) != "healthy" {
			t.Errorf("after two good checks: %s", health(0))
		}
		if _, err := do(s); err != nil {
			t.Error(err)
		}
	})
}

func TestHealthRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		var got []string
		f.at(addr(0)).answers(func(x *exchange.Exchange) error {
			r := &x.Request
			got = append(got, r.Method+" "+r.Scheme+"://"+string(r.Authority)+" "+string(r.Path)+" ? "+string(r.Query))
			if x.Deadline.IsZero() {
				t.Error("a check without a deadline")
			}
			return status(200)(x)
		})
		mustOpen(t, Settings{Targets: urls(1), Health: &Health{Path: "/healthz?deep=1"}}, Options{Open: f.open})
		time.Sleep(time.Second)
		synctest.Wait()
		if want := "GET http://10.0.0.1:80 /healthz ? deep=1"; len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A target that never answers its check is unhealthy after the timeout, and
// the check doesn't outlive the service.
func TestHealthTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		f.at(addr(0)).answers(func(x *exchange.Exchange) error {
			<-x.Context().Done()
			return exchange.ExchangeTimeout.Because(x.Context().Err())
		})
		s := mustOpen(t, Settings{Targets: urls(1), Health: &Health{Path: "/", Timeout: time.Second}}, Options{Open: f.open})
		time.Sleep(2 * time.Second)
		if st := s.State().Targets[0]; st.Health != "unhealthy" || st.HealthError != "no answer within 1s" {
			t.Errorf("%+v", st)
		}
	})
}

// A TCP check connects, and goes away.
func TestHealthTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		up.Store(true)
		dial := func(_ context.Context, network, address string) (net.Conn, error) {
			if !up.Load() {
				return nil, errors.New("connection refused")
			}
			c, other := net.Pipe()
			other.Close()
			return c, nil
		}
		s := mustOpen(t, Settings{Targets: urls(1), Health: &Health{TCP: true, Unhealthy: 1}}, Options{Open: newFleet().open, Dial: dial})
		time.Sleep(time.Second)
		if got := s.State().Targets[0].Health; got != "healthy" {
			t.Fatal(got)
		}
		up.Store(false)
		time.Sleep(6 * time.Second)
		if st := s.State().Targets[0]; st.Health != "unhealthy" || st.HealthError != "connection refused" {
			t.Fatalf("%+v", st)
		}
	})
}

// Checks of many targets, and of one target over time, don't march in step.
func TestHealthJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		start := time.Now()
		seen := map[time.Duration]int{}
		var mu sync.Mutex
		f.answer = func(_ string, x *exchange.Exchange) error {
			mu.Lock()
			defer mu.Unlock()
			seen[time.Since(start).Truncate(time.Millisecond)]++
			return status(200)(x)
		}
		mustOpen(t, Settings{Targets: urls(20), Health: &Health{Path: "/", Interval: 5 * time.Second}}, Options{Open: f.open})
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for at, n := range seen {
			if at > 30*time.Second && n > 6 {
				t.Errorf("%d of 20 checks at %v", n, at)
			}
		}
	})
}

func TestStatusSet(t *testing.T) {
	set, err := parseStatusSet("200-299, 404")
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]bool{199: false, 200: true, 299: true, 300: false, 404: true, 500: false} {
		if set.has(status) != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
	for _, bad := range []string{"", "x", "200-", "300-200", "99", "600", "200,,204"} {
		if _, err := parseStatusSet(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
