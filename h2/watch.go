package h2

import (
	"sync"
	"time"
)

// watch calls bite when what it is armed around takes too long. net/http's own
// deadlines are messages to the connection's loop, and keep running while the
// handler waits for somebody else; arming a watch costs a lock and a timer that
// is already there, and it runs only while the client is the one to wait for.
type watch struct {
	bite func()

	mu    sync.Mutex
	until time.Time // zero: not armed
	bit   bool
	timer *time.Timer
}

func (w *watch) arm(d time.Duration) {
	w.mu.Lock()
	w.until = time.Now().Add(d)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.fire)
	} else {
		w.timer.Reset(d)
	}
	w.mu.Unlock()
}

// disarm reports whether the watch has bitten since reset. After it has
// returned, bite is not running and will not be called.
func (w *watch) disarm() bool {
	w.mu.Lock()
	w.until = time.Time{}
	w.timer.Stop()
	bit := w.bit
	w.mu.Unlock()
	return bit
}

func (w *watch) reset() { w.bit = false }

// fire may come late, for an arming that is over: then the time is not up.
func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until.IsZero() || time.Now().Before(w.until) {
		return
	}
	w.until = time.Time{}
	w.bit = true
	w.bite()
}
