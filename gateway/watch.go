package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"gopura/certs"
	"gopura/config"
)

const (
	// settle is how long a change may take to be complete: editors write a
	// file in steps, Kubernetes swaps a link.
	settle = 100 * time.Millisecond
	// poll is how often files are looked at even without a notice: not every
	// file system gives one.
	poll = 2 * time.Second
)

// Watch reloads the configuration whenever the content of one of the files
// behind it changes, until ctx ends. files is asked again before every look;
// a name may be a file or a folder of YAML files. A refused configuration is
// logged, and the one in force stays.
func (g *Gateway) Watch(ctx context.Context, files func() []string) {
	changed := func() {
		g.log.Info("configuration files changed")
		if err := g.follow(); err != nil && !errors.Is(err, errStopping) {
			g.log.Error("configuration refused, the one in force stays", "error", err)
		}
	}
	w := newFileWatch(files)
	defer w.close()
	// They may have changed after they were read and before they were watched.
	if doc, err := g.options.Load(); err != nil || !g.history.says(doc.Origin()) {
		changed()
	}
	w.run(ctx, changed)
}

// WatchFiles calls changed whenever the content of one of the files changes,
// until ctx ends.
func WatchFiles(ctx context.Context, files func() []string, changed func()) {
	w := newFileWatch(files)
	defer w.close()
	w.run(ctx, changed)
}

func (w *fileWatch) run(ctx context.Context, changed func()) {
	for w.wait(ctx) {
		if w.changed() {
			changed()
		}
	}
}

// fileWatch notices changes by content, not by time stamps.
type fileWatch struct {
	files   func() []string
	watcher *fsnotify.Watcher // nil where the system has none left: poll
	folders []string
	names   map[string]bool // the files, and where links lead
	sum     [32]byte
}

func newFileWatch(files func() []string) *fileWatch {
	w := &fileWatch{files: files}
	w.watcher, _ = fsnotify.NewWatcher()
	w.follow()
	w.sum = w.digest()
	return w
}

func (w *fileWatch) close() {
	if w.watcher != nil {
		w.watcher.Close()
	}
}

// follow watches the folders of the files, never the files themselves: a
// renamed-over file would be lost.
func (w *fileWatch) follow() {
	if w.watcher == nil {
		return
	}
	w.names = map[string]bool{}
	for _, f := range w.files() {
		for _, name := range expand(f) {
			w.names[filepath.Clean(name)] = true
			if real, err := filepath.EvalSymlinks(name); err == nil {
				w.names[real] = true
			}
		}
		for _, dir := range []string{f, filepath.Dir(f)} {
			if s, err := os.Stat(dir); err == nil && s.IsDir() && !slices.Contains(w.folders, dir) && w.watcher.Add(dir) == nil {
				w.folders = append(w.folders, dir)
			}
		}
	}
}

// concerns says whether a notice may be about the files. What is written beside
// them, an access log perhaps, is not; what comes, goes or gets another name may
// be the link that leads to them.
func (w *fileWatch) concerns(e fsnotify.Event) bool {
	return e.Op&^(fsnotify.Write|fsnotify.Chmod) != 0 || w.names[filepath.Clean(e.Name)]
}

// wait returns after a notice that has settled, or when it is time to look
// anyway, which no number of notices puts off; false when ctx has ended.
func (w *fileWatch) wait(ctx context.Context) bool {
	latest := time.Now().Add(poll)
	timer := time.NewTimer(poll)
	defer timer.Stop()
	var events <-chan fsnotify.Event
	var errs <-chan error // what it has missed, poll finds
	if w.watcher != nil {
		events, errs = w.watcher.Events, w.watcher.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case e := <-events:
			if !w.concerns(e) {
				continue
			}
			timer.Reset(min(settle, time.Until(latest)))
		case <-errs:
		}
	}
}

func (w *fileWatch) changed() bool {
	w.follow()
	sum := w.digest()
	if sum == w.sum {
		return false
	}
	w.sum = sum
	return true
}

// digest is the hash of the names and contents of all files.
func (w *fileWatch) digest() (sum [32]byte) {
	h := sha256.New()
	for _, f := range w.files() {
		for _, name := range expand(f) {
			h.Write([]byte(name + "\x00"))
			if data, err := os.ReadFile(name); err == nil {
				h.Write(data)
			} else {
				h.Write([]byte("unreadable"))
			}
			h.Write([]byte{0})
		}
	}
	h.Sum(sum[:0])
	return sum
}

// expand returns the YAML files of a folder, or the name of a file itself.
func expand(name string) []string {
	if s, err := os.Stat(name); err != nil || !s.IsDir() {
		return []string{name}
	}
	entries, _ := os.ReadDir(name)
	var list []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			list = append(list, filepath.Join(name, e.Name()))
		}
	}
	return list
}

// Files returns the files that the configuration in force was made of besides
// its own text: secrets, certificates, keys and authorities.
func (g *Gateway) Files() []string {
	s := g.current.Get()
	if s == nil {
		return nil
	}
	list := filesOf(s.Value.doc)
	for _, svc := range s.Value.services {
		if svc.schema != nil {
			list = append(list, svc.schema.files...)
		}
	}
	return list
}

// filesOf returns the files that a document names, but for what describes gRPC
// services: that leads to more files.
func filesOf(doc *config.Document) []string {
	list := slices.Clone(doc.Referred)
	for _, l := range doc.Listeners {
		if l.TLS != nil {
			list = append(list, certs.Files(l.TLS)...)
		}
	}
	for _, b := range doc.Identities {
		if f, ok := b.Spec.(interface{ Files(dir string) []string }); ok {
			list = append(list, f.Files(filepath.Dir(b.Pos.File))...)
		}
	}
	policies := slices.Clone(doc.Defaults)
	for _, b := range doc.Policies {
		policies = append(policies, b.Policies...)
	}
	for _, r := range doc.Routes {
		policies = append(policies, r.Policies...)
		for i := range r.Compose {
			call := &r.Compose[i]
			policies = append(policies, call.Policies...)
			if call.Undo != nil {
				policies = append(policies, call.Undo.Policies...)
			}
		}
	}
	for _, svc := range doc.Services {
		policies = append(policies, svc.Policies...)
	}
	for _, p := range policies {
		if f, ok := p.Spec.(interface{ Files() []string }); ok {
			list = append(list, f.Files()...)
		}
	}
	for _, svc := range doc.Services {
		if svc.TLS != nil {
			list = append(list, certs.UpstreamFiles(svc.TLS)...)
		}
	}
	return list
}
