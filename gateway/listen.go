package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/h1"
	"gopura/h2"
	"gopura/lifetime"
	"gopura/telemetry"
)

// listener is an open socket and the front ends behind it. It outlives
// configurations: the next one that names it with the same address keeps the
// socket and the connections, and changes what new connections and requests get.
type listener struct {
	g       *Gateway
	name    string
	address string // as configured
	ln      net.Listener
	http1   *h1.Server
	conf    atomic.Pointer[listenerConf]
	scope   lifetime.Scope
	metrics *telemetry.Listener
	open    *atomic.Int64 // client connections of the whole gateway
	closed  chan struct{} // the accept loop has ended
}

// listenerConf is what a configuration says about a listener.
type listenerConf struct {
	tls   *tls.Config // nil: cleartext
	http1 bool
	http2 *h2.Server // nil: not offered
	limit int64      // open connections of the whole gateway, 0: none
}

// handshakeTimeout bounds a TLS handshake: it costs us more than the client.
const handshakeTimeout = 10 * time.Second

// checkListeners reports what can be known without opening anything.
func (c *compiler) checkListeners() {
	for i := range c.doc.Listeners {
		l := &c.doc.Listeners[i]
		if _, err := c.g.listenerTLS(l); err != nil {
			c.doc.Problem(l.Pos, "listen."+l.Name+".tls", "%v", err)
		}
	}
}

// planned is a listener that a configuration wants, opened or adopted, with
// what will be in force once the configuration is.
type planned struct {
	l    *listener
	conf *listenerConf
	h1   h1.ServerConfig
	new  bool
}

// planListeners opens the listeners that are missing. On an error what it
// opened is closed again.
func (g *Gateway) planListeners(s *snapshot) (plans []planned, err error) {
	defer func() {
		if err != nil {
			for _, p := range plans {
				if p.new {
					p.l.close()
				}
			}
			plans = nil
		}
	}()
	for i := range s.doc.Listeners {
		conf := &s.doc.Listeners[i]
		p := planned{l: g.listeners[conf.Name]}
		if p.l == nil || p.l.address != conf.Address {
			if p.l, err = g.open(conf); err != nil {
				return plans, err
			}
			p.new = true
		}
		plans = append(plans, p)
		if err = plans[len(plans)-1].configure(g, s, conf); err != nil {
			return plans, err
		}
	}
	return plans, nil
}

func (g *Gateway) open(conf *config.Listener) (*listener, error) {
	ln, err := net.Listen("tcp", conf.Address)
	if err != nil {
		return nil, fmt.Errorf("listener %q (%s): %w", conf.Name, conf.Pos, err)
	}
	l := &listener{g: g, name: conf.Name, address: conf.Address, ln: ln, open: &g.connections, closed: make(chan struct{})}
	l.metrics = g.metrics.Listener(&l.scope, conf.Name)
	l.http1 = h1.NewServer(h1.ServerConfig{Root: g})
	return l, nil
}

// configure prepares what the listener will do under s.
func (p *planned) configure(g *Gateway, s *snapshot, conf *config.Listener) error {
	tlsConf, err := g.listenerTLS(conf)
	if err != nil {
		return fmt.Errorf("listener %q (%s): %w", conf.Name, conf.Pos, err)
	}
	c := &listenerConf{tls: tlsConf, http1: slices.Contains(conf.HTTP, "1.1"), limit: int64(s.doc.Limits.Connections)}
	if slices.Contains(conf.HTTP, "2") {
		c.http2, err = g.http2(s)
		if err != nil {
			return err
		}
	}
	if tlsConf != nil {
		if c.http2 != nil {
			tlsConf.NextProtos = append(tlsConf.NextProtos, "h2")
		}
		if c.http1 {
			tlsConf.NextProtos = append(tlsConf.NextProtos, "http/1.1")
		}
	}
	t, lim := s.doc.Client, s.doc.Limits
	p.conf = c
	p.h1 = h1.ServerConfig{
		Root:        g,
		Limits:      h1.Limits{Head: int(lim.Head), Fields: lim.Fields, Target: int(lim.Target)},
		HeadTimeout: t.Head, BodyTimeout: t.Body, IdleTimeout: t.Idle, WriteTimeout: t.Write,
	}
	if c.http2 != nil {
		p.h1.HTTP2 = p.l.serveHTTP2
	}
	return nil
}

// http2 returns the HTTP/2 front end for the limits of s: the one in use, when
// they are the same.
func (g *Gateway) http2(s *snapshot) (*h2.Server, error) {
	t, lim := s.doc.Client, s.doc.Limits
	conf := h2.Config{
		Root: g, Log: g.log, MaxHead: int(lim.Head), MaxFields: lim.Fields, MaxTarget: int(lim.Target),
		BodyTimeout: t.Body, WriteTimeout: t.Write, IdleTimeout: t.Idle,
	}
	key := fmt.Sprintf("http2 %d %d %d %s %s %s", conf.MaxHead, conf.MaxFields, conf.MaxTarget, conf.BodyTimeout, conf.WriteTimeout, conf.IdleTimeout)
	return lifetime.Hold(&g.pool, s.scope, key, func() (*h2.Server, func(), error) {
		srv := h2.New(conf)
		return srv, func() { go g.drainHTTP2(srv) }, nil
	})
}

func (g *Gateway) drainHTTP2(srv *h2.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), g.grace())
	defer cancel()
	srv.Shutdown(ctx)
}

// commit puts what was planned in force and starts new listeners.
func (p *planned) commit() {
	p.l.conf.Store(p.conf)
	p.l.http1.Configure(p.h1)
	if p.new {
		go p.l.accept()
	}
}

// accept takes connections until the listener is closed. When the process runs
// out of descriptors it pauses instead of spinning.
func (l *listener) accept() {
	defer close(l.closed)
	pause := time.Duration(0)
	for {
		nc, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.g.log.Warn("accepting a connection", "listener", l.name, "error", err, "pause", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		conf := l.conf.Load()
		if conf.limit > 0 && l.open.Load() >= conf.limit {
			l.metrics.Refused.Inc()
			nc.Close()
			continue
		}
		l.metrics.Accepted.Inc()
		l.open.Add(1)
		go l.serve(&trackedConn{Conn: nc, l: l}, nc, conf)
	}
}

// trackedConn counts its own closing, once.
type trackedConn struct {
	net.Conn
	l    *listener
	gone atomic.Bool
}

// Close implements net.Conn.
func (c *trackedConn) Close() error {
	c.left()
	return c.Conn.Close()
}

func (c *trackedConn) left() {
	if c.gone.CompareAndSwap(false, true) {
		c.l.open.Add(-1)
		c.l.metrics.Closed.Inc()
	}
}

// NetConn returns the connection below, as *tls.Conn does.
func (c *trackedConn) NetConn() net.Conn { return c.Conn }

// serve finds out what a connection speaks and hands it over.
func (l *listener) serve(tracked *trackedConn, nc net.Conn, conf *listenerConf) {
	client := &exchange.Client{
		Addr: addrPort(nc.RemoteAddr()), Peer: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr()),
		Protocol: "HTTP/1.1", Listener: l.name,
	}
	if conf.tls == nil {
		l.http1.ServeConn(nc, client)
		tracked.left()
		return
	}
	tc := tls.Server(tracked, conf.tls)
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	err := tc.HandshakeContext(ctx)
	cancel()
	if err != nil {
		l.g.log.Debug("TLS handshake", "listener", l.name, "client", client.Peer, "error", err)
		tracked.Close()
		return
	}
	state := tc.ConnectionState()
	client.TLS = &state
	if state.NegotiatedProtocol == "h2" && conf.http2 != nil {
		client.Protocol = "HTTP/2.0"
		conf.http2.ServeConn(tc, client)
		return
	}
	if !conf.http1 {
		tracked.Close()
		return
	}
	l.http1.ServeConn(tc, client)
}

// serveHTTP2 takes over a cleartext connection that turned out to speak HTTP/2.
func (l *listener) serveHTTP2(nc net.Conn, client *exchange.Client) {
	l.open.Add(1)
	l.metrics.Accepted.Inc() // its first life is counted as closed
	client.Protocol = "HTTP/2.0"
	l.conf.Load().http2.ServeConn(&trackedConn{Conn: nc, l: l}, client)
}

func addrPort(a net.Addr) (ap netip.AddrPort) {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort()
	}
	return ap
}

// drain stops accepting and lets the connections end until ctx is over.
func (l *listener) drain(ctx context.Context) error {
	l.ln.Close()
	err := l.http1.Shutdown(ctx)
	l.close()
	return err
}

// close frees what is left.
func (l *listener) close() {
	l.ln.Close()
	l.http1.Close()
	l.scope.Close()
}

// listenerTLS loads what a listener proves itself with; nil for cleartext.
func (g *Gateway) listenerTLS(l *config.Listener) (*tls.Config, error) {
	if l.TLS == nil {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if l.TLS.MinVersion == "1.3" {
		conf.MinVersion = tls.VersionTLS13
	}
	for _, c := range l.TLS.Certificates {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			var missing *os.PathError
			if errors.As(err, &missing) {
				return nil, missing
			}
			return nil, fmt.Errorf("%s and %s: %w", c.Cert, c.Key, err)
		}
		conf.Certificates = append(conf.Certificates, pair)
	}
	if l.TLS.SelfSigned {
		pair, err := g.selfSigned(l.Name)
		if err != nil {
			return nil, err
		}
		conf.Certificates = append(conf.Certificates, pair)
	}
	if len(conf.Certificates) == 0 {
		return nil, errors.New("no certificate: give certificates, or self_signed")
	}
	return conf, nil
}
