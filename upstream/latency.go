package upstream

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies counts how long answers took, in steps of at most a quarter: four
// for each doubling, from 32 µs to 67 s.
type latencies struct {
	steps [latencySteps]atomic.Uint32
}

const (
	latencyLow   = 5 // 2^5 µs
	latencySteps = 21 * 4
)

func (l *latencies) add(d time.Duration) {
	us := max(uint64(d)/uint64(time.Microsecond), 1<<latencyLow)
	top := bits.Len64(us) - 1
	i := (top-latencyLow)<<2 | int(us>>(top-2)&3)
	l.steps[min(i, latencySteps-1)].Add(1)
}

// counts is what latencies has counted.
type counts [latencySteps]uint32

// take returns the counts, and begins anew.
func (l *latencies) take() (c counts, total int) {
	for i := range l.steps {
		if l.steps[i].Load() != 0 {
			c[i] = l.steps[i].Swap(0)
			total += int(c[i])
		}
	}
	return c, total
}

// total is how many there are so far.
func (l *latencies) total() (n int) {
	for i := range l.steps {
		n += int(l.steps[i].Load())
	}
	return n
}

// quantile returns the latency that so many stay below, in nanoseconds; 0 when there are fewer.
func (c *counts) quantile(below float64) float64 {
	before := 0.0
	for i, n := range c {
		if n > 0 && before+float64(n) >= below {
			low, high := stepFrom(i), stepFrom(i+1)
			return low + (high-low)*(below-before)/float64(n)
		}
		before += float64(n)
	}
	return 0
}

// stepFrom is where a step begins, in nanoseconds.
func stepFrom(i int) float64 {
	return float64(uint64(4+i&3)<<(latencyLow-2+i>>2)) * float64(time.Microsecond)
}
