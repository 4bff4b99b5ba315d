package admin

import (
	"net/http"
	"net/url"
	"os"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/gateway"
	"gopura/upstream"
)

// table is every path that is served and is always the same.
func (s *Server) table() map[string]methods {
	t := map[string]methods{
		"/livez":        {http.MethodGet: s.live},
		"/readyz":       {http.MethodGet: s.ready},
		"/metrics":      {http.MethodGet: s.metrics()},
		"/api/snapshot": {http.MethodGet: s.snapshot},
		"/api/routes":   {http.MethodGet: s.routes},
		"/api/services": {http.MethodGet: s.services},
		"/api/limits":   {http.MethodGet: s.limits},
		"/api/stores":   {http.MethodGet: s.stores},
		"/api/cache":    {http.MethodGet: s.cache},
		"/api/codes":    {http.MethodGet: s.codes},
		"/api/reload":   {http.MethodPost: s.reload},

		"/api/topology":      {http.MethodGet: s.topology},
		"/api/history":       {http.MethodGet: s.history},
		"/api/rollback":      {http.MethodPost: s.rollback},
		"/api/configuration": {http.MethodGet: s.configuration},
		"/api/check":         {http.MethodPost: s.check},
		"/api/explain":       {http.MethodPost: s.explain},
		"/api/explanations":  {http.MethodGet: s.explanations},
		"/api/debug-tokens":  {http.MethodPost: s.debugToken},
		"/api/try":           {http.MethodPost: s.try},

		"/api/traffic":        {http.MethodGet: s.traffic},
		"/api/series":         {http.MethodGet: s.series},
		"/api/clients":        {http.MethodGet: s.clients},
		"/api/exchanges":      {http.MethodGet: s.exchanges},
		"/api/exchanges/live": {http.MethodGet: s.tail},

		"/api/cache/purge":  {http.MethodPost: s.purgeCache},
		"/api/certificates": {http.MethodGet: s.certificates},
	}
	if s.handOver != nil {
		t["/api/upgrade"] = methods{http.MethodPost: s.upgrade}
	}
	if s.level != nil {
		t["/api/log-level"] = methods{http.MethodGet: s.showLevel, http.MethodPut: s.setLevel}
	}
	addProfiles(t)
	return t
}

// servicePath returns what is served below /api/services/.
func (s *Server) servicePath(path string) (methods, bool) {
	rest, ok := strings.CutPrefix(path, "/api/services/")
	if !ok {
		return nil, false
	}
	encoded, ok := strings.CutSuffix(rest, "/targets")
	if !ok || encoded == "" || strings.Contains(encoded, "/") {
		return nil, false
	}
	name, err := url.PathUnescape(encoded)
	if err != nil {
		return nil, false
	}
	return methods{http.MethodPost: func(w http.ResponseWriter, r *http.Request) error { return s.setTarget(w, r, name) }}, true
}

type status struct {
	Status string `json:"status"`
}

// live answers as long as the process does.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error { return reply(w, status{"live"}) }

// ready answers 503 before the first configuration is in force and from the
// moment the gateway is draining.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if !s.gateway.Ready() {
		return &refusal{http.StatusServiceUnavailable, "not_ready", "The gateway does not serve: it is starting or draining."}
	}
	return reply(w, status{"ready"})
}

func (s *Server) metrics() handler {
	h := s.gateway.Metrics().Handler()
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// problem is a problem of a configuration as the API shows it.
type problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

func problemsOf(list []config.Problem) []problem {
	var out []problem
	for _, p := range list {
		out = append(out, problem{p.Pos.File, p.Pos.Line, p.Pos.Col, p.Path, p.Message, p.Hint, p.Warning})
	}
	return out
}

// snapshot is gateway.Info with the warnings in the API's own form.
type snapshot struct {
	gateway.Info
	PID      int       `json:"pid"` // of the process: an upgrade makes it another one
	Warnings []problem `json:"warnings,omitempty"`
	Problems []problem `json:"problems,omitempty"` // of the last configuration that was refused
}

func (s *Server) snapshot(w http.ResponseWriter, _ *http.Request) error {
	info := s.gateway.Info()
	return reply(w, snapshot{info, os.Getpid(), problemsOf(info.Warnings), lastProblems(&info)})
}

func (s *Server) routes(w http.ResponseWriter, _ *http.Request) error {
	list := s.gateway.Routes()
	if list == nil {
		list = []gateway.RouteInfo{}
	}
	return reply(w, list)
}

func (s *Server) services(w http.ResponseWriter, _ *http.Request) error {
	list := s.gateway.Services()
	if list == nil {
		list = []upstream.ServiceState{}
	}
	return reply(w, list)
}

// certificates shows what the listeners prove themselves with, and no key of it.
func (s *Server) certificates(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, s.gateway.Certificates())
}

// code is an error code as the API shows it.
type code struct {
	Code   string `json:"code"`
	Status int    `json:"status"`
	Side   string `json:"side"`
	Retry  bool   `json:"retry"`
	Text   string `json:"text"`
}

func (s *Server) codes(w http.ResponseWriter, _ *http.Request) error {
	list := make([]code, 0, len(exchange.Codes))
	for _, c := range exchange.Codes {
		list = append(list, code{c.Name, c.Status, c.Side.String(), c.Retry, c.Text})
	}
	return reply(w, list)
}
