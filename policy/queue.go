package policy

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/store"
)

// Queue is the settings of a queue.
type Queue struct {
	Pos  config.Pos    `yaml:"-"`
	Max  int           `yaml:"max" default:"100" min:"1" max:"1000000" doc:"Requests that may wait. When it is full, one of a key that has many waiting makes room for one of a key that has few."`
	Wait time.Duration `yaml:"wait" default:"500ms" min:"1ms" max:"10m" doc:"How long each may wait."`
}

// room is where requests wait: at spots, one for each key of a limit. At a spot
// they stand in lines, one for each client that is to be treated alike, and the
// lines have their turn one after the other.
type room struct {
	name    string // for traces: limit, concurrency
	mu      sync.Mutex
	spots   map[string]*spot
	free    []*spot // for new ones
	waiting atomic.Int64
}

type spot struct {
	key   string
	inUse int     // slots, of a limit of concurrency
	lines []*line // that are not empty, the next one first
	timer *time.Timer
}

type line struct {
	key     string
	waiters []*waiter // the oldest first
}

// waiter is one request that waits.
type waiter struct {
	line  string
	max   int // slots of the spot, as the configuration of the request says
	cost  int64
	from  store.Limiter
	was   store.Decision
	ready chan error // nil: it is its turn
	state waiterState
}

type waiterState uint8

const (
	inLine waiterState = iota
	served             // it has what it waited for
	left               // it was sent away, or has gone
)

var (
	errFull    = errors.New("as many are waiting as may")
	errTooLong = errors.New("the wait was too long")
	errGone    = errors.New("the client has gone")
)

// Interrupt implements exchange.Interrupter.
func (w *waiter) Interrupt() {
	select {
	case w.ready <- errGone:
	default:
	}
}

// openRoom returns the room of a name, that of the configuration before if
// there was one.
func openRoom(env *Env, name string) (*room, error) {
	what, _, _ := strings.Cut(name, " ")
	open := func() (*room, func(), error) { return &room{name: what, spots: map[string]*spot{}}, func() {}, nil }
	if env.Pool == nil {
		r, _, err := open()
		return r, err
	}
	return lifetime.Hold(env.Pool, env.Scope, name, open)
}

// at returns the spot of a key. The room is locked.
func (r *room) at(key []byte) *spot {
	if g := r.spots[string(key)]; g != nil {
		return g
	}
	var g *spot
	if n := len(r.free); n > 0 {
		g, r.free = r.free[n-1], r.free[:n-1]
	} else {
		g = new(spot)
	}
	if g.key != string(key) {
		g.key = string(key)
	}
	r.spots[g.key] = g
	return g
}

// drop forgets a spot at which nothing happens.
func (r *room) drop(g *spot) {
	if g.inUse > 0 || len(g.lines) > 0 {
		return
	}
	if g.timer != nil && !g.timer.Stop() {
		return // it is about to run, and drops g itself
	}
	g.timer = nil
	delete(r.spots, g.key)
	if len(r.free) < 64 {
		r.free = append(r.free, g)
	}
}

// busy reports whether somebody waits at the spot of a key.
func (r *room) busy(key []byte) bool {
	if r.waiting.Load() == 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.spots[string(key)]
	return g != nil && len(g.lines) > 0
}

// join puts w in its line, if there is room for it or can be made.
func (r *room) join(g *spot, w *waiter, most int) error {
	var l *line
	for _, have := range g.lines {
		if have.key == w.line {
			l = have
		}
	}
	if int(r.waiting.Load()) >= most {
		own := 0
		if l != nil {
			own = len(l.waiters)
		}
		if !r.makeRoom(own) {
			return errFull
		}
	}
	if l == nil {
		l = &line{key: w.line}
		g.lines = append(g.lines, l)
	}
	l.waiters = append(l.waiters, w)
	r.waiting.Add(1)
	return nil
}

// makeRoom sends the last of the longest line away, when that line is longer
// than the one which somebody joins would become.
func (r *room) makeRoom(own int) bool {
	var at *spot
	var longest *line
	for _, g := range r.spots {
		for _, l := range g.lines {
			if longest == nil || len(l.waiters) > len(longest.waiters) {
				at, longest = g, l
			}
		}
	}
	if longest == nil || len(longest.waiters) <= own+1 {
		return false
	}
	w := longest.waiters[len(longest.waiters)-1]
	r.remove(at, w)
	w.state = left
	w.ready <- errFull
	return true
}

// remove takes w out of its line.
func (r *room) remove(g *spot, w *waiter) {
	for i, l := range g.lines {
		if l.key != w.line {
			continue
		}
		for j := range l.waiters {
			if l.waiters[j] == w {
				l.waiters = append(l.waiters[:j], l.waiters[j+1:]...)
				r.waiting.Add(-1)
				break
			}
		}
		if len(l.waiters) == 0 {
			g.lines = append(g.lines[:i], g.lines[i+1:]...)
		}
		return
	}
}

// next serves the first of the line whose turn it is.
func (r *room) next(g *spot) {
	l := g.lines[0]
	w := l.waiters[0]
	l.waiters = l.waiters[1:]
	r.waiting.Add(-1)
	if g.lines = g.lines[1:]; len(l.waiters) > 0 {
		g.lines = append(g.lines, l)
	}
	w.state = served
	w.ready <- nil
}

// wait waits until w is served. What it returns is why it was not; then it
// holds nothing, and undo has given back what it was given too late.
func (r *room) wait(x *exchange.Exchange, g *spot, w *waiter, limit time.Duration, undo func()) error {
	if !x.Deadline.IsZero() {
		limit = min(limit, time.Until(x.Deadline))
	}
	span := x.BeginSpan(exchange.SpanWait, r.name, "")
	defer func() { x.EndSpan(span, nil, exchange.WorthSpan) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	err := x.Interruptible(w)
	if err != nil {
		err = errGone
	} else {
		select {
		case err = <-w.ready:
		case <-timer.C:
			err = errTooLong
		}
		x.Release()
	}
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch w.state {
	case inLine:
		r.remove(g, w)
		w.state = left
		r.drop(g)
	case served:
		undo()
	}
	return err
}

// queue is a room as one rule uses it.
type queue struct {
	room *room
	max  int
	wait time.Duration
}

// awaitTokens waits at the spot of a rate. Whoever is first is asked for at the
// limiter when that says that there will be enough for it.
func (q *queue) awaitTokens(x *exchange.Exchange, t *taken) error {
	r := q.room
	w := &waiter{cost: t.cost, from: t.grade.limiter, ready: make(chan error, 3), was: t.was}
	if len(t.meter.key) == 0 {
		w.line = string(appendNetwork(nil, x)) // all share the limit: in turn by client
	}
	r.mu.Lock()
	g := r.at(t.key)
	if err := r.join(g, w, q.max); err != nil {
		r.drop(g)
		r.mu.Unlock()
		if t.was.RetryAfter == 0 { // it was not asked: somebody waits
			t.was, _ = t.grade.limiter.Peek(t.key)
		}
		t.was.Allowed = false
		return err
	}
	if g.timer == nil {
		g.timer = time.AfterFunc(t.was.RetryAfter, func() { r.pump(g) })
	}
	r.mu.Unlock()
	err := r.wait(x, g, w, q.wait, func() { w.from.Charge(t.key, -w.cost) })
	t.was = w.was
	t.was.Allowed = err == nil
	return err
}

// pump serves those at the spot of a rate for whom there is enough. It runs on
// the spot's timer, which is there as long as somebody waits.
func (r *room) pump(g *spot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(g.lines) > 0 {
		w := g.lines[0].waiters[0]
		r.mu.Unlock() // a shared store may take its time
		d := w.from.Take([]byte(g.key), w.cost)
		r.mu.Lock()
		first := len(g.lines) > 0 && g.lines[0].waiters[0] == w
		switch {
		case !d.Allowed:
			if first {
				w.was = d
			}
			g.timer.Reset(max(d.RetryAfter, time.Millisecond))
			return
		case first:
			w.was = d
			r.next(g)
		default: // it has gone meanwhile
			w.from.Charge([]byte(g.key), -w.cost)
		}
	}
	g.timer = nil
	r.drop(g)
}
