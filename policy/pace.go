package policy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// pace is how fast bytes may go. In any span of time no more than burst + rate
// × span of them pass, those after which it begins left out.
type pace struct {
	rate    int64 // bytes a second
	whole   int64 // nanoseconds that a burst is worth
	quantum int   // bytes that are passed on together, when there is no more to be had
	after   int64 // bytes of a body that pass before

	flows      *flows // nil: each exchange has its own
	key        key
	connection bool
}

func newPace(rate, burst, after int64) *pace {
	// Twenty times a second is smooth enough, and a timer is not for a few bytes.
	quantum := min(max(rate/20, 1<<10), 1<<20)
	p := &pace{rate: rate, after: after, quantum: int(quantum)}
	p.whole = p.span(int(max(burst, quantum)))
	return p
}

// span is how long n bytes take, in nanoseconds, rounded up.
func (p *pace) span(n int) int64 { return (int64(n)*1e9 + p.rate - 1) / p.rate }

// flow is what goes at one pace: a bucket of bytes, known by the time at which
// it will be full again.
type flow struct {
	base time.Time
	full atomic.Int64 // nanoseconds since base

	key  string // in flows, whose lock is held for what follows
	refs int
}

func newFlow() *flow { return &flow{base: time.Now()} }

func (f *flow) now() int64 { return int64(time.Since(f.base)) }

// take takes as much of n bytes as may go now, or a quantum that may go after a
// wait. Those who wait have their turns one after the other, a quantum each.
func (f *flow) take(p *pace, n int) (taken int, wait time.Duration) {
	now := f.now()
	n = min(n, 1<<30)
	for {
		old := f.full.Load()
		full := max(old, now) + p.span(n)
		if full > now+p.whole && n > p.quantum {
			room := max(now+p.whole-max(old, now), 0)
			n = min(n, max(p.quantum, int(room*p.rate/1e9)))
			full = max(old, now) + p.span(n)
		}
		if f.full.CompareAndSwap(old, full) {
			return n, time.Duration(full - now - p.whole)
		}
	}
}

// ready says whether n bytes, or a quantum, may go now.
func (f *flow) ready(p *pace, n int) bool {
	now := f.now()
	return max(f.full.Load(), now)+p.span(min(n, p.quantum)) <= now+p.whole
}

// flows are those that several exchanges share. One is forgotten when nobody
// takes part and its bucket is full.
type flows struct {
	mu  sync.Mutex
	all map[string]*flow
}

func newFlows() *flows { return &flows{all: map[string]*flow{}} }

func (s *flows) enter(key []byte) *flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.all[string(key)]
	if f == nil {
		f = newFlow()
		f.key = string(key)
		s.all[f.key] = f
	}
	f.refs++
	return f
}

func (s *flows) leave(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.refs--; f.refs > 0 {
		return
	}
	if left := f.full.Load() - f.now(); left > 0 {
		f.refs++
		time.AfterFunc(time.Duration(left), func() { s.leave(f) })
		return
	}
	delete(s.all, f.key)
}

// pacer lets the bytes of one exchange go one way.
type pacer struct {
	p      *pace
	f      *flow
	free   int64 // bytes that still pass unasked
	timer  *time.Timer
	closed chan struct{}
	once   sync.Once
}

func (a *pacer) start(x *exchange.Exchange, p *pace) {
	a.p, a.f, a.free, a.closed = p, p.flowOf(x), p.after, make(chan struct{})
}

// take is flow.take, those bytes first that pass unasked.
func (a *pacer) take(n int) (taken int, wait time.Duration) {
	if a.free > 0 {
		n = int(min(int64(n), a.free))
		a.free -= int64(n)
		return n, 0
	}
	return a.f.take(a.p, n)
}

// wait returns false when the pacer was closed or gone is closed before d has passed.
func (a *pacer) wait(d time.Duration, gone <-chan struct{}) bool {
	if a.timer == nil {
		a.timer = time.NewTimer(d)
	} else {
		a.timer.Reset(d)
	}
	select {
	case <-a.timer.C:
		return true
	case <-a.closed:
	case <-gone:
	}
	a.timer.Stop()
	return false
}

func (a *pacer) close() { a.once.Do(func() { close(a.closed) }) }

// slowBody is a body at a pace. It costs no goroutine: whoever pulls it waits.
type slowBody struct {
	exchange.Body
	pacer
	x    *exchange.Exchange
	rest []byte // of a piece, still to be handed out
}

func (p *pace) body(x *exchange.Exchange, b exchange.Body) exchange.Body {
	s := &slowBody{Body: b, x: x}
	s.start(x, p)
	return s
}

// Next implements exchange.Body.
func (b *slowBody) Next() ([]byte, error) {
	if len(b.rest) == 0 {
		p, err := b.Body.Next()
		if err != nil || len(p) == 0 {
			return p, err
		}
		b.rest = p
	}
	n, wait := b.take(len(b.rest))
	if wait > 0 && !b.wait(wait, b.x.Context().Done()) {
		return nil, b.why()
	}
	p := b.rest[:n:n]
	b.rest = b.rest[n:]
	return p, nil
}

var errGivenUp = errors.New("the body was given up")

// why is what broke a wait off.
func (b *slowBody) why() error {
	cause := b.x.Cancelled()
	var e *exchange.Error
	switch {
	case cause == nil:
		return exchange.ClientGone.Because(errGivenUp)
	case errors.As(cause, &e): // it says itself whose fault it is
		return e
	case errors.Is(cause, context.DeadlineExceeded):
		return exchange.ExchangeTimeout.Because(cause)
	}
	return exchange.ClientGone.Because(cause)
}

// Len implements exchange.Body.
func (b *slowBody) Len() int64 {
	if n := b.Body.Len(); n >= 0 {
		return n + int64(len(b.rest))
	}
	return -1
}

// Ready implements exchange.Ready: who may gather pieces must not wait for the pace.
func (b *slowBody) Ready() bool {
	if len(b.rest) == 0 {
		r, ok := b.Body.(exchange.Ready)
		if !ok || !r.Ready() {
			return false
		}
	}
	n := len(b.rest)
	if n == 0 {
		n = b.p.quantum
	}
	return b.free > 0 || b.f.ready(b.p, n)
}

// Close implements exchange.Body.
func (b *slowBody) Close() error {
	b.close()
	return b.Body.Close()
}

// slowTunnel is a tunnel whose directions have a pace.
type slowTunnel struct {
	exchange.Tunnel
	down, up pacer // without a flow: as fast as it goes
}

func newSlowTunnel(x *exchange.Exchange, t exchange.Tunnel, down, up *pace) exchange.Tunnel {
	s := &slowTunnel{Tunnel: t}
	if down != nil {
		s.down.start(x, down)
	}
	if up != nil {
		s.up.start(x, up)
	}
	return s
}

var errTunnelClosed = exchange.ClientGone.Errorf("the tunnel was closed")

// Read implements exchange.Tunnel.
func (t *slowTunnel) Read(b []byte) (int, error) {
	if t.down.f == nil {
		return t.Tunnel.Read(b)
	}
	n, err := t.Tunnel.Read(b[:min(len(b), t.down.p.quantum)])
	for left := n; left > 0; {
		taken, wait := t.down.take(left)
		if wait > 0 && !t.down.wait(wait, nil) {
			return 0, errTunnelClosed
		}
		left -= taken
	}
	return n, err
}

// Write implements exchange.Tunnel.
func (t *slowTunnel) Write(b []byte) (sent int, err error) {
	if t.up.f == nil {
		return t.Tunnel.Write(b)
	}
	for sent < len(b) {
		n, wait := t.up.take(len(b) - sent)
		if wait > 0 && !t.up.wait(wait, nil) {
			return sent, errTunnelClosed
		}
		m, err := t.Tunnel.Write(b[sent : sent+n])
		if sent += m; err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// Close implements exchange.Tunnel.
func (t *slowTunnel) Close() error {
	if t.down.f != nil {
		t.down.close()
	}
	if t.up.f != nil {
		t.up.close()
	}
	return t.Tunnel.Close()
}
