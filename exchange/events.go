package exchange

import (
	"bytes"
	"time"
)

// IsEventStream reports whether a response is a stream of server-sent events. It
// lasts as long as it flows: an exchange's deadline is for its head, and silence
// is limited by the service's response timeout.
func IsEventStream(h *Header) bool {
	const kind = "text/event-stream"
	v := h.Get("Content-Type")
	return len(v) >= len(kind) && EqualFold(v[:len(kind)], kind) && (len(v) == len(kind) || bytes.IndexByte([]byte(" ;\t"), v[len(kind)]) >= 0)
}

// LiftDeadline lets x last as long as it likes from now on.
func (x *Exchange) LiftDeadline() {
	x.Deadline = time.Time{}
	s := x.signal
	if s == nil {
		return
	}
	s.mu.Lock()
	s.deadline = time.Time{}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
}
