package telemetry

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"gopura/exchange"
	"gopura/lifetime"
)

// Build says which build of the gateway this is.
type Build struct {
	Version  string
	Revision string
}

// Metrics holds every metric of a gateway. It is safe for concurrent use.
type Metrics struct {
	AccessDropped Counter // access records that were lost
	Retiring      Gauge   // earlier configurations that are still in use
	Spans         Spans   // of traces
	Rollbacks     Counter // earlier configurations that were put in force again

	registry *prometheus.Registry
	descs    [metricCount]*prometheus.Desc
	Pressure Pressure // of the gateway itself

	codes     *codes
	build     Build
	routes    handles[string, Route]
	services  handles[string, Service]
	targets   handles[targetKey, Target]
	listeners handles[string, Listener]
	limits    handles[limitKey, Limited]
	shadows   handles[shadowKey, Shadowed]
	hooks     handles[*func(), func()]
	calls     handles[callKey, Call]

	certificates handles[certificateKey, Certificate]
	keySets      handles[string, KeySet]

	scrape sync.Mutex // hooks run one at a time
	stores atomic.Pointer[func() []StoreSample]
	caches atomic.Pointer[func() CacheSample]

	mu               sync.Mutex
	applied, refused uint64
	appliedAt        time.Time
	hash             string
	generation       uint64
}

type limitKey struct{ route, policy, mode string }

type shadowKey struct{ route, policy, code string }

type targetKey struct{ service, address string }

// NewMetrics returns the metrics of a gateway whose errors have the given
// codes, usually exchange.Codes. An error with another code counts as "other".
func NewMetrics(b Build, list []*exchange.Code) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), codes: newCodes(list), build: b}
	for i, t := range table {
		m.descs[i] = prometheus.NewDesc(t.Name, t.Help, t.Labels, nil)
	}
	m.registry.MustRegister(
		collector{m},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Route returns the handle of a route, held by s. The name "" is for requests
// that reach no route.
func (m *Metrics) Route(s *lifetime.Scope, name string) *Route {
	name = label(name)
	return m.routes.hold(s, name, func() *Route { return &Route{codes: m.codes, name: name} })
}

// Service returns the handle of a service, held by s.
func (m *Metrics) Service(s *lifetime.Scope, name string) *Service {
	name = label(name)
	return m.services.hold(s, name, func() *Service { return &Service{name: name} })
}

// Target returns the handle of a target, held by s.
func (m *Metrics) Target(s *lifetime.Scope, service, address string) *Target {
	key := targetKey{label(service), label(address)}
	return m.targets.hold(s, key, func() *Target {
		t := &Target{codes: m.codes, service: key.service, name: key.address, outcomes: newOutcomes(m.codes)}
		t.Healthy.Set(1)
		return t
	})
}

// Listener returns the handle of a listener, held by s.
func (m *Metrics) Listener(s *lifetime.Scope, name string) *Listener {
	name = label(name)
	return m.listeners.hold(s, name, func() *Listener { return &Listener{name: name} })
}

// Limited returns the handle of a policy that limits, in a mode, held by s.
func (m *Metrics) Limited(s *lifetime.Scope, route, policy, mode string) *Limited {
	key := limitKey{label(route), policy, mode}
	return m.limits.hold(s, key, func() *Limited { return &Limited{key: key} })
}

// Shadowed returns the handle of the refusals with a code that a policy would
// have made in shadow mode, held by s.
func (m *Metrics) Shadowed(s *lifetime.Scope, route, policy, code string) *Shadowed {
	key := shadowKey{label(route), policy, code}
	return m.shadows.hold(s, key, func() *Shadowed { return &Shadowed{key: key} })
}

// OnScrape has f called before metrics are read, until s is closed: to set
// what somebody else keeps count of. Calls do not overlap; one that has begun
// may end after s is closed.
func (m *Metrics) OnScrape(s *lifetime.Scope, f func()) {
	m.hooks.hold(s, &f, func() *func() { return &f })
}

// Applied notes that a configuration is in force.
func (m *Metrics) Applied(generation uint64, hash string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied++
	m.generation, m.hash, m.appliedAt = generation, label(hash), at
}

// Refused notes that a configuration was refused and changed nothing.
func (m *Metrics) Refused() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused++
}

// Write writes all metrics in the format that an Accept header asks for, and
// returns its content type.
func (m *Metrics) Write(w io.Writer, accept string) (contentType string, err error) {
	format := expfmt.NegotiateAccept(http.Header{"Accept": {accept}}, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	families, err := m.registry.Gather()
	if err != nil {
		return "", err
	}
	enc := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return "", err
		}
	}
	if c, ok := enc.(expfmt.Closer); ok {
		err = c.Close() // the "# EOF" of OpenMetrics
	}
	return string(format), err
}

// Handler serves what Write writes, compressed when the client wants it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
