package telemetry

import (
	"strings"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

// The calls of a composed answer stand in its record, in both formats.
func TestCallsInRecords(t *testing.T) {
	x := &exchange.Exchange{Start: time.Unix(1e9, 0)}
	x.Calls = []exchange.Call{
		{Name: "user", Service: "users", Target: "10.0.0.1:80", Status: 200, Requests: 1, Duration: 1204 * time.Microsecond},
		{Name: "orders", Service: "orders", Code: "upstream_timeout", Requests: 1, Start: time.Millisecond, Duration: 300 * time.Millisecond},
	}
	var r record
	r.json(x, x.Start.Add(time.Second))
	const want = `,"calls":[{"name":"user","service":"users","target":"10.0.0.1:80","status":200,"code":"","requests":1,"start_ms":0.000,"duration_ms":1.204},` +
		`{"name":"orders","service":"orders","target":"","status":0,"code":"upstream_timeout","requests":1,"start_ms":1.000,"duration_ms":300.000}]}`
	if got := strings.TrimSpace(string(r.line)); !strings.HasSuffix(got, want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	r.line = r.line[:0]
	r.text(x, x.Start.Add(time.Second))
	if got := strings.TrimSpace(string(r.line)); !strings.HasSuffix(got, " calls=user:200:1.204,orders:upstream_timeout:300.000") {
		t.Error(got)
	}
}

// To count a call allocates nothing; one that was not made is not counted.
func TestObserveCall(t *testing.T) {
	m := NewMetrics(Build{}, exchange.Codes)
	h := m.Call(new(lifetime.Scope), "r", "user")
	h.Observe(&exchange.Call{})
	made := &exchange.Call{Status: 200, Requests: 1, Duration: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() { h.Observe(made) }); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
	if n := h.outcomes[2].Load(); n != 101 {
		t.Errorf("%d counted", n)
	}
}
