package telemetry

import (
	"sync/atomic"

	"gopura/exchange"
)

// Shed is the handle of what a protection from overload refuses, by importance.
type Shed struct {
	Shadow  atomic.Bool // it only counts
	Refused [exchange.Importances]Counter
}

// Pressure is the handle of the gateway's protection of itself.
type Pressure struct {
	Shed
	Share Gauge // of what may be refused, in thousandths
	Delay Gauge // in nanoseconds
}

func (s *Shed) collect(out samples, service string) {
	mode := "enforce"
	if s.Shadow.Load() {
		mode = "shadow"
	}
	for i := range s.Refused {
		importance := exchange.Background + exchange.Importance(i)
		if s.Refused[i].n.Load() > 0 || importance == exchange.Normal {
			out.count(overloadRefused, &s.Refused[i].n, service, importance.String(), mode)
		}
	}
}

func (p *Pressure) collect(out samples) {
	p.Shed.collect(out, "")
	out.gauge(overloadPressure, float64(p.Share.n.Load())/1e3)
	out.gauge(schedulingDelay, float64(p.Delay.n.Load())/1e9)
}
