package gateway

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/policy"
	"gopura/route"
	"gopura/upstream"
)

// Info is what an operator sees of the gateway as a whole.
type Info struct {
	Version     string           `json:"version"`
	Revision    string           `json:"revision,omitempty"`
	Started     time.Time        `json:"started"`
	Ready       bool             `json:"ready"`
	Draining    bool             `json:"draining"`
	Generation  uint64           `json:"generation"`
	Hash        string           `json:"hash"`
	Applied     time.Time        `json:"applied"`
	InFlight    int64            `json:"in_flight"`
	Connections int64            `json:"connections"`
	Routes      int              `json:"routes"`
	Services    int              `json:"services"`
	Listeners   []ListenerInfo   `json:"listeners"`
	Warnings    []config.Problem `json:"warnings,omitempty"`
	LastError   string           `json:"last_error,omitempty"` // why the last reload was refused
	LastErrorAt time.Time        `json:"last_error_at,omitzero"`
	LastProblem *config.Problems `json:"-"` // what exactly, where the text is at fault
	RolledBack  *RolledBack      `json:"rolled_back,omitempty"`
}

// ListenerInfo is what an operator sees of a listener.
type ListenerInfo struct {
	Name    string   `json:"name"`
	Address string   `json:"address"`
	TLS     bool     `json:"tls"`
	HTTP    []string `json:"http"`
}

// RouteInfo is what an operator sees of a route.
type RouteInfo struct {
	Name     string   `json:"name"`
	Match    string   `json:"match"`
	Hosts    []string `json:"hosts,omitempty"`
	Methods  []string `json:"methods,omitempty"`
	Path     string   `json:"path"`
	When     string   `json:"when,omitempty"`
	Priority int      `json:"priority,omitempty"`
	To       string   `json:"to"`
	Policies []string `json:"policies,omitempty"`
	Timeout  string   `json:"timeout,omitempty"`
	Origin   string   `json:"origin"` // file:line:col
}

// Info returns a live view of the gateway.
func (g *Gateway) Info() Info {
	i := Info{
		Version: g.options.Build.Version, Revision: g.options.Build.Revision, Started: g.started,
		Ready: g.Ready(), Draining: g.draining.Load(), Connections: g.connections.Load(),
	}
	if e := g.lastError.Load(); e != nil {
		i.LastError, i.LastErrorAt = e.Err.Error(), e.At
		errors.As(e.Err, &i.LastProblem)
	}
	h := g.current.Get()
	if h == nil {
		return i
	}
	s := h.Value
	i.Generation, i.Hash, i.Applied, i.InFlight = s.generation, s.hash, s.at, max(h.Users()-1, 0)
	i.Routes, i.Services, i.Warnings = len(s.doc.Routes), len(s.doc.Services), s.warnings
	i.RolledBack = g.history.rolledBack()
	for _, l := range s.doc.Listeners {
		i.Listeners = append(i.Listeners, ListenerInfo{l.Name, g.Address(l.Name), l.TLS != nil, l.HTTP})
	}
	return i
}

// Document returns the configuration in force, nil before the first. It must not
// be changed.
func (g *Gateway) Document() *config.Document {
	if s := g.current.Get(); s != nil {
		return s.Value.doc
	}
	return nil
}

// Routes returns the routes in force, in the order of the file.
func (g *Gateway) Routes() []RouteInfo {
	s := g.current.Get()
	if s == nil {
		return nil
	}
	return RoutesOf(s.Value.doc)
}

// RoutesOf describes the routes of a document.
func RoutesOf(doc *config.Document) []RouteInfo {
	list := make([]RouteInfo, 0, len(doc.Routes))
	c := &compiler{doc: doc, blocks: map[string][]config.Policy{}}
	for _, b := range doc.Policies {
		c.blocks[b.Name] = b.Policies
	}
	for i := range doc.Routes {
		r := &doc.Routes[i]
		info := RouteInfo{
			Name: r.Name, Match: r.Match.Text, Hosts: r.Match.Hosts, Methods: r.Match.Methods, Path: r.Match.Path,
			When: r.Match.When, Priority: r.Priority, To: destination(r), Origin: r.Pos.String(),
		}
		if r.Match.Regexp != "" {
			info.Path = "~ " + r.Match.Regexp
		}
		if r.Timeout > 0 {
			info.Timeout = r.Timeout.String()
		}
		for _, p := range policy.Sorted(c.policies(r)) {
			info.Policies = append(info.Policies, p.Name)
		}
		list = append(list, info)
	}
	return list
}

func destination(r *config.Route) string {
	switch {
	case r.Redirect != nil:
		return fmt.Sprintf("redirect %d %s", r.Redirect.Status, r.Redirect.To)
	case r.Answer != nil:
		return fmt.Sprintf("answer %d", r.Answer.Status)
	case len(r.Compose) > 0:
		var names []string
		for i := range r.Compose {
			names = append(names, r.Compose[i].Name)
		}
		return "compose " + strings.Join(names, ", ")
	case len(r.Reflection) > 0:
		return "reflection " + strings.Join(r.Reflection, ", ")
	case len(r.To) == 1:
		return r.To[0].Service
	}
	var parts []string
	for _, t := range r.To {
		parts = append(parts, fmt.Sprintf("%s×%d", t.Service, t.Weight))
	}
	return strings.Join(parts, " ")
}

// Services returns a live view of the services, in the order of the file.
func (g *Gateway) Services() []upstream.ServiceState {
	h := g.current.Enter()
	if h == nil {
		return nil
	}
	defer h.Leave()
	list := make([]upstream.ServiceState, 0, len(h.Value.services))
	for _, s := range h.Value.services {
		list = append(list, s.State())
	}
	return list
}

// SetTarget drains or enables targets of a service, by address or URL.
func (g *Gateway) SetTarget(service, target string, enabled bool) error {
	h := g.current.Enter()
	if h == nil {
		return fmt.Errorf("the gateway is shutting down")
	}
	defer h.Leave()
	for _, s := range h.Value.services {
		if s.name == service {
			if enabled {
				return s.Enable(target)
			}
			return s.Drain(target)
		}
	}
	return fmt.Errorf("no service %q", service)
}

// Candidates says which routes were candidates for a request, the best first,
// and why each but the winner lost. The exchange needs a request only.
func (g *Gateway) Candidates(x *exchange.Exchange) ([]route.Candidate, error) {
	h := g.current.Enter()
	if h == nil {
		return nil, fmt.Errorf("the gateway is shutting down")
	}
	defer h.Leave()
	if err := h.Value.admit(x); err != nil {
		return nil, err
	}
	return h.Value.table.Explain(x), nil
}
