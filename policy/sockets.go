package policy

import (
	"sync"

	"gopura/websocket"
)

// Sockets knows the WebSockets that are open, so that they can be told when
// nobody will serve them any longer. It outlives configurations; the zero value
// is ready.
type Sockets struct {
	mu   sync.Mutex
	open map[*socket]string // to the name of the route
}

func (s *Sockets) add(t *socket, route string) {
	s.mu.Lock()
	if s.open == nil {
		s.open = map[*socket]string{}
	}
	s.open[t] = route
	s.mu.Unlock()
}

func (s *Sockets) remove(t *socket) {
	s.mu.Lock()
	delete(s.open, t)
	s.mu.Unlock()
}

// Open returns the number of open WebSockets.
func (s *Sockets) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Keep ends the WebSockets of routes that keep does not want, with 1001 (going
// away).
func (s *Sockets) Keep(keep func(route string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, route := range s.open {
		if !keep(route) {
			t.leave(websocket.GoingAway, "the gateway does not serve this any longer")
		}
	}
}
