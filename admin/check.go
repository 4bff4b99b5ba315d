package admin

import (
	"errors"
	"net/http"

	"gopura/config"
	"gopura/gateway"
)

// maxTextCount is how many texts are checked together.
const maxTextCount = 100

// check says what is wrong with a configuration, and what it would change. It is
// read as a change of the one in force and opens nothing.
func (s *Server) check(w http.ResponseWriter, r *http.Request) error {
	var want struct {
		Texts []text `json:"texts"`
	}
	if err := read(r, &want); err != nil {
		return err
	}
	if len(want.Texts) == 0 || len(want.Texts) > maxTextCount {
		return &refusal{http.StatusBadRequest, "bad_texts", "texts is a list of up to 100 objects with name and text."}
	}
	current := s.gateway.Document()
	if current == nil {
		return &refusal{http.StatusServiceUnavailable, "not_ready", "There is no configuration in force yet."}
	}
	var texts []config.Source
	for _, t := range want.Texts {
		if t.Name == "" {
			t.Name = "gopura.yaml"
		}
		texts = append(texts, config.Source{Name: t.Name, Data: []byte(t.Text)})
	}
	if !s.compiling.TryLock() {
		return busy()
	}
	defer s.compiling.Unlock()
	c := s.gateway.CheckTexts(texts)
	out := struct {
		OK       bool             `json:"ok"`
		Problems []problem        `json:"problems"`
		Unknown  []string         `json:"not_looked_up,omitempty"` // references that the configuration in force does not make
		Unread   []string         `json:"not_read,omitempty"`      // files that it does not name: the texts were read, and not compiled
		Changes  []gateway.Change `json:"changes,omitempty"`
	}{c.Err == nil, []problem{}, c.Unknown, c.Unread, nil}
	var p *config.Problems
	switch {
	case errors.As(c.Err, &p):
		out.Problems = problemsOf(p.List)
	case c.Err != nil:
		out.Problems = []problem{{Message: c.Err.Error()}}
	default:
		out.Problems = append(out.Problems, problemsOf(c.Document.Problems().List)...)
		out.Changes = changesOf(current, c.Document)
	}
	return reply(w, out)
}
