package admin

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"gopura/config"
	"gopura/console"
	"gopura/gateway"
	"gopura/handover"
)

// Options are what an administrative server is made of.
type Options struct {
	Log   *slog.Logger   // nil: none
	Level *slog.LevelVar // what /api/log-level shows and sets; nil: it is not served

	Sockets *handover.Sockets // those that the process was given; nil: it opens its own

	// Upgrade hands the sockets to a new process and returns when that serves;
	// nil: /api/upgrade is not served.
	Upgrade func(context.Context) error
}

// Server is the administrative server of a gateway. It listens where the
// configuration in force says, and nowhere without one.
type Server struct {
	gateway  *gateway.Gateway
	log      *slog.Logger
	level    *slog.LevelVar
	sockets  *handover.Sockets
	handOver func(context.Context) error
	paths    map[string]methods
	files    *console.Files

	ways      ways
	tries     chan struct{} // as many as may be made at a time
	compiling sync.Mutex    // held while a configuration is compiled to be asked about

	mu      sync.Mutex
	current *listener // nil: none
}

// New returns the administrative server of g. It serves nothing until a
// configuration is in force: its Prepare belongs into gateway.Options.
func New(g *gateway.Gateway, o Options) *Server {
	s := &Server{gateway: g, log: o.Log, level: o.Level, sockets: o.Sockets, handOver: o.Upgrade, files: console.New()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.tries = make(chan struct{}, maxTries)
	s.paths = s.table()
	return s
}

// Prepare opens what doc wants: a listener on a new address; on the same one
// the socket and its connections stay. commit puts token, hosts and listener in
// force together, abandon closes what was opened.
func (s *Server) Prepare(doc *config.Document) (commit, abandon func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if doc.Admin == nil {
		return func() { s.replace(nil) }, func() {}, nil
	}
	if s.current != nil && s.current.address == doc.Admin.Address {
		l := s.current
		guard := newGuard(doc.Admin, l.port())
		return func() { l.guard.Store(guard) }, func() {}, nil
	}
	l, err := s.open(doc.Admin)
	if err != nil {
		return nil, nil, fmt.Errorf("listener \"admin\" (%s): %w", doc.Admin.Pos, err)
	}
	return func() { s.replace(l) }, l.close, nil
}

// replace starts the next listener and lets the requests of the one before end.
func (s *Server) replace(next *listener) {
	s.mu.Lock()
	before := s.current
	s.current = next
	s.mu.Unlock()
	if next != nil {
		go next.serve()
		s.log.Info("admin listener open", "address", next.net.Addr())
	}
	if before != nil {
		// Not here: the request that asked for the reload is one of them.
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), retireGrace)
			defer cancel()
			before.shutdown(ctx)
			s.log.Info("admin listener closed", "address", before.address)
		}()
	}
}

// Address returns where the server listens, "" when it does not.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return ""
	}
	return s.current.net.Addr().String()
}

// Shutdown stops listening and lets requests end until ctx is over.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	l := s.current
	s.current = nil
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.shutdown(ctx)
}
