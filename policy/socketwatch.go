package policy

import (
	"errors"
	"sync"
	"time"

	"gopura/exchange"
	"gopura/websocket"
)

// socketWatch cuts a WebSocket that should have ended and has not. Its clocks are
// looked at where something is read for the client; one that takes nothing keeps
// the gateway from coming there.
type socketWatch struct {
	s *socket

	mu    sync.Mutex
	cut   func(cause error) // nil: it has ended
	asked time.Time         // somebody wants it to end since
	timer *time.Timer
}

// cutAfter is how long a WebSocket may outlive its time: longer than a front end
// waits for the other direction of a tunnel.
const cutAfter = 40 * time.Second

var errSocketStalled = errors.New("the WebSocket should have ended, and one side takes nothing")

func (w *socketWatch) start(s *socket, cut func(cause error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.s, w.cut = s, cut
	w.arm()
}

// expect says that somebody wants the WebSocket to end.
func (w *socketWatch) expect(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = now
	w.arm()
}

// stop ends the watch. Afterwards nothing is cut.
func (w *socketWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = nil
	if w.timer != nil {
		w.timer.Stop()
	}
}

// arm sets when to look next. The caller holds mu.
func (w *socketWatch) arm() {
	end := w.asked
	for _, t := range [...]struct {
		from time.Time
		term time.Duration
	}{{w.s.begun, w.s.terms.lifetime}, {w.s.lastMessage(), w.s.terms.idle}} {
		if at := t.from.Add(t.term); t.term > 0 && (end.IsZero() || at.Before(end)) {
			end = at
		}
	}
	if w.cut == nil || end.IsZero() {
		return
	}
	left := time.Until(end.Add(cutAfter))
	switch {
	case left <= 0:
		w.s.blame(websocket.GoingAway, errSocketStalled.Error(), exchange.ByGateway)
		w.cut(errSocketStalled)
		w.cut = nil
	case w.timer == nil:
		w.timer = time.AfterFunc(left, w.look)
	default:
		w.timer.Reset(left)
	}
}

func (w *socketWatch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arm()
}
