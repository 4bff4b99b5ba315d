package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gopura/exchange"
)

// exemplars are the traces that stand for what a histogram counts: the last one
// of each bucket. Only OpenMetrics shows them.
type exemplars [len(bounds) + 1]atomic.Pointer[exemplar]

type exemplar struct {
	trace exchange.TraceID
	took  time.Duration
	at    time.Time
}

// exemplify makes the trace of x, which is recorded, the example of a bucket. It
// allocates: exchanges that are recorded may.
func (h *histogram) exemplify(bucket int, took time.Duration, x *exchange.Exchange) {
	list := h.exemplars.Load()
	if list == nil {
		h.exemplars.CompareAndSwap(nil, new(exemplars))
		list = h.exemplars.Load()
	}
	list[bucket].Store(&exemplar{x.Trace.ID, max(took, 0), x.Now})
}

func (h *histogram) withExemplars(m prometheus.Metric) prometheus.Metric {
	list := h.exemplars.Load()
	if list == nil {
		return m
	}
	var shown []prometheus.Exemplar
	for i := range list {
		if e := list[i].Load(); e != nil {
			shown = append(shown, prometheus.Exemplar{Value: e.took.Seconds(), Labels: prometheus.Labels{"trace_id": e.trace.String()}, Timestamp: e.at})
		}
	}
	with, err := prometheus.NewMetricWithExemplars(m, shown...)
	if err != nil {
		return m // the metric is worth more than its examples
	}
	return with
}
