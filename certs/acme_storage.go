package certs

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// storage keeps what certmagic does in a store that replicas share, under
// acme:. A value is the time when it was written (8 bytes, seconds) and what
// was written.
type storage struct {
	values Values

	mu    sync.Mutex
	locks map[string]func() // those that we hold
}

const (
	storagePrefix = "acme:"
	storageCall   = 5 * time.Second
	storagePause  = 100 * time.Millisecond // between two tries
)

func newStorage(v Values) *storage { return &storage{values: v, locks: map[string]func(){}} }

// patiently tries again for a while: a store that is away for a moment must
// not cost an order at the authority.
func patiently(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storageCall)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(storagePause):
		}
	}
}

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	text := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()))
	text = append(text, value...)
	return patiently(ctx, func(ctx context.Context) error { return s.values.Set(ctx, storagePrefix+key, text, 0) })
}

var errStorage = errors.New("a value in the store is none of ours")

func (s *storage) load(ctx context.Context, key string) (value []byte, at time.Time, err error) {
	var text []byte
	var found bool
	err = patiently(ctx, func(ctx context.Context) (err error) {
		text, found, err = s.values.Get(ctx, storagePrefix+key)
		return err
	})
	switch {
	case err != nil:
		return nil, at, err
	case !found:
		return nil, at, fs.ErrNotExist
	case len(text) < 8:
		return nil, at, errStorage
	}
	return text[8:], time.Unix(int64(binary.BigEndian.Uint64(text)), 0), nil
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	value, _, err := s.load(ctx, key)
	return value, err
}

// Delete implements certmagic.Storage: a key, and all that are below it.
func (s *storage) Delete(ctx context.Context, key string) error {
	below, err := s.values.Keys(ctx, storagePrefix+key+"/")
	if err != nil {
		return err
	}
	for _, k := range append(below, storagePrefix+key) {
		if _, err := s.values.Delete(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// Exists implements certmagic.Storage. It has no word for not knowing, and a no
// means that a new certificate is ordered: while the store is away it waits, and
// when the waiting ends it is not a no.
func (s *storage) Exists(ctx context.Context, key string) bool {
	for {
		_, _, err := s.load(ctx, key)
		switch {
		case err == nil:
			return true
		case errors.Is(err, fs.ErrNotExist):
			return false
		case ctx.Err() != nil, errors.Is(err, errStorage):
			return true
		}
	}
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	keys, err := s.values.Keys(ctx, storagePrefix+prefix)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var list []string
	for _, k := range keys {
		k = strings.TrimPrefix(k, storagePrefix)
		if !recursive {
			if first, _, deeper := strings.Cut(k[len(prefix):], "/"); deeper {
				k = prefix + first
			}
		}
		if !seen[k] {
			seen[k] = true
			list = append(list, k)
		}
	}
	if len(list) == 0 {
		return nil, fs.ErrNotExist
	}
	return list, nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, at, err := s.load(ctx, key)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key, Modified: at, Size: int64(len(value)), IsTerminal: true}, nil
}

// Lock implements certmagic.Locker.
func (s *storage) Lock(ctx context.Context, name string) error {
	unlock, err := s.values.Lock(ctx, storagePrefix+name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.locks[name] = unlock
	s.mu.Unlock()
	return nil
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	unlock := s.locks[name]
	delete(s.locks, name)
	s.mu.Unlock()
	if unlock == nil {
		return errors.New("the lock is not held")
	}
	unlock()
	return nil
}
