package upstream

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"gopura/exchange"
)

// health is what active checks say of a target. One that is not checked yet
// may be picked: a service serves from its first moment. Its first check
// decides at once, without a threshold.
type health uint8

const (
	unchecked health = iota
	healthy
	unhealthy
)

func (h health) String() string { return [...]string{"unchecked", "healthy", "unhealthy"}[h] }

// maxCheckBody bounds what is read of a check's answer.
const maxCheckBody = 64 << 10

// check asks a target how it is until ctx ends. It has a transport of its own:
// a full pool says nothing about health, and a check must not wait in it.
func (s *Service) check(ctx context.Context, sp *spec, t *Target) {
	h := s.set.Health
	var transport Transport
	spec := s.transport(sp, t.Address)
	spec.HTTP2 = spec.HTTP2 || h.GRPC
	if !h.TCP {
		spec.ConnectTimeout, spec.ResponseTimeout, spec.IdleTimeout = h.Timeout, h.Timeout, 2*h.Interval
		spec.MaxConns, spec.MaxIdle, spec.Checks = 2, 1, true
		if h.Host != "" {
			spec.Authority = h.Host
		} else if spec.Authority == "" {
			spec.Authority = sp.authority
		}
		transport = s.options.Open(spec)
		defer transport.Close()
	}
	// The first checks of many targets don't all come in one instant.
	wait := s.jitter(min(h.Interval, time.Second)/10) / 2
	for sleep(ctx, wait) {
		var err error
		switch {
		case h.TCP:
			err = s.checkTCP(ctx, spec)
		case h.GRPC:
			err = s.ask(ctx, s.grpcCheck(spec), transport, s.grpcAnswer)
		default:
			err = s.ask(ctx, s.httpCheck(spec), transport, s.checkAnswer)
		}
		if ctx.Err() != nil {
			return
		}
		s.checked(t, err)
		wait = s.jitter(h.Interval)
	}
}

func (s *Service) checkTCP(ctx context.Context, spec TransportSpec) error {
	ctx, cancel := context.WithTimeout(ctx, s.set.Health.Timeout)
	defer cancel()
	c, err := s.options.Dial(ctx, spec.Network, spec.Address)
	if err != nil {
		return err
	}
	return c.Close()
}

// httpCheck is the GET of a check.
func (s *Service) httpCheck(spec TransportSpec) exchange.Request {
	path := []byte(s.set.Health.Path)
	req := checkRequest(spec, "GET", path)
	for i, c := range path {
		if c == '?' {
			req.Path, req.Query = path[:i], path[i+1:]
			break
		}
	}
	return req
}

func checkRequest(spec TransportSpec, method string, path []byte) exchange.Request {
	authority := []byte(spec.Authority)
	req := exchange.Request{Method: method, Scheme: "http", Authority: authority, Host: authority, Target: path, Path: path}
	if spec.TLS != nil {
		req.Scheme = "https"
	}
	if host, _, err := net.SplitHostPort(spec.Authority); err == nil {
		req.Host = []byte(host)
	}
	req.Header.Add("User-Agent", "gopura-health")
	req.Body = exchange.NoBody
	return req
}

// ask sends a check's request, and lets read judge the answer.
func (s *Service) ask(ctx context.Context, req exchange.Request, transport Transport, read func(*exchange.Exchange) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.set.Health.Timeout)
	defer cancel()
	x := &exchange.Exchange{Request: req, Client: &exchange.Client{Protocol: "HTTP/1.1"}, Service: s.set.Name, Start: time.Now()}
	x.Deadline, _ = ctx.Deadline()
	x.Arm()
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { x.Cancel(context.Cause(ctx)); close(cancelled) })
	defer func() {
		if !stop() {
			<-cancelled // nobody may cancel x after it is done
		}
		x.Done()
	}()
	err := transport.Serve(x)
	if err == nil {
		err = read(x)
	}
	if by, _ := ctx.Deadline(); err != nil && !time.Now().Before(by) {
		return fmt.Errorf("no answer within %v", s.set.Health.Timeout)
	}
	return err
}

func (s *Service) checkAnswer(x *exchange.Exchange) error {
	status, body := x.Response.Status, x.Response.Body
	defer x.DropResponse()
	for n := 0; body != nil && n <= maxCheckBody; {
		p, err := body.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		n += len(p)
	}
	if !s.expect.has(status) {
		return fmt.Errorf("status %d is not in %s", status, s.set.Health.Status)
	}
	return nil
}

// checked takes over the result of a check.
func (s *Service) checked(t *Target, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := t.health
	t.healthErr = err
	if err == nil {
		t.passes, t.fails = t.passes+1, 0
		if before == unchecked || t.passes >= s.set.Health.Healthy {
			t.health = healthy
		}
	} else {
		t.passes, t.fails = 0, t.fails+1
		if before == unchecked || t.fails >= s.set.Health.Unhealthy {
			t.health = unhealthy
		}
	}
	if t.health == before || s.closed {
		return
	}
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	if before == unhealthy {
		s.ramp(t)
	}
	t.since = time.Now()
	s.notify(t, t.health.String(), detail)
	s.publish()
}
