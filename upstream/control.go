package upstream

import "time"

// control finds the bound of a limiter. It takes two signs at a time before anybody
// is refused.
//
//   - More requests in flight give no more answers. It is tried: the bound is raised by
//     half, and what becomes of the rate is looked at.
//   - Clients give up in vain: at least one in ten leaves, or runs out of time, after
//     longer than answers usually take.
//
// Neither says it alone. A slow service gives more answers to more requests; a
// closed circle of clients that wait for as long as it takes loses nothing by
// waiting. So whoever measures a latency that is not the service's, above all on a machine
// that has too little processor, may bound too early, and then requests wait here
// instead of there, in the order in which they came; but nobody is refused.
//
//	watching ── late, or given up ──▶ bounded ── both signs ───▶ refusing
//	    ▲                             │     ▲                        │
//	    └── for 5 s nobody waited ────┘     └── more gave more ──────┘
//
// They can still be seen together where nothing is overloaded: TestImpatientClientsOfASlowService
// shows how. So adaptive protection is for those who ask for it.
//
// Bounded, the bound is what was in flight when it began, so that it holds back only what
// comes on top; refusing, it is lowered to what the service answers soon, by
// Little's law (in flight = rate × latency), as long as answers don't become fewer by that.
type control struct {
	phase  phaseOfControl
	usual  float64 // median latency when nothing queues, in nanoseconds; 0: not known
	latest float64

	since   int64 // the window began
	span    int64 // its least length
	flip    int64 // the next generation begins
	blocked uint64

	trial   trial
	settled bool    // what was let in before the trial is answered
	before  reading // when it began
	was     int64   // the bound then

	full      bool    // more in flight gives no more answers
	best      float64 // rate lately
	last      float64 // rate of the window before: what rises by itself proves nothing
	raise     int64   // no trial of more before
	pause     int64   // after the next one that gives nothing
	fall      int64   // no trial of less before
	lastBlock int64   // somebody had to wait or was refused
}

type phaseOfControl uint8

const (
	watching phaseOfControl = iota
	bounded
	refusing
)

func (p phaseOfControl) String() string { return [...]string{"watching", "bounded", "refusing"}[p] }

// trial is a change of the bound whose effect is awaited.
type trial uint8

const (
	none trial = iota
	more
	less
)

const (
	windowSpan = int64(250 * time.Millisecond)
	windowMost = int64(3 * time.Second) // how much longer one may last that has few answers
	enough     = 32                     // ends of a full window
	enoughWas  = 100                    // the same, of one that decides a trial
	few        = 10                     // answers that say nothing

	slack     = float64(20 * time.Millisecond)
	impatient = int64(100 * time.Millisecond) // who leaves sooner says nothing, as long as what is usual is not known
	vainShare = 0.1
	gained    = 1.15 // times the answers, if half as many more in flight give more
	lost      = 0.85 // the same, if a third fewer give fewer

	fade       = 0.985            // of the best rate, each window
	drift      = 30 * time.Second // in which the usual latency follows what is seen
	calm       = int64(5 * time.Second)
	firstPause = int64(2 * time.Second)
	mostPause  = int64(15 * time.Second)
)

// reading is what was seen in a window.
type reading struct {
	good     int     // answers
	vain     int     // waited in vain
	median   float64 // latency of the answers
	rate     float64 // answers a second
	inFlight int64
	length   int64
	blocked  bool // somebody had to wait
}

// inVain reports whether clients give up.
func (w reading) inVain() bool {
	return w.vain > 2 && float64(w.vain) > vainShare*float64(w.good+w.vain)
}

func (c *control) begin(now int64) {
	c.since, c.span, c.pause = now, windowSpan, firstPause
	c.flip = now + int64(generation)
}

// target is the latency that is still taken for usual.
func (c *control) target() float64 {
	if c.usual == 0 {
		return 0
	}
	return 2*c.usual + slack
}

// late reports whether answers come later than usual, or not at all.
func (c *control) late(w reading) bool {
	return w.inVain() || c.usual > 0 && w.good >= few && w.median > c.target()
}

// aim is how many are in flight when the service gives what it can within the target.
func (c *control) aim() int64 { return int64(c.best * c.target() / 1e9) }

// tick looks at the window if it is over. One does at a time.
func (l *limiter) tick(now int64) {
	if !l.turn.TryLock() {
		return
	}
	defer l.turn.Unlock()
	c := &l.control
	if now < l.due.Load() {
		return
	}
	freed := now >= c.flip
	if freed {
		l.age()
		c.flip = now + int64(generation)
	}
	limit := l.limit.Load()
	if w, ok := l.close(now); ok {
		l.look(w, now)
		c.last = w.rate
	}
	l.vainAfter.Store(max(int64(c.target()), impatient))
	l.due.Store(min(max(c.since+c.span, now+windowSpan/8), c.flip))
	if (freed || l.limit.Load() > limit) && l.waiting.Load() > 0 {
		l.serveNext()
	}
}

// close ends the window if it is long enough.
func (l *limiter) close(now int64) (w reading, ok bool) {
	c := &l.control
	length, least := now-c.since, enough
	if c.trial != none {
		least = enoughWas
		if !c.settled {
			least = 0
		}
	}
	if length < c.span || length < c.span+windowMost && l.took.total()+int(l.vain.Load()) < least {
		return w, false
	}
	counts, n := l.took.take()
	blocked := l.waited.Load()
	for i := range l.refused {
		blocked += l.refused[i].Load()
	}
	w = reading{good: n, vain: int(l.vain.Swap(0)), length: length, inFlight: l.inFlight(), blocked: blocked != c.blocked || l.waiting.Load() > 0}
	w.rate = float64(n) / time.Duration(length).Seconds()
	w.median = counts.median(n)
	if n >= few {
		c.latest = w.median
	}
	if w.blocked {
		c.lastBlock = now
	}
	c.blocked = blocked
	c.best = max(w.rate, c.best*fade)
	c.since, c.span = now, windowSpan
	return w, length < 2*(c.span+windowMost)
}

// look decides by a window.
func (l *limiter) look(w reading, now int64) {
	c := &l.control
	switch {
	case c.phase == watching && !c.late(w):
		c.learn(w)
	case c.phase == watching:
		l.begin(w, now)
	case now-c.lastBlock > calm:
		l.release(w)
	case l.Mode == OverloadShadow:
	case c.trial != none && !c.settled:
		c.settled, c.span = true, max(windowSpan, int64(c.before.median)*3/2)
	case c.trial != none:
		l.conclude(w, now)
	default:
		l.steer(w, now)
	}
}

// learn lets the usual latency follow: quickly down, slowly up.
func (c *control) learn(w reading) {
	switch {
	case w.good < few:
	case c.usual == 0:
		c.usual = w.median
	case w.median < c.usual:
		c.usual += (w.median - c.usual) / 4
	default:
		c.usual += (w.median - c.usual) * min(float64(w.length)/float64(drift), 0.1)
	}
}

// begin bounds what is in flight, at what it is. It takes nothing away from a service that is
// only slow, which has got as many as it needs by the time its answers are late. When
// clients give up they bound what is in flight themselves, so a bound has to be lower
// than that to tell anything.
func (l *limiter) begin(w reading, now int64) {
	c := &l.control
	limit, shadow := w.inFlight, l.Mode == OverloadShadow
	if w.inFlight <= int64(l.Min) || shadow && !w.inVain() {
		return
	}
	if w.inVain() {
		limit = w.inFlight * 4 / 5
	}
	c.phase, c.lastBlock, c.raise, c.fall, c.full = bounded, now, 0, 0, false
	if shadow {
		c.phase, limit = refusing, c.aim()
		l.notify("overload_begins")
	}
	l.bound(max(limit, int64(l.Min)))
}

// release ends the bound: nobody has needed it. What is seen now is usual, unless
// clients give up.
func (l *limiter) release(w reading) {
	c := &l.control
	if c.phase == refusing {
		l.notify("overload_ends")
	}
	if w.good >= few && !w.inVain() {
		c.usual = w.median
	}
	c.phase, c.trial, c.full, c.pause = watching, none, false, firstPause
	l.bound(unbounded)
}

// steer follows the service while a bound is in force.
func (l *limiter) steer(w reading, now int64) {
	c := &l.control
	limit, late := l.limit.Load(), c.late(w)
	switch {
	case c.full && w.inVain() && c.phase == bounded:
		c.phase = refusing
		l.notify("overload_begins")
		l.lower(w, now)
	case !w.blocked && c.phase == bounded && w.inVain() && now >= c.raise && w.inFlight > int64(l.Min):
		l.bound(max(w.inFlight*4/5, int64(l.Min)))
	case !w.blocked:
	case !late && w.good >= few:
		gain := min((c.target()/w.median-1)/4, 0.25) // slower when it is nearly there
		l.bound(limit + max(1, int64(float64(limit)*gain)))
	case c.phase == refusing && now >= c.fall && limit > int64(l.Min) && !(w.inVain() && limit <= c.aim()):
		l.lower(w, now)
	case now >= c.raise && (c.phase == bounded || w.rate < gained*c.last):
		l.try(more, w, limit*3/2)
	}
}

// lower tries a bound nearer to what is answered soon: at once when clients give up,
// but then not below it, since the service may still be at work for those who have left.
func (l *limiter) lower(w reading, now int64) {
	c := &l.control
	limit, aim := l.limit.Load(), c.aim()
	next := min(max(aim, limit/2), limit*7/10)
	if w.inVain() {
		next = max(min(aim, limit), limit/4)
	}
	l.try(less, w, max(next, int64(l.Min)))
}

// try changes the bound. What comes of it is measured when answers to what is let
// in under it have had the time to come.
func (l *limiter) try(t trial, w reading, limit int64) {
	c := &l.control
	c.trial, c.settled, c.before, c.was = t, false, w, l.limit.Load()
	c.span = min(max(windowSpan/5, int64(w.median)), int64(time.Second))
	l.bound(limit)
}

// conclude ends a trial.
func (l *limiter) conclude(w reading, now int64) {
	c := &l.control
	t := c.trial
	c.trial = none
	switch {
	case !w.blocked && (!w.inVain() || float64(w.inFlight) < gained*float64(c.was)):
		c.raise, c.pause = now+c.pause, min(2*c.pause, mostPause) // nobody wanted more: nothing is known
	case t == more && c.gainedBy(w):
		if c.phase == refusing && !w.inVain() {
			c.phase = bounded
			l.notify("overload_ends")
		}
		c.full, c.pause = false, firstPause
		if w.good >= few && !w.inVain() {
			c.usual = max(c.usual, w.median/2) // it was not the others that it had to wait for
		}
		l.bound(l.limit.Load())
	case t == more:
		c.full = true
		c.raise, c.pause = now+c.pause, min(2*c.pause, mostPause)
		l.bound(c.was)
		l.steer(w, now)
	case w.rate < lost*c.before.rate && !c.before.inVain():
		c.fall = now + mostPause
		if w.good >= few {
			c.usual = w.median // nothing queued
		}
		l.bound(c.was)
	default:
		if w.good >= few {
			c.usual = min(c.usual, w.median)
		}
		l.steer(w, now) // on, while it is still too much
	}
}

// gainedBy reports whether more in flight have given more answers. When most give up, a
// few more answers are chance: it takes a part of what the service has shown to be able to do.
func (c *control) gainedBy(w reading) bool {
	gain := w.rate - c.before.rate
	if w.inVain() {
		return gain > (gained-1)*max(c.before.rate, c.best/4)
	}
	return gain > (gained-1)*c.before.rate
}

// bound puts a bound in force, and says who waits for it.
func (l *limiter) bound(limit int64) {
	c := &l.control
	l.limit.Store(limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.refusing = c.phase == refusing
	l.line.most = int64(max(c.best*l.Wait.Seconds(), 64))
	for l.line.refusing && l.waiting.Load() > l.line.most && l.pushOut(len(l.line.waiters)-1) {
	}
}
