package lifetime

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Scope owns clean-ups. The zero value is ready; it is safe for concurrent use.
type Scope struct {
	mu     sync.Mutex
	closes []func()
	closed bool
}

// Add registers a clean-up. On a closed scope it runs at once.
func (s *Scope) Add(clean func()) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		clean()
		return
	}
	s.closes = append(s.closes, clean)
	s.mu.Unlock()
}

// Close runs the clean-ups, last first, once.
func (s *Scope) Close() {
	s.mu.Lock()
	closes := s.closes
	s.closes, s.closed = nil, true
	s.mu.Unlock()
	for i := len(closes) - 1; i >= 0; i-- {
		closes[i]()
	}
}

// Pool holds values that several scopes share. The zero value is ready; it is
// safe for concurrent use.
type Pool struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	ready chan struct{} // closed when open has returned
	value any
	close func()
	err   error
	refs  int
}

// Hold returns the value that pool has under key, or opens it. The value lives
// until every scope that holds it has been closed. Two callers of one key open
// it once; when open fails, all of them get the error and the next one tries
// again. Keys of different types must differ (write "kind fingerprint").
func Hold[T any](p *Pool, s *Scope, key string, open func() (T, func(), error)) (T, error) {
	p.mu.Lock()
	h, ok := p.held[key]
	if !ok {
		h = &held{ready: make(chan struct{})}
		if p.held == nil {
			p.held = map[string]*held{}
		}
		p.held[key] = h
	}
	h.refs++
	p.mu.Unlock()
	if !ok {
		var err error
		h.value, h.close, err = open()
		h.err = err
		if err != nil {
			p.mu.Lock()
			delete(p.held, key)
			p.mu.Unlock()
		}
		close(h.ready)
	}
	<-h.ready
	var zero T
	if h.err != nil {
		return zero, h.err
	}
	v, ok := h.value.(T)
	if !ok {
		p.release(key, h)
		return zero, fmt.Errorf("lifetime: %q holds a %T, not a %T", key, h.value, zero)
	}
	s.Add(func() { p.release(key, h) })
	return v, nil
}

func (p *Pool) release(key string, h *held) {
	p.mu.Lock()
	h.refs--
	last := h.refs == 0
	if last {
		delete(p.held, key)
	}
	p.mu.Unlock()
	if last && h.close != nil {
		h.close()
	}
}

// Len returns the number of values that are held.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)
}

// Snapshot is a value pinned by those who use it.
type Snapshot[T any] struct {
	Value  T
	refs   atomic.Int64 // users, plus one while it is current
	retire func()
}

// Leave ends one use. The last one to leave a snapshot that has been swapped
// out runs its retire function.
func (s *Snapshot[T]) Leave() {
	if s.refs.Add(-1) == 0 && s.retire != nil {
		s.retire()
	}
}

// Users returns how many use the snapshot, not counting that it is current.
func (s *Snapshot[T]) Users() int64 { return s.refs.Load() }

// Current is the snapshot in force. Swap first, then Enter.
type Current[T any] struct {
	p atomic.Pointer[Snapshot[T]]
}

// Enter pins the current snapshot; the caller calls Leave on it. It does not
// block and does not allocate. It returns nil before the first Swap, and when
// the owner has let the last snapshot go.
func (c *Current[T]) Enter() *Snapshot[T] {
	for {
		s := c.p.Load()
		if s == nil {
			return nil
		}
		for n := s.refs.Load(); n > 0; n = s.refs.Load() {
			if s.refs.CompareAndSwap(n, n+1) {
				return s
			}
		}
		// It has retired between the load and here. Its successor was stored
		// before that, unless there is none.
		if c.p.Load() == s {
			return nil
		}
	}
}

// Get returns the current value without pinning it, for readers that touch
// only its memory; nil before the first Swap.
func (c *Current[T]) Get() *Snapshot[T] { return c.p.Load() }

// Swap makes next current. The snapshot before it is retired, by the function
// given when it was swapped in, once its last user has left. prepare, unless
// nil, gets the new snapshot before anybody can enter it. Calls must not overlap.
func (c *Current[T]) Swap(next T, retire func(), prepare func(*Snapshot[T])) *Snapshot[T] {
	s := &Snapshot[T]{Value: next, retire: retire}
	s.refs.Store(1)
	if prepare != nil {
		prepare(s)
	}
	old := c.p.Swap(s)
	if old != nil {
		old.Leave()
	}
	return old
}
