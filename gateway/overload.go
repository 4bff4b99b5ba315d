package gateway

import (
	"cmp"

	"gopura/config"
	"gopura/exchange"
	"gopura/telemetry"
	"gopura/upstream"
)

// overloadOf is how a service is protected: as it says, else as the whole file does. To
// enforce is to protect the gateway only.
func overloadOf(o *config.ServiceOverload, mode string) upstream.Overload {
	if mode == "enforce" {
		mode = upstream.OverloadOff
	}
	return upstream.Overload{Mode: cmp.Or(o.Mode, mode), Min: o.Min, Wait: o.Wait}
}

// scrapeOverload copies the state of a service's protection into its metrics.
func scrapeOverload(h *telemetry.Service, o *upstream.OverloadState) {
	if o == nil {
		return
	}
	h.Limit.Set(o.Limit)
	h.Waiting.Set(o.Waiting)
	h.Shed.Shadow.Store(o.Mode == upstream.OverloadShadow)
	for i := range h.Shed.Refused {
		h.Shed.Refused[i].Set(o.Refused[(exchange.Background + exchange.Importance(i)).String()])
	}
}

// scrapePressure does the same for the gateway itself.
func (g *Gateway) scrapePressure() {
	p, m := &g.pressure, &g.metrics.Pressure
	m.Shadow.Store(p.shadow.Load())
	m.Share.Set(int64(p.bar.Load()) * 1000 / barMost)
	m.Delay.Set(p.delay.Load())
	for i := range p.refused {
		m.Refused[i].Set(p.refused[i].Load())
	}
}
