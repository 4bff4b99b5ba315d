package store

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// table holds one word for each of many keys. The larger a word, the more its
// key has used; at or below a level, zero, that rises with time, the key has
// used nothing and its place may be given to another.
//
// Words of known keys change by compare-and-swap, without a lock. Each shard is
// a table of sets of 8 places, and a key may be in two of the sets: so a shard
// fills to about nine tenths before it has to grow. A shard that may not grow
// any more gives the place of the smallest word away, and remembers that word
// in the set, as the least that a key that comes to the set begins with. A key
// that was pushed out so comes back with no less than it had: pushing it out
// does not reset it.
type table struct {
	shards  [shards]shard
	maxSets int // in a shard
	evicted atomic.Uint64
}

const (
	shards = 64
	ways   = 8
	moved  = 1<<64 - 1 // in place of a word that is being moved under the shard's lock
)

// hash stands for a key. lo is never 0.
type hash struct{ lo, hi uint64 }

type shard struct {
	sets atomic.Pointer[[]set]
	mu   sync.Mutex // held to bring in a key or to grow
	keys int        // places in use
	_    [4]uint64  // apart from the next one's
}

type set struct {
	places [ways]place
	floor  atomic.Uint64
}

type place struct{ lo, hi, word atomic.Uint64 } // lo 0: empty

func newTable(maxKeys int) *table {
	t := &table{maxSets: 1}
	for t.maxSets*ways*shards < maxKeys {
		t.maxSets *= 2
	}
	for i := range t.shards {
		sets := make([]set, 1)
		t.shards[i].sets.Store(&sets)
	}
	return t
}

func (t *table) shard(k hash) *shard { return &t.shards[k.lo>>(64-6)] }

// pair returns the two sets that k may be in; they may be the same.
func pair(sets []set, k hash) (*set, *set) {
	mask := uint64(len(sets) - 1)
	return &sets[(k.lo>>1)&mask], &sets[k.hi&mask]
}

func (p *place) holds(k hash) bool { return p.lo.Load() == k.lo && p.hi.Load() == k.hi }

func (s *set) find(k hash) *place {
	for i := range s.places {
		if p := &s.places[i]; p.holds(k) {
			return p
		}
	}
	return nil
}

func find(sets []set, k hash) *place {
	a, b := pair(sets, k)
	if p := a.find(k); p != nil {
		return p
	}
	return b.find(k)
}

// get returns the place of k and its word at one moment; nil: k is not there.
func (s *shard) get(k hash) (*place, uint64) {
	for {
		p := find(*s.sets.Load(), k)
		if p == nil {
			return nil, 0
		}
		w := p.word.Load()
		switch {
		case w == moved:
			s.mu.Lock() // until it has been
			s.mu.Unlock()
		case p.holds(k): // still: so w was its word
			return p, w
		}
	}
}

// span is how far words go at the moment: from zero, nothing used, to full, and
// to most, which is what somebody may owe.
type span struct{ zero, full, most uint64 }

func (n span) clamp(w uint64) uint64 { return min(max(w, n.zero), n.most) }

// take adds to the word of k unless that would lead past full. It returns the
// word as it then is.
func (t *table) take(k hash, n span, add uint64) (word uint64, ok bool) {
	s := t.shard(k)
	for {
		p, w := s.get(k)
		if p == nil {
			if word, ok, done := t.enter(s, k, n, add, n.full); done {
				return word, ok
			}
			continue
		}
		old := n.clamp(w)
		if old+add > n.full {
			return old, false
		}
		if add == 0 || p.word.CompareAndSwap(w, old+add) {
			return old + add, true
		}
	}
}

// charge moves the word of k by delta, as far as words go.
func (t *table) charge(k hash, n span, delta int64) {
	s := t.shard(k)
	for {
		p, w := s.get(k)
		switch {
		case p == nil && delta <= 0:
			return
		case p == nil:
			if _, _, done := t.enter(s, k, n, uint64(delta), n.most); done {
				return
			}
			continue
		}
		old := n.clamp(w)
		var next uint64
		if delta < 0 {
			next = old - min(uint64(-delta), old-n.zero)
		} else {
			next = min(old+uint64(delta), n.most)
		}
		if p.word.CompareAndSwap(w, next) {
			return
		}
	}
}

// peek returns the word of k.
func (t *table) peek(k hash, n span) (uint64, bool) {
	p, w := t.shard(k).get(k)
	return n.clamp(w), p != nil
}

// reset makes k as if it had used nothing.
func (t *table) reset(k hash) {
	s := t.shard(k)
	for {
		p, w := s.get(k)
		if p == nil || p.word.CompareAndSwap(w, 0) {
			return
		}
	}
}

// enter brings a key in. Not done: somebody else has.
func (t *table) enter(s *shard, k hash, n span, add, limit uint64) (word uint64, ok, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sets := *s.sets.Load()
	if find(sets, k) != nil {
		return 0, false, false
	}
	a, b := pair(sets, k)
	old := n.clamp(max(a.floor.Load(), b.floor.Load()))
	if old+add > limit {
		return old, false, true
	}
	if add == 0 {
		return old, true, true
	}
	for t.crowded(s, a, b, n.zero) {
		s.grow(t, n.zero)
		a, b = pair(*s.sets.Load(), k)
	}
	t.put(s, a, b, k, old+add, n.zero)
	return old + add, true, true
}

// crowded reports whether there is no room in two sets and the shard can grow.
func (t *table) crowded(s *shard, a, b *set, zero uint64) bool {
	return len(*s.sets.Load()) < t.maxSets && a.room(zero) == 0 && b.room(zero) == 0
}

// room is how many places are empty or idle.
func (s *set) room(zero uint64) (n int) {
	for i := range s.places {
		if p := &s.places[i]; p.lo.Load() == 0 || p.word.Load() <= zero {
			n++
		}
	}
	return n
}

// smallest returns the place with the smallest word, an empty one first.
func (s *set) smallest() (least *place, word uint64) {
	for i := range s.places {
		p := &s.places[i]
		w := p.word.Load()
		if p.lo.Load() == 0 {
			return p, 0
		}
		if least == nil || w < word {
			least, word = p, w
		}
	}
	return least, word
}

// put gives k a place in one of two sets, where there is more room.
func (t *table) put(s *shard, a, b *set, k hash, word, zero uint64) {
	ra, rb := a.room(zero), b.room(zero)
	in := a
	switch {
	case rb > ra:
		in = b
	case ra == 0: // and rb: the smallest of all
		if _, wa := a.smallest(); a != b {
			if _, wb := b.smallest(); wb < wa {
				in = b
			}
		}
	case ra == rb && rand.Uint32()&1 == 0:
		in = b
	}
	p, _ := in.smallest()
	if p.lo.Load() == 0 {
		s.keys++
	}
	p.lo.Store(0)
	// Whoever had found the old key before that line either changes the word
	// before the next one, and then it counts, or does not get to change it.
	if w := p.word.Swap(moved); w > zero {
		in.floor.Store(max(in.floor.Load(), w))
		t.evicted.Add(1)
	}
	p.hi.Store(k.hi)
	p.word.Store(word)
	p.lo.Store(k.lo)
}

// grow doubles a shard and leaves the idle keys behind.
func (s *shard) grow(t *table, zero uint64) {
	old := *s.sets.Load()
	held := make([]holding, 0, s.keys)
	for i := range old {
		for j := range old[i].places {
			p := &old[i].places[j]
			w := p.word.Swap(moved)
			if k := (hash{p.lo.Load(), p.hi.Load()}); k.lo != 0 && w > zero {
				held = append(held, holding{k, w})
			}
		}
	}
	// Among few sets, it can happen that too many keys meet in one of twice as many.
	for n := 2 * len(old); ; n *= 2 {
		sets := make([]set, n)
		for i := range sets {
			sets[i].floor.Store(old[i%len(old)].floor.Load())
		}
		if s.keys = 0; s.fill(t, sets, held, zero) {
			s.sets.Store(&sets)
			return
		}
	}
}

type holding struct {
	hash
	word uint64
}

// fill puts keys into empty sets. False: they have no room, and more sets may be tried.
func (s *shard) fill(t *table, sets []set, held []holding, zero uint64) bool {
	for _, k := range held {
		a, b := pair(sets, k.hash)
		if len(sets) < t.maxSets && a.room(zero) == 0 && b.room(zero) == 0 {
			return false
		}
		t.put(s, a, b, k.hash, k.word, zero)
	}
	return true
}

// size returns how many keys there are and the bytes that they take.
func (t *table) size() (keys int, bytes int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		keys += s.keys
		bytes += int64(len(*s.sets.Load())) * setBytes
		s.mu.Unlock()
	}
	return keys, bytes
}

const setBytes = ways*24 + 8
