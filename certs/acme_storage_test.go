package certs

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
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
