package certs

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// Conn is a connection below TLS, with what its handshake has shown.
type Conn struct {
	net.Conn
	listener *Listener
	front    *front      // of a QUIC handshake, and
	shaken   atomic.Bool // whether it is complete
	chain    *chain      // that it was promised; nil: a CA's validation
	unnamed  bool        // the client asked for no server name
	state    tls.ConnectionState
	proof    atomic.Pointer[proof]
}

// NetConn returns the connection below, as *tls.Conn does.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// State is what TLS knows of the client. VerifiedChains holds the valid chains
// of its certificate, whatever the listener's mode, and is empty when there are
// none; then PeerCertificates proves possession of a key and nothing else.
func (c *Conn) State() *tls.ConnectionState { return &c.state }

// settle keeps what the handshake has proven. For certificates that are merely
// requested it is the place where they are verified.
func (c *Conn) settle(t *trust) error {
	if t == nil || len(c.state.PeerCertificates) == 0 {
		c.proof.Store(&proof{trust: t, until: forever})
		return nil
	}
	p := &proof{trust: t}
	var err error
	if now := time.Now(); t.mode == "request" {
		p, err = t.judge(c.state.PeerCertificates, now)
	} else {
		p.chains, p.until, err = t.sift(c.state.VerifiedChains, now)
	}
	if err != nil {
		return err
	}
	c.state.VerifiedChains = p.chains
	c.proof.Store(p)
	return nil
}

// Admits reports whether a request for host, as exchange.Request has it, may
// come over this connection (RFC 9110 §15.5.20):
//
//   - its certificate is for that host, if any is named; or it is one for development, or the
//     client asked for no server name, so that it can't have chosen one;
//   - what the listener asks of clients now, this client has proven. After a
//     reload that changed the authorities or lists, and when a certificate or
//     list expires, it is proven again, with what the client has shown.
//
// It allocates nothing but in that second case.
func (c *Conn) Admits(host []byte, now time.Time) bool {
	if !c.proven(now) {
		return false
	}
	return len(host) == 0 || c.unnamed || c.chain.any || c.chain.cover(host)
}

func (c *Conn) proven(now time.Time) bool {
	var t *trust
	if terms := c.listener.terms.Load(); terms != nil {
		t = terms.front.trust
	}
	p := c.proof.Load()
	if t == nil {
		return true
	}
	if p.trust == t && now.Before(p.until) {
		return !p.refused
	}
	next, err := t.judge(c.state.PeerCertificates, now)
	if err != nil || (next.chains == nil) != (p.chains == nil) {
		// The client comes back, and gets what it deserves in the handshake. On
		// this connection it is not verified over and over.
		next = &proof{trust: t, chains: p.chains, until: forever, refused: true}
	}
	c.proof.Store(next)
	return !next.refused
}
