package upstream

import "time"

// control finds the bound of a limiter. Neither latency nor clients that give up tell
// an overloaded service from a slow one, so before anybody is refused it is tried out
// that the service is better off with less: see proof.go.
//
//	watching ── late ──▶ bounded ── given up ──▶ proving ── better with less ──▶ refusing
//	    ▲                  │  ▲                     │                               │
//	    ├─ nobody waits ───┘  └─────────────────────│──────── more gave more ───────┤
//	    └───────────────────────── no better ───────┴──────── nobody waits ─────────┘
//
// Bounded, the bound is what was in flight when it began, so that it holds back only what
// comes on top. It is raised as long as that gives more answers, and nobody is refused: so
// whoever measures a latency that is not the service's, above all on a machine that has too
// little processor, may bound too early, and then requests wait here instead of there.
//
// Refusing, it is lowered to what the service answers soon, by Little's law (in flight =
// rate × latency), as long as answers don't become fewer by that.
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

	suspect reading // the last window, when clients gave up in it
	fair    int64   // since then, what is let in has not waited for long
	proof   proof
	proven  bool // and so far, more in flight have given no more answers
	doubt   doubt

	full      bool    // more in flight gives no more answers
	best      float64 // rate lately
	last      float64 // rate of the window before: what rises by itself proves nothing
	raise     int64   // no trial of more before
	pause     int64   // after the next one that gives nothing
	fall      int64   // no trial of less before
	lastBlock int64   // somebody had to wait or was refused
	vainSince int64   // refusing has not helped since then; 0: it does
}

type phaseOfControl uint8

const (
	watching phaseOfControl = iota
	bounded
	proving
	refusing
)

func (p phaseOfControl) String() string {
	return [...]string{"watching", "bounded", "proving", "refusing"}[p]
}

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
	surgeOf   = 4    // times the requests that the service has shown to answer soon are a surge
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
	vain     int     // were let in, and waited in vain
	left     int     // the same, but were not let in
	patience int64   // how long the vain ones waited, in the mean
	quick    float64 // latency that a quarter of the good and vain stays below
	median   float64 // latency of the answers
	rate     float64 // answers a second
	inFlight int64
	length   int64
	blocked  bool // somebody had to wait
}

// inVain reports whether clients give up.
func (w reading) inVain() bool {
	vain := w.vain + w.left
	return vain > 2 && float64(vain) > vainShare*float64(w.good+vain)
}

// lost is the share of those let in that waited in vain.
func (w reading) lost() float64 { return float64(w.vain) / float64(max(w.good+w.vain, 1)) }

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

// suspicious reports whether clients give up because all of their requests are late: not only
// those of one route, or of one target.
func (c *control) suspicious(w reading) bool {
	return w.inVain() && w.quick > c.target()
}

// surges reports whether many more are in flight than the service has ever had to
// do with, and it answers no more of them but later, or hardly any.
func (c *control) surges(w reading, was float64) bool {
	if c.usual == 0 || w.inFlight <= surgeOf*c.aim() || float64(w.length) < c.target() {
		return false
	}
	return w.rate < was/2 || w.rate < gained*was && w.median > c.target()
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
	length, least := now-c.since, c.least()
	if length < c.span || length < c.span+windowMost && l.took.total()+int(l.vain.Load()) < least && !l.crowded(length) {
		return w, false
	}
	counts, n := l.took.take()
	blocked := l.waited.Load()
	for i := range l.refused {
		blocked += l.refused[i].Load()
	}
	w = reading{good: n, vain: int(l.vain.Swap(0)), left: int(l.left.Swap(0)), length: length, inFlight: l.inFlight(), blocked: blocked != c.blocked || l.waiting.Load() > 0}
	w.patience = l.vainTime.Swap(0) / int64(max(w.vain, 1))
	w.rate = float64(n) / time.Duration(length).Seconds()
	w.median = counts.quantile(float64(n) / 2)
	if w.quick = counts.quantile(float64(n+w.vain) / 4); w.quick == 0 {
		w.quick = float64(w.patience)
	}
	if n >= few {
		c.latest = w.median
	}
	if w.blocked {
		c.lastBlock = now
	}
	c.blocked = blocked
	c.since, c.span = now, windowSpan
	switch c.phase {
	case watching:
		c.span /= 2
	case refusing: // workers that begin together end together
		c.span = max(windowSpan, min(2*int64(c.latest), int64(2*time.Second)))
	}
	return w, length < 2*(c.span+windowMost)
}

// least is how many ends a window must have.
func (c *control) least() int {
	switch {
	case c.phase == proving && c.proof.step == measuring, c.trial != none && c.settled:
		return enoughWas
	case c.phase == proving, c.trial != none:
		return 0
	}
	return enough
}

// crowded reports whether so many are in flight that a window says something
// although few have been answered.
func (l *limiter) crowded(length int64) bool {
	c := &l.control
	return c.phase == watching && c.usual > 0 && float64(length) > c.target() && l.inFlight() > surgeOf*max(c.aim(), enough)
}

// look decides by a window.
func (l *limiter) look(w reading, now int64) {
	c := &l.control
	was := c.best
	if c.phase != proving {
		c.best = max(w.rate, c.best*fade)
	}
	suspicious := c.suspicious(w)
	defer func() {
		if c.suspect = (reading{}); suspicious && now-w.length >= c.fair {
			c.suspect = w
		}
	}()
	switch {
	case c.phase == watching && c.doubt.holds(w, now):
	case c.phase == watching && suspicious:
		l.suspect(w, now)
	case c.phase == watching && c.surges(w, was):
		l.begin(w, now)
	case c.phase == watching && c.late(w) && !w.inVain():
		l.begin(w, now)
	case c.phase == watching:
		c.learn(w)
	case c.phase == proving:
		l.prove(w, now)
	case now-c.lastBlock > calm:
		l.release(w)
	case l.Mode == OverloadShadow:
	case c.phase == bounded && c.proven && w.blocked && (w.median > c.target() || w.lost() > vainShare || w.inVain() && now-c.proof.since > int64(time.Second)):
		c.phase, c.trial, c.full, c.vainSince = refusing, none, true, 0
		c.raise, c.fall = now+c.pause, now+1 // this window is too short to compare with
		l.notify("overload_begins")
		l.bound(l.limit.Load())
	case c.phase == bounded && w.inVain() && (suspicious || !l.line.newest):
		c.trial = none
		l.suspect(w, now)
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
// only slow, which has got as many as it needs by the time its answers are late.
func (l *limiter) begin(w reading, now int64) {
	c := &l.control
	if w.inFlight <= int64(l.Min) || l.Mode == OverloadShadow {
		return
	}
	c.phase, c.lastBlock, c.raise, c.fall, c.full = bounded, now, 0, 0, false
	limit := w.inFlight
	if surge := surgeOf * c.aim(); limit > surge {
		limit, c.raise = surge, now+firstPause/2
	}
	l.bound(max(limit, int64(l.Min)))
}

// shadow estimates the bound: it is not tried out.
func (l *limiter) shadow(now int64) {
	c := &l.control
	c.phase, c.lastBlock = refusing, now
	l.notify("overload_begins")
	l.bound(max(c.aim(), int64(l.Min)))
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
	c.phase, c.trial, c.proven, c.full, c.pause, c.vainSince = watching, none, false, false, firstPause, 0
	l.bound(unbounded)
}

// steer follows the service while a bound is in force.
func (l *limiter) steer(w reading, now int64) {
	c := &l.control
	limit, late := l.limit.Load(), c.late(w)
	switch {
	case c.phase == refusing && l.useless(w, now):
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
		c.full, c.proven, c.pause = false, false, firstPause
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
			c.usual = w.quick // nothing queued
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
	l.line.newest = c.phase >= proving || c.phase == bounded && l.line.newest
	l.line.most = int64(max(c.best*l.Wait.Seconds(), 64))
	for l.line.refusing && l.waiting.Load() > l.line.most && l.pushOut(len(l.line.waiters)-1) {
	}
}
