package identity

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
	"gopura/lifetime"
)

// world is what surrounds a source in a test.
type world struct {
	t        testing.TB
	env      *Env
	pool     *lifetime.Pool
	scope    *lifetime.Scope
	now      time.Time
	mu       sync.Mutex
	log      bytes.Buffer
	asserted []string
	prepared []func(context.Context)
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, pool: new(lifetime.Pool), now: time.Now()}
	w.reload()
	t.Cleanup(func() {
		w.scope.Close()
		if n := w.pool.Len(); n != 0 {
			t.Errorf("%d values are still held", n)
		}
	})
	return w
}

// Write takes the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// reload is a new configuration in the same process; it returns what ends the
// one before.
func (w *world) reload() (retire func()) {
	retire = func() {}
	if old := w.scope; old != nil {
		retire = old.Close
	}
	w.scope = new(lifetime.Scope)
	w.env = &Env{
		Name: "test", Scope: w.scope, Pool: w.pool, Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})), Dir: w.t.TempDir(),
		Prepare: func(f func(context.Context)) { w.prepared = append(w.prepared, f) },
		Asserts: func(names ...string) { w.asserted = append(w.asserted, names...) },
		Now:     w.clock,
	}
	return retire
}

// file writes a file that the source goes by and returns its path.
func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.env.Dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) compile(s Spec) Source {
	w.t.Helper()
	source, err := s.Compile(w.env)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range w.prepared {
		f(w.t.Context())
	}
	w.prepared = nil
	return source
}

// refuses expects that settings are not accepted, in these words.
func (w *world) refuses(s Spec, words string) error {
	w.t.Helper()
	_, err := s.Compile(w.env)
	if err == nil || !strings.Contains(err.Error(), words) {
		w.t.Errorf("compile: %v, want an error with %q", err, words)
	}
	return err
}

// request is a request as it comes to a source: "Name: value" for each field.
func request(method, target string, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Client: &exchange.Client{Addr: netip.MustParseAddrPort("192.0.2.7:4711")}, ID: []byte("id-1")}
	r := &x.Request
	r.Method, r.Scheme, r.Authority, r.Host, r.Body = method, "https", []byte("shop.example.com"), []byte("shop.example.com"), exchange.NoBody
	path, query, has := strings.Cut(target, "?")
	r.Target, r.Path = []byte(target), []byte(path)
	if has {
		r.Query = []byte(query)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return x
}

// expect asks a source and checks the outcome: a subject, or a code, or "none",
// or "answered".
func expect(t testing.TB, s Source, x *exchange.Exchange, want string) (*exchange.Identity, error) {
	t.Helper()
	id, err := s.Identify(x)
	got := ""
	switch {
	case err == None:
		got = "none"
	case err == Answered:
		got = "answered"
	case err != nil:
		got = exchange.AsError(err).Code
	case id == nil:
		got = "nobody"
	default:
		got = id.Sub
	}
	if got != want {
		t.Errorf("%s %s: got %s (%v), want %s", x.Request.Method, x.Request.Target, got, err, want)
	}
	return id, err
}

const (
	bad  = "identity_invalid"
	away = "identity_unavailable"
)

// TestKindsAreComplete keeps the table and the settings in step.
func TestKindsAreComplete(t *testing.T) {
	for _, k := range Kinds {
		if k.Doc == "" || k.New == nil || k.New() == nil {
			t.Errorf("kind %q is not complete", k.Name)
		}
	}
}
