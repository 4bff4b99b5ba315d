package gateway

import (
	"gopura/store"
	"gopura/telemetry"
)

// storeSamples is the state of the stores in force as the metrics show it.
func (g *Gateway) storeSamples() (list []telemetry.StoreSample) {
	for _, s := range g.stores() {
		state := s.State()
		sample := telemetry.StoreSample{Kind: state.Kind, Up: state.Ready}
		for _, l := range state.Limiters {
			sample.Limits = append(sample.Limits, telemetry.LimitSample{
				Name: l.Name, Keys: l.Keys, Bytes: l.Bytes, Evicted: l.Evicted, Leased: l.Held, Owed: l.Owed,
			})
		}
		if r := state.Redis; r != nil {
			sample.Shared = sharedSample(r)
		}
		list = append(list, sample)
	}
	return list
}

func sharedSample(r *store.RedisState) *telemetry.SharedSample {
	return &telemetry.SharedSample{
		Mode: string(r.Mode), OnFailure: string(r.OnFailure), Decided: r.Decisions, Degraded: r.Degraded,
		Calls: r.Calls, Failures: r.Failures, Timeouts: r.Timeouts, Trips: r.Trips, TripSeconds: r.Waited,
		Opened: r.Opened, Waiting: r.Waiting, Full: r.Full, Connects: r.Connects, Reloads: r.Reloads,
	}
}
