package upstream

import (
	"slices"
	"time"
)

// ServiceState is what an operator sees of a service.
type ServiceState struct {
	Name     string         `json:"name"`
	Balance  string         `json:"balance"`
	InFlight int64          `json:"in_flight"`
	Requests uint64         `json:"requests"`
	Failures uint64         `json:"failures"` // requests that ended in a failure
	Retries  uint64         `json:"retries"`
	Denied   uint64         `json:"retries_denied"` // retries that the budget did not allow
	Refused  uint64         `json:"refused"`        // requests that met an open breaker, no target, or too many others
	Breaker  *BreakerState  `json:"breaker,omitempty"`
	Overload *OverloadState `json:"overload,omitempty"`
	Targets  []TargetState  `json:"targets"`
	Names    []NameState    `json:"names,omitempty"`
}

// BreakerState is the state of a circuit breaker.
type BreakerState struct {
	Phase    string    `json:"phase"`    // closed, open, half_open
	Requests uint64    `json:"requests"` // in the window
	Failures uint64    `json:"failures"` // in the window
	Until    time.Time `json:"until,omitzero"`
}

// TargetState is the state of one target.
type TargetState struct {
	URL          string    `json:"url"`
	Address      string    `json:"address"`
	Weight       int       `json:"weight"`
	Share        float64   `json:"share"`  // of its weight, below 1 during slow start
	Status       string    `json:"status"` // up, unhealthy, ejected, drained
	Since        time.Time `json:"since"`
	Health       string    `json:"health,omitempty"`       // unchecked, healthy, unhealthy; empty without active checks
	HealthError  string    `json:"health_error,omitempty"` // of the last check
	EjectedUntil time.Time `json:"ejected_until,omitzero"`
	Ejections    int       `json:"ejections"`
	InFlight     int64     `json:"in_flight"`
	Requests     uint64    `json:"requests"`
	Failures     uint64    `json:"failures"`
	Open         int       `json:"connections_open"`
	Idle         int       `json:"connections_idle"`
}

// NameState is the state of a name that is looked up.
type NameState struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses"`
	At        time.Time `json:"at,omitzero"` // the last answer
	Error     string    `json:"error,omitempty"`
}

// State returns a live view of the service.
func (s *Service) State() ServiceState {
	out := ServiceState{
		Name: s.set.Name, Balance: s.set.Balance.Kind, InFlight: s.inFlight.Load(),
		Requests: s.requests.Load(), Failures: s.failures.Load(), Retries: s.retries.Load(),
		Denied: s.denied.Load(), Refused: s.refused.Load(),
		Breaker: s.breaker.state(s.now()), Overload: s.limiter.state(), Targets: []TargetState{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, t := range s.targets {
		out.Targets = append(out.Targets, s.targetState(t, now))
	}
	for _, sp := range s.specs {
		if !sp.lookup {
			continue
		}
		n := NameState{Name: sp.host, Addresses: slices.Clone(sp.addresses), At: sp.at}
		if sp.err != nil {
			n.Error = sp.err.Error()
		}
		out.Names = append(out.Names, n)
	}
	return out
}

func (s *Service) targetState(t *Target, now time.Time) TargetState {
	tenths, _ := s.step(t, now)
	out := TargetState{
		URL: t.URL, Address: t.Address, Weight: t.weight, Share: float64(tenths) / rampSteps,
		Status: "up", Since: t.since, EjectedUntil: t.ejectedUntil, Ejections: t.ejections,
		InFlight: max(t.refs.Load(), 0), Requests: t.requests.Load(), Failures: t.failed.Load(),
	}
	switch {
	case t.draining:
		out.Status = "drained"
	case t.health == unhealthy:
		out.Status = "unhealthy"
	case t.ejected():
		out.Status = "ejected"
	}
	if s.set.Health != nil {
		out.Health = t.health.String()
		if t.healthErr != nil {
			out.HealthError = t.healthErr.Error()
		}
	}
	if c, ok := t.transport.(interface{ Stats() (open, idle int) }); ok {
		out.Open, out.Idle = c.Stats()
	}
	return out
}
