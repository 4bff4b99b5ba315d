package store

import (
	"cmp"
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

	mu       sync.Mutex
	opened   map[string]*opened // by name and shape
	openings int
}

// opened is the state of one name, for as long as somebody has it open.
type opened struct {
	name, shape string // shape: what must be equal for the state to be kept
	at          int    // when it was opened last, in order of openings
	state       any    // *table or *rolling
	top         *top
	uses        []user // in order of openings: the numbers of the last are in force
}

type user struct {
	u *use
	described
}

func (o *opened) last() described { return o.uses[len(o.uses)-1].described }

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
	id := name + "\x00" + shape
	o := m.opened[id]
	if o == nil {
		o = &opened{name: name, shape: shape, state: fresh(), top: new(top)}
		m.opened[id] = o
	}
	m.openings++
	o.at = m.openings
	return o
}

// use is one use of a name.
type use struct {
	m    *Memory
	o    *opened
	once sync.Once
}

// Close implements Limiter.
func (u *use) Close() {
	u.once.Do(func() {
		u.m.mu.Lock()
		defer u.m.mu.Unlock()
		// A configuration that is refused closes what it opened: then those
		// before it are the last again.
		u.o.uses = slices.DeleteFunc(u.o.uses, func(other user) bool { return other.u == u })
		if len(u.o.uses) == 0 {
			delete(u.m.opened, u.o.name+"\x00"+u.o.shape)
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
	l := &rateLimiter{use: use{m: m, o: s}, t: s.state.(*table), r: r, one: uint64(r.Token()), whole: uint64(r.Token()) * uint64(r.Burst)}
	s.uses = append(s.uses, user{&l.use, l})
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
		l := &calendarLimiter{use: use{m: m, o: s}, t: s.state.(*table), w: w}
		s.uses = append(s.uses, user{&l.use, l})
		return l, nil
	}
	s := m.open(name, fmt.Sprintf("window %s %d", w.Per, o.maxKeys()), func() any { return newRolling(o.maxKeys()) })
	l := &rollingLimiter{use: use{m: m, o: s}, t: s.state.(*rolling), w: w, slot: w.slot()}
	s.uses = append(s.uses, user{&l.use, l})
	return l, nil
}

// Find implements Store.
func (m *Memory) Find(name string) Limiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found *opened
	for _, o := range m.opened {
		if o.name == name && (found == nil || o.at > found.at) {
			found = o
		}
	}
	if found == nil {
		return nil
	}
	return found.last()
}

// State implements Store.
func (m *Memory) State() StoreState {
	s := StoreState{Kind: "memory", Ready: true, Limiters: []LimiterState{}}
	m.mu.Lock()
	for _, o := range m.opened {
		l := o.last().describe()
		l.Name, l.opened = o.name, o.at
		s.Limiters = append(s.Limiters, l)
	}
	m.mu.Unlock()
	s.Limiters = inOrder(s.Limiters)
	return s
}

// inOrder sorts limiters by name. Of two that have one name, because an earlier
// configuration is still in use, it keeps the one that was opened last.
func inOrder(list []LimiterState) []LimiterState {
	slices.SortFunc(list, func(a, b LimiterState) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(b.opened, a.opened))
	})
	return slices.CompactFunc(list, func(a, b LimiterState) bool { return a.Name == b.Name })
}

// Close implements Store.
func (m *Memory) Close() {}
