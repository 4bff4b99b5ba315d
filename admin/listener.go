package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gopura/config"
)

// Limits of the listener. They are no settings: nobody has a good reason to
// send more here.
const (
	headTimeout  = 5 * time.Second
	bodyTimeout  = 15 * time.Second
	writeTimeout = 30 * time.Second // a profile gets its own
	idleTimeout  = 60 * time.Second
	retireGrace  = 5 * time.Second
	maxHead      = 16 << 10
	maxBody      = 64 << 10
	maxTexts     = 1 << 20 // of a configuration that is to be checked
	maxConns     = 128
)

// bodyLimit is how large the body of a request for a path may be.
func bodyLimit(path string) int64 {
	if path == "/api/check" {
		return maxTexts
	}
	return maxBody
}

// listener is an open socket and the server on it. It outlives configurations
// that name the same address.
type listener struct {
	address string // as configured
	net     net.Listener
	http    *http.Server
	guard   atomic.Pointer[guard]
	ending  chan struct{} // closed when it is to close
	end     func()
}

func (s *Server) open(conf *config.Admin) (*listener, error) {
	ln, err := s.sockets.Listen("admin", conf.Address)
	if err != nil {
		return nil, err
	}
	l := &listener{address: conf.Address, net: &limited{Listener: ln, slots: make(chan struct{}, maxConns), closed: make(chan struct{})}, ending: make(chan struct{})}
	l.end = sync.OnceFunc(func() { close(l.ending) })
	l.guard.Store(newGuard(conf, l.port()))
	l.http = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, l, l.guard.Load()) }),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return l, nil
}

func (l *listener) serve() { l.http.Serve(l.net) }

func (l *listener) close() { l.net.Close() }

func (l *listener) port() int { return l.net.Addr().(*net.TCPAddr).Port }

// shutdown lets requests end until ctx is over, and breaks off the rest.
func (l *listener) shutdown(ctx context.Context) error {
	l.end()
	err := l.http.Shutdown(ctx)
	if err != nil {
		l.http.Close()
	}
	l.net.Close() // Shutdown knows it only once Serve has begun
	return err
}

// limited is a listener that lets further connections wait in the system's
// queue while as many as allowed are open: the descriptors are the gateway's.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type counted struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}
