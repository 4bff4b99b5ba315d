package origin

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Server is one listening origin.
type Server struct {
	listener net.Listener
	answers  map[string][]byte // path → the whole answer
	requests atomic.Int64
	done     chan struct{} // closed by Close; ends sleeps
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Listen serves on address ("127.0.0.1:0") until Close.
func Listen(address string) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Server{
		listener: l,
		answers:  fixedAnswers(),
		done:     make(chan struct{}),
		conns:    make(map[net.Conn]struct{}),
	}
	s.running.Go(s.accept)
	return s, nil
}

// Address is the host:port that it listens on.
func (s *Server) Address() string { return s.listener.Addr().String() }

// URL is the http:// address of path.
func (s *Server) URL(path string) string { return "http://" + s.Address() + path }

// Requests is how many requests were answered so far.
func (s *Server) Requests() int64 { return s.requests.Load() }

// Close stops listening, breaks every connection and waits for their ends.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	err := s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !s.add(c) {
			continue
		}
		s.running.Go(func() {
			defer s.remove(c)
			newConn(s, c).serve()
		})
	}
}

// add is false, and closes c, when the server has closed meanwhile.
func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c net.Conn) {
	c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}
