package telemetry

import "slices"

// harmless are errors that say nothing against a configuration: the client has
// left, or asks more than it may.
var harmless = []string{"client_gone", "rate_limited", "quota_exceeded", "concurrency_limited", "identity_limited"}

// Failures counts what fails, from one look to the next.
type Failures struct {
	metrics *Metrics
	skip    []bool // by the number of the code
	last    map[*Route]tally
}

type tally struct{ requests, failures uint64 }

// NewFailures begins to count with the next look.
func NewFailures(m *Metrics) *Failures {
	f := &Failures{metrics: m, last: map[*Route]tally{}}
	for _, c := range m.codes.list {
		f.skip = append(f.skip, slices.Contains(harmless, c.Name))
	}
	f.Look()
	return f
}

// Look returns the requests that have ended since the last look, and how many of
// them failed: by 5xx, or because the gateway refused them.
func (f *Failures) Look() (requests, failures uint64) {
	next := make(map[*Route]tally, len(f.last))
	for _, r := range f.metrics.routes.all() {
		now := f.tally(r)
		was := f.last[r]
		next[r] = now
		requests += now.requests - was.requests
		failures += now.failures - was.failures
	}
	f.last = next
	return requests, failures
}

func (f *Failures) tally(r *Route) (t tally) {
	for class := range r.answered {
		n := r.answered[class].Load()
		t.requests += n
		if class == 5 {
			t.failures += n
		}
	}
	if cells := r.failed.Load(); cells != nil {
		for i := range *cells {
			n := (*cells)[i].Load()
			t.requests += n
			if !f.skip[i%len(f.skip)] {
				t.failures += n
			}
		}
	}
	return t
}
