package gateway

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"gopura/exchange"
	"gopura/proxyproto"
)

// complaints is how often a listener logs that balancers send it no header: one
// that is set up wrongly does so with every connection.
const complaints = 10 * time.Second

// announced reads the PROXY header, if the other end is one of the balancers
// from which it has to come, and makes the client the one that it names. It
// reports whether the connection may go on. Trust in forwarded headers
// (trusted_proxies) is then asked about that client, not about the balancer.
func (l *listener) announced(nc net.Conn, client *exchange.Client, conf *listenerConf) bool {
	balancer := client.Peer.Addr().Unmap()
	if !slices.ContainsFunc(conf.balancers, func(p netip.Prefix) bool { return p.Contains(balancer) }) {
		return true
	}
	if conf.patience > 0 {
		nc.SetReadDeadline(time.Now().Add(conf.patience))
		defer nc.SetReadDeadline(time.Time{})
	}
	h, err := proxyproto.Read(nc)
	if err == nil {
		if h.Source.IsValid() {
			client.Addr, client.Peer, client.Local = h.Source, h.Source, h.Destination
		}
		return true
	}
	if err == io.EOF {
		return false // a health check that only connects
	}
	l.metrics.Unannounced.Inc()
	now := time.Now().UnixNano()
	if last := l.warned.Load(); now-last > int64(complaints) && l.warned.CompareAndSwap(last, now) {
		l.g.log.Warn("a balancer's connection without its PROXY header", "listener", l.name, "balancer", balancer, "error", err)
	}
	return false
}
