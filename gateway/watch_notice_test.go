package gateway

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// An access log beside the configuration must not have it read anew with each line.
func TestNoticesOfOtherFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir) // a relative name, as in 'gopura run -c gopura.yaml'
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("real.yaml", "a: 1")
	write("access.log", "one")
	if err := os.Symlink("real.yaml", "gopura.yaml"); err != nil {
		t.Fatal(err)
	}
	w := newFileWatch(func() []string { return []string{"gopura.yaml"} })
	defer w.close()
	if w.watcher == nil {
		t.Skip("no notices on this system")
	}
	next := func(name string) fsnotify.Event {
		t.Helper()
		for {
			select {
			case e := <-w.watcher.Events:
				if filepath.Base(e.Name) == name {
					return e
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("no notice of %s", name)
			}
		}
	}
	write("access.log", "two")
	if e := next("access.log"); w.concerns(e) {
		t.Errorf("%v wakes", e)
	}
	write("real.yaml", "a: 2")
	if e := next("real.yaml"); !w.concerns(e) {
		t.Errorf("%v, where the link leads, does not wake", e)
	}
	if err := os.Rename("access.log", "..data"); err != nil {
		t.Fatal(err)
	}
	if e := next("..data"); !w.concerns(e) {
		t.Errorf("%v, which may be what links go through, does not wake", e)
	}
}
