package h3

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"gopura/exchange"
)

// Config is what a Server needs. Zero limits and times take the defaults that
// stand beside them.
type Config struct {
	Root exchange.Root // serves the exchanges; required
	Log  *slog.Logger  // panics at Error, what clients do wrong at Debug; nil discards both

	MaxStreams int // concurrent requests of a connection: 100
	MaxHead    int // bytes of a request's head: 32 KiB
	MaxFields  int // number of a request's fields: 100
	MaxTarget  int // bytes of path and query: 8 KiB

	HeadTimeout  time.Duration // for a handshake, and for the head of a request: 10s
	BodyTimeout  time.Duration // longest wait for the next piece of a request body: 30s
	WriteTimeout time.Duration // longest wait for the client to take a piece of the response: 30s
	IdleTimeout  time.Duration // a connection without requests: 75s
}

// Hooks are what the owner of a Server has to say about connections.
type Hooks struct {
	// TLS is the configuration of the handshakes; its contexts are those of Enter.
	TLS *tls.Config
	// Enter says whether a client may begin a handshake, and may add to the context
	// of its connection. The address may be forged.
	Enter func(ctx context.Context, peer netip.AddrPort) (context.Context, bool)
	// Client says who has come, after the handshake.
	Client func(ctx context.Context, state tls.ConnectionState) (*exchange.Client, error)
	// Left is called once for each client that has entered, when it is gone.
	Left func(ctx context.Context)
	// ResetKey is shared with servers that have the address before and after this one. A client whose
	// connection was one of theirs is told that it is gone (RFC 9000 §10.3), in place of hearing
	// nothing until it gives up. nil: it is not told.
	ResetKey *[32]byte
}

// What one connection may make us hold for requests. A window begins small, and
// grows for a client that fills it.
const (
	streamWindow    = 64 << 10
	maxStreamWindow = 256 << 10
	connWindow      = 256 << 10
	maxConnWindow   = 1 << 20
	uniStreams      = 8 // control and QPACK, and a few of those that nobody knows
)

// silence is how long a client may not be heard of at all; it is asked before.
const (
	silence   = 30 * time.Second
	askAlive  = 12 * time.Second
	partWait  = 250 * time.Millisecond // between the first GOAWAY and the last: requests may be on their way
	linger    = time.Second            // after the last response: it may have to be sent again
	closeWait = 5 * time.Second        // for exchanges that were broken off
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
	}{{&c.HeadTimeout, 10 * time.Second}, {&c.BodyTimeout, 30 * time.Second}, {&c.WriteTimeout, 30 * time.Second}, {&c.IdleTimeout, 75 * time.Second}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return c
}
