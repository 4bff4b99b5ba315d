package telemetry

import "time"

// Durations counts how long things took, in the buckets of the metrics, where one
// goroutine counts at a time. The zero value is ready.
type Durations [len(bounds) + 1]uint32

// Add counts one.
func (d *Durations) Add(took time.Duration) { d[bucketOf(took)]++ }

// With adds what another has counted.
func (d *Durations) With(more *Durations) {
	for i := range d {
		d[i] += more[i]
	}
}

// Quantiles estimates the median and the 95th and 99th percentile, in
// milliseconds; zeros when nothing was counted.
func (d *Durations) Quantiles() (p50, p95, p99 float32) {
	var all [len(bounds) + 1]uint64
	n := uint64(0)
	for i := range d {
		all[i] = uint64(d[i])
		n += all[i]
	}
	if n == 0 {
		return 0, 0, 0
	}
	return quantile(&all, n, 0.5), quantile(&all, n, 0.95), quantile(&all, n, 0.99)
}
