package telemetry

import (
	"sync"
	"time"
)

// Tick is how often the counters are looked at; a step of the kept series is two
// of them.
const (
	Tick  = 2500 * time.Millisecond
	Step  = 2 * Tick
	steps = 180 // 15 minutes
	// maxRings bounds the memory of the series: 180 samples of 32 bytes each,
	// 24 MB together. A series gets a ring with its first request and gives it
	// back after 15 minutes without one. What finds none free has only its
	// latest sample.
	maxRings = 4096
)

// Sample is what flowed in a span of time, per second.
type Sample struct {
	Rate     float32
	Errors   float32 // 5xx, and what failed without a status
	Refused  float32 // 4xx
	Limited  float32 // by policies that limit
	P50      float32 // milliseconds, estimated from the histogram; with Rate 0 there is none
	P95      float32
	P99      float32
	InFlight int32
}

// Series are the samples of everything that has a handle, by id. Looking at
// counters costs those who count nothing.
type Series struct {
	metrics *Metrics

	mu     sync.Mutex
	lines  map[string]*line
	rings  int
	ticks  uint64
	at     time.Time // the last tick
	before time.Time // the one before it
	stepAt time.Time // the last end of a step
}

// line is one series.
type line struct {
	kind   string
	seen   uint64 // the last tick that found its handle
	last   counts // at the last tick
	base   counts // at the end of the last step
	latest Sample
	ring   []Sample // oldest at next; nil: nothing has flowed lately
	next   int
	quiet  int // steps without a request
}

// NewSeries returns series of m that look at nothing yet: call Look at every Tick.
func NewSeries(m *Metrics) *Series { return &Series{metrics: m, lines: map[string]*line{}} }

// Look reads all counters. It is called once for each Tick.
func (s *Series) Look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.ticks == 0
	s.ticks++
	span := now.Sub(s.at).Seconds()
	s.before, s.at = s.at, now
	step := s.ticks%2 == 1
	stepSpan := now.Sub(s.stepAt).Seconds()
	if step {
		s.stepAt = now
	}
	s.metrics.read(func(id, kind string, c *counts) {
		l := s.lines[id]
		if l == nil {
			l = &line{kind: kind}
			if first {
				l.last, l.base = *c, *c // counted before anybody looked
			}
			s.lines[id] = l
		}
		l.seen = s.ticks
		if first {
			return
		}
		l.latest = l.last.until(c, span)
		l.last = *c
		if step {
			s.keep(l, l.base.until(c, stepSpan))
			l.base = *c
		}
	})
	for id, l := range s.lines {
		if l.seen != s.ticks {
			s.drop(l)
			delete(s.lines, id)
		}
	}
}

// keep puts a step into the ring of a series.
func (s *Series) keep(l *line, sample Sample) {
	if sample.Rate > 0 || sample.InFlight > 0 {
		l.quiet = 0
		if l.ring == nil && s.rings < maxRings {
			s.rings++
			l.ring, l.next = make([]Sample, steps), 0
		}
	} else if l.quiet++; l.quiet > steps {
		s.drop(l)
	}
	if l.ring != nil {
		l.ring[l.next] = sample
		l.next = (l.next + 1) % steps
	}
}

func (s *Series) drop(l *line) {
	if l.ring != nil {
		s.rings--
		l.ring = nil
	}
}

// Latest calls f with the last sample of every series that has something to say,
// in no order, and returns when it ended and how long it lasted.
func (s *Series) Latest(f func(id, kind string, sample Sample)) (at time.Time, span time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.lines {
		if l.latest.Rate > 0 || l.latest.InFlight > 0 || l.latest.Limited > 0 {
			f(id, l.kind, l.latest)
		}
	}
	if s.ticks > 1 {
		span = s.at.Sub(s.before)
	}
	return s.at, span
}

// Kept returns the last n steps of a series, oldest first, or nil.
func (s *Series) Kept(id string, n int) []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[id]
	if l == nil || l.ring == nil {
		return nil
	}
	n = min(max(n, 1), steps)
	out := make([]Sample, n)
	for i := range out {
		out[i] = l.ring[(l.next+steps-n+i)%steps]
	}
	return out
}

// IDs returns the ids of a kind that have a ring; "" is any kind.
func (s *Series) IDs(kind string) (ids []string, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.lines {
		if l.ring != nil && (kind == "" || l.kind == kind) {
			ids = append(ids, id)
		}
	}
	return ids, s.stepAt
}
