package telemetry

// StoreSample is what the metrics show of a store of limits.
type StoreSample struct {
	Kind   string // memory, redis
	Up     bool
	Limits []LimitSample // names differ
	Shared *SharedSample // nil: it is of this process alone
}

// LimitSample is what they show of one limit.
type LimitSample struct {
	Name    string
	Keys    int
	Bytes   int64
	Evicted uint64
	Leased  int64
	Owed    int64
}

// SharedSample is what they show of a store that replicas share. All but
// Waiting are counts since the start.
type SharedSample struct {
	Mode, OnFailure   string // who decides, and who else does
	Decided, Degraded uint64 // by each of them
	Calls, Failures   uint64 // failed ones are among the calls
	Timeouts          uint64
	Trips             uint64
	TripSeconds       float64
	Opened            uint64
	Waiting           int
	Full              uint64
	Connects, Reloads uint64
}

// ReadStores says where the state of the stores comes from: f is called when
// metrics are read. Their kinds differ.
func (m *Metrics) ReadStores(f func() []StoreSample) { m.stores.Store(&f) }

func (m *Metrics) collectStores(out samples) {
	read := m.stores.Load()
	if read == nil {
		return
	}
	for _, s := range (*read)() {
		up := 0.0
		if s.Up {
			up = 1
		}
		out.gauge(storeUp, up, s.Kind)
		for _, l := range s.Limits {
			name := label(l.Name)
			out.gauge(limitKeys, float64(l.Keys), name, s.Kind)
			out.gauge(limitBytes, float64(l.Bytes), name, s.Kind)
			out.counter(limitEvicted, float64(l.Evicted), name, s.Kind)
			if s.Shared != nil && s.Shared.Mode == "leased" {
				out.gauge(limitLeased, float64(l.Leased), name)
				out.gauge(limitOwed, float64(l.Owed), name)
			}
		}
		if s.Shared != nil {
			s.Shared.collect(out)
		}
	}
}

func (s *SharedSample) collect(out samples) {
	out.counter(storeDecisions, float64(s.Decided), s.Mode)
	out.counter(storeDecisions, float64(s.Degraded), s.OnFailure)
	out.counter(storeCalls, float64(s.Calls-min(s.Failures, s.Calls)), "ok")
	out.counter(storeCalls, float64(s.Failures), "failed")
	out.counter(storeTimeouts, float64(s.Timeouts))
	out.counter(storeTrips, float64(s.Trips))
	out.counter(storeTripSeconds, s.TripSeconds)
	out.counter(storeBreakerOpened, float64(s.Opened))
	out.gauge(storeWaiting, float64(s.Waiting))
	out.counter(storeQueueFull, float64(s.Full))
	out.counter(storeConnects, float64(s.Connects))
	out.counter(storeReloads, float64(s.Reloads))
}
