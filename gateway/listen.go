package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"gopura/certs"
	"gopura/config"
	"gopura/exchange"
	"gopura/h1"
	"gopura/h2"
	"gopura/h3"
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
	http2   *h2.Server
	http3   atomic.Pointer[h3.Server] // the UDP side; nil: there is none
	advert  atomic.Pointer[string]    // the value of Alt-Svc while it takes connections
	tls     certs.Listener
	conf    atomic.Pointer[listenerConf]
	scope   lifetime.Scope
	metrics *telemetry.Listener
	open    *atomic.Int64 // client connections of the whole gateway

	draining atomic.Bool
	warned   atomic.Int64 // when a PROXY header was last complained about, in Unix nanoseconds
}

// listenerConf is what a configuration says about a listener.
type listenerConf struct {
	tls   *certs.Terms // nil: cleartext
	http1 bool
	http2 bool
	http3 bool
	limit int64 // open connections of the whole gateway, 0: none

	balancers []netip.Prefix // whose connections begin with a PROXY header
	patience  time.Duration  // how long it may take
}

// planned is a listener that a configuration wants, opened or adopted, with
// what will be in force once the configuration is.
type planned struct {
	l    *listener
	conf *listenerConf
	h1   h1.ServerConfig
	h2   h2.Config
	h3   h3.Config
	udp  net.PacketConn // opened for HTTP/3, nil when it is there or not wanted
	new  bool
}

// planListeners opens the listeners that are missing. On an error what it
// opened is closed again.
func (g *Gateway) planListeners(s *snapshot) (plans []planned, err error) {
	defer func() {
		if err != nil {
			for _, p := range plans {
				if p.udp != nil {
					p.udp.Close()
				}
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
		p.configure(g, s, conf)
		if err = p.openUDP(conf); err != nil {
			if p.new {
				p.l.close()
			}
			return plans, err
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func (g *Gateway) open(conf *config.Listener) (*listener, error) {
	ln, err := g.options.Sockets.Listen(conf.Name, conf.Address)
	if err != nil {
		return nil, fmt.Errorf("listener %q (%s): %w", conf.Name, conf.Pos, err)
	}
	l := &listener{g: g, name: conf.Name, address: conf.Address, ln: ln, open: &g.connections}
	l.metrics = g.metrics.Listener(&l.scope, conf.Name)
	g.metrics.OnScrape(&l.scope, func() {
		l.metrics.Full.Set(l.tls.Full.Load())
		l.metrics.Resumed.Set(l.tls.Resumed.Load())
		l.metrics.Failed.Set(l.tls.Failed.Load())
	})
	l.http1 = h1.NewServer(h1.ServerConfig{Root: g})
	l.http2 = h2.New(h2.Config{Root: g, Log: g.log})
	return l, nil
}

// configure prepares what the listener will do under s.
func (p *planned) configure(g *Gateway, s *snapshot, conf *config.Listener) {
	c := &listenerConf{
		tls: s.doors[conf.Name].terms, http1: slices.Contains(conf.HTTP, "1.1"), http2: slices.Contains(conf.HTTP, "2"),
		http3: slices.Contains(conf.HTTP, "3"),
		limit: int64(s.doc.Limits.Connections), balancers: conf.Proxies, patience: s.doc.Client.Head,
	}
	t, lim := s.doc.Client, s.doc.Limits
	p.conf = c
	p.h1 = h1.ServerConfig{
		Root:        g,
		Limits:      h1.Limits{Head: int(lim.Head), Fields: lim.Fields, Target: int(lim.Target)},
		HeadTimeout: t.Head, BodyTimeout: t.Body, IdleTimeout: t.Idle, WriteTimeout: t.Write,
	}
	p.h2 = h2.Config{
		Root: g, Log: g.log, MaxHead: int(lim.Head), MaxFields: lim.Fields, MaxTarget: int(lim.Target),
		HeadTimeout: t.Head, BodyTimeout: t.Body, WriteTimeout: t.Write, IdleTimeout: t.Idle,
	}
	p.h3 = h3.Config{
		Root: g, Log: g.log, MaxHead: int(lim.Head), MaxFields: lim.Fields, MaxTarget: int(lim.Target),
		HeadTimeout: t.Head, BodyTimeout: t.Body, WriteTimeout: t.Write, IdleTimeout: t.Idle,
	}
	s.doors[conf.Name].alternative = &p.l.advert
	if c.http2 {
		p.h1.HTTP2 = p.l.serveHTTP2
	}
}

// commit puts what was planned in force and starts new listeners.
func (p *planned) commit() {
	p.l.tls.Use(p.conf.tls)
	p.l.conf.Store(p.conf)
	p.l.http1.Configure(p.h1)
	p.l.http2.Configure(p.h2)
	if !p.conf.http2 {
		p.l.http2.Drain()
	}
	p.commitUDP()
	if p.new {
		go p.l.accept()
	}
}

// accept takes connections until the listener is closed. When the process runs
// out of descriptors it pauses instead of spinning.
func (l *listener) accept() {
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
		l.g.pressure.pace()
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

// verbs are how requests begin that were sent to a TLS port in cleartext.
var verbs = []string{"GET ", "HEAD", "POST", "PUT ", "PATC", "DELE", "OPTI"}

// serve finds out what a connection speaks and hands it over.
func (l *listener) serve(tracked *trackedConn, nc net.Conn, conf *listenerConf) {
	client := &exchange.Client{
		Addr: addrPort(nc.RemoteAddr()), Peer: addrPort(nc.RemoteAddr()), Local: addrPort(nc.LocalAddr()),
		Protocol: "HTTP/1.1", Listener: l.name,
	}
	if len(conf.balancers) > 0 && !l.announced(nc, client, conf) {
		tracked.Close()
		return
	}
	if conf.tls == nil {
		l.http1.ServeConn(nc, client)
		tracked.left()
		return
	}
	tc, below, err := l.tls.Handshake(tracked)
	if err != nil {
		l.g.log.Debug("TLS handshake", "listener", l.name, "client", client.Peer, "error", err)
		var record tls.RecordHeaderError
		if errors.As(err, &record) && slices.Contains(verbs, string(record.RecordHeader[:4])) {
			tracked.Write([]byte("HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks TLS: come with https.\n"))
		}
		tracked.Close()
		return
	}
	client.TLS, client.Admits = below.State(), below.Admits
	if client.TLS.NegotiatedProtocol == "h2" {
		client.Protocol = "HTTP/2.0"
		l.toHTTP2(tc, client)
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
	l.toHTTP2(&trackedConn{Conn: nc, l: l}, client)
}

// toHTTP2 hands a connection to the HTTP/2 server, if that is still offered: a
// handshake takes time, and a reload may have come meanwhile.
func (l *listener) toHTTP2(nc net.Conn, client *exchange.Client) {
	if !l.conf.Load().http2 { // no longer offered
		nc.Close()
		return
	}
	l.http2.ServeConn(nc, client)
	if l.draining.Load() {
		l.http2.Drain() // it serves what has been sent already
	}
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
	l.draining.Store(true)
	l.http2.Drain()
	udp := make(chan error, 1)
	go func() { udp <- l.drainUDP(ctx) }()
	// Until HTTP/1.1 has ended, connections may turn out to be HTTP/2.
	err := errors.Join(l.http1.Shutdown(ctx), l.http2.Shutdown(ctx), <-udp)
	l.close()
	return err
}

// close frees what is left.
func (l *listener) close() {
	l.ln.Close()
	l.http1.Close()
	l.http2.Close()
	if s := l.http3.Swap(nil); s != nil {
		s.Close()
	}
	l.scope.Close()
}
