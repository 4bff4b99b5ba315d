package store

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// memoryValues are Values of this process alone: for checks and tests.
type memoryValues struct {
	mu   sync.Mutex
	held map[string]heldValue
}

type heldValue struct {
	value []byte
	until time.Time // zero: forever
}

// NewValues returns Values that nobody shares.
func NewValues() Values { return &memoryValues{held: map[string]heldValue{}} }

// find returns what is there now. The caller holds mu.
func (m *memoryValues) find(key string) (value []byte, found bool) {
	h, ok := m.held[key]
	if ok && !h.until.IsZero() && !time.Now().Before(h.until) {
		delete(m.held, key)
		return nil, false
	}
	return h.value, ok
}

func (m *memoryValues) put(key string, value []byte, life time.Duration) {
	h := heldValue{value: slices.Clone(value)}
	if life > 0 {
		h.until = time.Now().Add(life)
	}
	m.held[key] = h
}

// Get implements Values.
func (m *memoryValues) Get(ctx context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, found := m.find(key)
	return slices.Clone(value), found, ctx.Err()
}

// Set implements Values.
func (m *memoryValues) Set(_ context.Context, key string, value []byte, life time.Duration) error {
	if err := checkValue(key, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, value, life)
	return nil
}

// Add implements Values.
func (m *memoryValues) Add(_ context.Context, key string, value []byte, life time.Duration) (bool, error) {
	if err := checkValue(key, value); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.find(key); found {
		return false, nil
	}
	m.put(key, value, life)
	return true, nil
}

// Delete implements Values.
func (m *memoryValues) Delete(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := m.find(key)
	delete(m.held, key)
	return found, nil
}

// Keys implements Values.
func (m *memoryValues) Keys(_ context.Context, prefix string) (keys []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.held {
		if _, found := m.find(key); found && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Lock implements Values.
func (m *memoryValues) Lock(ctx context.Context, name string) (func(), error) {
	return lock(ctx, m, name)
}

func (m *memoryValues) extend(_ context.Context, key string, token []byte, life time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, found := m.find(key)
	if !found || !bytes.Equal(value, token) {
		return false, nil
	}
	m.put(key, token, life)
	return true, nil
}

func (m *memoryValues) release(_ context.Context, key string, token []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, found := m.find(key); found && bytes.Equal(value, token) {
		delete(m.held, key)
	}
	return nil
}
