package cache

import (
	"fmt"
	"hash/maphash"
	"net/url"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/maypok86/otter/v2"
)

// DefaultSize is how much all caches together hold that have no size of their own.
const DefaultSize = 128 << 20

// SharedSize is DefaultSize, or a quarter of what the process may use where that is less.
func SharedSize(memory int64) int64 { return min(DefaultSize, memory/4) }

// Set is the caches of a gateway. It is safe for concurrent use.
type Set struct {
	// generations count the changes of resources that went through the gateway,
	// many paths to a number: an answer is good for the number that it was asked
	// for under. Two paths that share one only cost each other a miss.
	generations [1 << 14]atomic.Uint32
	purges      atomic.Uint64 // what was asked for before a purge is not stored
	seed        maphash.Seed

	mu       sync.Mutex
	storages map[*Storage]struct{}
	counts   map[string]*Counts // by owner
}

// NewSet returns one without caches.
func NewSet() *Set {
	return &Set{seed: maphash.MakeSeed(), storages: map[*Storage]struct{}{}, counts: map[string]*Counts{}}
}

// slot is where changes of a path are counted.
func (s *Set) slot(authority, path []byte) *atomic.Uint32 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.Write(authority)
	h.WriteByte(0)
	h.Write(path)
	return &s.generations[h.Sum64()%uint64(len(s.generations))]
}

// Storage holds answers by weight.
type Storage struct {
	name    string
	set     *Set
	size    uint64
	entries *otter.Cache[string, *entry]
	flights flights
}

// Open returns a storage for so many bytes. Call Close when nobody uses it.
func (s *Set) Open(name string, size int64) (*Storage, error) {
	entries, err := otter.New(&otter.Options[string, *entry]{
		MaximumWeight: uint64(size),
		Weigher:       func(_ string, e *entry) uint32 { return e.size },
	})
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	st := &Storage{name: name, set: s, size: uint64(size), entries: entries}
	s.mu.Lock()
	s.storages[st] = struct{}{}
	s.mu.Unlock()
	return st, nil
}

// Close forgets everything.
func (st *Storage) Close() {
	st.set.mu.Lock()
	delete(st.set.storages, st)
	st.set.mu.Unlock()
	st.entries.InvalidateAll()
	st.entries.StopAllGoroutines()
}

// get returns what is kept under a key, which is only borrowed.
func (st *Storage) get(key []byte) *entry {
	e, _ := st.entries.GetIfPresent(unsafe.String(unsafe.SliceData(key), len(key)))
	return e
}

// put keeps e under a key, unless there was a purge since the service was asked.
func (st *Storage) put(key []byte, e *entry, purges uint64) {
	k := string(key)
	e.weigh(k)
	if uint64(e.size) > st.size || st.set.purges.Load() != purges {
		return
	}
	st.entries.Set(k, e)
	if st.set.purges.Load() != purges { // it may have looked here before e came
		st.entries.Invalidate(k)
	}
}

// Purge forgets the answers of a URL, https://host/path?query, or, with * at
// its end, of all that begin so; "*" is everything. It returns how many there were.
func (s *Set) Purge(pattern string) (int, error) {
	prefix, all := strings.CutSuffix(pattern, "*")
	if prefix != "" || !all {
		u, err := url.Parse(prefix)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return 0, fmt.Errorf("not like https://host/path, https://host/path* or *")
		}
		if u.Path == "" && !all {
			prefix += "/"
		}
	}
	s.purges.Add(1)
	n := 0
	for _, st := range s.list() {
		for k, e := range st.entries.All() {
			if e.url != prefix && !(all && strings.HasPrefix(e.url, prefix)) {
				continue
			}
			if _, ok := st.entries.Invalidate(k); ok && e.answer != nil {
				n++
			}
		}
	}
	return n, nil
}

func (s *Set) list() (list []*Storage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.storages {
		list = append(list, st)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}

// State is what an operator sees of the caches.
type State struct {
	Storages []StorageState `json:"storages"`
	Owners   []OwnerState   `json:"owners"`
}

// StorageState is the state of a storage.
type StorageState struct {
	Name    string `json:"name"`
	Size    uint64 `json:"size_bytes"`
	Bytes   uint64 `json:"bytes"`
	Entries int    `json:"entries"`
}

// OwnerState is what became of the requests of an owner.
type OwnerState struct {
	Owner     string `json:"owner"`
	Hits      uint64 `json:"hits"`      // fresh
	Stale     uint64 `json:"stale"`     // past their time, while or because no other could be had
	Confirmed uint64 `json:"confirmed"` // the service was asked, and said that the answer still holds
	Misses    uint64 `json:"misses"`
	Collapsed uint64 `json:"collapsed"` // waited for another request, and were given its answer
	Bypassed  uint64 `json:"bypassed"`
	Stored    uint64 `json:"stored"`
}

// Counts counts what becomes of the requests of an owner.
type Counts struct {
	hits, stale, confirmed, misses, collapsed, bypassed, stored atomic.Uint64
}

// Counts returns the counts of an owner, until release is called.
func (s *Set) Counts(owner string) (c *Counts, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.counts[owner]; c == nil {
		c = new(Counts)
		s.counts[owner] = c
	}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.counts[owner] == c {
			delete(s.counts, owner)
		}
	}
}

// State returns the state of all caches.
func (s *Set) State() State {
	state := State{Storages: []StorageState{}, Owners: []OwnerState{}}
	for _, st := range s.list() {
		state.Storages = append(state.Storages, StorageState{st.name, st.size, st.entries.WeightedSize(), st.entries.EstimatedSize()})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for owner, c := range s.counts {
		state.Owners = append(state.Owners, OwnerState{owner, c.hits.Load(), c.stale.Load(), c.confirmed.Load(), c.misses.Load(),
			c.collapsed.Load(), c.bypassed.Load(), c.stored.Load()})
	}
	sort.Slice(state.Owners, func(i, j int) bool { return state.Owners[i].Owner < state.Owners[j].Owner })
	return state
}
