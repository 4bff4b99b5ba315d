package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gopura/cache"
	"gopura/config"
	"gopura/exchange"
	"gopura/handover"
	"gopura/identity"
	"gopura/lifetime"
	"gopura/live"
	"gopura/policy"
	"gopura/store"
	"gopura/telemetry"
)

// Options say what a gateway is made of.
type Options struct {
	// Load reads the configuration, at start and at every reload.
	Load func() (*config.Document, error)
	// Log is the gateway's own log; nil: none.
	Log *slog.Logger
	// LogLevel follows the configuration's log.level when set.
	LogLevel *slog.LevelVar
	// Build is shown in metrics and the admin API.
	Build telemetry.Build
	// Prepare is called with a configuration that has compiled, before it is
	// put in force, by who serves another part of it (the admin listener). It
	// opens what it needs and returns how to put that in force, or to give it up.
	Prepare func(*config.Document) (commit, abandon func(), err error)
	// Sockets are those that the process was given; nil: it opens its own.
	Sockets *handover.Sockets
}

// Gateway serves a configuration. Its methods are safe for concurrent use.
type Gateway struct {
	options Options
	log     *slog.Logger
	metrics *telemetry.Metrics
	current lifetime.Current[*snapshot]
	pool    lifetime.Pool
	memory  *store.Memory // limits that this process keeps for itself
	secret  [32]byte      // keys what only this process has to recognise
	started time.Time

	connections  atomic.Int64 // open client connections
	pressure     pressure
	audits       audits
	sockets      policy.Sockets // the WebSockets that are open
	caches       *cache.Set     // of the cache policies
	history      history
	series       *telemetry.Series
	room         live.Room // those who look at exchanges
	witnessed    traces    // of requests that are being explained
	explanations explanations
	exporters    exporters // of traces

	reloading  sync.Mutex // one change at a time; guards generation and stopped
	generation uint64
	stopped    bool       // Shutdown has been called
	listenMu   sync.Mutex // guards listeners, which only who holds reloading changes, and retired
	listeners  map[string]*listener
	retired    map[*listener]struct{} // removed, with connections that are still ending
	draining   atomic.Bool
	handedOver atomic.Bool // another process accepts
	lastError  atomic.Pointer[reloadError]
}

type reloadError struct {
	At  time.Time
	Err error
}

// New returns a gateway that serves nothing yet.
func New(o Options) *Gateway {
	g := &Gateway{
		options: o, log: o.Log, metrics: telemetry.NewMetrics(o.Build, exchange.Codes), started: time.Now(),
		listeners: map[string]*listener{}, retired: map[*listener]struct{}{}, memory: store.NewMemory(store.MemoryOptions{}), caches: cache.NewSet(),
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	rand.Read(g.secret[:])
	g.series = telemetry.NewSeries(g.metrics)
	g.metrics.ReadStores(g.storeSamples)
	g.metrics.ReadCaches(g.cacheSample)
	return g
}

// ConfigOptions are the options with which every configuration is read.
func ConfigOptions() config.Options {
	return config.Options{Policies: policy.ConfigKinds(), Identities: identity.ConfigKinds()}
}

// Check loads and compiles a configuration and opens nothing. It returns the
// document with its warnings, or the problems.
func Check(load func() (*config.Document, error)) (*config.Document, error) {
	doc, err := load()
	if err != nil {
		return nil, err
	}
	g := New(Options{})
	s, err := g.compile(doc, true)
	if err != nil {
		return doc, err
	}
	s.scope.Close()
	return doc, nil
}

// Reload loads the configuration and puts it in force, as a whole or not at
// all: on an error nothing has changed. The first Reload starts the gateway.
func (g *Gateway) Reload(context.Context) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	how := byReload
	if g.generation == 0 {
		how = byStart
	}
	return g.apply(func() (*config.Document, error) {
		doc, err := g.options.Load()
		if err == nil {
			g.history.look(doc.Origin())
		}
		return doc, err
	}, how, nil)
}

// follow is Reload after a change of the files. While an earlier configuration is
// in force, only a change of their text ends that; after one of what they refer
// to, that same configuration is put in force anew.
func (g *Gateway) follow() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	back := g.history.rolledBack()
	doc, err := g.options.Load()
	if err == nil && g.history.look(doc.Origin()) && back != nil {
		return g.apply(g.current.Get().Value.doc.Origin().Again, byRollback, back)
	}
	return g.apply(func() (*config.Document, error) { return doc, err }, byFiles, nil)
}

// apply puts a configuration in force, or notes why not.
func (g *Gateway) apply(load func() (*config.Document, error), how string, back *RolledBack) error {
	err := g.put(load, how, back)
	if errors.Is(err, errStopping) {
		return err
	}
	if err != nil {
		g.metrics.Refused()
		g.lastError.Store(&reloadError{time.Now(), err})
		return err
	}
	g.lastError.Store(nil)
	return nil
}

// errStopping refuses a configuration: this process serves its last one. Nothing is wrong with it.
var errStopping = errors.New("the gateway is shutting down")

func (g *Gateway) put(load func() (*config.Document, error), how string, back *RolledBack) error {
	if g.draining.Load() || g.handedOver.Load() {
		return errStopping
	}
	doc, err := load()
	if err != nil {
		return err
	}
	s, err := g.compile(doc, false)
	if err != nil {
		return err
	}
	plans, err := g.planListeners(s)
	if err != nil {
		s.scope.Close()
		return err
	}
	commit, abandon := func() {}, func() {}
	if g.options.Prepare != nil {
		if commit, abandon, err = g.options.Prepare(doc); err != nil {
			abandonListeners(plans)
			s.scope.Close()
			return err
		}
	}
	_ = abandon // nothing below can fail
	changes := g.swap(s, doc, plans)
	g.history.note(s, how, back, changes)
	commit()
	return nil
}

func abandonListeners(plans []planned) {
	for _, p := range plans {
		if p.new {
			p.l.close()
		}
	}
}

// swap makes s current; from here on nothing can fail. It returns what s does
// differently. The same content again keeps its generation.
func (g *Gateway) swap(s *snapshot, doc *config.Document, plans []planned) (changes []Change) {
	s.hash = hashOf(doc)
	if old := g.current.Get(); old == nil || old.Value.hash != s.hash {
		g.generation++
	}
	s.generation = g.generation
	if g.options.LogLevel != nil {
		if level, err := telemetry.ParseLevel(doc.Log.Level); err == nil {
			g.options.LogLevel.Set(level)
		}
	}
	g.pressure.configure(doc.Overload)
	if old := g.current.Get(); old != nil {
		g.metrics.Retiring.Add(1)
		changes = g.logChanges(old.Value.doc, doc)
	}
	g.current.Swap(s, func() {
		s.scope.Close()
		g.metrics.Retiring.Add(-1)
		g.log.Debug("configuration retired", "generation", s.generation)
	}, s.pin)
	next := map[string]*listener{}
	for i := range plans {
		plans[i].commit()
		next[plans[i].l.name] = plans[i].l
	}
	for _, l := range g.listeners {
		if next[l.name] != l {
			g.listenMu.Lock()
			g.retired[l] = struct{}{}
			g.listenMu.Unlock()
			go g.retire(l)
		}
	}
	g.setListeners(next)
	g.sockets.Keep(func(route string) bool {
		return slices.ContainsFunc(doc.Routes, func(r config.Route) bool { return r.Name == route })
	})
	g.metrics.Applied(s.generation, s.hash, s.at)
	g.log.Info("configuration in force", "generation", s.generation, "hash", s.hash,
		"routes", len(doc.Routes), "services", len(doc.Services), "warnings", len(s.warnings))
	return changes
}

// pin hands the snapshot's handle to its nodes before anybody can enter it.
func (s *snapshot) pin(h *lifetime.Snapshot[*snapshot]) {
	s.unrouted.pin = h
	for _, n := range s.nodes {
		n.pin = h
	}
}

func (g *Gateway) retire(l *listener) {
	ctx, cancel := context.WithTimeout(context.Background(), g.grace())
	defer cancel()
	l.drain(ctx)
	g.listenMu.Lock()
	delete(g.retired, l)
	g.listenMu.Unlock()
	g.log.Info("listener closed", "listener", l.name, "address", l.address)
}

func (g *Gateway) grace() time.Duration {
	if s := g.current.Get(); s != nil {
		return s.Value.doc.Shutdown.Grace
	}
	return 30 * time.Second
}

// Shutdown stops accepting, after the delay of the configuration, lets exchanges in flight end until ctx is over, and
// closes everything. It returns ctx's error when something had to be broken off.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.draining.Store(true)
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.stopped {
		return nil
	}
	g.stopped = true
	if !g.handedOver.Load() {
		g.announce(ctx)
	}
	g.sockets.Keep(func(string) bool { return false })
	err := g.drain(ctx)
	if s := g.current.Get(); s != nil {
		g.metrics.Retiring.Add(1)
		s.Leave() // no longer current: the last exchange closes the scope
		for ctx.Err() == nil && s.Users() > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	g.exporters.close(ctx)
	g.setListeners(map[string]*listener{})
	return err
}

// HandedOver says that another process accepts on the same sockets: to stop is
// then to stop accepting at once, and to nobody's harm.
func (g *Gateway) HandedOver() {
	g.reloading.Lock() // a configuration that is being put in force comes first, and is the last
	defer g.reloading.Unlock()
	g.handedOver.Store(true)
}

// announce goes on accepting for the configured delay: closing a listener
// resets the connections that wait to be accepted, so whoever sends them has to
// have noticed that the gateway is no longer ready.
func (g *Gateway) announce(ctx context.Context) {
	s := g.current.Get()
	if s == nil || s.Value.doc.Shutdown.Delay <= 0 {
		return
	}
	select {
	case <-time.After(s.Value.doc.Shutdown.Delay):
	case <-ctx.Done():
	}
}

// drain ends the connections of all listeners, also of those that a reload has
// removed and that are still ending theirs.
func (g *Gateway) drain(ctx context.Context) error {
	g.listenMu.Lock()
	listeners := slices.AppendSeq(slices.Collect(maps.Values(g.listeners)), maps.Keys(g.retired))
	g.listenMu.Unlock()
	for _, l := range listeners {
		l.ln.Close()
	}
	var all sync.WaitGroup
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		all.Go(func() { errs <- l.drain(ctx) })
	}
	all.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func (g *Gateway) setListeners(l map[string]*listener) {
	g.listenMu.Lock()
	g.listeners = l
	g.listenMu.Unlock()
}

// Address returns the address on which a listener accepts, "" when there is none.
func (g *Gateway) Address(name string) string {
	g.listenMu.Lock()
	defer g.listenMu.Unlock()
	if l := g.listeners[name]; l != nil {
		return l.ln.Addr().String()
	}
	return ""
}

// Metrics returns the gateway's metrics.
func (g *Gateway) Metrics() *telemetry.Metrics { return g.metrics }

// Ready reports whether the gateway serves and will go on serving.
func (g *Gateway) Ready() bool { return !g.draining.Load() && g.current.Get() != nil }

// ReopenLogs opens log files anew, for rotation.
func (g *Gateway) ReopenLogs() error {
	s := g.current.Enter()
	if s == nil {
		return nil
	}
	defer s.Leave()
	if s.Value.access == nil {
		return nil
	}
	return s.Value.access.Reopen()
}

// shadow returns how to count what policies of a route in shadow mode would
// have refused.
func (g *Gateway) shadow(scope *lifetime.Scope, route string) func(x *exchange.Exchange, policy, code string) {
	type refusal struct{ policy, code string }
	var handles sync.Map // refusal to *telemetry.Shadowed
	return func(x *exchange.Exchange, policy, code string) {
		key := refusal{policy, code}
		h, ok := handles.Load(key)
		if !ok {
			h, _ = handles.LoadOrStore(key, g.metrics.Shadowed(scope, route, policy, code))
		}
		h.(*telemetry.Shadowed).Inc()
		g.log.Debug("shadow refusal", "policy", policy, "code", code, "route", route, "id", string(x.ID))
	}
}

// hashOf identifies the content of a document.
func hashOf(doc *config.Document) string {
	text, err := json.Marshal(doc)
	if err != nil {
		text = fmt.Append(nil, doc)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))[:12]
}
