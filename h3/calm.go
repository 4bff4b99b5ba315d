package h3

import (
	"sync"
	"time"
)

// calm is a connection's allowance for what costs more than it brings: requests
// that are reset, frames and streams that nobody knows. Answers and time fill it
// again, so that busy connections may have many of them; whoever uses it up is
// flooding, and loses the connection (RFC 9114 §10.5).
type calm struct {
	mu   sync.Mutex
	left int
	at   time.Time // filled up to
}

const (
	calmFull      = 2000 // what a connection begins with, and may save
	calmPerSecond = 200

	costReset   = 10 // a stream that was opened for nothing, whoever ended it
	costUnknown = 2  // a frame or stream of a type that we don't know
	costEmpty   = 10 // DATA that brings nothing
	costControl = 5  // a frame of the control stream
	earnAnswer  = 12 // a response was written to its end
)

func (a *calm) init(now time.Time) { a.left, a.at = calmFull, now }

// spend takes n off the allowance, and reports whether there was as much.
func (a *calm) spend(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left -= n; a.left >= 0 {
		return true
	}
	now := time.Now()
	a.left = min(calmFull, a.left+int(min(now.Sub(a.at), time.Minute)*calmPerSecond/time.Second))
	a.at = now
	return a.left >= 0
}

func (a *calm) earn(n int) {
	a.mu.Lock()
	a.left = min(calmFull, a.left+n)
	a.mu.Unlock()
}
