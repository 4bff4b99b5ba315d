package certs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"

	"gopura/store"
)

// The storage over a shared store does what the one in a folder does.
func TestStorage(t *testing.T) {
	for _, c := range []struct {
		name string
		certmagic.Storage
	}{
		{"folder", &certmagic.FileStorage{Path: t.TempDir()}},
		{"store", newStorage(store.NewValues())},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			for _, key := range []string{"certificates/ca/a.test/a.test.crt", "certificates/ca/a.test/a.test.key", "certificates/ca/b.test/b.test.crt", "last_clean.json"} {
				if err := c.Store(ctx, key, []byte("text of "+key)); err != nil {
					t.Fatal(err)
				}
			}
			if text, err := c.Load(ctx, "last_clean.json"); err != nil || string(text) != "text of last_clean.json" {
				t.Errorf("%q, %v", text, err)
			}
			if _, err := c.Load(ctx, "nothing"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nothing: %v", err)
			}
			if _, err := c.Stat(ctx, "nothing"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("nothing: %v", err)
			}
			if !c.Exists(ctx, "last_clean.json") || c.Exists(ctx, "nothing") {
				t.Error("what is there is not, or the other way round")
			}
			if i, err := c.Stat(ctx, "last_clean.json"); err != nil || i.Size != 23 || !i.IsTerminal || time.Since(i.Modified) > time.Minute {
				t.Errorf("%+v, %v", i, err)
			}
			list := func(prefix string, recursive bool, want ...string) {
				t.Helper()
				got, err := c.List(ctx, prefix, recursive)
				slices.Sort(got)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %q, %v", prefix, got, err)
				}
			}
			list("certificates/ca", false, "certificates/ca/a.test", "certificates/ca/b.test")
			list("certificates/ca/a.test", false, "certificates/ca/a.test/a.test.crt", "certificates/ca/a.test/a.test.key")
			if _, err := c.List(ctx, "nothing", true); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a list of nothing: %v", err)
			}
			if err := c.Delete(ctx, "certificates/ca/a.test"); err != nil {
				t.Fatal(err)
			}
			list("certificates/ca", false, "certificates/ca/b.test")
		})
	}
}

// Only who holds a lock gives it back. (The one of a folder keeps a goroutine
// for a while after that, so it is not in the comparison.)
func TestStorageLock(t *testing.T) {
	c := newStorage(store.NewValues())
	if err := c.Lock(t.Context(), "issue_cert_a.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Unlock(t.Context(), "issue_cert_a.test"); err != nil {
		t.Fatal(err)
	}
	if c.Unlock(t.Context(), "issue_cert_a.test") == nil {
		t.Error("unlocked twice")
	}
}

// awayValues is a store that is away for a while.
type awayValues struct {
	Values
	away atomic.Bool
}

func (v *awayValues) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if v.away.Load() {
		return nil, false, errors.New("away")
	}
	return v.Values.Get(ctx, key)
}

// A store that is away never means that there is no certificate: whoever asks
// waits for it, and is told yes when it can't wait any longer.
func TestStorageAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &awayValues{Values: store.NewValues()}
		c := newStorage(v)
		if err := c.Store(t.Context(), "there", []byte("x")); err != nil {
			t.Fatal(err)
		}
		v.away.Store(true)
		if _, err := c.Load(t.Context(), "there"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("loaded from a store that is away: %v", err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if !c.Exists(short, "not there") {
			t.Error("not knowing was a no")
		}
		time.AfterFunc(time.Minute, func() { v.away.Store(false) })
		begun := time.Now()
		if !c.Exists(t.Context(), "there") || time.Since(begun) < time.Minute {
			t.Errorf("a no, or an answer from nowhere, after %v", time.Since(begun))
		}
		if c.Exists(t.Context(), "not there") {
			t.Error("a yes without a value")
		}
	})
}
