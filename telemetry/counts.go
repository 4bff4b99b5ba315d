package telemetry

import "sync/atomic"

// The ids of what series are kept for. They stay as long as the names do.
const TotalID = "total"

// ListenerID returns the id of a listener.
func ListenerID(name string) string { return "listener:" + name }

// RouteID returns the id of a route.
func RouteID(name string) string { return "route:" + name }

// CallID returns the id of a call of a composed route.
func CallID(route, call string) string { return "call:" + route + "/" + call }

// ServiceID returns the id of a service.
func ServiceID(name string) string { return "service:" + name }

// TargetID returns the id of a target.
func TargetID(service, address string) string { return "target:" + service + "/" + address }

// counts is what the counters of a series say.
type counts struct {
	requests, errors, refused, limited uint64
	inFlight                           int64
	buckets                            [len(bounds) + 1]uint64
}

func (c *counts) add(o *counts) {
	c.requests += o.requests
	c.errors += o.errors
	c.refused += o.refused
	c.limited += o.limited
	c.inFlight += o.inFlight
	for i := range c.buckets {
		c.buckets[i] += o.buckets[i]
	}
}

func (c *counts) take(h *histogram) {
	for i := range c.buckets {
		c.buckets[i] = h.buckets[i].Load()
	}
}

// class counts n requests that ended with a status of a class.
func (c *counts) class(class int, n uint64) {
	c.requests += n
	switch class {
	case 0, 5:
		c.errors += n
	case 4:
		c.refused += n
	}
}

// read calls f with what the counters of each series say now.
func (m *Metrics) read(f func(id, kind string, c *counts)) {
	limited := map[string]uint64{}
	for _, l := range m.limits.all() {
		if l.key.mode == "enforce" {
			limited[l.key.route] += l.n.Load()
		}
	}
	var total counts
	for _, r := range m.routes.all() {
		c := r.counts()
		c.limited = limited[r.name]
		total.add(&c)
		f(RouteID(r.name), "route", &c)
	}
	f(TotalID, TotalID, &total)
	services := map[string]*counts{}
	for _, t := range m.targets.all() {
		c := outcomesOf(t.outcomes, &t.duration)
		f(TargetID(t.service, t.name), "target", &c)
		if services[t.service] == nil {
			services[t.service] = new(counts)
		}
		services[t.service].add(&c)
	}
	for name, c := range services {
		f(ServiceID(name), "service", c)
	}
	for _, k := range m.calls.all() {
		c := outcomesOf(k.outcomes, &k.duration)
		f(CallID(k.key.route, k.key.call), "call", &c)
	}
	for _, l := range m.listeners.all() {
		c := counts{requests: l.Requests.n.Load(), errors: l.Errors.n.Load(), inFlight: int64(l.Accepted.n.Load() - l.Closed.n.Load())}
		f(ListenerID(l.name), "listener", &c)
	}
}

func (r *Route) counts() (c counts) {
	for class := range r.answered {
		c.class(class, r.answered[class].Load())
	}
	if cells := r.failed.Load(); cells != nil {
		n := len(r.codes.list)
		for class := range classes {
			sum := uint64(0)
			for i := range (*cells)[class*n : (class+1)*n] {
				sum += (*cells)[class*n+i].Load()
			}
			c.class(class, sum)
		}
	}
	c.inFlight = r.InFlight.n.Load()
	c.take(&r.duration)
	return c
}

// outcomesOf counts attempts or calls: an error is one whatever its class.
func outcomesOf(outcomes []atomic.Uint64, h *histogram) (c counts) {
	for i := range outcomes {
		if n := outcomes[i].Load(); i < classes {
			c.class(i, n)
		} else {
			c.class(0, n)
		}
	}
	c.take(h)
	return c
}

// until is what flowed between two looks. Counters that have begun anew count
// from nothing.
func (c *counts) until(now *counts, seconds float64) (s Sample) {
	s.InFlight = int32(max(now.inFlight, 0))
	if seconds <= 0 {
		return s
	}
	from := *c
	if now.requests < from.requests {
		from = counts{}
	}
	per := func(a, b uint64) float32 {
		if b < a {
			return 0
		}
		return float32(float64(b-a) / seconds)
	}
	s.Rate, s.Errors = per(from.requests, now.requests), per(from.errors, now.errors)
	s.Refused, s.Limited = per(from.refused, now.refused), per(from.limited, now.limited)
	var delta [len(bounds) + 1]uint64
	n := uint64(0)
	for i := range delta {
		if now.buckets[i] > from.buckets[i] {
			delta[i] = now.buckets[i] - from.buckets[i]
			n += delta[i]
		}
	}
	if n > 0 {
		s.P50, s.P95, s.P99 = quantile(&delta, n, 0.5), quantile(&delta, n, 0.95), quantile(&delta, n, 0.99)
	}
	return s
}

// quantile estimates a quantile in milliseconds, as if durations were spread
// evenly within their bucket; what is longer than the last bound counts as that.
func quantile(delta *[len(bounds) + 1]uint64, n uint64, q float64) float32 {
	rank := q * float64(n)
	seen := 0.0
	for i, bound := range bounds {
		in := float64(delta[i])
		if in > 0 && seen+in >= rank {
			low := 0.0
			if i > 0 {
				low = float64(bounds[i-1])
			}
			return float32((low + (float64(bound)-low)*(rank-seen)/in) / 1e6)
		}
		seen += in
	}
	return float32(bounds[len(bounds)-1].Seconds() * 1e3)
}
