package h1

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// ServerConfig is what a Server needs to know. Zero durations mean no limit.
type ServerConfig struct {
	Root   exchange.Root
	Limits Limits

	HeadTimeout  time.Duration // from the first byte of a head to its last
	BodyTimeout  time.Duration // between two reads of a body that bring something
	IdleTimeout  time.Duration // between two requests of a connection
	WriteTimeout time.Duration // for the client to take what is written

	// HTTP2 takes over a cleartext connection that starts with the HTTP/2
	// preface, which is still to be read from nc. nil: such a connection is refused.
	HTTP2 func(nc net.Conn, client *exchange.Client)
}

// Server is the HTTP/1.1 front end of one or more listeners. It is safe for
// concurrent use.
type Server struct {
	config   atomic.Pointer[ServerConfig]
	work     sync.Pool // *workspace
	watch    *watch
	date     exchange.DateCache
	draining atomic.Bool

	mu     sync.Mutex
	conns  map[*conn]struct{}
	empty  chan struct{} // closed when draining and no connection is left
	closed bool          // it has been: nothing more is served
}

// NewServer returns a server. Close it to give its resources back.
func NewServer(c ServerConfig) *Server {
	s := &Server{conns: map[*conn]struct{}{}, watch: newWatch()}
	s.work.New = func() any { return newWorkspace() }
	s.Configure(c)
	return s
}

// Configure replaces the configuration; requests that have begun keep theirs.
func (s *Server) Configure(c ServerConfig) {
	c.Limits = c.Limits.withDefaults()
	s.config.Store(&c)
}

// ServeConn serves a connection until it ends, and closes it. client is kept.
// One that comes while the server drains had been accepted before that: its
// first request is answered.
func (s *Server) ServeConn(nc net.Conn, client *exchange.Client) {
	c := newConn(s, nc, client)
	if !s.add(c) {
		nc.Close()
		return
	}
	defer s.remove(c)
	c.serve()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty, s.closed = nil, true
	}
}

// Open returns the number of open connections.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// idleGrace is how long a draining server waits for a request that may be on
// its way on an idle connection; the answer to it then says Connection: close.
const idleGrace = time.Second

// Shutdown lets requests in flight end and closes idle connections, then, when
// ctx ends first, breaks off the rest. It returns ctx's error in that case.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	empty := s.empty
	if empty == nil {
		empty = make(chan struct{})
		if len(s.conns) == 0 {
			close(empty)
			s.closed = true
		} else {
			s.empty = empty
		}
	}
	grace := time.Now().Add(idleGrace)
	for c := range s.conns {
		if c.idle.Load() {
			c.link.nc.SetReadDeadline(grace)
		}
	}
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.cut(exchange.Draining.Because(nil))
	}
	s.mu.Unlock()
	return ctx.Err()
}

// Close breaks off whatever is left and frees the server's resources.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
	return s.watch.close()
}
