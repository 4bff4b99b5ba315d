package certs

import (
	"context"
	"crypto/tls"
	"errors"
)

// QUIC makes its own handshakes of a tls.Config, and passes no connection to its
// callbacks. So what a handshake shows is kept in the context of its connection.

type quicKey struct{}

// Handshaking returns the context of a QUIC connection that begins its handshake.
func (l *Listener) Handshaking(ctx context.Context) context.Context {
	return context.WithValue(ctx, quicKey{}, &Conn{listener: l})
}

// ofQUIC returns the connection that a handshake belongs to.
func ofQUIC(ctx context.Context) (*Conn, error) {
	c, ok := ctx.Value(quicKey{}).(*Conn)
	if !ok {
		return nil, errors.New("the handshake is not ours")
	}
	return c, nil
}

// QUIC returns the configuration of the listener's QUIC handshakes, for the
// protocol that is named: with the certificates, client certificates and session
// tickets of the terms that are in force.
func (l *Listener) QUIC(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := ofQUIC(hello.Context())
			if err != nil {
				return nil, err
			}
			t := l.terms.Load()
			if t == nil {
				return nil, errors.New("the listener speaks no TLS any more")
			}
			chain, err := t.front.set.Load().pick(hello)
			if err != nil {
				return nil, err
			}
			c.chain, c.unnamed, c.front = chain, unnamed(hello.ServerName), t.front
			return t.front.quic(protocol), nil
		},
	}
}

// quic is the front's configuration for QUIC. The keys of its session tickets are
// those of the front.
func (f *front) quic(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, CurvePreferences: curves, NextProtos: []string{protocol},
		ClientAuth: f.tls.ClientAuth, ClientCAs: f.tls.ClientCAs, VerifyConnection: f.tls.VerifyConnection,
		SessionTicketsDisabled: f.tls.SessionTicketsDisabled,
		WrapSession:            f.tls.EncryptTicket,
		UnwrapSession:          f.tls.DecryptTicket,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, err := ofQUIC(hello.Context())
			if err != nil {
				return nil, err
			}
			return c.chain.get(hello)
		},
	}
}

// Shaken takes note of a QUIC handshake that is complete, and returns what it has
// shown. On an error the caller closes the connection.
func (l *Listener) Shaken(ctx context.Context, state tls.ConnectionState) (*Conn, error) {
	c, err := ofQUIC(ctx)
	if err != nil {
		return nil, err
	}
	c.shaken.Store(true)
	c.state = state
	if err := c.settle(c.front.trust); err != nil {
		l.Failed.Add(1)
		return nil, err
	}
	if state.DidResume {
		l.Resumed.Add(1)
	} else {
		l.Full.Add(1)
	}
	return c, nil
}

// Abandoned takes note that the QUIC connection of ctx is gone: when its handshake
// was not completed, it has failed.
func (l *Listener) Abandoned(ctx context.Context) {
	if c, err := ofQUIC(ctx); err == nil && !c.shaken.Load() {
		l.Failed.Add(1)
	}
}
