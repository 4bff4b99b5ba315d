package upstream

import "time"

// Clients that give up because everything is late: either the service has more to do than it can,
// or it is slow. What tells them apart is what comes of less. A service that queues answers as
// much as before, and sooner, so fewer give up; one that is slow whatever it has to
// do loses answers in proportion, and as many of its clients as before.
//
// So the bound is halved for as long as clients usually wait, and compared is what was let in. In
// that time nobody is refused: the rest waits, the newest first, and goes on when the
// proof has failed. Then it isn't tried again for a while, unless things become much worse.
type proof struct {
	step   proofStep
	before reading
	since  int64
	wait   int64 // until what is seen is what the bound has made
	steps  int   // down, for want of a clear result
}

type proofStep uint8

const (
	draining  proofStep = iota // more are in flight than there should be
	settling                   // what is in flight was let in before
	measuring                  // what ends was let in under the bound
)

const (
	proofMost  = int64(20 * time.Second)
	helps      = int64(3 * time.Second) // refusing must, after that
	proofWait  = int64(5 * time.Second)
	nothing    = 0.9 // of what is let in is in vain: hardly anything is answered
	better     = 1.4 // times the answers for each in flight, with less: 1 if slow, 2 if half of it queues
	firstDoubt = int64(10 * time.Second)
	mostDoubt  = int64(time.Minute)
	trust      = int64(2 * time.Minute) // without a reason for a proof: the next doubt is a first one
)

// doubt is what a proof that has failed leaves behind.
type doubt struct {
	least  int64 // nothing is a reason before
	until  int64
	length int64 // of the next one
	lost   float64
	most   int64
}

// holds reports whether a window is no reason for another proof yet.
func (d *doubt) holds(w reading, now int64) bool {
	return now < d.least || now < d.until && w.lost() < (1+d.lost)/2 && w.inFlight < d.most
}

// suspect begins a proof when clients have given up in two windows in a row. In the line
// the newest must have been first, so that what is let in is as young as it will be.
func (l *limiter) suspect(w reading, now int64) {
	c := &l.control
	switch {
	case w.inFlight <= int64(l.Min):
		return
	case c.phase == bounded && !l.line.newest:
		l.mu.Lock()
		l.line.newest = true
		l.mu.Unlock()
		c.fair = now + c.patienceOf(w)
		return
	case now-w.length < c.fair:
		return
	case c.suspect.length == 0 || w.good+w.vain+c.suspect.good+c.suspect.vain < enough:
		return
	case l.Mode == OverloadShadow:
		l.shadow(now)
		return
	}
	l.beginProof(c.suspect.and(w), now)
}

func (l *limiter) beginProof(before reading, now int64) {
	c := &l.control
	if c.phase == refusing {
		l.notify("overload_ends")
	}
	c.phase, c.proven, c.trial, c.lastBlock, c.raise, c.fall, c.full = proving, false, none, now, 0, 0, false
	c.proof = proof{before: before, since: now, wait: c.patienceOf(before)}
	if before.lost() > nothing {
		l.most(min(c.aim(), before.inFlight/2))
	} else {
		l.most(before.inFlight / 2)
	}
}

// patienceOf is how long clients wait, in about.
func (c *control) patienceOf(w reading) int64 {
	return min(max(w.patience, int64(w.median), windowSpan), proofWait)
}

// and is what was seen in two windows together.
func (w reading) and(v reading) reading {
	sum := v
	sum.good, sum.vain, sum.left, sum.length = w.good+v.good, w.vain+v.vain, w.left+v.left, w.length+v.length
	sum.rate = float64(sum.good) / time.Duration(sum.length).Seconds()
	sum.patience = (w.patience*int64(w.vain) + v.patience*int64(v.vain)) / int64(max(sum.vain, 1))
	return sum
}

// most lets so many be in flight from now on.
func (l *limiter) most(n int64) {
	c := &l.control
	c.proof.step, c.span = draining, windowSpan/5
	l.bound(max(n, int64(l.Min)))
}

// prove goes on with a proof.
func (l *limiter) prove(w reading, now int64) {
	c, p := &l.control, &l.control.proof
	limit := l.limit.Load()
	switch {
	case p.step == draining && w.inFlight > limit && now-p.since < 2*proofMost:
		c.span = windowSpan / 5
	case p.step == draining:
		p.step, c.span = settling, p.wait
	case p.step == settling:
		p.step, c.span = measuring, max(p.wait, windowSpan)
	default:
		l.judgeProof(w, now)
	}
}

func (l *limiter) judgeProof(w reading, now int64) {
	c, p := &l.control, &l.control.proof
	b := p.before
	less := float64(max(w.inFlight, 1)) / float64(b.inFlight)
	gain := w.rate / max(b.rate, 1e-3) / less
	helped := gain >= better && w.rate > lost*b.rate
	late := now-p.since > proofMost+6*p.wait
	switch {
	case !w.blocked:
		l.release(w) // it has passed
	case w.good < few && w.vain < few, gain < 0.25, w.lost() > nothing && b.lost() > nothing:
		// Hardly anything is answered: the service is at work for those who have gone, or it
		// hangs. Nobody can do worse by waiting here.
		if late {
			l.giveUp(w, now)
			return
		}
		l.most(min(l.limit.Load()*3/4, max(c.aim(), int64(l.Min))))
	case helped && (w.lost() <= max(b.lost()/2, vainShare/2) || b.lost() < 2*vainShare && min(w.good, b.good) > enoughWas/2):
		c.phase, c.proven, c.doubt = bounded, true, doubt{} // nobody is refused if it is over by now
		p.since = now
		c.best = max(w.rate, c.best/2)
		l.bound(l.limit.Load())
	case (helped && w.lost() < b.lost()-0.15 || b.lost() > 0.75) && p.steps < 2:
		p.steps++ // it may still be at work for those who have gone
		l.most(l.limit.Load() / 2)
	default:
		l.giveUp(w, now)
	}
}

// giveUp ends a protection that doesn't help.
func (l *limiter) giveUp(w reading, now int64) {
	d := &l.control.doubt
	length := firstDoubt
	if d.length != 0 && now-d.until < trust {
		length = d.length
	}
	*d = doubt{least: now + firstDoubt/2, until: now + length, length: min(2*length, mostDoubt), lost: l.control.proof.before.lost(), most: 2 * l.control.proof.before.inFlight}
	w.vain = w.good + few // what is seen is not usual
	l.release(w)
}

// useless has it proven anew when clients go on giving up although others are refused.
func (l *limiter) useless(w reading, now int64) bool {
	c := &l.control
	switch {
	case !(w.vain > 2 && w.lost() > vainShare):
		c.vainSince = 0
	case c.vainSince == 0:
		c.vainSince = now
	case now-c.vainSince > helps && w.good+w.vain >= enough:
		l.beginProof(w, now)
		return true
	}
	return false
}
