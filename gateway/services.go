package gateway

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"gopura/certs"
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
	"gopura/telemetry"
	"gopura/upstream"
)

// servicePlan is a service that has been checked and not opened.
type servicePlan struct {
	conf     *config.Service
	settings upstream.Settings
	hash     *expr.Program
	trust    string // what the TLS settings hang on, for the fingerprint
}

// planServices checks the services and enters them under their names, so that
// routes can be compiled.
func (c *compiler) planServices() []*servicePlan {
	var plans []*servicePlan
	for i := range c.doc.Services {
		s := &c.doc.Services[i]
		path := "services." + s.Name
		p := &servicePlan{conf: s, settings: settingsOf(s)}
		p.settings.Overload = overloadOf(&s.Overload, c.doc.Overload.Mode)
		if s.Balance.Kind == upstream.Hash {
			prog, err := c.env.Compile(s.Balance.Key, expr.String)
			if err != nil {
				c.exprProblem(s.Balance.KeyPos, path+".balance.key", s.Balance.Key, err)
			}
			p.hash = prog
		}
		if len(p.settings.Targets) == 0 {
			c.doc.Problem(s.Pos, path+".targets", "all weights are 0")
		}
		c.planTLS(p, path)
		plans = append(plans, p)
		svc := &service{name: s.Name}
		svc.entry = c.guard(svc, s, path)
		c.services[s.Name] = svc
		c.s.services = append(c.s.services, svc)
	}
	return plans
}

// explicit returns v so that a 0 in the file stays one: to package upstream a
// zero is nothing said, and less than that is none.
func explicit[T ~int | ~int64 | ~float64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func settingsOf(s *config.Service) upstream.Settings {
	set := upstream.Settings{
		Name:      s.Name,
		Balance:   upstream.Balance{Kind: s.Balance.Kind, Cookie: s.Balance.Cookie},
		Outliers:  upstream.Outliers{Off: s.Outliers.Off, Failures: s.Outliers.Failures, Eject: s.Outliers.Eject, MaxEjected: explicit(float64(s.Outliers.MaxEjected))},
		Retries:   upstream.Retries{Attempts: s.Retries.Attempts, Budget: float64(s.Retries.Budget), Body: int64(s.Retries.Body), On: s.Retries.On},
		SlowStart: s.SlowStart,
		Timeouts: upstream.Timeouts{
			Connect: s.Timeouts.Connect, Response: s.Timeouts.Response, Idle: explicit(s.Timeouts.Idle),
		},
		Connections: upstream.Connections{Max: s.Connections.Max, Idle: explicit(s.Connections.Idle)},
		HTTP2:       s.HTTP == "2",
		Host:        s.Host,
		Resolve:     explicit(s.Resolve),
	}
	for _, t := range s.Targets {
		if t.Weight > 0 {
			set.Targets = append(set.Targets, upstream.TargetSpec{URL: t.URL, Weight: t.Weight})
		}
	}
	if h := s.Health; h != nil {
		set.Health = &upstream.Health{
			Path: h.Path, TCP: h.TCP, GRPC: h.GRPC, Service: h.Service, Interval: h.Interval, Timeout: h.Timeout,
			Healthy: h.Healthy, Unhealthy: h.Unhealthy, Status: h.Status, Host: h.Host,
		}
	}
	if b := s.Breaker; b != nil {
		set.Breaker = &upstream.Breaker{FailureRate: float64(b.FailureRate), Minimum: b.Minimum, Window: b.Window, Pause: b.Pause}
	}
	return set
}

// planTLS prepares how https targets are verified; they always are, unless the
// file says insecure.
func (c *compiler) planTLS(p *servicePlan, path string) {
	var faults []certs.Fault
	p.settings.TLS, p.trust, faults = certs.Upstream(p.conf.TLS)
	c.tlsFaults(faults, path+".tls")
}

// fingerprint is what must be equal for a running service to be adopted with
// its connections, health and breaker.
func (p *servicePlan) fingerprint() string {
	set := p.settings
	set.TLS = nil
	text, err := json.Marshal(set)
	if err != nil {
		return fmt.Sprintf("%p", p) // never adopted
	}
	key := ""
	if p.hash != nil {
		key = p.hash.Text()
	}
	return fmt.Sprintf("service %s %x", p.conf.Name, sha256.Sum256([]byte(string(text)+"\n"+key+"\n"+p.trust)))
}

func (c *compiler) openServices(plans []*servicePlan) error {
	if c.dry {
		return nil
	}
	for i, p := range plans {
		path := "services." + p.conf.Name
		svc, err := lifetime.Hold(&c.g.pool, c.s.scope, p.fingerprint(), func() (*upstream.Service, func(), error) {
			s, err := c.g.openService(p)
			if err != nil {
				return nil, nil, err
			}
			return s.Service, s.close, nil
		})
		if err != nil {
			return c.problem(p.conf.Pos, path, err)
		}
		c.s.services[i].Service = svc
		if err := c.watchSchema(c.s.services[i], p); err != nil {
			return c.problem(p.conf.Pos, path, err)
		}
	}
	c.awaitSchemas()
	return nil
}

// runningService is a service with the metrics that live as long as it does.
type runningService struct {
	*upstream.Service
	scope lifetime.Scope
}

func (s *runningService) close() {
	s.Service.Close()
	s.scope.Close()
}

func (g *Gateway) openService(p *servicePlan) (*runningService, error) {
	s := &runningService{}
	name := p.conf.Name
	o := upstream.Options{
		Secret: g.secret[:],
		Notify: func(e upstream.Event) {
			g.log.Info("service changed", "service", e.Service, "target", e.Target, "event", e.Kind, "detail", e.Detail)
		},
		Open: func(t upstream.TransportSpec) upstream.Transport {
			scope := new(lifetime.Scope)
			if t.Checks {
				return upstream.OpenTransport(t)
			}
			return &measured{Transport: upstream.OpenTransport(t), handle: g.metrics.Target(scope, name, t.Address), scope: scope, g: g, service: name, address: t.Address}
		},
	}
	if p.hash != nil {
		o.Hash = func(dst []byte, x *exchange.Exchange) []byte {
			if out, err := p.hash.Append(dst, x); err == nil {
				return out
			}
			return dst // an empty key: any target
		}
	}
	svc, err := upstream.Open(p.settings, o)
	if err != nil {
		return nil, err
	}
	s.Service = svc
	g.scrapeService(s, name)
	return s, nil
}

// scrapeService shows a service's own counts in the metrics.
func (g *Gateway) scrapeService(s *runningService, name string) {
	v := &serviceScrape{g: g, service: s.Service, handle: g.metrics.Service(&s.scope, name), name: name, targets: map[string]*scrapedTarget{}}
	s.scope.Add(v.close)
	g.metrics.OnScrape(&s.scope, v.scrape)
}

// serviceScrape copies a service's state into metrics when they are read.
type serviceScrape struct {
	g       *Gateway
	service *upstream.Service
	handle  *telemetry.Service
	name    string

	mu      sync.Mutex
	closed  bool
	targets map[string]*scrapedTarget // by address
}

// scrapedTarget is a target's handle, held while the service has the target.
type scrapedTarget struct {
	*telemetry.Target
	scope lifetime.Scope
}

func (v *serviceScrape) scrape() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return
	}
	state := v.service.State()
	v.handle.Retries.Set(state.Retries)
	v.handle.RetriesRefused.Set(state.Denied)
	if b := state.Breaker; b != nil {
		v.handle.Breaker.Set(breakerPhase(b.Phase))
	}
	scrapeOverload(v.handle, state.Overload)
	for address, h := range v.targets {
		if !slices.ContainsFunc(state.Targets, func(t upstream.TargetState) bool { return t.Address == address }) {
			h.scope.Close()
			delete(v.targets, address)
		}
	}
	for _, t := range state.Targets {
		v.target(t)
	}
}

func (v *serviceScrape) target(t upstream.TargetState) {
	h := v.targets[t.Address]
	if h == nil {
		h = &scrapedTarget{}
		h.Target = v.g.metrics.Target(&h.scope, v.name, t.Address)
		v.targets[t.Address] = h
	}
	h.InFlight.Set(t.InFlight)
	h.Active.Set(int64(t.Open - t.Idle))
	h.Idle.Set(int64(t.Idle))
	h.Ejections.Set(uint64(t.Ejections))
	if t.Status == "up" {
		h.Healthy.Set(1)
	} else {
		h.Healthy.Set(0)
	}
}

func (v *serviceScrape) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, h := range v.targets {
		h.scope.Close()
	}
}

func breakerPhase(phase string) int64 {
	switch phase {
	case "open":
		return telemetry.BreakerOpen
	case "half_open":
		return telemetry.BreakerHalfOpen
	}
	return telemetry.BreakerClosed
}

// measured is a transport whose attempts are counted.
type measured struct {
	upstream.Transport
	handle *telemetry.Target
	scope  *lifetime.Scope

	g                *Gateway
	service, address string
}

// Serve implements exchange.Handler.
func (m *measured) Serve(x *exchange.Exchange) error {
	x.Upstream = 0
	err := m.Transport.Serve(x)
	if x.Watched {
		m.attempted(x, err)
	}
	if err != nil {
		m.handle.Attempt(0, exchange.AsError(err), x.Upstream)
		return err
	}
	m.handle.Attempt(x.Response.Status, nil, x.Upstream)
	if x.Trace.Sampled && x.Trace.Spans != nil {
		m.handle.Exemplify(x, x.Upstream)
	}
	return nil
}

// Close implements upstream.Transport.
func (m *measured) Close() error {
	m.scope.Close()
	return m.Transport.Close()
}

// Stats returns how many connections are open, and how many of them are idle.
func (m *measured) Stats() (open, idle int) {
	if s, ok := m.Transport.(interface{ Stats() (open, idle int) }); ok {
		return s.Stats()
	}
	return 0, 0
}
