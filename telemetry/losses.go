package telemetry

import (
	"sync/atomic"
	"time"
)

// losses says that records are lost, and not once for each.
type losses struct {
	tell    func(records uint64, err error) // nil: nobody
	pending atomic.Bool                     // it will be told, or was a moment ago
	told    atomic.Uint64                   // of the records that are dropped
}

// lose counts n records that are lost.
func (l *AccessLog) lose(n uint64) {
	if n == 0 {
		return
	}
	l.dropped.Add(n)
	if l.losses.tell != nil && l.losses.pending.CompareAndSwap(false, true) {
		time.AfterFunc(lostSoon, l.tellLosses)
	}
}

// tellLosses tells what is lost, and that again in a while if there is more.
func (l *AccessLog) tellLosses() {
	n := l.dropped.Load()
	l.losses.tell(n-l.losses.told.Swap(n), l.Err())
	time.AfterFunc(lostAgain, func() {
		l.losses.pending.Store(false)
		if l.dropped.Load() > l.losses.told.Load() && l.losses.pending.CompareAndSwap(false, true) {
			l.tellLosses()
		}
	})
}
