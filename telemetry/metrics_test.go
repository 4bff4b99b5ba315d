package telemetry

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

func newMetrics() *Metrics { return NewMetrics(Build{"1.2.3", "abc"}, exchange.Codes) }

// scrape returns the gateway's own samples.
func scrape(t testing.TB, m *Metrics) []string {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.Write(&b, ""); err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "gopura_") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func wantSamples(t *testing.T, m *Metrics, want ...string) {
	t.Helper()
	got := scrape(t, m)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("no %s in\n%s", w, strings.Join(got, "\n"))
		}
	}
}

func wantNone(t *testing.T, m *Metrics, part string) {
	t.Helper()
	for _, s := range scrape(t, m) {
		if strings.Contains(s, part) {
			t.Errorf("there is %s", s)
		}
	}
}

func TestRouteMetrics(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	r := m.Route(s, "orders")
	r.InFlight.Add(1)
	x := sample()
	r.Observe(x, 3*time.Millisecond)
	x.Response.Status = 503 // the service's own
	r.Observe(x, time.Minute)
	x.Err = exchange.UpstreamBroken.Because(nil)
	x.Response.Status = 200
	r.Observe(x, -1)
	x.Err = exchange.ClientGone.Because(nil)
	x.Response.Status = 0
	r.Observe(x, 10*time.Millisecond)
	x.Err = &exchange.Error{Code: "of a plugin", Status: 999}
	r.Observe(x, 10*time.Millisecond)
	wantSamples(t, m,
		`gopura_requests_total{code="",route="orders",side="",status="2xx"} 1`,
		`gopura_requests_total{code="",route="orders",side="",status="4xx"} 0`,
		`gopura_requests_total{code="",route="orders",side="",status="5xx"} 1`,
		`gopura_requests_total{code="upstream_broken_body",route="orders",side="upstream",status="2xx"} 1`,
		`gopura_requests_total{code="client_gone",route="orders",side="client",status="4xx"} 1`,
		`gopura_requests_total{code="other",route="orders",side="gateway",status="none"} 1`,
		`gopura_request_duration_seconds_bucket{route="orders",le="0.0005"} 1`,
		`gopura_request_duration_seconds_bucket{route="orders",le="0.0025"} 1`,
		`gopura_request_duration_seconds_bucket{route="orders",le="0.005"} 2`,
		`gopura_request_duration_seconds_bucket{route="orders",le="0.01"} 4`,
		`gopura_request_duration_seconds_bucket{route="orders",le="30"} 4`,
		`gopura_request_duration_seconds_bucket{route="orders",le="+Inf"} 5`,
		`gopura_request_duration_seconds_count{route="orders"} 5`,
		`gopura_request_duration_seconds_sum{route="orders"} 60.023`,
		`gopura_requests_in_flight{route="orders"} 1`,
		`gopura_request_body_bytes_total{route="orders"} 85`,
		`gopura_response_body_bytes_total{route="orders"} 5120`,
	)
}

func TestUpstreamMetrics(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	users := m.Service(s, "users")
	users.Retries.Inc()
	users.RetriesRefused.Add(2)
	users.Breaker.Set(BreakerOpen)
	a := m.Target(s, "users", "10.0.0.1:8080")
	a.InFlight.Add(3)
	a.Ejections.Inc()
	a.Active.Set(3)
	a.Idle.Set(5)
	a.Attempt(204, nil, 3*time.Millisecond)
	a.Attempt(0, exchange.ConnectFailed.Because(nil), time.Second)
	m.Target(s, "users", "10.0.0.2:8080").Healthy.Set(0)
	const one = `service="users",target="10.0.0.1:8080"`
	wantSamples(t, m,
		`gopura_service_retries_total{service="users"} 1`,
		`gopura_service_retries_refused_total{service="users"} 2`,
		`gopura_service_breaker_state{service="users"} 2`,
		`gopura_upstream_attempts_total{outcome="2xx",`+one+`} 1`,
		`gopura_upstream_attempts_total{outcome="5xx",`+one+`} 0`,
		`gopura_upstream_attempts_total{outcome="upstream_connect_failed",`+one+`} 1`,
		`gopura_upstream_duration_seconds_count{`+one+`} 1`,
		`gopura_upstream_in_flight{`+one+`} 3`,
		`gopura_upstream_healthy{`+one+`} 1`,
		`gopura_upstream_healthy{service="users",target="10.0.0.2:8080"} 0`,
		`gopura_upstream_ejections_total{`+one+`} 1`,
		`gopura_upstream_connections{service="users",state="active",target="10.0.0.1:8080"} 3`,
		`gopura_upstream_connections{service="users",state="idle",target="10.0.0.1:8080"} 5`,
	)
}

func TestGatewayMetrics(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	m.Refused()
	wantNone(t, m, "gopura_config_info")
	m.Applied(7, "f00d", time.UnixMilli(1_800_000_000_500))
	m.Applied(8, "beef", time.UnixMilli(1_800_000_001_500))
	l := m.Listener(s, "web")
	l.Accepted.Add(10)
	l.Closed.Add(4)
	l.Refused.Inc()
	l.Full.Add(2)
	m.Listener(s, "plain")
	m.AccessDropped.Set(3)
	wantSamples(t, m,
		`gopura_config_reloads_total{outcome="applied"} 2`,
		`gopura_config_reloads_total{outcome="refused"} 1`,
		`gopura_config_last_applied_timestamp_seconds 1.8000000015e+09`,
		`gopura_config_generation 8`,
		`gopura_config_info{hash="beef"} 1`,
		`gopura_connections_accepted_total{listener="web"} 10`,
		`gopura_connections_open{listener="web"} 6`,
		`gopura_connections_refused_total{listener="web"} 1`,
		`gopura_tls_handshakes_total{listener="web",outcome="full"} 2`,
		`gopura_tls_handshakes_total{listener="web",outcome="resumed"} 0`,
		`gopura_access_records_dropped_total 3`,
	)
	wantNone(t, m, "f00d")
	wantNone(t, m, `handshakes_total{listener="plain"`)
}

// A handle is one as long as somebody holds its name, so a reload loses no count.
func TestHandlesLiveAcrossReloads(t *testing.T) {
	m := newMetrics()
	first, second := new(lifetime.Scope), new(lifetime.Scope)
	old := m.Route(first, "orders")
	m.Route(first, "gone")
	old.Observe(sample(), 0)
	r := m.Route(second, "orders")
	m.Route(second, "new")
	first.Close()
	old.Observe(sample(), 0) // the last request of the old snapshot
	r.Observe(sample(), 0)
	wantSamples(t, m, `gopura_requests_total{code="",route="orders",side="",status="2xx"} 3`)
	wantNone(t, m, `"gone"`)
	second.Close()
	wantNone(t, m, "route=")
	if n := m.Route(new(lifetime.Scope), "orders"); n == r {
		t.Error("a forgotten handle came back")
	}
}

func TestOnScrape(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	ejected := uint64(0)
	target := m.Target(s, "users", "a:1")
	m.OnScrape(s, func() { ejected++; target.Ejections.Set(ejected) })
	m.OnScrape(s, func() { target.Idle.Set(2) })
	wantSamples(t, m, `gopura_upstream_ejections_total{service="users",target="a:1"} 1`)
	wantSamples(t, m, `gopura_upstream_ejections_total{service="users",target="a:1"} 2`,
		`gopura_upstream_connections{service="users",state="idle",target="a:1"} 2`)
	s.Close()
	scrape(t, m)
	if ejected != 2 {
		t.Error("a hook outlived its scope")
	}
}

// Scrapes, reloads and requests go on at the same time.
func TestConcurrentUse(t *testing.T) {
	m := newMetrics()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			x := sample()
			for range 200 {
				var s lifetime.Scope
				r := m.Route(&s, "orders")
				m.OnScrape(&s, func() {})
				x.Err = nil
				r.Observe(x, time.Millisecond)
				x.Err = exchange.NoTarget.Because(nil)
				r.Observe(x, time.Millisecond)
				s.Close()
			}
		})
	}
	for range 20 {
		scrape(t, m)
	}
	wg.Wait()
	wantNone(t, m, "orders")
}

// What is not valid in a label must not cost the whole scrape.
func TestNamesOfAnyBytes(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	m.Route(s, "a\xff\"\n")
	m.Target(s, "\xff", "\xfe")
	m.Applied(1, "\xff", time.Now())
	wantSamples(t, m, `gopura_requests_in_flight{route="a`+"\ufffd"+`\"\n"} 0`)
}

func TestFormats(t *testing.T) {
	m := newMetrics()
	for accept, want := range map[string]string{
		"":                                 "text/plain; version=0.0.4; charset=utf-8",
		"*/*":                              "text/plain; version=0.0.4; charset=utf-8",
		"application/openmetrics-text":     "application/openmetrics-text; version=0.0.1; charset=utf-8",
		"application/json, text/html;q=.1": "text/plain; version=0.0.4; charset=utf-8",
	} {
		var b bytes.Buffer
		got, err := m.Write(&b, accept)
		if media, _, _ := strings.Cut(got, "; escaping"); err != nil || media != want {
			t.Errorf("%q: %q, %v", accept, got, err)
		}
		if open := strings.HasPrefix(want, "application/openmetrics"); open != strings.HasSuffix(b.String(), "# EOF\n") {
			t.Errorf("%q: ends in %q", accept, b.String()[b.Len()-20:])
		}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, part := range []string{"gopura_build_info{", "go_goroutines ", "process_open_fds "} {
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), part) {
			t.Errorf("%d without %s", w.Code, part)
		}
	}
}

// The table follows the conventions for names, and every metric in it can be seen.
func TestNames(t *testing.T) {
	m, s := newMetrics(), new(lifetime.Scope)
	m.Route(s, "r").Observe(sample(), 0)
	m.Service(s, "s")
	m.Target(s, "s", "t").Attempt(200, nil, 0)
	m.Listener(s, "l").Full.Inc()
	m.Limited(s, "r", "limit", "enforce").Inc()
	m.Call(s, "r", "user").Observe(&exchange.Call{Status: 200, Requests: 1})
	m.Shadowed(s, "r", "limit", "rate_limited").Inc()
	m.Certificate(s, "l", "shop.test")
	m.KeySet(s, "idp").At.Set(time.Now().Unix())
	m.ReadStores(func() []StoreSample {
		return []StoreSample{{Kind: "redis", Limits: []LimitSample{{Name: "l"}}, Shared: &SharedSample{Mode: "leased", OnFailure: "local"}}}
	})
	m.ReadCaches(func() CacheSample {
		return CacheSample{Storages: []CacheStorage{{Name: "shared"}}, Owners: []CacheOwner{{Name: "r", Outcomes: []CacheOutcome{{Name: "hit", Count: 1}}}}}
	})
	m.Applied(1, "h", time.Now())
	var b bytes.Buffer
	m.Write(&b, "")
	page := string(Reference())
	seen := map[string]bool{}
	for _, n := range Names() {
		if seen[n.Name] || n.Help == "" || !strings.HasSuffix(n.Help, ".") || strings.Contains(n.Help, "|") {
			t.Errorf("%+v", n)
		}
		seen[n.Name] = true
		if (n.Kind == "counter") != strings.HasSuffix(n.Name, "_total") || n.Kind == "histogram" && !strings.HasSuffix(n.Name, "_seconds") {
			t.Errorf("%s is a %s", n.Name, n.Kind)
		}
		if !strings.Contains(b.String(), "# TYPE "+n.Name+" "+n.Kind+"\n") {
			t.Errorf("%s %s is not exposed", n.Kind, n.Name)
		}
		if !strings.Contains(page, "| `"+n.Name+"` | "+n.Kind+" |") {
			t.Errorf("%s is not in the docs", n.Name)
		}
	}
	if got := strings.Count(b.String(), "# TYPE gopura_"); got != len(seen) {
		t.Errorf("%d metrics exposed, %d in the table", got, len(seen))
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m, s := newMetrics(), new(lifetime.Scope)
	r, target := m.Route(s, "orders"), m.Target(s, "users", "a:1")
	fine, bad := sample(), sample()
	bad.Err = exchange.UpstreamTimeout.Because(nil)
	for name, f := range map[string]func(){
		"fine":    func() { r.Observe(fine, time.Millisecond) },
		"bad":     func() { r.Observe(bad, time.Millisecond) },
		"attempt": func() { target.Attempt(200, nil, time.Millisecond); target.Attempt(0, bad.Err, 0) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	r := newMetrics().Route(new(lifetime.Scope), "orders")
	x := sample()
	b.ReportAllocs()
	for b.Loop() {
		r.Observe(x, 12*time.Millisecond)
	}
}

func BenchmarkObserveError(b *testing.B) {
	r := newMetrics().Route(new(lifetime.Scope), "orders")
	x := sample()
	x.Err = exchange.UpstreamTimeout.Because(nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Observe(x, 12*time.Millisecond)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	r := newMetrics().Route(new(lifetime.Scope), "orders")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		x := sample()
		for pb.Next() {
			r.Observe(x, 12*time.Millisecond)
		}
	})
}

// A scrape of a large configuration, a tenth of which has traffic.
func BenchmarkScrape1000Routes(b *testing.B) {
	m, s := newMetrics(), new(lifetime.Scope)
	for i := range 1000 {
		if r := m.Route(s, "route "+strconv.Itoa(i)); i%10 == 0 {
			r.Observe(sample(), time.Millisecond)
		}
	}
	var w bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		w.Reset()
		if _, err := m.Write(&w, ""); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.Len()), "B/scrape")
}
