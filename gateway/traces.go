package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gopura/certs"
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
	"gopura/spans"
)

// tracing reports whether exchanges are in traces: the configuration says so,
// or says nothing while the environment names a collector.
func tracing(doc *config.Document) bool {
	if doc.Traces == nil {
		return spans.Wanted()
	}
	return !doc.Traces.Off
}

// planTraces compiles what is said about traces.
func (c *compiler) planTraces() {
	if !tracing(c.doc) || c.cast != nil {
		return
	}
	conf := c.doc.Traces
	if conf == nil {
		conf = &config.Traces{Errors: true, Slow: time.Second, Most: config.Rate{Count: 100, Per: time.Second}, Trust: "proxies", Continue: "everybody"}
	}
	t := &spans.Tracer{Errors: conf.Errors, Slow: conf.Slow, Trust: whom(conf.Trust), Continue: whom(conf.Continue)}
	if conf.Most.Count > 0 {
		t.Most = &spans.Throttle{Count: conf.Most.Count, Per: conf.Most.Per}
	}
	if conf.Sample != nil {
		t.Sample = spans.RatioOf(float64(*conf.Sample))
	} else {
		sample, parent, err := spans.Sampler()
		if err != nil {
			c.doc.Problem(conf.Pos, "traces", "%v", err)
		}
		if t.Sample = sample; !parent {
			t.Trust = spans.Nobody
		}
	}
	for i, r := range conf.Rules {
		p, err := c.env.Compile(r.When, expr.Bool)
		if err != nil {
			c.exprProblem(r.WhenPos, fmt.Sprintf("traces.rules[%d].when", i), r.When, err)
			continue
		}
		t.Rules = append(t.Rules, spans.Rule{Sample: spans.RatioOf(float64(r.Sample)), When: func(x *exchange.Exchange) bool {
			holds, err := p.Bool(x)
			return holds && err == nil
		}})
	}
	c.s.tracer = t
}

// openTraces opens what sends them, or adopts it as it is.
func (c *compiler) openTraces() error {
	if c.s.tracer == nil {
		return nil
	}
	conf := c.doc.Traces
	o := spans.Options{Version: c.g.options.Build.Version, Counts: &c.g.metrics.Spans, Log: c.g.collectorChanged}
	key := ""
	if conf != nil {
		if conf.To == "none" {
			return nil
		}
		o.Endpoint, o.Timeout, o.Compression, o.Service = conf.To, conf.Timeout, conf.Compression, conf.Service
		o.Queue, o.Batch, o.Period = conf.Queue, conf.Batch, conf.Period
		var err error
		if o.TLS, key, err = c.collectorTLS(conf.TLS); err != nil {
			return err
		}
		if len(conf.Headers) > 0 {
			o.Headers = map[string]string{}
			for _, h := range conf.Headers {
				o.Headers[h.Name] = h.Value.Reveal()
			}
		}
		o.Attributes = map[string]string{}
		for _, a := range conf.Attributes {
			o.Attributes[a.Name] = a.Value
		}
	}
	if (conf == nil || conf.To == "") && spans.Silenced() || c.dry {
		return nil
	}
	key = fmt.Sprintf("traces %x", sha256.Sum256(fmt.Appendf(nil, "%q %v %s %q %q %v %d %d %s %q", o.Endpoint, o.Headers, o.Timeout, o.Compression, o.Service,
		o.Attributes, o.Queue, o.Batch, o.Period, key)))
	e, err := lifetime.Hold(&c.g.pool, c.s.scope, key, func() (*spans.Exporter, func(), error) { return c.g.exporters.open(o) })
	if err != nil {
		pos := config.Pos{}
		if conf != nil {
			pos = conf.Pos
		}
		return c.problem(pos, "traces", err)
	}
	c.s.tracer.Exporter = e
	return nil
}

func (c *compiler) collectorTLS(conf *config.UpstreamTLS) (*tls.Config, string, error) {
	if conf == nil {
		return nil, "", nil
	}
	t, trust, faults := certs.Upstream(conf)
	if len(faults) > 0 {
		c.tlsFaults(faults, "traces.tls")
		return nil, "", c.doc.Err()
	}
	return t, trust, nil
}

// collectorChanged logs that the collector can or can't be reached.
func (g *Gateway) collectorChanged(err error) {
	if err != nil {
		g.log.Warn("traces can't be sent", "error", err)
		return
	}
	g.log.Info("traces are sent again")
}

func whom(word string) spans.Whom {
	switch word {
	case "everybody":
		return spans.Everybody
	case "nobody":
		return spans.Nobody
	}
	return spans.Proxies
}

// exporters are those that have not ended. The zero value is ready.
type exporters struct {
	mu  sync.Mutex
	all map[*spans.Exporter]struct{}
}

// open opens one, and returns how to close it.
func (s *exporters) open(o spans.Options) (*spans.Exporter, func(), error) {
	e, err := spans.Open(o)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*spans.Exporter]struct{}{}
	}
	s.all[e] = struct{}{}
	return e, func() {
		e.Close()
		go func() {
			_ = e.Wait(context.Background())
			s.mu.Lock()
			delete(s.all, e)
			s.mu.Unlock()
		}()
	}, nil
}

// close has all of them send what they have, until ctx is over.
func (s *exporters) close(ctx context.Context) error {
	s.mu.Lock()
	list := slices.Collect(maps.Keys(s.all))
	s.mu.Unlock()
	var errs []error
	for _, e := range list {
		e.Close()
		errs = append(errs, e.Wait(ctx))
	}
	return errors.Join(errs...)
}
