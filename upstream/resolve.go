package upstream

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

const (
	lookupTimeout = 5 * time.Second
	lookupRetry   = time.Second // after a failure, doubled each time up to Settings.Resolve
	maxRetry      = time.Minute // or up to this, when a name is looked up once
)

// watch looks a name up again and again, and says when it has the first time.
// No request waits for it, and a resolver that fails takes nothing away.
func (s *Service) watch(sp *spec, ready chan<- struct{}) {
	told := false
	retry := lookupRetry
	for {
		wait := s.set.Resolve
		once := wait < 0
		if once {
			wait = maxRetry
		}
		longest := wait
		addresses, err := s.lookup(sp)
		if s.ctx.Err() != nil {
			return
		}
		if err == nil {
			retry = lookupRetry
		} else {
			wait = min(retry, wait)
			retry = min(2*retry, longest)
		}
		s.resolved(sp, addresses, err)
		if !told {
			told = true
			ready <- struct{}{}
		}
		if once && err == nil || !sleep(s.ctx, s.jitter(wait)) {
			return
		}
	}
}

// lookup returns the addresses of a name, sorted.
func (s *Service) lookup(sp *spec) ([]string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	found, err := s.options.Resolver.LookupNetIP(ctx, "ip", sp.host)
	if err != nil {
		return nil, err
	}
	var four, six []string
	for _, a := range found {
		if a = a.Unmap(); a.Is4() {
			four = append(four, net.JoinHostPort(a.String(), sp.port))
		} else {
			six = append(six, net.JoinHostPort(a.String(), sp.port))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("lookup %s: no addresses", sp.host)
	}
	if len(four) > 0 && len(six) > 0 {
		four, six = s.listening(four, six)
	}
	out := append(four, six...)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// listening leaves out the addresses of one family when a name has both and
// only the other accepts connections: a service on 127.0.0.1 is not on ::1
// though localhost is both, and many networks have no IPv6 though names do.
func (s *Service) listening(four, six []string) ([]string, []string) {
	result := make(chan bool, 1)
	go func() { result <- s.anyAccepts(six) }()
	okFour := s.anyAccepts(four)
	switch okSix := <-result; {
	case okFour && !okSix:
		return four, nil
	case okSix && !okFour:
		return nil, six
	}
	return four, six
}

// anyAccepts tries the first few of several addresses.
func (s *Service) anyAccepts(addresses []string) bool {
	for _, a := range addresses[:min(len(addresses), 3)] {
		ctx, cancel := context.WithTimeout(s.ctx, time.Second)
		c, err := s.options.Dial(ctx, "tcp", a)
		cancel()
		if err == nil {
			c.Close()
			return true
		}
	}
	return false
}

// resolved takes over what a lookup has found; nothing is not taken over.
func (s *Service) resolved(sp *spec, addresses []string, err error) {
	s.mu.Lock()
	if err != nil {
		if sp.err == nil {
			s.notify(nil, "resolve_failed", err.Error())
		}
		sp.err = err
		if len(s.targets) == 0 && !s.closed {
			s.publish() // so that the log says why there is no target
		}
		s.mu.Unlock()
		return
	}
	first := sp.at.IsZero()
	sp.err, sp.at = nil, time.Now()
	same := slices.Equal(sp.addresses, addresses)
	sp.addresses = addresses
	s.mu.Unlock()
	if !same {
		s.update(first)
	}
}

// jitter spreads d by a tenth to both sides, so that gateways don't march in step.
func (s *Service) jitter(d time.Duration) time.Duration {
	part := float64(s.options.Rand()>>11) / (1 << 53) // [0,1)
	return time.Duration(float64(d) * (0.9 + 0.2*part))
}

// sleep waits, and reports false when ctx has ended instead.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
