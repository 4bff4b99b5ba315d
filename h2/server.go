package h2

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"gopura/exchange"
)

// Server serves HTTP/2 connections that others have accepted. It is safe for
// concurrent use.
type Server struct {
	config  atomic.Pointer[Config]
	streams sync.Pool // *serverStream
	work    workers
	date    exchange.DateCache

	mu     sync.Mutex
	conns  map[*serverConn]struct{}
	empty  chan struct{} // closed when shutting down and no connection is left
	closed bool          // nothing more is taken
}

// New returns a server that is ready for connections.
func New(c Config) *Server {
	s := &Server{conns: map[*serverConn]struct{}{}}
	s.streams.New = func() any { return newServerStream() }
	s.Configure(c)
	return s
}

// Configure replaces the configuration. Connections that are open keep theirs.
func (s *Server) Configure(c Config) {
	c = c.withDefaults()
	s.config.Store(&c)
}

// ServeConn takes over c and returns at once; c is closed when the connection
// ends. It is a *tls.Conn whose handshake chose "h2", or a connection (cleartext,
// or decrypted by somebody else) whose preface is still to be read. What client
// does not say is filled in; it must not be changed afterwards.
func (s *Server) ServeConn(nc net.Conn, client *exchange.Client) {
	client.Protocol = "HTTP/2.0"
	if !client.Peer.IsValid() {
		client.Peer, client.Local = addrPort(nc.RemoteAddr()), addrPort(nc.LocalAddr())
	}
	if !client.Addr.IsValid() {
		client.Addr = client.Peer
	}
	if t, ok := nc.(*tls.Conn); ok && client.TLS == nil {
		state := t.ConnectionState()
		client.TLS = &state
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return
	}
	c := newServerConn(s, nc, client)
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	go c.serve()
}

// Open returns the number of open connections.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drain says GOAWAY on the connections that are open, and returns at once: each
// of them ends with its last stream. New connections are taken as before.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.leave()
	}
}

// Shutdown says GOAWAY on every connection and waits until their streams have
// ended. Those that have not when ctx ends are broken off. It takes no more
// connections.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.mu.Lock()
	s.closed = true
	if s.empty == nil {
		s.empty = make(chan struct{})
		if len(s.conns) == 0 {
			s.emptied()
		}
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.cut(exchange.Draining.Because(ctx.Err()))
	}
	s.mu.Unlock()
	return ctx.Err()
}

// Close breaks off whatever is left.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
	return nil
}

func (s *Server) remove(c *serverConn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.empty != nil && len(s.conns) == 0 {
		s.emptied()
	}
	s.mu.Unlock()
}

// emptied runs once, under mu: closed lets no connection in again.
func (s *Server) emptied() {
	close(s.empty)
	s.work.close()
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
