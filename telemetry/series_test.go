package telemetry

import (
	"fmt"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

func seriesOf(t testing.TB) (*Metrics, *Series, *lifetime.Scope, func()) {
	t.Helper()
	m := NewMetrics(Build{}, exchange.Codes)
	s, scope := NewSeries(m), new(lifetime.Scope)
	now := time.Unix(1_000_000, 0)
	return m, s, scope, func() { s.Look(now); now = now.Add(Tick) }
}

func served(r *Route, status int, took time.Duration, n int) {
	x := &exchange.Exchange{}
	x.Response.Status = status
	for range n {
		r.Observe(x, took)
	}
}

func TestSeriesSayWhatFlowed(t *testing.T) {
	m, s, scope, tick := seriesOf(t)
	r := m.Route(scope, "GET /users/{id}")
	served(r, 200, time.Millisecond, 1000) // before anybody looked: no traffic of now
	tick()
	served(r, 200, 4*time.Millisecond, 20)
	served(r, 503, 4*time.Millisecond, 5)
	served(r, 404, 4*time.Millisecond, 5)
	m.Limited(scope, "GET /users/{id}", "limit", "enforce").Add(5)
	tick()
	got := map[string]Sample{}
	if _, span := s.Latest(func(id, _ string, v Sample) { got[id] = v }); span != Tick {
		t.Errorf("a sample of %v", span)
	}
	v := got["route:GET /users/{id}"]
	if v.Rate != 12 || v.Errors != 2 || v.Refused != 2 || v.Limited != 2 {
		t.Errorf("%+v", v)
	}
	if v.P50 < 2.5 || v.P50 > 5 || v.P99 < v.P95 || v.P99 > 5 {
		t.Errorf("a request of 4 ms: %+v", v)
	}
	if got[TotalID].Rate != 12 {
		t.Errorf("total: %+v", got[TotalID])
	}
	tick() // the end of a step, in whose second half nothing came
	kept := s.Kept("route:GET /users/{id}", 3)
	if len(kept) != 3 || kept[2].Rate != 6 || kept[1].Rate != 0 {
		t.Errorf("%+v", kept)
	}
}

// A ring is for what has traffic: it comes with the first request and goes when
// none has come for as long as it reaches.
func TestRingsAreForTraffic(t *testing.T) {
	m, s, scope, tick := seriesOf(t)
	var routes []*Route
	for i := range 100 {
		routes = append(routes, m.Route(scope, fmt.Sprint("r", i)))
	}
	tick()
	served(routes[7], 200, time.Millisecond, 1)
	tick()
	tick()
	if ids, _ := s.IDs("route"); len(ids) != 1 || ids[0] != "route:r7" {
		t.Errorf("%v", ids)
	}
	for range 2*steps + 4 {
		tick()
	}
	if ids, _ := s.IDs(""); len(ids) != 0 || s.rings != 0 {
		t.Errorf("%v", ids)
	}
	scope.Close()
	tick()
	if s.Kept("route:r7", 1) != nil || len(s.lines) != 1 { // the total
		t.Errorf("%d lines of handles that are gone", len(s.lines))
	}
}

func TestRingsAreBounded(t *testing.T) {
	m, s, scope, tick := seriesOf(t)
	tick()
	for i := range maxRings + 10 {
		served(m.Route(scope, fmt.Sprint("r", i)), 200, time.Millisecond, 1)
	}
	tick()
	tick()
	if s.rings != maxRings {
		t.Errorf("%d rings", s.rings)
	}
}

// A handle that was let go and comes again counts from nothing; that is no
// traffic of minus a thousand.
func TestCountersThatBeginAnew(t *testing.T) {
	m, s, scope, tick := seriesOf(t)
	served(m.Route(scope, "r"), 200, time.Millisecond, 100)
	tick()
	scope.Close()
	served(m.Route(new(lifetime.Scope), "r"), 200, time.Millisecond, 5)
	tick()
	s.Latest(func(id, _ string, v Sample) {
		if id == "route:r" && v.Rate != 2 {
			t.Errorf("%+v", v)
		}
	})
}

// BenchmarkLook is what a look at 1,000 routes costs, every 2.5 s.
func BenchmarkLook(b *testing.B) {
	m, _, scope, _ := seriesOf(b)
	for i := range 1000 {
		r := m.Route(scope, fmt.Sprint("r", i))
		served(r, 200, time.Millisecond, 1)
		x := &exchange.Exchange{Err: exchange.NoRoute.Because(nil)}
		r.Observe(x, 1)
	}
	s := NewSeries(m)
	now := time.Now()
	for b.Loop() {
		now = now.Add(Tick)
		s.Look(now)
	}
}
