package upstream

import (
	"errors"
	"time"

	"gopura/exchange"
)

// line is where requests wait for a slot, the more important ones first. As long as
// nothing is proven nobody is refused: among equals the oldest is first, and who has
// waited for long goes on without a slot. Once the service is known to be overloaded,
// the newest is first: then many wait in vain, and it is better that those are served
// whose clients have not yet given up.
type line struct {
	waiters  [exchange.Importances]waiters
	newest   bool // is served first: clients give up
	refusing bool
	most     int64 // that may wait when refusing
}

// waiters are those of one importance, the oldest first.
type waiters struct{ oldest, newest *waiter }

// waiter is one request that waits.
type waiter struct {
	ready        chan error // nil: it has a slot
	timer        *time.Timer
	older, newer *waiter
	class        int
	generation   uint64 // of its slot
	inLine       bool
	served       bool
}

// longest is how long a request waits that can't be refused.
const longest = 10 * time.Second

func newWaiter() any {
	w := &waiter{ready: make(chan error, 2), timer: time.NewTimer(time.Hour)} // one from the line, one from the client
	w.timer.Stop()
	return w
}

var (
	errCrowded  = errors.New("more wait for the service than it can answer soon")
	errNoSlot   = errors.New("the service had no slot for it in time")
	errLeft     = errors.New("the client has gone")
	errDeadline = errors.New("the time of the exchange is up")
)

// Interrupt implements exchange.Interrupter.
func (w *waiter) Interrupt() { w.ready <- errLeft }

// wait waits for a slot.
func (l *limiter) wait(x *exchange.Exchange) (uint64, error) {
	class := x.Importance.Index()
	l.mu.Lock()
	l.waiting.Add(1) // before the last look: whoever leaves after it serves the line
	if g, ok := l.take(l.limit.Load()); ok {
		l.waiting.Add(-1)
		l.mu.Unlock()
		return g, nil
	}
	patience := longest
	if l.line.refusing {
		patience = l.Wait
		if l.waiting.Load() > l.line.most && !l.pushOut(class) {
			l.waiting.Add(-1)
			l.mu.Unlock()
			return 0, l.refuse(class, errCrowded)
		}
	}
	w := l.spare.Get().(*waiter)
	w.class, w.served = class, false
	l.line.waiters[class].add(w)
	l.mu.Unlock()
	l.waited.Add(1)
	return l.await(x, w, patience)
}

func (l *limiter) await(x *exchange.Exchange, w *waiter, patience time.Duration) (uint64, error) {
	why := errNoSlot
	if !x.Deadline.IsZero() {
		if left := time.Until(x.Deadline); left < patience {
			patience, why = left, errDeadline
		}
	}
	err := x.Interruptible(w)
	if err != nil {
		err = errLeft
	} else {
		w.timer.Reset(patience)
		select {
		case err = <-w.ready:
		case <-w.timer.C:
			err = why
		}
		w.timer.Stop()
		x.Release()
	}
	l.mu.Lock()
	l.remove(w)
	g, served, refusing := w.generation, w.served, l.line.refusing
	l.mu.Unlock()
	for len(w.ready) > 0 {
		<-w.ready
	}
	class := w.class
	l.spare.Put(w)
	switch {
	case served && err == errLeft:
		if l.give(g); l.waiting.Load() > 0 {
			l.serveNext()
		}
	case served:
		return g, nil
	case err == errNoSlot && !refusing:
		g, _ = l.take(unbounded)
		return g, nil
	}
	switch err {
	case errLeft:
		return 0, exchange.ClientGone.Because(err)
	case errDeadline:
		return 0, exchange.ExchangeTimeout.Because(err)
	}
	return 0, l.refuse(class, err)
}

func (l *limiter) refuse(class int, why error) error {
	l.refused[class].Add(1)
	return exchange.Overloaded.Because(why)
}

// serveNext gives the free slots to those who wait.
func (l *limiter) serveNext() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting.Load() > 0 {
		class := len(l.line.waiters) - 1
		for class >= 0 && l.line.waiters[class].oldest == nil {
			class--
		}
		if class < 0 {
			return // who waits is about to have its last look
		}
		g, ok := l.take(l.limit.Load())
		if !ok {
			return
		}
		w := l.line.waiters[class].oldest
		if l.line.newest {
			w = l.line.waiters[class].newest
		}
		l.remove(w)
		w.generation, w.served = g, true
		w.ready <- nil
	}
}

// pushOut sends away the oldest of the least important, to make room for one of
// that importance. It reports whether there was one.
func (l *limiter) pushOut(class int) bool {
	for c := 0; c <= class; c++ {
		if w := l.line.waiters[c].oldest; w != nil {
			l.remove(w)
			w.ready <- errCrowded
			return true
		}
	}
	return false
}

func (q *waiters) add(w *waiter) {
	w.inLine, w.older, w.newer = true, q.newest, nil
	if q.newest == nil {
		q.oldest = w
	} else {
		q.newest.newer = w
	}
	q.newest = w
}

// remove takes w out of the line, if it is still in it.
func (l *limiter) remove(w *waiter) {
	if !w.inLine {
		return
	}
	q := &l.line.waiters[w.class]
	if w.older == nil {
		q.oldest = w.newer
	} else {
		w.older.newer = w.newer
	}
	if w.newer == nil {
		q.newest = w.older
	} else {
		w.newer.older = w.older
	}
	w.inLine, w.older, w.newer = false, nil, nil
	l.waiting.Add(-1)
}
