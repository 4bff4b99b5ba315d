package gateway

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

// pressure protects the gateway itself. It is under pressure when what is ready to
// run has to wait for a processor, whatever the reason: too many requests, a cgroup
// that is out of its quota, neighbours that take the machine. That wait is measured
// by the Go scheduler. Being busy is no pressure: with every processor at work and a
// short queue, nobody waits for long.
//
// A request costs one atomic load as long as there is none. Under pressure a bar rises,
// and requests whose rank is below it are refused before anything is done for them. The
// rank is the importance, and within one importance it is drawn: so a part of it is refused.
type pressure struct {
	bar     atomic.Uint32
	shadow  atomic.Bool
	limit   atomic.Int64 // the delay above which the gateway is saturated
	delay   atomic.Int64 // that nine of ten stay below, lately
	refused [exchange.Importances]atomic.Uint64
	floor   int64        // normal requests that are let in between two looks, whatever the bar
	room    atomic.Int64 // of them, those still to come

	mu       sync.Mutex // of what adjusts the bar
	over     int        // looks in a row with too much delay
	before   uint64     // refused at the last rise
	lastRise int        // looks since
}

const (
	barClass = 256                                   // ranks of an importance
	barMost  = (exchange.Importances - 1) * barClass // what is critical is never below it
	barStep  = barClass / 4                          // up, of each second look
	barBack  = barClass / 8                          // down, of each look

	pressureLook  = 100 * time.Millisecond
	pressureProof = 5  // looks with too much delay before anybody is refused
	pressureFew   = 32 // waits that say nothing
	pressureFloor = 10 // normal requests that each processor has time for between two looks, come what may
)

var errSaturated = errors.New("the gateway itself is saturated")

// watchPressure looks at the scheduler as long as a configuration wants it.
func (g *Gateway) watchPressure(scope *lifetime.Scope) error {
	_, err := lifetime.Hold(&g.pool, scope, "pressure", func() (*pressure, func(), error) {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			g.pressure.watch(stop)
		}()
		var shown lifetime.Scope
		g.metrics.OnScrape(&shown, g.scrapePressure)
		return &g.pressure, func() { close(stop); <-stopped; shown.Close() }, nil
	})
	return err
}

// configure puts what a configuration says in force.
func (p *pressure) configure(o config.Overload) {
	p.limit.Store(int64(o.Delay))
	p.shadow.Store(o.Mode == "shadow")
}

func (p *pressure) watch(stop chan struct{}) {
	defer p.bar.Store(0)
	look := time.NewTicker(pressureLook)
	defer look.Stop()
	var delays delays
	delays.take()
	p.mu.Lock()
	p.floor = int64(pressureFloor * runtime.GOMAXPROCS(0))
	p.mu.Unlock()
	for {
		select {
		case <-stop:
			return
		case <-look.C:
		}
		d := delays.take()
		p.delay.Store(int64(d))
		p.adjust(d)
	}
}

// adjust moves the bar by the delay of one look: up after half a second in which each look
// was too late, each second look, so that a step can show its effect; over what is not
// asked for at once. It comes down as soon as the delay is half of what is allowed, more slowly.
func (p *pressure) adjust(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit, bar := time.Duration(p.limit.Load()), p.bar.Load()
	p.lastRise++
	p.room.Store(p.floor)
	switch {
	case delay > limit:
		if p.over++; p.over < pressureProof || bar > 0 && p.lastRise < 2 {
			return
		}
		var refused uint64
		for i := range p.refused {
			refused += p.refused[i].Load()
		}
		if bar > 0 && refused == p.before {
			bar = (bar + barClass - 1) / barClass * barClass // nobody is below it: on to the next importance
		}
		p.before, p.lastRise = refused, 0
		p.bar.Store(min(bar+barStep, barMost))
	case delay < limit/2:
		p.over = 0
		p.bar.Store(bar - min(bar, barBack))
	default:
		p.over = 0
	}
}

// admit refuses a request that is below the bar.
func (p *pressure) admit(x *exchange.Exchange) error {
	class := x.Importance.Index()
	if uint32(class*barClass)+rand.Uint32N(barClass) >= p.bar.Load() {
		return nil
	}
	if x.Importance == exchange.Normal && p.room.Load() > 0 && p.room.Add(-1) >= 0 {
		return nil // so few are not what keeps the processors from their work
	}
	p.refused[class].Add(1)
	if p.shadow.Load() {
		return nil
	}
	return exchange.Overloaded.Because(errSaturated)
}

// pace bounds what new connections cost while the gateway is saturated: above all
// TLS handshakes. Those that are not accepted yet wait in the kernel.
func (p *pressure) pace() {
	if p.bar.Load() > 0 && !p.shadow.Load() {
		time.Sleep(2 * time.Millisecond / time.Duration(runtime.GOMAXPROCS(0)))
	}
}

// delays reads how long goroutines that are ready to run waited for a processor.
type delays struct {
	sample [1]metrics.Sample
	before []uint64
}

// take returns what nine of ten have waited at most, since it was called last. (The
// scheduler lets some run at once that have just been woken, so half of them say little.)
func (d *delays) take() time.Duration {
	d.sample[0].Name = "/sched/latencies:seconds"
	metrics.Read(d.sample[:])
	if d.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := d.sample[0].Value.Float64Histogram()
	if len(d.before) != len(h.Counts) {
		d.before = make([]uint64, len(h.Counts))
	}
	var total, seen uint64
	for i, n := range h.Counts {
		total += n - d.before[i]
	}
	delay, found := 0.0, total < pressureFew
	for i, n := range h.Counts {
		seen += n - d.before[i]
		d.before[i] = n
		if !found && seen*10 >= total*9 {
			delay, found = max(h.Buckets[i], 0), true
		}
	}
	return time.Duration(delay * 1e9)
}
