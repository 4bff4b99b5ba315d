package compose

import (
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"gopura/exchange"
	"gopura/expr"
	"gopura/rawjson"
)

// run is one exchange going through a plan. It is used again for others.
type run struct {
	plan *Plan
	x    *exchange.Exchange
	done func(*exchange.Exchange) // r.release, bound once

	// Written by who finishes a call, under mu; read by the calls that wait for it.
	vals  expr.Vars // results by call, then the client's body
	cells []cell

	mu      sync.Mutex
	ready   []int    // calls that could begin; the last one first
	flying  []*child // requests that can be broken off
	workers int      // goroutines beside the caller's
	left    int      // calls that have not ended
	stopped bool     // nothing more is begun
	failed  int      // the call that the answer failed with, or -1
	passed  int      // the call whose own answer is passed on, or -1
	undo    []int    // calls that can be undone, in the order of their success
	idle    chan struct{}
	stream  *stream // parts are sent as they arrive

	request []byte // the client's body
	out     []byte // what the answer is made of, beside the parts
	pieces  [][]byte
	at      int   // the next piece
	size    int64 // bytes of the pieces left
}

// cell is a call in one run.
type cell struct {
	result
	waits     int
	ended     bool
	givenUp   bool // one element has failed for all; under mu
	asked     bool
	key       []byte // of a call that may have a twin: what it asks for
	followers []int  // twins that wait for its result
	memory           // of its result
}

// memory is what a result is read into.
type memory struct {
	body, decoded, shaped []byte
}

// keepMemory is up to which size memory is kept for another run.
const keepMemory = 64 << 10

func newRun(p *Plan) *run {
	r := &run{plan: p, cells: make([]cell, len(p.calls)), vals: make(expr.Vars, len(p.calls)+1), idle: make(chan struct{}, 1)}
	r.done = func(*exchange.Exchange) { r.release() }
	return r
}

// begin makes r ready for x.
func (p *Plan) begin(x *exchange.Exchange) *run {
	r := p.runs.Get().(*run)
	r.x, r.failed, r.passed, r.left = x, -1, -1, len(p.calls)
	for i := range r.cells {
		r.cells[i].waits = p.calls[i].waits
	}
	for i := len(p.start) - 1; i >= 0; i-- {
		r.ready = append(r.ready, p.start[i])
	}
	x.OnDone(r.done)
	return r
}

// release ends a run: whatever still goes on is broken off and waited for, and
// the memory is free for another.
func (r *run) release() {
	if r.stream != nil {
		r.stream.end()
		r.stream = nil
	}
	switch r.x.Response.Body.(type) {
	case *pieces, *stream:
		r.x.Response.Body = exchange.NoBody // nobody may find in x what the next run will use
	}
	for i := range r.cells {
		c := &r.cells[i]
		c.memory.recycle()
		*c = cell{memory: c.memory, key: c.key[:0], followers: c.followers[:0]}
	}
	clear(r.vals)
	clear(r.pieces)
	r.request, r.out = recycle(r.request), recycle(r.out)
	r.ready, r.undo, r.pieces, r.at, r.size = r.ready[:0], r.undo[:0], r.pieces[:0], 0, 0
	r.x, r.stopped = nil, false
	r.plan.runs.Put(r)
}

func (m *memory) recycle() {
	m.body, m.decoded, m.shaped = recycle(m.body), recycle(m.decoded), recycle(m.shaped)
}

func recycle(b []byte) []byte {
	exchange.Poison(b[:cap(b)])
	if cap(b) > keepMemory {
		return nil
	}
	return b[:0]
}

// drive makes the calls, as many of them as can be on the caller's goroutine,
// and returns when all have ended or none goes on.
func (r *run) drive() {
	r.mu.Lock()
	r.proceed()
	for r.workers > 0 {
		r.mu.Unlock()
		<-r.idle
		r.mu.Lock()
	}
	r.mu.Unlock()
}

// work is a goroutine beside the caller's.
func (r *run) work(i int) {
	r.perform(i)
	r.mu.Lock()
	r.finish(i)
	r.proceed()
	r.workers--
	if r.workers == 0 {
		select {
		case r.idle <- struct{}{}:
		default:
		}
	}
	r.mu.Unlock()
}

// proceed makes calls that are ready until there is none: one on this
// goroutine, each other one on one of its own. r.mu is held.
func (r *run) proceed() {
	for len(r.ready) > 0 {
		i := r.take()
		for len(r.ready) > 0 && !r.plan.alone {
			r.workers++
			go r.work(r.take())
		}
		r.mu.Unlock()
		r.perform(i)
		r.mu.Lock()
		r.finish(i)
	}
}

func (r *run) take() int {
	if r.plan.alone {
		slices.SortFunc(r.ready, func(a, b int) int { return b - a })
	}
	last := len(r.ready) - 1
	i := r.ready[last]
	r.ready = r.ready[:last]
	return i
}

// perform makes a call. Only its own cell is written.
func (r *run) perform(i int) {
	k, c := r.plan.calls[i], &r.cells[i]
	begin := time.Now()
	c.start = begin.Sub(r.x.Start)
	defer func() {
		if p := recover(); p != nil { // nobody else would: this goroutine may be nobody's
			c.err = exchange.Internal.Errorf("panic in the call %q: %v\n%s", k.name, p, debug.Stack())
		}
		c.took = time.Since(begin)
	}()
	for _, j := range k.after {
		if o := &r.cells[j]; o.err != nil {
			c.err = exchange.PartInput.Errorf("it comes after %q, which failed", r.plan.calls[j].name)
			return
		}
	}
	if k.when != nil {
		ok, err := k.when.BoolWith(r.x, r.vals)
		if err != nil {
			r.lacks(k, &c.result, err)
			return
		}
		if !ok {
			c.skipped = true
			return
		}
	}
	if k.each != nil {
		r.performEach(k, c, begin)
		return
	}
	r.fetch(k, c, begin)
}

// lacks is the outcome of a call that can't be made for want of something in
// the results that it refers to. One that refers to what was left out on
// purpose is left out too.
func (r *run) lacks(k *call, c *result, err error) {
	for _, j := range k.needs {
		if r.cells[j].skipped {
			c.skipped = true
			return
		}
	}
	c.err = exchange.PartInput.Because(err)
}

// finish notes that a call has ended, and what that makes possible. r.mu is
// held.
func (r *run) finish(i int) {
	k, c := r.plan.calls[i], &r.cells[i]
	if c.leads != nil { // a twin is making the same request
		lead := *c.leads
		c.leads = nil
		if l := &r.cells[lead]; !l.ended {
			l.followers = append(l.followers, i)
			return
		}
		r.copy(i, lead)
	}
	c.ended = true
	r.left--
	r.settle(k, c)
	if k.observe != nil {
		call := c.call(k)
		k.observe.Observe(&call)
	}
	for n := len(k.next) - 1; n >= 0; n-- {
		j := k.next[n]
		if r.cells[j].waits--; r.cells[j].waits == 0 && !r.stopped {
			r.ready = append(r.ready, j)
		}
	}
	for _, j := range c.followers {
		r.finishFollower(j, i)
	}
	c.followers = c.followers[:0]
	if r.stream != nil {
		r.stream.arrived(i)
	}
}

// settle decides what the outcome of a call means for the run.
func (r *run) settle(k *call, c *cell) {
	switch {
	case c.passing:
		if !r.stopped {
			r.passed = k.index
			r.stop()
		}
	case c.err != nil && k.required:
		if !r.stopped {
			r.failed = k.index
			r.stop()
		}
	case c.err != nil && (k.each == nil || k.conf.HasDefault || c.value.Bytes() == nil):
		r.vals[k.index] = k.fallback
	case c.value.Bytes() == nil:
		r.vals[k.index] = nullValue
	default:
		r.vals[k.index] = c.value
	}
	if k.undo != nil && c.mayHaveHappened(k) {
		r.undo = append(r.undo, k.index)
	}
}

// mayHaveHappened reports whether a call has to be undone when the answer
// fails. One of which that is not known is undone where no result is needed to
// say what to undo.
func (c *result) mayHaveHappened(k *call) bool {
	switch {
	case c.err == nil:
		return !c.passing && c.requests > 0
	case c.done:
		return true
	}
	return c.unsure && k.undoBlind
}

// nullValue is the result of a call that has none, to the calls that refer to
// it: what they ask for in it is missing.
var nullValue = rawjson.Checked([]byte("null"))

// forgive turns the results that are not there into values in which everything
// is null: an answer can be made without them.
func (r *run) forgive() {
	for i, k := range r.plan.calls {
		if c := &r.cells[i]; !k.conf.HasDefault && c.value.Bytes() == nil || c.skipped {
			r.vals[i] = rawjson.Value{}
		}
	}
}

// finishFollower ends a call whose twin has ended.
func (r *run) finishFollower(i, lead int) {
	r.cells[i].leads = &r.plan.calls[lead].index
	r.finish(i)
}

// copy gives a call the result of its twin, in its own shape.
func (r *run) copy(i, lead int) {
	k, c, l := r.plan.calls[i], &r.cells[i], &r.cells[lead]
	start, took := c.start, c.took
	c.result = l.result
	c.start, c.took, c.requests = start, max(took, l.start+l.took-start), 0
	if c.raw.Bytes() != nil {
		c.value, c.err = c.raw, nil // the shape that failed may be the twin's
		r.reshape(k, &c.result, &c.memory)
	}
}

// stop breaks off what goes on, except for calls that would have to be undone:
// whether they have changed anything can only be known from their answers.
// r.mu is held.
func (r *run) stop() {
	r.stopped = true
	r.ready = r.ready[:0]
	for _, ch := range r.flying {
		if ch.call.undo == nil {
			ch.x.Cancel(errGivenUp)
		}
	}
}

var errGivenUp error = exchange.PartCancelled.Because(nil)

// Interrupt implements exchange.Interrupter: the client has left.
func (r *run) Interrupt() {
	r.mu.Lock()
	if !r.stopped {
		r.stop()
	}
	r.mu.Unlock()
}

// enter registers a request that is to be broken off with the rest. It reports
// false when that has happened already.
func (r *run) enter(ch *child) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.cells[ch.call.index].givenUp {
		return false
	}
	ch.at = len(r.flying)
	r.flying = append(r.flying, ch)
	return true
}

// leave ends the registration. After it has returned, nobody cancels ch.
func (r *run) leave(ch *child) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.flying) - 1
	moved := r.flying[last]
	r.flying[ch.at], moved.at = moved, ch.at
	r.flying[last] = nil
	r.flying = r.flying[:last]
}
