package telemetry

import "testing"

// What the stores say is shown as it is at that moment: who decided, whether
// the shared one answers, and how much of each limit is held here.
func TestStores(t *testing.T) {
	m := newMetrics()
	wantNone(t, m, "gopura_store")
	up := true
	m.ReadStores(func() []StoreSample {
		return []StoreSample{
			{Kind: "memory", Up: true, Limits: []LimitSample{{Name: "a", Keys: 3, Bytes: 99, Evicted: 1}}},
			{Kind: "redis", Up: up, Limits: []LimitSample{{Name: "a", Keys: 2, Leased: 7, Owed: 5}, {Name: "b\xff"}}, Shared: &SharedSample{
				Mode: "leased", OnFailure: "local", Decided: 100, Degraded: 4, Calls: 10, Failures: 3, Timeouts: 2,
				Trips: 8, TripSeconds: 0.5, Opened: 1, Waiting: 6, Full: 9, Connects: 2, Reloads: 1,
			}},
		}
	})
	wantSamples(t, m,
		`gopura_store_up{store="memory"} 1`, `gopura_store_up{store="redis"} 1`,
		`gopura_store_decisions_total{by="leased"} 100`, `gopura_store_decisions_total{by="local"} 4`,
		`gopura_store_calls_total{outcome="ok"} 7`, `gopura_store_calls_total{outcome="failed"} 3`,
		`gopura_store_timeouts_total 2`, `gopura_store_round_trips_total 8`, `gopura_store_round_trip_seconds_total 0.5`,
		`gopura_store_breaker_opened_total 1`, `gopura_store_waiting 6`, `gopura_store_queue_full_total 9`,
		`gopura_store_connects_total 2`, `gopura_store_script_reloads_total 1`,
		`gopura_limit_keys{limit="a",store="memory"} 3`, `gopura_limit_keys{limit="a",store="redis"} 2`,
		`gopura_limit_bytes{limit="a",store="memory"} 99`, `gopura_limit_evicted_total{limit="a",store="memory"} 1`,
		`gopura_limit_leased_tokens{limit="a"} 7`, `gopura_limit_owed_tokens{limit="a"} 5`,
	)
	up = false
	wantSamples(t, m, `gopura_store_up{store="redis"} 0`)
}
