package upstream

import (
	"sync/atomic"
	"time"
)

// windowBuckets is one more than the ten that make up a window, so that who
// must not miss anything of the last full window can look one bucket further.
const windowBuckets = 11

// window counts two things over a sliding time, lock-free. Each bucket packs
// its epoch (24 bits) and both counts (20 bits each) into one word, so that a
// bucket whose time is over is emptied and counted into in one step.
type window struct {
	width   int64 // nanoseconds a bucket
	buckets [windowBuckets]atomic.Uint64
}

const (
	countBits = 20
	countMax  = 1<<countBits - 1
	epochMask = 1<<(64-2*countBits) - 1
)

func newWindow(d time.Duration) *window {
	return &window{width: max(int64(d)/(windowBuckets-1), 1)}
}

// add counts at time now (nanoseconds, never negative). A full count stays full.
func (w *window) add(now int64, a, b uint64) {
	epoch := uint64(now / w.width)
	bucket := &w.buckets[epoch%windowBuckets]
	epoch &= epochMask
	for {
		old := bucket.Load()
		oldA, oldB := a, b
		if old>>(2*countBits) == epoch {
			oldA = min(old>>countBits&countMax+a, countMax)
			oldB = min(old&countMax+b, countMax)
		}
		if bucket.CompareAndSwap(old, epoch<<(2*countBits)|oldA<<countBits|oldB) {
			return
		}
	}
}

// sum returns the counts of the last n buckets, the running one included.
func (w *window) sum(now int64, n int) (a, b uint64) {
	epoch := now / w.width
	for e := epoch; e > epoch-int64(n) && e >= 0; e-- {
		v := w.buckets[e%windowBuckets].Load()
		if v>>(2*countBits) == uint64(e)&epochMask {
			a += v >> countBits & countMax
			b += v & countMax
		}
	}
	return a, b
}

func (w *window) reset() {
	for i := range w.buckets {
		w.buckets[i].Store(0)
	}
}
