package store

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// leases are the keys of one limiter that are in use here. A key that has been
// quiet for a while gives back what it holds and leaves; what it used is known
// to the store, so that nothing is forgotten. When there is no room, a key
// that holds nothing makes place; otherwise the new one has no lease.
type leases struct {
	shards   [leaseShards]leaseShard
	each     int // most keys in a shard
	overflow atomic.Uint64
}

type leaseShard struct {
	mu      sync.RWMutex
	keys    map[string]*entry
	decided atomic.Uint64 // decisions; beside the lock, which they have to take anyway
	_       [24]byte
}

const (
	leaseShards = 64
	leaseKeys   = 1 << 18 // in use at the same time, at most
	leaseBytes  = 360     // of memory for one, about
	longKey     = 64      // from here on a key is known by its hash
	sweepEvery  = 500 * time.Millisecond
)

func (t *leases) init(most int) {
	t.each = max(min(most, leaseKeys)/leaseShards, 1)
	for i := range t.shards {
		t.shards[i].keys = map[string]*entry{}
	}
}

func (t *leases) most() int { return t.each * leaseShards }

// known returns what a key is known by here; sum is room for it.
func known(key []byte, sum *[sha256.Size]byte) []byte {
	if len(key) <= longKey {
		return key
	}
	*sum = sha256.Sum256(key)
	return sum[:]
}

func (t *leases) shard(key []byte) *leaseShard {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return &t.shards[(h^h>>16)%leaseShards]
}

func (t *leases) find(key []byte) *entry {
	var sum [sha256.Size]byte
	k := known(key, &sum)
	s := t.shard(k)
	s.mu.RLock()
	e := s.keys[string(k)]
	s.mu.RUnlock()
	return e
}

// get returns the lease of a key, made anew when there is none; nil: no room.
func (t *leases) get(key []byte, l *shared, f *force) *entry {
	var sum [sha256.Size]byte
	k := known(key, &sum)
	s := t.shard(k)
	s.mu.RLock()
	e := s.keys[string(k)]
	s.mu.RUnlock()
	if e != nil && e.balance.Load() > dead/2 {
		return e
	}
	return t.add(s, k, key, l, f)
}

func (t *leases) add(s *leaseShard, k, key []byte, l *shared, f *force) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.keys[string(k)]; e != nil && e.balance.Load() > dead/2 {
		return e
	}
	if len(s.keys) >= t.each && !s.makeRoom() {
		t.overflow.Add(1)
		return nil
	}
	e := &entry{l: l, home: s}
	e.name = redisKey(l.prefix, key)
	if l.s.link.open() {
		e.failed.Store(true)
	} else {
		e.floor.Store(-advance(f.limit))
		e.left.Store(f.limit)
	}
	s.keys[string(k)] = e
	return e
}

// makeRoom retires one of a few keys. The map begins anywhere.
func (s *leaseShard) makeRoom() bool {
	tries := 0
	for k, e := range s.keys {
		if e.retire() {
			delete(s.keys, k)
			return true
		}
		if tries++; tries == 8 {
			break
		}
	}
	return false
}

// held is what this process has of a key; below 0: owes.
func (t *leases) held(key []byte) int64 {
	if e := t.find(key); e != nil {
		if b := e.balance.Load(); b > dead/2 {
			return b
		}
	}
	return 0
}

// drop forgets a key.
func (t *leases) drop(key []byte) {
	var sum [sha256.Size]byte
	k := known(key, &sum)
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.keys[string(k)]; e != nil {
		e.balance.Store(dead)
		delete(s.keys, string(k))
	}
}

func (t *leases) size() (keys int, bytes int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		keys += len(s.keys)
		s.mu.RUnlock()
	}
	return keys, int64(keys) * leaseBytes
}

// decided is how many decisions were made from leases.
func (t *leases) decided() (n uint64) {
	for i := range t.shards {
		n += t.shards[i].decided.Load()
	}
	return n
}

// tokens are what this process holds of all keys, and what it is ahead.
func (t *leases) tokens() (held, owed int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for _, e := range s.keys {
			switch b := e.balance.Load(); {
			case b > 0:
				held += b
			case b > dead/2:
				owed -= b
			}
		}
		s.mu.RUnlock()
	}
	return held, owed
}

// sweep visits the keys, a shard at a time, each once in sweepEvery.
func (s *Redis) sweep() {
	tick := time.NewTicker(sweepEvery / leaseShards)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % leaseShards {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		for _, l := range s.opened() {
			for _, e := range l.leases.shards[i].quiet(s.clock()) {
				s.ask(e)
			}
		}
	}
}

func (s *Redis) opened() []*shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*shared, 0, len(s.limiters))
	for _, l := range s.limiters {
		list = append(list, l)
	}
	return list
}

// quiet retires the keys that nobody asked for since the last visit, and
// returns those which must settle or give back first.
func (s *leaseShard) quiet(now int64) (open []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range s.keys {
		switch idle, ask := e.visit(now); {
		case ask:
			open = append(open, e)
		case idle && e.retire():
			delete(s.keys, k)
		}
	}
	return open
}

// giveBack settles everything, for at most a timeout: the last act.
func (s *Redis) giveBack() {
	deadline := time.Now().Add(s.options.Timeout)
	for _, l := range s.opened() {
		for i := range l.leases.shards {
			for _, e := range l.leases.shards[i].all() {
				e.asked.Store(0)
				e.mu.Lock()
				e.quiet = quietVisits + 1
				e.mu.Unlock()
				for e.balance.Load() != 0 && !s.link.open() && time.Now().Before(deadline) && !s.ask(e) {
					time.Sleep(time.Millisecond)
				}
			}
		}
	}
	for _, l := range s.opened() {
		for i := range l.leases.shards {
			for _, e := range l.leases.shards[i].all() {
				for e.queued.Load() && !s.link.open() && time.Now().Before(deadline) {
					time.Sleep(time.Millisecond)
				}
			}
		}
	}
}

func (s *leaseShard) all() []*entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.keys))
}
