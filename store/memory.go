package store

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"
)

// MemoryOptions are for NewMemory.
type MemoryOptions struct {
	Now func() time.Time // nil: the clock
}

// Memory is a Store in this process.
type Memory struct {
	lo, hi maphash.Seed // of this process: nobody outside can make two keys collide
	now    func() time.Time
	base   time.Time // words of rates count from here

	mu     sync.Mutex
	opened map[string]*opened
}

// opened is the state of one name, for as long as somebody has it open.
type opened struct {
	shape string // what must be equal for the state to be kept
	refs  int
	state any // *table or *rolling
	top   *top
	last  described // the limiter opened last: its numbers are in force
}

type described interface {
	Limiter
	describe() LimiterState
}

// NewMemory returns an empty store.
func NewMemory(o MemoryOptions) *Memory {
	m := &Memory{lo: maphash.MakeSeed(), hi: maphash.MakeSeed(), now: o.Now, opened: map[string]*opened{}}
	if m.now == nil {
		m.now = time.Now
	}
	m.base = m.now().Add(-1) // 0 is before all
	return m
}

func (m *Memory) hash(key []byte) hash {
	return hash{maphash.Bytes(m.lo, key) | 1, maphash.Bytes(m.hi, key)}
}

// open returns the state of a name, made anew when there is none or when it is
// of another shape.
func (m *Memory) open(name, shape string, fresh func() any) *opened {
	o := m.opened[name]
	if o == nil || o.shape != shape {
		o = &opened{shape: shape, state: fresh(), top: new(top)}
		m.opened[name] = o
	}
	o.refs++
	return o
}

// use is one use of a name.
type use struct {
	m    *Memory
	name string
	o    *opened
	once sync.Once
}

// Close implements Limiter.
func (u *use) Close() {
	u.once.Do(func() {
		u.m.mu.Lock()
		defer u.m.mu.Unlock()
		if u.o.refs--; u.o.refs == 0 && u.m.opened[u.name] == u.o {
			delete(u.m.opened, u.name)
		}
	})
}

func (o LimiterOptions) maxKeys() int {
	if o.MaxKeys <= 0 {
		return DefaultKeys
	}
	return o.MaxKeys
}

// Rate implements Store.
func (m *Memory) Rate(name string, r Rate, o LimiterOptions) (Limiter, error) {
	r, err := r.normal()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.open(name, fmt.Sprintf("rate %d", o.maxKeys()), func() any { return newTable(o.maxKeys()) })
	l := &rateLimiter{use: use{m: m, name: name, o: s}, t: s.state.(*table), r: r, one: uint64(r.Token()), whole: uint64(r.Token()) * uint64(r.Burst)}
	s.last = l
	return l, nil
}

// Window implements Store.
func (m *Memory) Window(name string, w Window, o LimiterOptions) (Limiter, error) {
	w, err := w.normal()
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.Calendar {
		s := m.open(name, fmt.Sprintf("calendar %s %s %d", w.Per, w.Zone, o.maxKeys()), func() any { return newTable(o.maxKeys()) })
		l := &calendarLimiter{use: use{m: m, name: name, o: s}, t: s.state.(*table), w: w}
		s.last = l
		return l, nil
	}
	s := m.open(name, fmt.Sprintf("window %s %d", w.Per, o.maxKeys()), func() any { return newRolling(o.maxKeys()) })
	l := &rollingLimiter{use: use{m: m, name: name, o: s}, t: s.state.(*rolling), w: w, slot: w.slot()}
	s.last = l
	return l, nil
}

// Find implements Store.
func (m *Memory) Find(name string) Limiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.opened[name]; o != nil {
		return o.last
	}
	return nil
}

// State implements Store.
func (m *Memory) State() StoreState {
	s := StoreState{Kind: "memory", Ready: true, Limiters: []LimiterState{}}
	m.mu.Lock()
	for name, o := range m.opened {
		l := o.last.describe()
		l.Name = name
		s.Limiters = append(s.Limiters, l)
	}
	m.mu.Unlock()
	slices.SortFunc(s.Limiters, func(a, b LimiterState) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// Close implements Store.
func (m *Memory) Close() {}
