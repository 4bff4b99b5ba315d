package policy

import (
	"errors"
	"fmt"
	"sync"

	"gopura/config"
	"gopura/exchange"
)

const concurrencyDoc = "Lets so many requests be served at a time, `10 per client.ip`: from here to the last byte of the answer. " +
	"Further ones wait, if there is a queue, or are refused: with a key by 429 (concurrency_limited), without one by 503 (overloaded). " +
	"Each replica counts for itself."

// Concurrency is the settings of concurrency.
type Concurrency struct {
	Pos    config.Pos `yaml:"-"`
	Max    Slots      `yaml:"max" short:"true" required:"true" doc:"How many, and by what they are counted: 100, 10 per client.ip. Without a key, all requests count together."`
	MaxPos config.Pos `yaml:"-"`
	Key    []string   `yaml:"key" one:"true" doc:"By what they are counted, in place of per: an expression over the facts of the request, or several."`
	KeyPos config.Pos `yaml:"-"`
	Queue  *Queue     `yaml:"queue" doc:"Let requests wait for their turn in place of refusing them."`
	Name   string     `yaml:"name" doc:"Routes whose concurrency has one name share it."`
	Mode   string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

var errAllInUse = errors.New("as many are being served as may")

// Compile implements Spec.
func (s *Concurrency) Compile(env *Env) (exchange.Middleware, error) {
	texts, pos := s.Key, s.KeyPos
	switch {
	case s.Max.Key != "" && len(texts) > 0:
		return nil, &Fault{Path: "key", Pos: pos, Err: fmt.Errorf("either per or key, not both")}
	case s.Max.Key != "":
		texts, pos = []string{s.Max.Key}, s.MaxPos
	case len(texts) > maxKeyParts:
		return nil, &Fault{Path: "key", Pos: pos, Err: fmt.Errorf("more than %d parts", maxKeyParts)}
	}
	if pos == (config.Pos{}) {
		pos = s.Pos
	}
	k, err := compileKey(env, texts, pos)
	if err != nil {
		return nil, err
	}
	if s.Max.Max < 1 {
		return nil, &Fault{Path: "max", Pos: s.Pos, Err: errSlots}
	}
	name := s.Name
	if name == "" {
		name = env.Route
	}
	r, err := openRoom(env, "concurrency "+name)
	if err != nil {
		return nil, err
	}
	c := crowd{env: env, room: r, max: s.Max.Max, key: k, shadow: s.Mode == shadow, count: env.counter("concurrency", s.Mode), code: exchange.Overloaded}
	if len(k) > 0 {
		c.code = exchange.ConcurrencyLimited
	}
	if s.Queue != nil {
		c.queue = &queue{room: r, max: s.Queue.Max, wait: s.Queue.Wait}
	}
	return func(next exchange.Handler) exchange.Handler {
		c := c
		c.next = next
		return &c
	}, nil
}

// crowd is a handler that serves so many at a time.
type crowd struct {
	next   exchange.Handler
	env    *Env
	room   *room
	max    int
	key    key
	queue  *queue // nil: none waits
	shadow bool
	code   *exchange.Code
	count  func()
}

// Serve implements exchange.Handler.
func (c *crowd) Serve(x *exchange.Exchange) error {
	k := c.key.append(x.Arena.Grow(64), x)
	g, err := c.enter(x, k)
	if err == errGone {
		return exchange.ClientGone.Because(err)
	}
	if err != nil {
		c.count()
		if !c.shadow {
			e := c.code.Because(err)
			if e.Status == 429 {
				e.Header.Add("Retry-After", "1")
			}
			return e
		}
		c.env.shadow(x, "concurrency", c.code)
		return c.next.Serve(x)
	}
	t := newTicket()
	t.room, t.spot = c.room, g
	x.OnDone(t.leave)
	return c.next.Serve(x)
}

// enter takes a slot, or waits for one. In shadow mode nobody waits.
func (c *crowd) enter(x *exchange.Exchange, k []byte) (*spot, error) {
	r := c.room
	r.mu.Lock()
	g := r.at(k)
	if g.inUse < c.max && len(g.lines) == 0 {
		g.inUse++
		r.mu.Unlock()
		return g, nil
	}
	if c.queue == nil || c.shadow {
		r.mu.Unlock()
		return nil, errAllInUse
	}
	w := &waiter{max: c.max, ready: make(chan error, 3)}
	if len(c.key) == 0 {
		w.line = string(appendNetwork(nil, x)) // all share the slots: in turn by client
	}
	if err := r.join(g, w, c.queue.max); err != nil {
		r.mu.Unlock()
		return nil, err
	}
	r.mu.Unlock()
	return g, r.wait(x, g, w, c.queue.wait, func() { r.release(g) })
}

// release gives a slot back, to who is next. The room is locked.
func (r *room) release(g *spot) {
	g.inUse--
	for len(g.lines) > 0 && g.inUse < g.lines[0].waiters[0].max {
		g.inUse++
		r.next(g)
	}
	r.drop(g)
}

// ticket is a slot that an exchange holds until its last byte.
type ticket struct {
	room  *room
	spot  *spot
	leave func(*exchange.Exchange) // t.done, bound once
}

var tickets sync.Pool // of *ticket

func newTicket() *ticket {
	if t, ok := tickets.Get().(*ticket); ok {
		return t
	}
	t := new(ticket)
	t.leave = t.done
	return t
}

func (t *ticket) done(*exchange.Exchange) {
	t.room.mu.Lock()
	t.room.release(t.spot)
	t.room.mu.Unlock()
	t.room, t.spot = nil, nil
	tickets.Put(t)
}
