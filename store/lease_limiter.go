package store

import "time"

// leasedLimiter decides from leases: see lease. It never waits.
type leasedLimiter struct{ opening }

// Take implements Limiter.
func (l *leasedLimiter) Take(key []byte, cost int64) Decision {
	f := l.force.Load()
	cost = min(max(cost, 0), f.limit)
	for {
		e := l.leases.get(key, l.shared, f)
		if e == nil { // more keys at once than there is room for
			return l.without(f, key, cost)
		}
		v, balance, ask := e.take(cost)
		switch v {
		case gone:
			continue
		case granted:
			e.home.decided.Add(1)
			if ask {
				l.s.ask(e)
			}
			l.top.note(l.s.memory, key, true)
			return l.decision(f, balance, &e.lease)
		}
		return l.short(f, e, key, cost, balance)
	}
}

// short is a decision when lease and advance are used up.
func (l *leasedLimiter) short(f *force, e *entry, key []byte, cost, balance int64) Decision {
	if l.s.link.open() {
		return l.without(f, key, cost)
	}
	now, next := l.s.clock(), e.next.Load()
	if now >= next {
		l.s.ask(e)
	}
	if e.failed.Load() {
		return l.without(f, key, cost)
	}
	e.home.decided.Add(1)
	l.top.note(l.s.memory, key, false)
	d := l.decision(f, balance, &e.lease)
	d.Allowed = false
	if d.RetryAfter = time.Duration(next - now); d.RetryAfter <= 0 {
		d.RetryAfter = f.span(cost)
	}
	d.ResetAfter = max(d.ResetAfter, d.RetryAfter)
	return d
}

// Look implements Limiter. A key that has no lease here has used nothing here.
func (l *leasedLimiter) Look(key []byte) Decision {
	f := l.force.Load()
	e := l.leases.find(key)
	switch {
	case l.s.link.open() || e != nil && e.failed.Load():
		return l.lookWithout(f, key)
	case e == nil:
		return Decision{Allowed: true, Limit: f.limit, Remaining: f.limit}
	}
	if b := e.balance.Load(); b <= dead/2 || b > e.floor.Load() {
		return l.decision(f, max(b, -f.limit), &e.lease)
	}
	e.asked.Add(1) // so that the lease stays, and learns when there is more
	e.refused.Add(1)
	return l.short(f, e, key, 1, e.balance.Load())
}

// decision is about what is known here, without a look at the clock. While a lease
// comes, balance may be that of before and left that of after: then what was taken
// meanwhile counts twice, and less is said to remain than does.
func (l *shared) decision(f *force, balance int64, e *lease) Decision {
	remaining := min(max(balance+e.left.Load(), 0), f.limit)
	return Decision{Allowed: true, Limit: f.limit, Remaining: remaining, ResetAfter: f.span(f.limit - remaining)}
}

// Charge implements Limiter.
func (l *leasedLimiter) Charge(key []byte, cost int64) {
	f := l.force.Load()
	cost = min(max(cost, -f.limit), f.limit)
	for {
		e := l.leases.get(key, l.shared, f)
		if e == nil {
			f.local.Charge(key, cost)
			return
		}
		if e.charge(cost, f.limit) {
			l.s.ask(e)
			return
		}
	}
}

// entry is a lease with the limiter that it belongs to; it is its own call.
type entry struct {
	lease
	l    *shared
	home *leaseShard
	f    *force // of the call in flight
	now  time.Time
}

// ask calls the store for a lease. False: that is being done, or can't be.
func (s *Redis) ask(e *entry) (sent bool) {
	if !e.queued.CompareAndSwap(false, true) {
		return false
	}
	if s.link.open() || !s.link.submit(e) {
		e.queued.Store(false)
		return false
	}
	return true
}

func (e *entry) prepare() (*script, string, []string) {
	e.f, e.now = e.l.force.Load(), e.l.s.link.now()
	a := e.lease.prepare(e.l.s.clock(), e.f.limit)
	return e.f.script(), e.name, e.f.args(a, e.now, e.l.s.options.ClientTime)
}

func (e *entry) finish(values []int64, err error) error {
	if err == errOpen || err == errCancelled { // it was never prepared
		e.failed.Store(true)
		e.floor.Store(0)
		e.queued.Store(false)
		return err
	}
	var r answer
	if err == nil {
		if r, err = e.f.read(e.asks, values, e.now); err == nil {
			e.l.s.link.learn(values[2])
		}
	}
	again := e.lease.finish(r, err, e.l.s.clock(), e.f.limit, e.f.span(hold(e.f.limit)))
	e.queued.Store(false)
	if again {
		e.l.s.ask(e)
	}
	return err
}
