package gateway

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"gopura/compose"
	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/live"
	"gopura/route"
	"gopura/spans"
	"gopura/store"
	"gopura/telemetry"
	"gopura/upstream"
)

// snapshot is a configuration compiled: everything that serving a request
// looks at. It does not change.
type snapshot struct {
	doc       *config.Document
	table     *route.Table[*node]
	services  []*service // in the order of the file
	nodes     []*node    // of all routes, in the order of the file
	trusted   []netip.Prefix
	asserted  []string         // request fields that only the gateway sets
	reserved  map[string]*node // paths that sources of identity answer, on every host
	clean     route.CleanOptions
	shared    store.Store      // limits that replicas share; nil: none
	doors     map[string]*door // by the name of the listener
	plain     bool             // no door redirects or proves itself: nothing to do for a cleartext request
	scope     *lifetime.Scope
	access    *telemetry.AccessLog // nil: off
	unrouted  *node                // stands for requests that no route takes
	room      *live.Room           // where those are who look
	entrances []entrance           // the listeners
	twin      twin                 // for requests that are explained
	tracer    *spans.Tracer        // nil: exchanges are in no traces

	generation uint64
	hash       string
	at         time.Time
	warnings   []config.Problem
}

// service is a service of the snapshot with what the gateway keeps beside it.
type service struct {
	*upstream.Service
	name  string
	entry exchange.Handler // the service behind its own policies; nil: they have a fault

	schema      *schema // of its gRPC methods; nil: no route asks for them
	schemaFault bool    // its files have a problem
}

// node is where a route ends: the compiled chain and what is counted for it.
type node struct {
	snap    *snapshot
	pin     *lifetime.Snapshot[*snapshot] // set before the snapshot is current
	route   *config.Route                 // nil for unrouted
	name    string
	handler exchange.Handler
	plan    *compose.Plan // of a composed route; nil: it is none
	timeout time.Duration

	preflights bool // its cors policy answers CORS preflights
	cheap      bool // it answers itself: a refusal would cost as much

	importance exchange.Importance
	rank       func(*exchange.Exchange) // sets the importance; nil: it is always the same

	metrics *telemetry.Route
	finish  func(*exchange.Exchange) // n.done, bound once
}

// enter says that x ends with n.
func (n *node) enter(x *exchange.Exchange) {
	n.metrics.InFlight.Add(1)
	x.OnDone(n.finish)
}

// done is the last thing that happens to an exchange: the record, the metrics,
// and the snapshot is let go.
func (n *node) done(x *exchange.Exchange) {
	now := time.Now()
	x.Now = now
	if n.snap.access != nil {
		n.snap.access.Record(x, now)
	}
	if t := n.snap.tracer; t != nil {
		t.Finish(x, now, n.template())
	}
	n.metrics.InFlight.Add(-1)
	n.metrics.Observe(x, now.Sub(x.Start))
	n.snap.entered(x)
	if n.snap.room.Looking() {
		n.snap.room.Saw(x, now)
	}
	n.pin.Leave()
}

// template is the path that the route of n matches, for traces.
func (n *node) template() string {
	if n.route != nil && n.route.Match.Path != "" {
		return n.route.Match.Path
	}
	return n.name
}

// split sends exchanges to several handlers by weight.
type split struct {
	total    uint32
	upTo     []uint32 // cumulative weights
	handlers []exchange.Handler
}

// Serve implements exchange.Handler.
func (s *split) Serve(x *exchange.Exchange) error {
	r := rand.Uint32N(s.total)
	for i, limit := range s.upTo {
		if r < limit {
			return s.handlers[i].Serve(x)
		}
	}
	return exchange.Internal.Errorf("split: no share for %d of %d", r, s.total)
}
