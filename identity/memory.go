package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"time"
)

// digest stands for a credential wherever one is remembered.
type digest [sha256.Size]byte

// digester turns credentials into digests that mean nothing outside of this
// process.
type digester struct{ key [32]byte }

func newDigester() *digester {
	d := new(digester)
	rand.Read(d.key[:])
	return d
}

// of digests parts; each with its length, so that ("ab", "c") is not ("a", "bc").
func (d *digester) of(parts ...string) (sum digest) {
	h := hmac.New(sha256.New, d.key[:])
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	h.Sum(sum[:0])
	return sum
}

// stateKey names state in the pool: of a kind, under the name of its block, for
// as long as these settings stay the same.
func stateKey(kind, name string, settings ...string) string {
	var fixed digester
	sum := fixed.of(settings...)
	return "identity " + kind + " " + name + " " + hex.EncodeToString(sum[:16])
}

// memory remembers values for a while, so many at most: when it is full, what
// was not asked for recently goes. It is safe for concurrent use.
type memory[K comparable, V any] struct {
	mu         sync.Mutex
	half       int
	young, old map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	until time.Time
}

func newMemory[K comparable, V any](size int) *memory[K, V] {
	return &memory[K, V]{half: max(size/2, 1), young: map[K]remembered[V]{}}
}

// get returns a value that is remembered at the time now.
func (m *memory[K, V]) get(key K, now time.Time) (v V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.young[key]
	if !ok {
		if r, ok = m.old[key]; ok {
			m.put(key, r)
		}
	}
	if !ok || !now.Before(r.until) {
		return v, false
	}
	return r.value, true
}

// set remembers a value until the given time.
func (m *memory[K, V]) set(key K, v V, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, remembered[V]{v, until})
}

func (m *memory[K, V]) put(key K, r remembered[V]) {
	if len(m.young) >= m.half {
		if _, ok := m.young[key]; !ok {
			m.old, m.young = m.young, make(map[K]remembered[V], m.half/4)
		}
	}
	m.young[key] = r
	delete(m.old, key)
}

// forget drops a value.
func (m *memory[K, V]) forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.young, key)
	delete(m.old, key)
}

// len returns how many values are held, those whose time is over included.
func (m *memory[K, V]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.young) + len(m.old)
}

// flights lets those who ask the same thing at the same time share one answer.
type flights[K comparable, V any] struct {
	mu   sync.Mutex
	open map[K]*flight[V]
}

type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

var errPanicked = errors.New("the call that was shared panicked")

// do returns what f returns, which runs once for all who ask meanwhile. f is
// not cancelled with the first of them; a caller that goes away stops waiting.
func (s *flights[K, V]) do(ctx context.Context, key K, f func() (V, error)) (v V, err error) {
	s.mu.Lock()
	c, ok := s.open[key]
	if !ok {
		c = &flight[V]{done: make(chan struct{}), err: errPanicked}
		if s.open == nil {
			s.open = map[K]*flight[V]{}
		}
		s.open[key] = c
		go func() {
			defer func() {
				recover() // the waiters get errPanicked
				s.mu.Lock()
				delete(s.open, key)
				s.mu.Unlock()
				close(c.done)
			}()
			c.value, c.err = f()
		}()
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}
