package store

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// top keeps the keys that seem to ask most, as text: every refusal counts and
// one in 64 of the rest, for 64. It forgets half a minute by minute. Its memory
// is bounded, and who is in the way of another does not wait.
type top struct {
	mu     sync.Mutex
	halved time.Time
	keys   []topKey
}

type topKey struct {
	key              []byte
	allowed, refused int64
}

const (
	topKeys    = 128
	topText    = 256 // bytes of a key that are kept
	sampleRate = 64
)

func (k *topKey) count() int64 { return k.allowed + k.refused }

func (t *top) note(m *Memory, key []byte, allowed bool) {
	if allowed && rand.Uint32()%sampleRate != 0 || len(key) > topText || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	if now := m.now(); now.Sub(t.halved) > time.Minute {
		t.halved = now
		for i := range t.keys {
			t.keys[i].allowed /= 2
			t.keys[i].refused /= 2
		}
	}
	k := t.find(key)
	if allowed {
		k.allowed += sampleRate
	} else {
		k.refused++
	}
}

// find returns the entry of a key. A new one takes the place of the one that
// asked least, and its count: so it does not look smaller than it may be.
func (t *top) find(key []byte) *topKey {
	least := 0
	for i := range t.keys {
		if string(t.keys[i].key) == string(key) {
			return &t.keys[i]
		}
		if t.keys[i].count() < t.keys[least].count() {
			least = i
		}
	}
	if len(t.keys) < topKeys {
		t.keys = append(t.keys, topKey{key: append([]byte(nil), key...)})
		return &t.keys[len(t.keys)-1]
	}
	k := &t.keys[least]
	k.key = append(k.key[:0], key...)
	k.allowed, k.refused = k.count(), 0
	return k
}

// list returns the busiest keys with what l knows of them.
func (t *top) list(n int, l peeker) []KeyState {
	t.mu.Lock()
	var list []KeyState
	for _, k := range t.keys {
		list = append(list, KeyState{Key: string(k.key), Allowed: k.allowed, Refused: k.refused})
	}
	t.mu.Unlock()
	slices.SortStableFunc(list, func(a, b KeyState) int { return int(b.Allowed + b.Refused - a.Allowed - a.Refused) })
	list = list[:min(max(n, 0), len(list))]
	for i := range list {
		k := &list[i]
		d, _ := l.Peek([]byte(k.Key))
		k.Limit, k.Remaining, k.ResetAfter = d.Limit, d.Remaining, d.ResetAfter
	}
	return list
}

type peeker interface {
	Peek(key []byte) (Decision, bool)
}
