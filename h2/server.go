package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gopura/exchange"
)

// Config is what a Server needs. Zero limits and times take the defaults that
// stand beside them.
type Config struct {
	Root exchange.Root // serves the exchanges; required
	Log  *slog.Logger  // panics at Error, what clients do wrong at Debug; nil discards both

	MaxStreams int // concurrent streams of a connection: 100
	MaxHead    int // bytes of a request's head: 32 KiB
	MaxFields  int // number of a request's fields: 100
	MaxTarget  int // bytes of path and query: 8 KiB

	BodyTimeout  time.Duration // longest wait for the next piece of a request body: 30s
	WriteTimeout time.Duration // longest wait for the client to take a piece of the response: 30s
	IdleTimeout  time.Duration // a connection without streams: 75s
	PingAfter    time.Duration // a connection that is silent for so long is asked whether it lives: 30s
}

// What one connection may make us hold. A stream's window is what nginx and
// HAProxy give; a frame is the smallest that the protocol allows as a limit,
// because the reader keeps a buffer of that size for each connection.
const (
	streamWindow = 64 << 10
	connWindow   = 1 << 20
	frameSize    = 16 << 10
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&c.MaxStreams, 100}, {&c.MaxHead, 32 << 10}, {&c.MaxFields, 100}, {&c.MaxTarget, 8 << 10}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.BodyTimeout, 30 * time.Second}, {&c.WriteTimeout, 30 * time.Second}, {&c.IdleTimeout, 75 * time.Second}, {&c.PingAfter, 30 * time.Second}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return c
}

// Server serves HTTP/2 connections that others have accepted.
type Server struct {
	conf    Config
	http    http.Server
	conns   *handover
	streams sync.Pool
}

// New returns a server that is ready for connections. It has one goroutine
// until Shutdown.
func New(c Config) *Server {
	s := &Server{conf: c.withDefaults()}
	s.conns = &handover{offered: make(chan offer), closed: make(chan struct{})}
	s.streams.New = func() any { return newStream(s) }
	s.http = http.Server{
		Handler:     http.HandlerFunc(s.serve),
		Protocols:   new(http.Protocols),
		ConnContext: s.conns.context,
		// OPTIONS * is for the root, like everything else.
		DisableGeneralOptionsHandler: true,
		IdleTimeout:                  s.conf.IdleTimeout,
		// net/http answers what exceeds this with a page of its own, so it is
		// set beyond our limit: up to there, the refusal is ours.
		MaxHeaderBytes:    2 * s.conf.MaxHead,
		ReadHeaderTimeout: 10 * time.Second, // the preface
		ErrorLog:          slog.NewLogLogger(s.conf.Log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          s.conf.MaxStreams,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connWindow,
			MaxReadFrameSize:              frameSize,
			SendPingTimeout:               s.conf.PingAfter,
			PingTimeout:                   s.conf.WriteTimeout,
			WriteByteTimeout:              s.conf.WriteTimeout,
		},
	}
	s.http.Protocols.SetHTTP2(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	go s.http.Serve(s.conns)
	return s
}

// ServeConn takes over c and returns at once; c is closed when the connection
// ends. It is a *tls.Conn whose handshake chose "h2", or a connection (cleartext,
// or decrypted by somebody else) whose preface is still to be read. What client
// does not say is filled in; it must not be changed afterwards.
func (s *Server) ServeConn(c net.Conn, client *exchange.Client) {
	client.Protocol = "HTTP/2.0"
	if !client.Peer.IsValid() {
		client.Peer, client.Local = addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	}
	if !client.Addr.IsValid() {
		client.Addr = client.Peer
	}
	t, ok := c.(*tls.Conn)
	switch {
	case !ok:
		c = plain{c}
	case client.TLS == nil:
		state := t.ConnectionState()
		client.TLS = &state
	}
	select {
	case s.conns.offered <- offer{c, client}:
	case <-s.conns.closed:
		c.Close()
	}
}

// Shutdown says GOAWAY on every connection and waits until their streams have
// ended. Those that have not when ctx ends are broken off.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

// plain hides what a connection can do beside being one, so that net/http does
// not take a wrapper of a TLS connection for a TLS connection.
type plain struct{ net.Conn }

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// handover is the net.Listener through which connections reach net/http.
type handover struct {
	offered chan offer
	closed  chan struct{}
	close   sync.Once
	client  *exchange.Client // of the connection accepted last
}

type offer struct {
	conn   net.Conn
	client *exchange.Client
}

var errClosed = errors.New("h2: server closed")

func (h *handover) Accept() (net.Conn, error) {
	select {
	case o := <-h.offered:
		h.client = o.client
		return o.conn, nil
	case <-h.closed:
		return nil, errClosed
	}
}

type clientKey struct{}

// context runs right after Accept, on its goroutine.
func (h *handover) context(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, h.client)
}

func (h *handover) Close() error {
	h.close.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
