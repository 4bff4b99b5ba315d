package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"gopura/gateway"
)

// brief is an explanation in a list.
type brief struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Request  string    `json:"request"`
	Route    string    `json:"route,omitempty"`
	Status   int       `json:"status"`
	Code     string    `json:"code,omitempty"`
	Duration float64   `json:"duration_ms"`
}

// explanations lists the real requests that were explained.
func (s *Server) explanations(w http.ResponseWriter, _ *http.Request) error {
	list := []brief{}
	for _, e := range s.gateway.Explanations() {
		list = append(list, brief{e.ID, e.Time, e.Request, e.Route, e.Answer.Status, e.Answer.Code, e.Duration})
	}
	return reply(w, struct {
		Explanations []brief `json:"explanations"`
	}{list})
}

// explanationPath returns what is served at /api/explanations/ID.
func (s *Server) explanationPath(path string) (methods, bool) {
	encoded, ok := strings.CutPrefix(path, "/api/explanations/")
	if !ok || encoded == "" || strings.Contains(encoded, "/") {
		return nil, false
	}
	id, err := url.PathUnescape(encoded)
	if err != nil {
		return nil, false
	}
	return methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) error {
		for _, e := range s.gateway.Explanations() {
			if e.ID == id {
				return reply(w, e)
			}
		}
		return &refusal{http.StatusNotFound, "no_explanation", "No request of that id was explained lately."}
	}}, true
}

// debugLife is how long a token lasts unless somebody says so.
const debugLife = 10 * time.Minute

// debugToken makes a token for requests that are to be explained.
func (s *Server) debugToken(w http.ResponseWriter, r *http.Request) error {
	var want struct {
		For  string `json:"for"`
		Host string `json:"host"`
		Path string `json:"path"`
	}
	if err := read(r, &want); err != nil {
		return err
	}
	life := debugLife
	if want.For != "" {
		var err error
		if life, err = time.ParseDuration(want.For); err != nil {
			return &refusal{http.StatusBadRequest, "bad_duration", "for is a duration such as 10m."}
		}
	}
	value, expires, err := s.gateway.DebugToken(life, gateway.DebugScope{Host: want.Host, Path: want.Path})
	if err != nil {
		return &refusal{http.StatusBadRequest, "bad_token", strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + "."}
	}
	return reply(w, struct {
		Header  string    `json:"header"`
		Value   string    `json:"value"`
		Expires time.Time `json:"expires"`
		Host    string    `json:"host,omitempty"`
		Path    string    `json:"path,omitempty"`
	}{gateway.DebugHeader, value, expires, want.Host, want.Path})
}
