package store

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// world is N replicas and a store on one virtual clock: calls are executed and
// answered in any order, late, or never.
type world struct {
	rnd      *rand.Rand
	now      int64
	token    int64 // nanoseconds
	limit    int64
	debt, at int64 // of the bucket in the store
	replicas []*lease
	busy     []bool
	delay    time.Duration // of one way, at most
	loss     float64       // of calls, and of answers
	events   events
	admitted int64
	refused  int64
	meter    meter // of what all replicas admit
	worst    int64 // the most that the meter showed
}

// meter is a bucket without a bottom: its level is at most B+E, over all time,
// exactly when no span of any length W lets more than B+E+r·W pass.
type meter struct{ level, at int64 }

func (m *meter) add(now, amount int64) int64 {
	m.level = max(m.level-(now-m.at), 0) + amount
	m.at = now
	return m.level
}

type event struct {
	at int64
	do func()
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any          { x := (*e)[len(*e)-1]; *e = (*e)[:len(*e)-1]; return x }

func newWorld(seed uint64, replicas int, limit int64, per time.Duration, delay time.Duration, loss float64) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 7)), now: 1, token: int64(per) / limit, limit: limit, delay: delay, loss: loss}
	for range replicas {
		e := new(lease)
		e.floor.Store(-advance(limit))
		e.left.Store(limit)
		w.replicas = append(w.replicas, e)
	}
	w.busy = make([]bool, replicas)
	return w
}

func (w *world) after(most time.Duration, do func()) {
	heap.Push(&w.events, event{w.now + 1 + w.rnd.Int64N(int64(most)+1), do})
}

// run lets the time pass until end.
func (w *world) run(end int64) {
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = end
}

// script does what script_rate.lua does.
func (w *world) script(a ask) answer {
	w.debt, w.at = max(w.debt-(w.now-w.at), 0), w.now
	most := owedMost * w.limit * w.token
	w.debt = min(max(w.debt+a.settle*w.token, 0), most)
	n := max(min(a.want, (w.limit*w.token-w.debt)/w.token), 0)
	if n < a.least {
		n = 0
	}
	w.debt += n * w.token
	return answer{
		granted: n, remaining: max((w.limit*w.token-w.debt)/w.token, 0),
		retry: time.Duration(max(w.debt+max(a.least, 1)*w.token-w.limit*w.token, 0)), reset: time.Duration(w.debt),
	}
}

func (w *world) call(i int) {
	if w.busy[i] {
		return
	}
	w.busy[i] = true
	e := w.replicas[i]
	again := func(r answer, err error) {
		w.busy[i] = false
		if e.finish(r, err, w.now, w.limit, time.Duration(hold(w.limit)*w.token)) {
			w.call(i)
		}
	}
	w.after(w.delay, func() { // it leaves
		a := e.prepare(w.now, w.limit)
		if w.rnd.Float64() < w.loss {
			w.after(4*w.delay, func() { again(answer{}, errors.New("the call was lost")) })
			return
		}
		w.after(w.delay, func() { // it arrives
			r := w.script(a)
			if w.rnd.Float64() < w.loss {
				w.after(4*w.delay, func() { again(answer{}, errors.New("the answer was lost")) })
				return
			}
			w.after(w.delay, func() { again(r, nil) })
		})
	})
}

// take is one request at a replica.
func (w *world) take(i int, cost int64) bool {
	e := w.replicas[i]
	v, _, ask := e.take(cost)
	if v == short {
		ask = w.now >= e.next.Load()
	}
	if ask {
		w.call(i)
	}
	if v != granted {
		w.refused++
		return false
	}
	w.admitted += cost
	w.worst = max(w.worst, w.meter.add(w.now, cost*w.token))
	return true
}

// visit is what the sweeper does.
func (w *world) visit(i int) {
	if _, ask := w.replicas[i].visit(w.now); ask {
		w.call(i)
	}
}

// TestLeasesStayWithinTheBound: whatever the schedule, N replicas together never
// admit more, in any span of time, than the limit and LeaseBound.
func TestLeasesStayWithinTheBound(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 40
	}
	var nearest float64
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 3))
		n := 1 + r.IntN(6)
		limit := []int64{1, 2, 7, 10, 100, 1000, 5000}[r.IntN(7)]
		delay := []time.Duration{200 * time.Microsecond, 5 * time.Millisecond, 50 * time.Millisecond}[r.IntN(3)]
		w := newWorld(seed, n, limit, time.Second, delay, []float64{0, 0, 0.01, 0.3}[r.IntN(4)])
		// Storms and quiet times, at all replicas or at one.
		for storm := 0; storm < 12; storm++ {
			demand := float64(limit) * []float64{0.2, 1, 3, 30}[r.IntN(4)]
			end := w.now + r.Int64N(int64(2*time.Second))
			one := r.IntN(2 * n)
			for w.now < end && w.admitted+w.refused < 50_000 {
				i := r.IntN(n)
				if one < n {
					i = one
				}
				w.take(i, 1)
				w.run(w.now + 1 + int64(r.ExpFloat64()*1e9/demand))
			}
			for range r.IntN(4) {
				w.run(w.now + r.Int64N(int64(sweepEvery)))
				for i := range w.replicas {
					w.visit(i)
				}
			}
			if r.IntN(4) == 0 { // a replica dies and another takes its place
				i := r.IntN(n)
				if !w.busy[i] {
					fresh := new(lease)
					if w.replicas[i].balance.Load() >= 0 {
						fresh.floor.Store(-advance(limit))
						w.replicas[i] = fresh
					}
				}
			}
		}
		most := limit + LeaseBound(limit, int64(n))
		if w.worst > most*w.token {
			t.Fatalf("seed %d: %d replicas, limit %d: %.1f at once, the bound is %d", seed, n, limit, float64(w.worst)/float64(w.token), most)
		}
		nearest = max(nearest, float64(w.worst)/float64(w.token)/float64(most))
	}
	t.Logf("nearest to the bound: %.0f%%", 100*nearest)
	if nearest < 0.5 {
		t.Error("the schedules never come near the bound: the test tests little")
	}
}

// TestLeasesRefuseNothingBelow: clients that together stay within half of what
// the bucket has beside the other replicas' leases are never refused, at
// whichever replica they arrive.
func TestLeasesRefuseNothingBelow(t *testing.T) {
	for _, limit := range []int64{10, 100, 1000, 10000} {
		for _, n := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("limit %d, %d replicas", limit, n), func(t *testing.T) {
				for seed := range uint64(20) {
					r := rand.New(rand.NewPCG(seed, 5))
					w := newWorld(seed, n, limit, time.Second, time.Millisecond, 0)
					within := max((limit-int64(n)*hold(limit))/2, 1) * w.token
					var shaper meter
					for k := 0; k < 20000 && w.now < int64(20*time.Second); k++ {
						i := r.IntN(n)
						if k/500%3 == 1 {
							i = 0
						}
						if shaper.level-(w.now-shaper.at)+w.token <= within {
							shaper.add(w.now, w.token)
							if !w.take(i, 1) {
								t.Fatalf("seed %d: refused request %d: %d held, floor %d", seed, k, w.replicas[i].balance.Load(), w.replicas[i].floor.Load())
							}
						}
						w.run(w.now + 1 + int64(r.ExpFloat64()*float64(w.token)/1.2))
						if k%300 == 0 {
							for i := range w.replicas {
								w.visit(i)
							}
						}
					}
				}
			})
		}
	}
}

// TestLeasesAdmitTheRate: under a flood the limit is used, not less.
func TestLeasesAdmitTheRate(t *testing.T) {
	for _, l := range []struct{ limit, perSecond int64 }{{10, 10}, {100, 100}, {1000, 1000}, {10000, 10000}, {10, 1000}, {100, 10000}} {
		for _, n := range []int{1, 4} {
			per := time.Second * time.Duration(l.limit) / time.Duration(l.perSecond)
			w := newWorld(1, n, l.limit, per, 100*time.Microsecond, 0)
			end := int64(10 * time.Second)
			for k := 0; w.now < end; k++ {
				w.take(k%n, 1)
				w.run(w.now + w.token/4)
			}
			whole := l.limit + 10*l.perSecond
			t.Logf("burst %d, %d/s, %d replicas: admitted %d of %d", l.limit, l.perSecond, n, w.admitted, whole)
			if w.admitted < whole*97/100 || w.admitted > whole+LeaseBound(l.limit, int64(n)) {
				t.Errorf("burst %d, %d/s, %d replicas: admitted %d in 10s, of %d", l.limit, l.perSecond, n, w.admitted, whole)
			}
		}
	}
}
