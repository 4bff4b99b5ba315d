package admin

import (
	"context"
	"net/http"
	"time"
)

// upgradeTimeout is how long an answer may take that waits for a new process.
const upgradeTimeout = 65 * time.Second

// upgrade lets a new binary take over. A client that goes away does not stop it.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) error {
	if !s.gateway.Ready() {
		return &refusal{http.StatusServiceUnavailable, "draining", "The gateway is shutting down."}
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(upgradeTimeout))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), upgradeTimeout)
	defer cancel()
	if err := s.handOver(ctx); err != nil {
		return &refusal{http.StatusBadGateway, "upgrade_failed", "The gateway goes on as it was: " + err.Error() + ". The log says more."}
	}
	return reply(w, status{"handed over"})
}
