package upstream

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// plant is a service with workers. What finds none waits in its queue, in the order in
// which it came; or, when they are shared, all in the house are served at the same time, more
// slowly the more they are, as by processors.
type plant struct {
	stubborn bool // works also for clients that have gone
	shared   bool

	mu      sync.Mutex
	workers int
	hung    bool // begins nothing
	busy    int
	queue   []*job
	random  *rand.Rand

	// Of shared workers: how much work each has been given since the beginning.
	given  float64 // nanoseconds
	at     time.Time
	inside jobs
	timer  *time.Timer
}

type job struct {
	work time.Duration
	ends float64 // of shared workers: when that much is given
	at   int     // in the heap; -1: not
	done chan error
	gone atomic.Bool
}

func (j *job) Interrupt() {
	j.gone.Store(true)
	j.done <- exchange.ClientGone.Because(errors.New("test"))
}

func newPlant(workers int) *plant {
	return &plant{workers: workers, random: rand.New(rand.NewPCG(1, 2))}
}

func (p *plant) serve(x *exchange.Exchange, work time.Duration) error {
	j := &job{work: work, at: -1, done: make(chan error, 2)}
	p.mu.Lock()
	p.queue = append(p.queue, j)
	p.next()
	p.mu.Unlock()
	if err := x.Interruptible(j); err != nil {
		return exchange.ClientGone.Because(err)
	}
	var err error
	if x.Deadline.IsZero() {
		err = <-j.done
	} else {
		select {
		case err = <-j.done:
		case <-time.After(time.Until(x.Deadline)):
			j.gone.Store(true)
			err = exchange.ExchangeTimeout.Because(errors.New("test"))
		}
	}
	x.Release()
	x.Response.Status = 200
	if err != nil && p.shared && !p.stubborn {
		p.mu.Lock()
		if p.share(); j.at >= 0 {
			heap.Remove(&p.inside, j.at)
		}
		p.mu.Unlock()
	}
	return err
}

// next gives work to idle workers. It runs under the mutex.
func (p *plant) next() {
	if p.shared {
		p.share()
		return
	}
	for !p.hung && p.busy < p.workers && len(p.queue) > 0 {
		j := p.queue[0]
		p.queue = p.queue[1:]
		if j.gone.Load() && !p.stubborn {
			continue
		}
		p.busy++
		time.AfterFunc(j.work, func() {
			j.done <- nil
			p.mu.Lock()
			p.busy--
			p.next()
			p.mu.Unlock()
		})
	}
}

// share brings shared workers to the present: all in the house have been given the same.
func (p *plant) share() {
	now := time.Now()
	if n := len(p.inside); n > 0 && !p.hung {
		p.given += float64(now.Sub(p.at)) * min(1, float64(p.workers)/float64(n))
	}
	p.at = now
	for _, j := range p.queue {
		j.ends = p.given + float64(j.work)
		heap.Push(&p.inside, j)
	}
	p.queue = p.queue[:0]
	for len(p.inside) > 0 && p.inside[0].ends <= p.given+1 {
		heap.Pop(&p.inside).(*job).done <- nil
	}
	if n := len(p.inside); n > 0 {
		left := (p.inside[0].ends - p.given) / min(1, float64(p.workers)/float64(n))
		if p.timer == nil {
			p.timer = time.AfterFunc(time.Duration(left), func() { p.mu.Lock(); p.share(); p.mu.Unlock() })
		} else {
			p.timer.Reset(time.Duration(left) + 1)
		}
	}
}

// become changes how many workers there are, at once.
func (p *plant) become(workers int, hung bool) {
	p.mu.Lock()
	if p.shared {
		p.share()
	}
	p.workers, p.hung = workers, hung
	p.next()
	p.mu.Unlock()
}

// jobs is a heap, by end.
type jobs []*job

func (h jobs) Len() int           { return len(h) }
func (h jobs) Less(i, j int) bool { return h[i].ends < h[j].ends }
func (h jobs) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *jobs) Push(x any)        { x.(*job).at = len(*h); *h = append(*h, x.(*job)) }
func (h *jobs) Pop() any {
	old := *h
	j := old[len(old)-1]
	*h, j.at = old[:len(old)-1], -1
	return j
}
