package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/h3"
)

// The UDP side of a listener: HTTP/3 on the port that TCP has. It comes and goes
// with reloads, and stays as long as both configurations want it.

// openUDP opens the socket when HTTP/3 is wanted and not there yet.
func (p *planned) openUDP(conf *config.Listener) error {
	if !p.conf.http3 || p.l.http3.Load() != nil || p.l.g.options.Sockets.UDPTaken() {
		return nil
	}
	for try := 0; ; try++ {
		at := p.l.ln.Addr().(*net.TCPAddr)
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
		if err == nil {
			p.udp = udp
			return nil
		}
		// A port that the system picked for TCP may be taken for UDP.
		_, port, _ := net.SplitHostPort(conf.Address)
		if !p.new || port != "0" || try == 8 || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listener %q (%s): HTTP/3: %w", conf.Name, conf.Pos, err)
		}
		ln, err := p.l.g.options.Sockets.Listen("", conf.Address)
		if err != nil {
			return fmt.Errorf("listener %q (%s): %w", conf.Name, conf.Pos, err)
		}
		p.l.ln.Close()
		p.l.ln = ln
	}
}

// commitUDP puts in force what was planned for HTTP/3.
func (p *planned) commitUDP() {
	l, s := p.l, p.l.http3.Load()
	switch {
	case p.udp != nil:
		// A key of its own: where another listener took packets of this one's connections, it would tell
		// anybody who knows of one how to end it (RFC 9000 §21.11).
		key := l.g.options.Sockets.Secret("reset " + l.name + " " + l.address)
		s, err := h3.Serve(p.udp, p.h3, h3.Hooks{TLS: l.tls.QUIC("h3"), Enter: l.enterUDP, Client: l.clientUDP, Left: l.leftUDP, ResetKey: &key})
		if err != nil { // nothing in it depends on a configuration
			l.g.log.Error("HTTP/3 can't be served", "listener", l.name, "error", err)
			return
		}
		l.http3.Store(s)
	case s == nil:
		return
	case !p.conf.http3:
		l.advert.Store(nil)
		s.Drain()
		go l.retireUDP(s)
		return
	default:
		s.Configure(p.h3)
	}
	// RFC 7838 §3. A day: a client that has gone a long way back to TCP by then
	// looks again.
	value := `h3=":` + strconv.Itoa(l.ln.Addr().(*net.TCPAddr).Port) + `"; ma=86400`
	l.advert.Store(&value)
}

// retireUDP closes the socket when its connections have ended, unless HTTP/3 is
// wanted again by then.
func (l *listener) retireUDP(s *h3.Server) {
	for end := time.Now().Add(l.g.grace()); s.Open() > 0 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	l.g.reloading.Lock()
	defer l.g.reloading.Unlock()
	if !l.conf.Load().http3 && l.http3.CompareAndSwap(s, nil) {
		s.Close()
		l.g.log.Info("HTTP/3 is no longer served", "listener", l.name)
	}
}

// drainUDP takes no more connections, and lets those that are open end until ctx
// is over.
func (l *listener) drainUDP(ctx context.Context) error {
	l.advert.Store(nil)
	if s := l.http3.Load(); s != nil {
		return s.Shutdown(ctx)
	}
	return nil
}

// enterUDP says whether a client may begin a handshake. Handshakes count as
// connections.
func (l *listener) enterUDP(ctx context.Context, _ netip.AddrPort) (context.Context, bool) {
	conf := l.conf.Load()
	if !conf.http3 || conf.limit > 0 && l.open.Load() >= conf.limit {
		l.metrics.Refused.Inc()
		return nil, false
	}
	l.metrics.Accepted.Inc()
	l.open.Add(1)
	return l.tls.Handshaking(ctx), true
}

// clientUDP says who has come.
func (l *listener) clientUDP(ctx context.Context, state tls.ConnectionState) (*exchange.Client, error) {
	below, err := l.tls.Shaken(ctx, state)
	if err != nil {
		return nil, err
	}
	return &exchange.Client{Listener: l.name, TLS: below.State(), Admits: below.Admits}, nil
}

func (l *listener) leftUDP(ctx context.Context) {
	l.tls.Abandoned(ctx)
	l.open.Add(-1)
	l.metrics.Closed.Inc()
}

// advertise tells a client that came over TCP that HTTP/3 is there (RFC 7838),
// unless a policy has said it already, in its own way.
func (d *door) advertise(x *exchange.Exchange) {
	if value := d.alternative.Load(); value != nil && !x.Response.Header.Has("Alt-Svc") {
		x.Response.Header.Add("Alt-Svc", *value)
	}
}
