package h2

import "sync"

// workers are goroutines that serve one stream after another: a goroutine that
// has served one keeps the stack that it needed for that.
type workers struct {
	mu     sync.Mutex
	idle   []*worker // the one that was busy last is at the end
	closed bool
}

// maxIdleWorkers bounds what is kept for the next burst, some 8 KiB of stack
// each; who is beyond it ends.
const maxIdleWorkers = 256

type worker struct{ next chan job }

type job interface{ run() }

// start lets a goroutine run j.
func (p *workers) start(j job) {
	p.mu.Lock()
	var w *worker
	if n := len(p.idle); n > 0 {
		w = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
	}
	p.mu.Unlock()
	if w == nil {
		w = &worker{next: make(chan job, 1)}
		go w.loop(p)
	}
	w.next <- j
}

func (w *worker) loop(p *workers) {
	for j := range w.next {
		j.run()
		p.mu.Lock()
		if p.closed || len(p.idle) >= maxIdleWorkers {
			p.mu.Unlock()
			return
		}
		p.idle = append(p.idle, w)
		p.mu.Unlock()
	}
}

// close ends the goroutines that are idle, and the others when they are.
func (p *workers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.next)
	}
	p.idle = nil
}
