package diagram

import (
	"gopura/config"
	"gopura/telemetry"
	"gopura/upstream"
)

// Topology is the architecture for programs: every route by itself, and ids that
// stay the same as long as the names do.
type Topology struct {
	Nodes []Place `json:"nodes"`
	Edges []Way   `json:"edges"`
	// ListenersReachAll says that the edges from listeners to routes were too
	// many to be listed: each listener that doesn't redirect reaches every route.
	ListenersReachAll bool `json:"listeners_reach_all,omitempty"`
}

// Place is a node of the topology.
type Place struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"` // client, listener, route, service, target
	Title    string   `json:"title"`
	Lines    []string `json:"lines,omitempty"`
	Secure   bool     `json:"secure,omitempty"`
	Origin   string   `json:"origin,omitempty"`
	Policies []string `json:"policies,omitempty"`
	To       string   `json:"to,omitempty"`
}

// Way is an edge of the topology.
type Way struct {
	ID    string   `json:"id"`
	From  string   `json:"from"`
	To    string   `json:"to"`
	Label string   `json:"label,omitempty"`
	Share float64  `json:"-"` // of the traffic of From that goes this way; 0: it is not known by the configuration
	Calls []string `json:"-"` // ids of the calls that go this way, of a composed route
}

// ClientID is the id of all clients together.
const ClientID = "client"

// EdgeID returns the id of an edge.
func EdgeID(from, to string) string { return from + ">" + to }

// maxReach is how many edges from listeners to routes are listed.
const maxReach = 2000

// TopologyOf returns the topology of a document with the targets that its
// services have now: a name may stand for many, or for none yet.
func TopologyOf(doc *config.Document, services []upstream.ServiceState) *Topology {
	t := &Topology{Nodes: []Place{{ID: ClientID, Kind: "client", Title: "clients"}}, Edges: []Way{}}
	b := &builder{doc: doc, graph: new(Graph), services: map[string]*Node{}}
	var reach []string
	for i := range doc.Listeners {
		l := &doc.Listeners[i]
		id := telemetry.ListenerID(l.Name)
		t.place(id, "listener", b.listener(l), l.Pos)
		t.way(ClientID, id, "", 1)
		if l.Redirect == nil {
			reach = append(reach, id)
		}
	}
	for i := range doc.Services {
		b.service(&doc.Services[i])
	}
	t.routes(b, reach)
	for i := range doc.Services {
		s := &doc.Services[i]
		id := telemetry.ServiceID(s.Name)
		t.place(id, "service", b.services[s.Name], s.Pos)
		for _, state := range services {
			if state.Name == s.Name {
				t.targets(id, state)
			}
		}
	}
	return t
}

func (t *Topology) place(id, kind string, n *Node, pos config.Pos) *Place {
	t.Nodes = append(t.Nodes, Place{ID: id, Kind: kind, Title: n.Title, Lines: n.Lines, Secure: n.Secure, Origin: pos.String()})
	return &t.Nodes[len(t.Nodes)-1]
}

func (t *Topology) way(from, to, label string, share float64) {
	t.Edges = append(t.Edges, Way{ID: EdgeID(from, to), From: from, To: to, Label: label, Share: share})
}

func (t *Topology) routes(b *builder, reach []string) {
	groups := b.groups(len(b.doc.Routes) + 1)
	t.ListenersReachAll = len(reach)*len(groups) > maxReach
	for i, g := range groups {
		r := &b.doc.Routes[i]
		id := telemetry.RouteID(r.Name)
		p := t.place(id, "route", &Node{Title: g.title, Lines: g.lines, Secure: g.secure}, r.Pos)
		p.Policies, p.To = g.info.Policies, g.info.To
		if !t.ListenersReachAll {
			for _, l := range reach {
				t.way(l, id, "", 0)
			}
		}
		t.destinations(id, r, g)
	}
}

// destinations adds the edges of a route; calls of one service are one edge.
func (t *Topology) destinations(id string, r *config.Route, g *group) {
	total := 0
	for _, to := range r.To {
		total += to.Weight
	}
	known := map[string]int{}
	for i, to := range g.to {
		share := 0.0
		if i < len(r.To) && total > 0 {
			share = float64(r.To[i].Weight) / float64(total)
		}
		if to.service == "" {
			continue
		}
		if at, again := known[to.service]; again {
			e := &t.Edges[at]
			e.Share += share
			if to.label != "" {
				e.Label += ", " + to.label
			}
			e.Calls = append(e.Calls, callsOf(r, i)...)
			continue
		}
		known[to.service] = len(t.Edges)
		t.way(id, telemetry.ServiceID(to.service), to.label, share)
		t.Edges[len(t.Edges)-1].Calls = callsOf(r, i)
	}
}

// callsOf returns the id of the call that a destination of a route stands for.
func callsOf(r *config.Route, destination int) []string {
	if i := destination - len(r.To); i >= 0 && i < len(r.Compose) {
		return []string{telemetry.CallID(r.Name, r.Compose[i].Name)}
	}
	return nil
}

func (t *Topology) targets(service string, state upstream.ServiceState) {
	for _, s := range state.Targets {
		id := telemetry.TargetID(state.Name, s.Address)
		title := address(s.URL)
		t.Nodes = append(t.Nodes, Place{ID: id, Kind: "target", Title: title, Secure: secureURL(s.URL), Lines: resolved(title, s.Address)})
		label := ""
		if len(state.Targets) > 1 && s.Weight != 1 {
			label = weight(s.Weight)
		}
		t.way(service, id, label, 0)
	}
}
