package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gopura/config"
	"gopura/gateway"
)

// text is a file of a configuration, secrets covered.
type text struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func textsOf(doc *config.Document) []text {
	list := []text{}
	for _, s := range doc.MaskedTexts() {
		list = append(list, text{s.Name, string(s.Data)})
	}
	return list
}

// configuration shows the texts in force, and what was wrong with the last ones
// that were refused.
func (s *Server) configuration(w http.ResponseWriter, _ *http.Request) error {
	doc := s.gateway.Document()
	if doc == nil {
		return &refusal{http.StatusServiceUnavailable, "not_ready", "There is no configuration in force yet."}
	}
	info := s.gateway.Info()
	out := struct {
		Generation uint64              `json:"generation"`
		Hash       string              `json:"hash"`
		Applied    time.Time           `json:"applied"`
		Texts      []text              `json:"texts"`
		Warnings   []problem           `json:"warnings,omitempty"`
		Refused    *refused            `json:"refused,omitempty"`
		RolledBack *gateway.RolledBack `json:"rolled_back,omitempty"`
	}{info.Generation, info.Hash, info.Applied, textsOf(doc), problemsOf(info.Warnings), nil, info.RolledBack}
	if info.LastError != "" {
		out.Refused = &refused{info.LastErrorAt, info.LastError, lastProblems(&info)}
	}
	return reply(w, out)
}

// refused is the last configuration that was refused.
type refused struct {
	At       time.Time `json:"at"`
	Error    string    `json:"error"`
	Problems []problem `json:"problems,omitempty"`
}

func lastProblems(info *gateway.Info) []problem {
	if info.LastProblem == nil {
		return nil
	}
	return problemsOf(info.LastProblem.List)
}

// history lists the configurations that are known.
func (s *Server) history(w http.ResponseWriter, _ *http.Request) error {
	entries, back := s.gateway.History()
	out := struct {
		InForce    uint64              `json:"in_force"`
		RolledBack *gateway.RolledBack `json:"rolled_back,omitempty"`
		Entries    []gateway.Entry     `json:"entries"`
	}{RolledBack: back, Entries: entries}
	if len(entries) > 0 {
		out.InForce = entries[0].Generation
	}
	return reply(w, out)
}

// historyPath returns what is served below /api/history/.
func (s *Server) historyPath(path string) (methods, bool) {
	rest, ok := strings.CutPrefix(path, "/api/history/")
	if !ok {
		return nil, false
	}
	number, diff := strings.CutSuffix(rest, "/diff")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != number {
		return nil, false
	}
	if diff {
		return methods{http.MethodGet: func(w http.ResponseWriter, r *http.Request) error { return s.difference(w, r, n) }}, true
	}
	return methods{http.MethodGet: func(w http.ResponseWriter, r *http.Request) error { return s.generation(w, n) }}, true
}

// generation shows the texts of an earlier configuration.
func (s *Server) generation(w http.ResponseWriter, n uint64) error {
	e, doc, err := s.gateway.Recall(n)
	if err != nil {
		return noGeneration(err)
	}
	return reply(w, struct {
		gateway.Entry
		Texts []text `json:"texts"`
	}{e, textsOf(doc)})
}

// difference says what a configuration does differently from another, the one
// before it unless the query names one.
func (s *Server) difference(w http.ResponseWriter, r *http.Request, n uint64) error {
	from := s.gateway.Before(n)
	if given := r.URL.Query().Get("from"); given != "" {
		var err error
		if from, err = strconv.ParseUint(given, 10, 64); err != nil {
			return &refusal{http.StatusBadRequest, "bad_generation", "from is the number of a generation."}
		}
	}
	_, after, err := s.gateway.Recall(n)
	if err != nil {
		return noGeneration(err)
	}
	_, before, err := s.gateway.Recall(from)
	if err != nil {
		return noGeneration(err)
	}
	return reply(w, struct {
		From    uint64           `json:"from"`
		To      uint64           `json:"to"`
		Changes []gateway.Change `json:"changes"`
	}{from, n, changesOf(before, after)})
}

func changesOf(before, after *config.Document) []gateway.Change {
	if list := gateway.Differences(before, after); list != nil {
		return list
	}
	return []gateway.Change{}
}

// rollback puts an earlier configuration in force again.
func (s *Server) rollback(w http.ResponseWriter, r *http.Request) error {
	var want struct {
		Generation uint64 `json:"generation"` // 0: the one before
	}
	if err := read(r, &want); err != nil {
		return err
	}
	if !s.gateway.Ready() {
		return &refusal{http.StatusServiceUnavailable, "draining", "The gateway is shutting down."}
	}
	err := s.gateway.Rollback(context.WithoutCancel(r.Context()), want.Generation, "by hand")
	switch {
	case err == nil:
		return s.snapshot(w, r)
	case errors.Is(err, gateway.ErrNoGeneration):
		return noGeneration(err)
	case errors.Is(err, gateway.ErrInForce):
		return &refusal{http.StatusConflict, "in_force", "That configuration is in force."}
	}
	return s.refuseConfiguration(w, err)
}

func noGeneration(err error) error {
	if errors.Is(err, gateway.ErrNoGeneration) {
		return &refusal{http.StatusNotFound, "no_generation", "The history has no such generation."}
	}
	return err
}

// refuseConfiguration answers that a configuration can't be put in force, and why.
func (s *Server) refuseConfiguration(w http.ResponseWriter, err error) error {
	s.log.Error("configuration refused, the one in force stays", "error", err)
	no := &refusal{http.StatusUnprocessableEntity, "configuration_refused", "The configuration in force stays: " + err.Error()}
	var p *config.Problems
	if errors.As(err, &p) {
		writeProblem(w, no, problemsOf(p.List))
		return nil
	}
	return no
}

// queryOf returns the query, or a refusal: net/url takes broken ones for empty.
func queryOf(r *http.Request) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "bad_query", "The query can't be read."}
	}
	return q, nil
}
