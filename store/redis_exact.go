package store

import (
	"sync"
	"time"
)

// exactLimiter asks Redis for each decision: one script call, with those of
// others in one write. It waits for Timeout at most; after that, and while the
// breaker is open, OnFailure decides.
type exactLimiter struct{ opening }

// exactCall is one decision on its way.
type exactCall struct {
	l    *shared
	f    *force
	key  string
	a    ask
	now  time.Time
	r    answer
	err  error
	done chan struct{}
}

var timers = sync.Pool{New: func() any { return time.NewTimer(time.Hour) }}

var exactCalls = sync.Pool{New: func() any { return &exactCall{done: make(chan struct{}, 1)} }}

func (c *exactCall) prepare() (*script, string, []string) {
	c.now = c.l.s.link.now()
	return c.f.script(), c.key, c.f.args(c.a, c.now, c.l.s.options.ClientTime)
}

func (c *exactCall) finish(values []int64, err error) error {
	if err == nil {
		c.r, err = c.f.read(c.a, values, c.now)
		if err == nil {
			c.l.s.link.learn(values[2])
		}
	}
	c.err = err
	c.done <- struct{}{}
	return err
}

// Take implements Limiter.
func (l *exactLimiter) Take(key []byte, cost int64) Decision {
	f := l.force.Load()
	cost = min(max(cost, 0), f.limit)
	link := l.s.link
	if link.open() {
		return l.without(f, key, cost)
	}
	c := exactCalls.Get().(*exactCall)
	c.l, c.f, c.key, c.a = l.shared, f, redisKey(l.prefix, key), ask{want: cost, least: cost}
	if !link.submit(c) {
		exactCalls.Put(c)
		return l.without(f, key, cost)
	}
	t := timers.Get().(*time.Timer)
	t.Reset(l.s.options.Timeout)
	select {
	case <-c.done:
		t.Stop()
		timers.Put(t)
	case <-t.C:
		timers.Put(t)
		link.count.timeouts.Add(1)
		link.breaker.failure(errTimeout)
		return l.without(f, key, cost) // c is still the sender's
	}
	r, err := c.r, c.err
	exactCalls.Put(c)
	if err != nil {
		return l.without(f, key, cost)
	}
	link.count.decided.Add(1)
	d := Decision{Allowed: r.granted == cost, Limit: f.limit, Remaining: r.remaining, ResetAfter: r.reset}
	if !d.Allowed {
		d.RetryAfter = max(r.retry, 1)
	}
	l.top.note(l.s.memory, key, d.Allowed)
	return d
}

// Look implements Limiter.
func (l *exactLimiter) Look(key []byte) Decision {
	f := l.force.Load()
	r, err := l.peek(f, key)
	if err != nil {
		return l.lookWithout(f, key)
	}
	d := Decision{Allowed: r.remaining > 0, Limit: f.limit, Remaining: r.remaining, ResetAfter: r.reset}
	if !d.Allowed {
		d.RetryAfter = max(r.retry, 1)
		l.top.note(l.s.memory, key, false)
	}
	return d
}

// charge is a call whose answer nobody waits for.
type chargeCall struct {
	l   *shared
	f   *force
	key string
	a   ask
}

func (c *chargeCall) prepare() (*script, string, []string) {
	return c.f.script(), c.key, c.f.args(c.a, c.l.s.link.now(), c.l.s.options.ClientTime)
}

func (c *chargeCall) finish(_ []int64, err error) error { return err }

// Charge implements Limiter. While Redis can't, this process counts it.
func (l *exactLimiter) Charge(key []byte, cost int64) {
	f := l.force.Load()
	cost = min(max(cost, -f.limit), f.limit)
	if l.s.link.open() || !l.s.link.submit(&chargeCall{l.shared, f, redisKey(l.prefix, key), ask{settle: cost}}) {
		f.local.Charge(key, cost)
	}
}
