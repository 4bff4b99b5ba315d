package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"gopura/exchange"
	"gopura/h1"
	"gopura/h2"
)

// Transport speaks one HTTP version to one target. When Serve returns nil,
// x.Response holds the head and a body that is pulled later. Its errors are
// *exchange.Error, and their Retry is true only if no byte of the request was
// processed. It must stop pulling x.Request.Body before it returns an error.
// Close ends what is idle; what is in use ends when its exchange is done. It
// must not block.
type Transport interface {
	exchange.Handler
	Close() error
}

// TransportSpec says what a Transport connects to, and how.
type TransportSpec struct {
	Network   string      // "tcp" or "unix"
	Address   string      // IP address and port, or a path
	TLS       *tls.Config // nil: cleartext
	Authority string      // Host sent upstream; "": the client's

	ConnectTimeout, ResponseTimeout, IdleTimeout time.Duration
	MaxConns, MaxIdle                            int

	HTTP2  bool // spoken by ALPN over TLS, with prior knowledge in cleartext; else HTTP/1.1
	Checks bool // it carries health checks, not exchanges

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
}

// OpenTransport opens a transport of the HTTP version that s asks for; it is the
// default of Options.Open.
func OpenTransport(s TransportSpec) Transport {
	if !s.HTTP2 {
		return OpenHTTP1(s)
	}
	return h2.NewTransport(h2.TransportConfig{
		Network: s.Network, Address: s.Address, TLS: s.TLS, Authority: s.Authority, Dial: s.Dial,
		ConnectTimeout: s.ConnectTimeout, ResponseTimeout: s.ResponseTimeout, IdleTimeout: s.IdleTimeout,
		MaxConns: s.MaxConns,
	})
}

// OpenHTTP1 opens an HTTP/1.1 transport.
func OpenHTTP1(s TransportSpec) Transport {
	return h1.NewTransport(h1.TransportConfig{
		Network: s.Network, Address: s.Address, TLS: s.TLS, Authority: s.Authority, Dial: s.Dial,
		ConnectTimeout: s.ConnectTimeout, ResponseTimeout: s.ResponseTimeout, IdleTimeout: s.IdleTimeout,
		MaxConns: s.MaxConns, MaxIdle: s.MaxIdle,
	})
}
