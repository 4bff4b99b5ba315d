package telemetry

import (
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// collector turns the cells of handles into samples, when somebody asks.
type collector struct{ m *Metrics }

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.m.descs {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.m.runHooks()
	out := samples{&c.m.descs, ch}
	for _, r := range c.m.routes.all() {
		r.collect(out)
	}
	for _, s := range c.m.services.all() {
		out.count(serviceRetries, &s.Retries.n, s.name)
		out.count(serviceRetriesRefused, &s.RetriesRefused.n, s.name)
		out.gauge(serviceBreaker, float64(s.Breaker.n.Load()), s.name)
		out.gauge(serviceLimit, float64(s.Limit.n.Load()), s.name)
		out.gauge(serviceWaiting, float64(s.Waiting.n.Load()), s.name)
		s.Shed.collect(out, s.name)
	}
	for _, t := range c.m.targets.all() {
		t.collect(out)
	}
	for _, l := range c.m.limits.all() {
		out.count(limitedTotal, &l.n, l.key.route, l.key.policy, l.key.mode)
	}
	for _, s := range c.m.shadows.all() {
		out.count(shadowTotal, &s.n, s.key.route, s.key.policy, s.key.code)
	}
	for _, l := range c.m.listeners.all() {
		closed := l.Closed.n.Load() // before Accepted: open is never negative
		out.count(connectionsAccepted, &l.Accepted.n, l.name)
		out.count(connectionsRefused, &l.Refused.n, l.name)
		out.count(connectionsUnannounced, &l.Unannounced.n, l.name)
		out.gauge(connectionsOpen, float64(l.Accepted.n.Load()-closed), l.name)
		if l.Full.n.Load()+l.Resumed.n.Load()+l.Failed.n.Load() > 0 { // it speaks TLS
			out.count(tlsHandshakes, &l.Full.n, l.name, "full")
			out.count(tlsHandshakes, &l.Resumed.n, l.name, "resumed")
			out.count(tlsHandshakes, &l.Failed.n, l.name, "failed")
		}
	}
	for _, k := range c.m.calls.all() {
		k.collect(out)
	}
	c.m.collectStores(out)
	c.m.collectCaches(out)
	c.m.collectTrust(out)
	c.m.collect(out)
}

func (m *Metrics) runHooks() {
	m.scrape.Lock()
	defer m.scrape.Unlock()
	for _, f := range m.hooks.all() {
		(*f)()
	}
}

func (m *Metrics) collect(out samples) {
	m.mu.Lock()
	applied, refused, at, hash, generation := m.applied, m.refused, m.appliedAt, m.hash, m.generation
	m.mu.Unlock()
	out.counter(reloadsTotal, float64(applied), "applied")
	out.counter(reloadsTotal, float64(refused), "refused")
	if applied > 0 {
		out.gauge(configApplied, float64(at.UnixMilli())/1e3)
		out.gauge(configGeneration, float64(generation))
		out.gauge(configInfo, 1, hash)
	}
	m.Pressure.collect(out)
	out.count(spansTotal, &m.Spans.Sent.n, "sent")
	out.count(spansTotal, &m.Spans.Dropped.n, "dropped")
	out.count(spansTotal, &m.Spans.Failed.n, "failed")
	out.count(recordsDropped, &m.AccessDropped.n)
	out.count(configRollbacks, &m.Rollbacks.n)
	out.gauge(configRetiring, float64(m.Retiring.n.Load()))
	out.gauge(buildInfo, 1, label(m.build.Version), label(m.build.Revision), runtime.Version())
}

// collect shows the classes 2xx to 5xx from the start, so that the first error
// is an increase; rarer ones and errors by code when they have happened.
func (r *Route) collect(out samples) {
	for class := range r.answered {
		if n := r.answered[class].Load(); n > 0 || class >= 2 {
			out.counter(requestsTotal, float64(n), r.name, classNames[class], "", "")
		}
	}
	if cells := r.failed.Load(); cells != nil {
		for i := range *cells {
			if n := (*cells)[i].Load(); n > 0 {
				code := r.codes.list[i%len(r.codes.list)]
				out.counter(requestsTotal, float64(n), r.name, classNames[i/len(r.codes.list)], code.Name, code.Side.String())
			}
		}
	}
	out.histogram(requestSeconds, &r.duration, r.name)
	out.gauge(requestsInFlight, float64(r.InFlight.n.Load()), r.name)
	out.count(requestBytes, &r.received, r.name)
	out.count(responseBytes, &r.sent, r.name)
}

func newOutcomes(c *codes) []atomic.Uint64 { return make([]atomic.Uint64, classes+len(c.list)) }

func (t *Target) collect(out samples) {
	for i := range t.outcomes {
		n := t.outcomes[i].Load()
		switch {
		case i >= classes && n > 0:
			out.counter(attemptsTotal, float64(n), t.service, t.name, t.codes.list[i-classes].Name)
		case i < classes && (n > 0 || i >= 2):
			out.counter(attemptsTotal, float64(n), t.service, t.name, classNames[i])
		}
	}
	out.histogram(upstreamSeconds, &t.duration, t.service, t.name)
	out.gauge(targetInFlight, float64(t.InFlight.n.Load()), t.service, t.name)
	out.gauge(targetHealthy, float64(t.Healthy.n.Load()), t.service, t.name)
	out.count(targetEjections, &t.Ejections.n, t.service, t.name)
	out.gauge(targetConnections, float64(t.Active.n.Load()), t.service, t.name, "active")
	out.gauge(targetConnections, float64(t.Idle.n.Load()), t.service, t.name, "idle")
}

// samples sends samples to the registry.
type samples struct {
	descs *[metricCount]*prometheus.Desc
	ch    chan<- prometheus.Metric
}

func (s samples) count(metric int, n *atomic.Uint64, labels ...string) {
	s.counter(metric, float64(n.Load()), labels...)
}

func (s samples) counter(metric int, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.descs[metric], prometheus.CounterValue, v, labels...)
}

func (s samples) gauge(metric int, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.descs[metric], prometheus.GaugeValue, v, labels...)
}

// histogram shows a histogram that has an observation: of thousands of routes,
// those without traffic cost a scrape little.
func (s samples) histogram(metric int, h *histogram, labels ...string) {
	sum := float64(h.sum.Load()) / 1e9
	count := uint64(0)
	cumulative := make(map[float64]uint64, len(bounds))
	for i := range bounds {
		count += h.buckets[i].Load()
		cumulative[bounds[i].Seconds()] = count
	}
	if count += h.buckets[len(bounds)].Load(); count == 0 {
		return
	}
	m := prometheus.MustNewConstHistogram(s.descs[metric], count, sum, cumulative, labels...)
	s.ch <- h.withExemplars(m)
}
