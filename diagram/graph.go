package diagram

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gopura/config"
	"gopura/gateway"
)

// Column is how far a node is on the way from the client to the target.
type Column int

// The columns, from left to right.
const (
	Clients Column = iota
	Listeners
	Routes
	Services
	Targets
	columns
)

// Node is a box of the picture.
type Node struct {
	ID     string // letters and digits
	Column Column
	Title  string
	Lines  []string // what else is to be said: policies of a route, balancing of a service
	Secure bool     // TLS, or a route that asks who is calling
}

// Edge is an arrow of the picture.
type Edge struct {
	From, To *Node
	Label    string // the share of a split, the name of a call
}

// Graph is the picture, before it is written in a format.
type Graph struct {
	Nodes []*Node
	Edges []Edge
}

// Options say what is drawn.
type Options struct {
	// Most is how many routes are drawn one by one; beyond, those with the same
	// policies and destination are one box. 0: 40.
	Most int
}

// Of makes the graph of a document that has been checked. Nodes are in the
// order of the file.
func Of(doc *config.Document, o Options) *Graph {
	if o.Most == 0 {
		o.Most = 40
	}
	b := &builder{doc: doc, graph: new(Graph), services: map[string]*Node{}}
	clients := b.node(Clients, "clients")
	var listeners []*Node
	for i := range doc.Listeners {
		n := b.listener(&doc.Listeners[i])
		b.edge(clients, n, "")
		if doc.Listeners[i].Redirect == nil {
			listeners = append(listeners, n)
		}
	}
	for i := range doc.Services {
		b.service(&doc.Services[i])
	}
	for _, g := range b.groups(o.Most) {
		n := b.node(Routes, g.title, g.lines...)
		n.Secure = g.secure
		for _, l := range listeners {
			b.edge(l, n, "")
		}
		for _, to := range g.to {
			if s := b.services[to.service]; s != nil {
				b.edge(n, s, to.label)
			}
		}
	}
	slices.SortStableFunc(b.graph.Nodes, func(x, y *Node) int { return cmp.Compare(x.Column, y.Column) })
	return b.graph
}

type builder struct {
	doc      *config.Document
	graph    *Graph
	services map[string]*Node
	count    [columns]int
}

func (b *builder) node(c Column, title string, lines ...string) *Node {
	n := &Node{ID: fmt.Sprintf("%s%d", [...]string{"client", "listener", "route", "service", "target"}[c], b.count[c]), Column: c, Title: title, Lines: lines}
	b.count[c]++
	b.graph.Nodes = append(b.graph.Nodes, n)
	return n
}

func (b *builder) edge(from, to *Node, label string) {
	b.graph.Edges = append(b.graph.Edges, Edge{from, to, label})
}

func (b *builder) listener(l *config.Listener) *Node {
	speaks := "HTTP " + strings.Join(l.HTTP, ", ")
	if l.TLS != nil {
		speaks += " over TLS"
	}
	n := b.node(Listeners, l.Address, speaks)
	n.Secure = l.TLS != nil
	if l.Redirect != nil {
		n.Lines = append(n.Lines, "redirects to https")
	}
	return n
}

func (b *builder) service(s *config.Service) {
	var lines []string
	if len(s.Targets) > 1 {
		lines = append(lines, strings.ReplaceAll(s.Balance.Kind, "_", " "))
	}
	if s.Health != nil {
		lines = append(lines, "health checks")
	}
	if s.Breaker != nil {
		lines = append(lines, "breaker")
	}
	for _, p := range s.Policies {
		lines = append(lines, p.Name)
	}
	n := b.node(Services, s.Name, lines...)
	b.services[s.Name] = n
	for _, t := range s.Targets {
		target := b.node(Targets, address(t.URL))
		target.Secure = secureURL(t.URL)
		label := ""
		if len(s.Targets) > 1 && t.Weight != 1 {
			label = weight(t.Weight)
		}
		b.edge(n, target, label)
	}
}

func secureURL(url string) bool {
	return strings.HasPrefix(url, "https:") || strings.HasPrefix(url, "grpcs:")
}

func weight(n int) string { return fmt.Sprintf("× %d", n) }

// resolved says which address a target with a name stands for.
func resolved(title, address string) []string {
	if strings.Contains(title, address) {
		return nil
	}
	return []string{address}
}

// address is a target's URL without what may be a secret.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "?"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// group is a route, or several that go the same way.
type group struct {
	key    string
	title  string
	names  []string
	lines  []string
	secure bool
	to     []destination
	info   gateway.RouteInfo
}

type destination struct{ service, label string }

// groups returns the routes, one by one or those that go the same way together.
func (b *builder) groups(most int) (list []*group) {
	routes := gateway.RoutesOf(b.doc)
	together := len(routes) > most
	byKey := map[string]*group{}
	for i, r := range routes {
		g := b.group(&b.doc.Routes[i], r)
		if !together {
			list = append(list, g)
			continue
		}
		if have := byKey[g.key]; have != nil {
			have.names = append(have.names, g.title)
			continue
		}
		g.names = []string{g.title}
		byKey[g.key] = g
		list = append(list, g)
	}
	for _, g := range list {
		if n := len(g.names); n > 1 {
			g.title = fmt.Sprintf("%d routes", n)
			g.lines = append([]string{strings.Join(g.names[:min(n, 3)], ", ") + more(n > 3)}, g.lines...)
		}
	}
	return list
}

func more(yes bool) string {
	if yes {
		return ", …"
	}
	return ""
}

// everywhere are policies that say little about a route.
var everywhere = []string{"security_headers", "headers"}

func (b *builder) group(r *config.Route, info gateway.RouteInfo) *group {
	g := &group{title: info.Match, info: info}
	var shown []string
	for _, p := range info.Policies {
		g.secure = g.secure || p == "identity"
		if !slices.Contains(everywhere, p) {
			shown = append(shown, strings.ReplaceAll(p, "_", " "))
		}
	}
	if len(shown) > 0 {
		g.lines = append(g.lines, strings.Join(shown, " · "))
	}
	total := 0
	for _, t := range r.To {
		total += t.Weight
	}
	for _, t := range r.To {
		label := ""
		if len(r.To) > 1 && total > 0 {
			label = fmt.Sprintf("%d %%", (100*t.Weight+total/2)/total)
		}
		g.to = append(g.to, destination{t.Service, label})
	}
	for i := range r.Compose {
		c := &r.Compose[i]
		g.to = append(g.to, destination{b.called(c.Call), c.Name})
	}
	switch {
	case len(r.Compose) > 0:
		g.lines = append(g.lines, fmt.Sprintf("one answer of %d calls", len(r.Compose)))
	case len(g.to) == 0:
		g.lines = append(g.lines, info.To)
	}
	g.key = fmt.Sprint(g.lines, g.to, g.secure)
	return g
}

// called is the service of a call: "GET users/{id}", "catalog shop.v1.Catalog/Get {…}".
func (b *builder) called(call string) string {
	for _, word := range strings.Fields(call) {
		name, _, _ := strings.Cut(word, "/")
		if b.services[name] != nil {
			return name
		}
	}
	return ""
}
