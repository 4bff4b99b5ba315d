package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// Service is a Handler that serves an exchange from one of its targets.
type Service struct {
	set     Settings
	options Options
	retryOn retryOn
	keep    int64 // of a request body, for a retry
	expect  statusSet
	epoch   time.Time
	isOpen  error // the cause of circuit_open

	// The request side: atomics only. What every request writes is kept away
	// from what every request reads, so that cores don't fight for one line.
	picker   atomic.Pointer[table]
	breaker  *breaker
	limiter  *limiter
	budget   *budget
	_        [64]byte
	cursor   atomic.Uint64
	inFlight atomic.Int64
	requests atomic.Uint64
	failures atomic.Uint64
	retries  atomic.Uint64
	denied   atomic.Uint64
	refused  atomic.Uint64
	_        [64]byte

	members
}

// Open starts a service. It waits for the first lookup of names, for a
// bounded time, and never fails because of it.
func Open(set Settings, o Options) (*Service, error) {
	s := &Service{set: set.withDefaults(), options: o.withDefaults(), epoch: time.Now()}
	if err := s.compile(); err != nil {
		return nil, fmt.Errorf("service %q: %w", set.Name, err)
	}
	s.isOpen = fmt.Errorf("service %q", set.Name)
	if s.set.Retries.Attempts > 0 {
		s.keep = s.set.Retries.Body
	}
	s.budget = newBudget(s.set.Retries.Budget)
	if s.set.Breaker != nil {
		s.breaker = newBreaker(*s.set.Breaker, func(p phase) { s.notify(nil, "breaker_"+p.String(), "") })
	}
	s.limiter = newLimiter(s.set.Name, s.set.Overload, func(kind string) { s.notify(nil, kind, "") })
	s.cursor.Store(s.options.Rand()) // gateways that start together don't begin with the same target
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.update(true)
	s.firstLookups()
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Open == nil {
		o.Open = OpenTransport
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Rand == nil {
		o.Rand = rand.Uint64
	}
	if o.FirstLookup == 0 {
		o.FirstLookup = 2 * time.Second
	}
	return o
}

// compile reads the settings that are text.
func (s *Service) compile() (err error) {
	if len(s.set.Targets) == 0 {
		return errors.New("has no targets")
	}
	if len(s.set.Targets) > maxTargets {
		return fmt.Errorf("has %d targets, more than %d", len(s.set.Targets), maxTargets)
	}
	seen := map[string]bool{}
	for _, t := range s.set.Targets {
		sp, err := parseSpec(t)
		if err != nil {
			return err
		}
		if seen[t.URL] {
			return fmt.Errorf("target %q is listed twice", t.URL)
		}
		seen[t.URL] = true
		s.specs = append(s.specs, sp)
	}
	switch s.set.Balance.Kind {
	case RoundRobin, LeastRequests, Random:
	case Hash:
		if s.options.Hash == nil {
			return errors.New("balance hash has no key")
		}
	case Sticky:
		if !exchange.ValidName(s.set.Balance.Cookie) {
			return fmt.Errorf("cookie %q is not a valid name", s.set.Balance.Cookie)
		}
	default:
		return fmt.Errorf("balance %q is unknown", s.set.Balance.Kind)
	}
	if h := s.set.Health; h != nil {
		if s.expect, err = parseStatusSet(h.Status); err != nil {
			return fmt.Errorf("health: %w", err)
		}
		if !h.TCP && !h.GRPC && (h.Path == "" || h.Path[0] != '/' || !exchange.ValidValue(h.Path)) {
			return fmt.Errorf("health: path %q does not begin with a slash", h.Path)
		}
	}
	s.retryOn, err = parseRetryOn(s.set.Retries.On)
	return err
}

// firstLookups starts to watch the names, and waits until each was looked up once.
func (s *Service) firstLookups() {
	ready := make(chan struct{}, len(s.specs))
	names := 0
	for _, sp := range s.specs {
		if sp.lookup {
			names++
			s.wg.Go(func() { s.watch(sp, ready) })
		}
	}
	timeout := time.NewTimer(s.options.FirstLookup)
	defer timeout.Stop()
	for range names {
		select {
		case <-ready:
		case <-timeout.C:
			return
		}
	}
}

// Close ends checks and lookups, and closes each target when its last request
// has ended.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	targets := s.targets
	s.targets = nil
	s.picker.Store(&table{nobody{fmt.Errorf("service %q is closed", s.set.Name)}})
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	for _, t := range targets {
		t.retire()
	}
}

// now is the time that windows count in.
func (s *Service) now() int64 { return int64(time.Since(s.epoch)) }

// pick chooses a target.
func (s *Service) pick(x *exchange.Exchange, tried ...*Target) (*Target, Done, error) {
	for {
		t, done, err := s.picker.Load().Pick(x, tried...)
		if err != errStale {
			return t, done, err
		}
	}
}

// Serve picks a target and sends x to it, again where that is safe.
func (s *Service) Serve(x *exchange.Exchange) error {
	x.Service, x.Target = s.set.Name, ""
	now := s.now()
	s.requests.Add(1)
	pass, ok := s.breaker.enter(now)
	if !ok {
		s.refused.Add(1)
		return exchange.CircuitOpen.Because(s.isOpen)
	}
	slot, err := s.limiter.enter(x, s.now, now)
	if err != nil {
		s.refused.Add(1)
		if s.breaker != nil {
			s.breaker.leave(pass, s.now(), neutral)
		}
		return err
	}
	s.inFlight.Add(1)
	v, answered := bad, false // what a panic leaves behind
	defer func() {
		s.limiter.leave(slot, x, v, err)
		if v == bad {
			s.failures.Add(1)
		}
		if s.breaker != nil {
			s.breaker.leave(pass, s.now(), v)
		}
		if !answered {
			s.inFlight.Add(-1)
		}
	}()
	s.budget.request(now)
	err = s.serve(x)
	v, answered = judge(x, err), err == nil
	return err
}

func (s *Service) serve(x *exchange.Exchange) error {
	t, done, err := s.pick(x)
	if err != nil {
		s.refused.Add(1)
		return err
	}
	var body *recorder
	if x.Request.Body.Len() != 0 {
		body = record(x, s.keep)
	}
	err = s.send(x, t, done)
	if err != nil || s.retryOn.status(x.Response.Status) || s.retryOn.trailersOnly(x) {
		return s.again(x, attempt{t, done, err}, body)
	}
	body.stop()
	done(x, nil)
	return nil
}
