package h2

import (
	"log/slog"
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

	HeadTimeout  time.Duration // for the beginning of a connection, and for a header block: 10s
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
	}{{&c.HeadTimeout, 10 * time.Second}, {&c.BodyTimeout, 30 * time.Second}, {&c.WriteTimeout, 30 * time.Second}, {&c.IdleTimeout, 75 * time.Second}, {&c.PingAfter, 30 * time.Second}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return c
}
