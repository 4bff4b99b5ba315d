package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shared is the state of one limiter of a Redis store, for as long as somebody
// has it open. What was opened last is in force for all.
type shared struct {
	s      *Redis
	name   string
	id     string   // in s.limiters
	prefix string   // of its Redis keys
	opened int      // when it was opened last, in order of openings
	forces []*force // of those who have it open, in that order
	force  atomic.Pointer[force]
	top    top
	leases leases
}

type force struct {
	shape
	limit int64
	local Limiter // in this process; decides while Redis can't
}

// opening is one use of a shared limiter.
type opening struct {
	*shared
	own  *force // nil: it was only looked up
	once *sync.Once
}

func (s *Redis) open(name string, shape shape, local Limiter, o LimiterOptions) Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := name + "\x00" + shape.tag()
	l := s.limiters[id]
	if l == nil {
		l = &shared{s: s, name: name, id: id, prefix: keyPrefix(s.options.Prefix, name, shape)}
		l.leases.init(o.maxKeys())
		s.limiters[id] = l
	}
	s.openings++
	l.opened = s.openings
	f := &force{shape, shape.limit(), local}
	l.forces = append(l.forces, f)
	l.force.Store(f)
	return s.limiter(opening{l, f, new(sync.Once)})
}

func (s *Redis) limiter(o opening) Limiter {
	if s.options.Mode == Exact {
		return &exactLimiter{o}
	}
	return &leasedLimiter{o}
}

// Find implements Store.
func (s *Redis) Find(name string) Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found *shared
	for _, l := range s.limiters {
		if l.name == name && (found == nil || l.opened > found.opened) {
			found = l
		}
	}
	if found == nil {
		return nil
	}
	return s.limiter(opening{found, nil, new(sync.Once)})
}

// Close implements Limiter.
func (o *opening) Close() {
	o.once.Do(func() {
		if o.own == nil {
			return
		}
		o.s.mu.Lock()
		defer o.s.mu.Unlock()
		defer o.own.local.Close()
		// A configuration that is refused closes what it opened: then what was in
		// force before is so again.
		o.forces = slices.DeleteFunc(o.forces, func(f *force) bool { return f == o.own })
		if n := len(o.forces); n > 0 {
			o.force.Store(o.forces[n-1])
		} else {
			delete(o.s.limiters, o.id)
			o.s.link.count.decided.Add(o.leases.decided())
		}
	})
}

// without decides as OnFailure says.
func (l *shared) without(f *force, key []byte, cost int64) Decision {
	l.s.link.count.degraded.Add(1)
	d := Decision{Limit: f.limit, Degraded: true}
	switch l.s.options.OnFailure {
	case Allow:
		d.Allowed, d.Remaining = true, f.limit
	case Refuse:
		d.Unavailable, d.RetryAfter = true, time.Second
	default:
		d = f.local.Take(key, cost)
		d.Degraded = true
	}
	return d
}

// lookWithout is without, and takes nothing.
func (l *shared) lookWithout(f *force, key []byte) Decision {
	if l.s.options.OnFailure != Local {
		return l.without(f, key, 0)
	}
	l.s.link.count.degraded.Add(1)
	d, _ := f.local.Peek(key)
	d.Degraded = true
	return d
}

// peek asks the store, for at most its timeout.
func (l *shared) peek(f *force, key []byte) (answer, error) {
	if l.s.link.open() {
		return answer{}, errOpen
	}
	now := l.s.link.now()
	a := ask{least: 1}
	ctx, cancel := context.WithTimeout(l.s.link.stopped, l.s.options.Timeout)
	defer cancel()
	r := l.s.link.exchange(ctx, []call{{f.script(), redisKey(l.prefix, key), f.args(a, now, l.s.options.ClientTime)}})[0]
	if r.err != nil {
		return answer{}, r.err
	}
	return f.read(a, r.values, now)
}

// Peek implements Limiter. It asks the store, so it may wait for its timeout.
func (l *shared) Peek(key []byte) (Decision, bool) {
	f := l.force.Load()
	r, err := l.peek(f, key)
	if err != nil {
		d, ok := f.local.Peek(key)
		d.Degraded = true
		return d, ok
	}
	held := l.leases.held(key)
	remaining := min(max(r.remaining+held, 0), f.limit)
	d := Decision{Limit: f.limit, Remaining: remaining, Allowed: remaining > 0, ResetAfter: r.reset}
	if !d.Allowed {
		d.RetryAfter = max(r.retry, 1)
	}
	return d, r.reset > 0
}

// Reset implements Limiter. What other replicas hold of the key stays theirs.
func (l *shared) Reset(key []byte) error {
	f := l.force.Load()
	l.leases.drop(key)
	if err := f.local.Reset(key); err != nil {
		return err
	}
	client := l.s.link.client.Load()
	if client == nil {
		return errNoClient
	}
	ctx, cancel := context.WithTimeout(l.s.link.stopped, 10*l.s.options.Timeout)
	defer cancel()
	c := *client
	err := c.Do(ctx, c.B().Del().Key(redisKey(l.prefix, key)).Build()).Error()
	if errors.Is(err, context.DeadlineExceeded) {
		err = errTimeout
	}
	return err
}

// Top implements Limiter. What is left of the keys is known in leased mode only.
func (l *shared) Top(n int) []KeyState { return l.top.list(n, topView{l}) }

// topView answers Peek without the network.
type topView struct{ *shared }

func (l topView) Peek(key []byte) (Decision, bool) {
	f := l.force.Load()
	d := Decision{Limit: f.limit}
	e := l.leases.find(key)
	if e == nil {
		return d, false
	}
	return l.decision(f, e.balance.Load(), &e.lease), true
}

func (l *shared) describe() LimiterState {
	f := l.force.Load()
	keys, bytes := l.leases.size()
	held, owed := l.leases.tokens()
	return LimiterState{
		Name: l.name, Kind: f.kind(), Limit: f.String(), Keys: keys, Bytes: bytes,
		MaxKeys: l.leases.most(), Evicted: l.leases.overflow.Load(), Held: held, Owed: owed, opened: l.opened,
	}
}
