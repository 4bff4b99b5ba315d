package admin

import (
	"net/http"

	"gopura/diagram"
)

// topology shows the architecture with ids that traffic refers to.
func (s *Server) topology(w http.ResponseWriter, _ *http.Request) error {
	doc := s.gateway.Document()
	if doc == nil {
		return &refusal{http.StatusServiceUnavailable, "not_ready", "There is no configuration in force yet."}
	}
	return replyCompact(w, struct {
		Generation uint64 `json:"generation"`
		*diagram.Topology
	}{s.gateway.Info().Generation, diagram.TopologyOf(doc, s.gateway.Services())})
}
