package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"gopura/telemetry"
	"gopura/upstream"
)

// reload reads the configuration again. A client that goes away does not stop
// it: half a reload does not exist.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if !s.gateway.Ready() {
		return &refusal{http.StatusServiceUnavailable, "draining", "The gateway is shutting down."}
	}
	err := s.gateway.Reload(context.WithoutCancel(r.Context()))
	if err == nil {
		return s.snapshot(w, r)
	}
	return s.refuseConfiguration(w, err)
}

type logLevel struct {
	Level string `json:"level"`
}

func (s *Server) showLevel(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, logLevel{strings.ToLower(s.level.Level().String())})
}

// setLevel holds until the next reload, which sets what the file says.
func (s *Server) setLevel(w http.ResponseWriter, r *http.Request) error {
	var want logLevel
	if err := read(r, &want); err != nil {
		return err
	}
	level, err := telemetry.ParseLevel(want.Level)
	if err != nil || want.Level == "" {
		return &refusal{http.StatusBadRequest, "bad_level", "The level is debug, info, warn or error."}
	}
	s.level.Set(level)
	return s.showLevel(w, r)
}

// setTarget drains a target of a service, or enables it again. It holds until
// the service changes or the gateway ends.
func (s *Server) setTarget(w http.ResponseWriter, r *http.Request, service string) error {
	var want struct {
		Target string `json:"target"` // its URL or address
		Action string `json:"action"` // drain, enable
	}
	if err := read(r, &want); err != nil {
		return err
	}
	if want.Action != "drain" && want.Action != "enable" {
		return &refusal{http.StatusBadRequest, "bad_action", "The action is drain or enable."}
	}
	find := func() (upstream.ServiceState, bool) {
		list := s.gateway.Services()
		i := slices.IndexFunc(list, func(st upstream.ServiceState) bool { return st.Name == service })
		if i < 0 {
			return upstream.ServiceState{}, false
		}
		return list[i], true
	}
	if _, ok := find(); !ok {
		return &refusal{http.StatusNotFound, "no_service", "There is no such service."}
	}
	if err := s.gateway.SetTarget(service, want.Target, want.Action == "enable"); err != nil {
		return &refusal{http.StatusNotFound, "no_target", "The service has no such target."}
	}
	state, _ := find()
	return reply(w, state)
}
