package gateway

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// quietTunnel is a tunnel that is cut when nothing has gone through it for long:
// the other ends may have been gone for days, and nothing else would tell.
type quietTunnel struct {
	exchange.Tunnel
	x     *exchange.Exchange
	limit time.Duration
	begun time.Time
	last  atomic.Int64 // when bytes went through, either way, since begun
	cut   atomic.Bool

	mu    sync.Mutex
	timer *time.Timer // nil: it is over
}

var errQuiet = errors.New("nothing has gone through the tunnel for too long")

// limitTunnel gives the tunnel of x its limit. One that a policy watches has the
// policy's.
func limitTunnel(x *exchange.Exchange, limit time.Duration) {
	if w, ok := x.Response.Tunnel.(interface{ Watched() bool }); ok && w.Watched() {
		return
	}
	t := &quietTunnel{Tunnel: x.Response.Tunnel, x: x, limit: limit, begun: time.Now()}
	x.Response.Tunnel = t
	t.mu.Lock()
	t.timer = time.AfterFunc(limit, t.look)
	t.mu.Unlock()
	x.OnDone(t.done)
}

// look cuts the tunnel, or looks again later.
func (t *quietTunnel) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		return
	}
	if quiet := time.Since(t.begun) - time.Duration(t.last.Load()); quiet < t.limit {
		t.timer.Reset(t.limit - quiet)
		return
	}
	t.cut.Store(true)
	t.x.Cancel(errQuiet)
}

func (t *quietTunnel) done(x *exchange.Exchange) {
	t.mu.Lock()
	t.timer.Stop()
	t.timer = nil
	t.mu.Unlock()
	if t.cut.Load() {
		x.Err = exchange.TunnelEnded.Because(errQuiet)
	}
}

// Read implements exchange.Tunnel.
func (t *quietTunnel) Read(p []byte) (int, error) {
	n, err := t.Tunnel.Read(p)
	t.last.Store(int64(time.Since(t.begun)))
	return n, err
}

// Write implements exchange.Tunnel.
func (t *quietTunnel) Write(p []byte) (int, error) {
	n, err := t.Tunnel.Write(p)
	t.last.Store(int64(time.Since(t.begun)))
	return n, err
}
