package gateway

import (
	"time"

	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
	"gopura/live"
	"gopura/telemetry"
)

// Room is where those are who look at exchanges while they pass.
func (g *Gateway) Room() *live.Room { return &g.room }

// Series are the samples of what flowed lately. They are kept while a
// configuration with an admin listener is in force: nobody else can ask.
func (g *Gateway) Series() *telemetry.Series { return g.series }

// keepSeries looks at the counters as long as configurations want it.
func (c *compiler) keepSeries() error {
	if c.dry || c.doc.Admin == nil {
		return nil
	}
	_, err := lifetime.Hold(&c.g.pool, c.s.scope, "series", func() (struct{}, func(), error) {
		stop := make(chan struct{})
		go c.g.look(stop)
		return struct{}{}, func() { close(stop) }, nil
	})
	return err
}

func (g *Gateway) look(stop <-chan struct{}) {
	t := time.NewTicker(telemetry.Tick)
	defer t.Stop()
	g.series.Look(time.Now())
	for {
		select {
		case now := <-t.C:
			g.series.Look(now)
			g.room.Sweep(now)
		case <-stop:
			return
		}
	}
}

// maxFilterCost bounds what an expression of somebody who looks may cost each
// exchange, in CEL cost units: about a tenth of what a policy may.
const maxFilterCost = 10_000

// CompileFilter compiles a condition over the facts of a request, to choose
// exchanges by. One that can't be evaluated does not hold.
func CompileFilter(text string) (func(*exchange.Exchange) bool, error) {
	env, err := expr.New(expr.Options{CostLimit: maxFilterCost})
	if err != nil {
		return nil, err
	}
	p, err := env.Compile(text, expr.Bool)
	if err != nil {
		return nil, err
	}
	return func(x *exchange.Exchange) bool {
		ok, err := p.Bool(x)
		return ok && err == nil
	}, nil
}

// entrance is a listener as a snapshot counts for it. There are few of them.
type entrance struct {
	name   string
	handle *telemetry.Listener
}

func (c *compiler) countEntrances() {
	for i := range c.doc.Listeners {
		name := c.doc.Listeners[i].Name
		c.s.entrances = append(c.s.entrances, entrance{name, c.g.metrics.Listener(c.s.scope, name)})
	}
}

// entered counts an exchange for the listener that it came in by.
func (s *snapshot) entered(x *exchange.Exchange) {
	for i := range s.entrances {
		if e := &s.entrances[i]; e.name == x.Client.Listener {
			e.handle.Requests.Inc()
			if status := x.Response.Status; status >= 500 || status == 0 {
				e.handle.Errors.Inc()
			}
			return
		}
	}
}
