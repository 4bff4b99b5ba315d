package h3

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"gopura/exchange"
)

// Server serves HTTP/3 on a UDP socket. It is safe for concurrent use.
type Server struct {
	config  atomic.Pointer[Config]
	hooks   Hooks
	socket  net.PacketConn
	quic    *quic.Transport
	ln      *quic.Listener
	streams sync.Pool // *stream
	pending atomic.Int64
	date    exchange.DateCache

	mu     sync.Mutex
	conns  map[*conn]struct{}
	all    sync.WaitGroup // of the acceptor and the connections
	closed bool
}

// Handshakes under way cost memory and work, and their addresses may be forged.
const (
	retryFrom  = 64   // of them: from here on addresses are validated first (RFC 9000 §8.1.2)
	maxPending = 4096 // of them: from here on connections are refused
)

// Serve serves what arrives on the socket, which is the server's from here on; it
// is closed with it, or on an error.
func Serve(socket net.PacketConn, c Config, h Hooks) (*Server, error) {
	s := &Server{hooks: h, socket: socket, conns: map[*conn]struct{}{}}
	s.streams.New = func() any { return newStream() }
	s.Configure(c)
	s.quic = &quic.Transport{
		Conn: socket, ConnContext: s.enter, StatelessResetKey: (*quic.StatelessResetKey)(h.ResetKey),
		VerifySourceAddress: func(net.Addr) bool { return s.pending.Load() >= retryFrom },
	}
	ln, err := s.quic.Listen(h.TLS, &quic.Config{GetConfigForClient: func(*quic.ClientInfo) (*quic.Config, error) { return s.quicConfig(), nil }})
	if err != nil {
		s.quic.Close()
		socket.Close()
		return nil, err
	}
	s.ln = ln
	s.all.Go(s.accept)
	return s, nil
}

// quicConfig is what the next connection gets.
func (s *Server) quicConfig() *quic.Config {
	c := s.config.Load()
	return &quic.Config{
		HandshakeIdleTimeout:       c.HeadTimeout / 2, // quic-go gives up after twice that
		MaxIdleTimeout:             silence,
		KeepAlivePeriod:            askAlive,
		InitialStreamReceiveWindow: streamWindow, MaxStreamReceiveWindow: maxStreamWindow,
		InitialConnectionReceiveWindow: connWindow, MaxConnectionReceiveWindow: maxConnWindow,
		MaxIncomingStreams: int64(c.MaxStreams), MaxIncomingUniStreams: uniStreams,
		EnableStreamResetPartialDelivery: true,
		RequireStreamCreditRelease:       true, // CVE-2023-44487: a stream counts until its exchange has ended
	}
}

// Configure replaces the configuration. Connections that are open keep theirs.
func (s *Server) Configure(c Config) {
	c = c.withDefaults()
	s.config.Store(&c)
}

type arrivalKey struct{}

// arrival is a client that has begun a handshake.
type arrival struct{ settled atomic.Bool }

// settle counts the handshake as over, once.
func (a *arrival) settle(s *Server) {
	if a.settled.CompareAndSwap(false, true) {
		s.pending.Add(-1)
	}
}

var errFull = errors.New("no more connections are taken")

// enter is asked about every new connection, before its handshake.
func (s *Server) enter(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	if s.pending.Load() >= maxPending {
		return nil, errFull
	}
	own, ok := s.hooks.Enter(ctx, addrPort(info.RemoteAddr))
	if !ok {
		return nil, errFull
	}
	a := new(arrival)
	s.pending.Add(1)
	own = context.WithValue(own, arrivalKey{}, a)
	context.AfterFunc(ctx, func() {
		a.settle(s)
		s.hooks.Left(own)
	})
	return own, nil
}

// accept takes connections whose handshakes are complete.
func (s *Server) accept() {
	for {
		qc, err := s.ln.Accept(context.Background())
		if err != nil {
			return // closed
		}
		ctx := qc.Context()
		if a, ok := ctx.Value(arrivalKey{}).(*arrival); ok {
			a.settle(s)
		}
		client, err := s.hooks.Client(ctx, qc.ConnectionState().TLS)
		if err != nil {
			qc.CloseWithError(codeNo, "")
			continue
		}
		client.Protocol = "HTTP/3.0"
		client.Peer, client.Local = addrPort(qc.RemoteAddr()), addrPort(qc.LocalAddr())
		client.Addr = client.Peer
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			qc.CloseWithError(codeNo, "")
			continue
		}
		c := newConn(s, qc, client)
		s.conns[c] = struct{}{}
		s.all.Go(c.serve)
		s.mu.Unlock()
	}
}

// Open returns the number of open connections.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drain says GOAWAY on the connections that are open, and returns at once: each
// of them ends with its last request. New connections are taken as before.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.leave()
	}
}

// Shutdown takes no more connections, says GOAWAY on those that are open, waits
// until their requests have ended, and closes the socket. What has not ended when
// ctx does is broken off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.ln.Close()
	s.Drain()
	gone := make(chan struct{})
	go func() {
		s.all.Wait()
		close(gone)
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		err = ctx.Err()
		s.mu.Lock()
		for c := range s.conns {
			go c.cut(exchange.Draining.Because(err))
		}
		if len(s.conns) == 0 {
			err = nil // it is about to be gone
		}
		s.mu.Unlock()
		select {
		case <-gone:
		case <-time.After(closeWait):
		}
	}
	s.quic.Close()
	s.socket.Close()
	return err
}

// Close breaks off whatever is left.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
	return nil
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		p := u.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
