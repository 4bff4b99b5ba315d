package gateway

import (
	"gopura/config"
	"gopura/exchange"
	"gopura/policy"
	"gopura/route"
	"gopura/transcode"
)

// Offline is a configuration compiled to be asked about, not to serve: nothing
// of it is open.
type Offline struct {
	Document *config.Document
	snapshot *snapshot
}

// CompileOffline compiles what load returns, as Check does, and keeps it.
func CompileOffline(load func() (*config.Document, error)) (*Offline, error) {
	doc, err := load()
	if err != nil {
		return nil, err
	}
	s, err := New(Options{}).compile(doc, true)
	if err != nil {
		return nil, err
	}
	return &Offline{doc, s}, nil
}

// Close frees what the compiled configuration holds.
func (o *Offline) Close() { o.snapshot.scope.Close() }

// Order returns the indexes of the routes, the most specific first.
func (o *Offline) Order() []int { return o.snapshot.table.Order() }

// Candidates says which routes were candidates for a request, the best first,
// and why each but the winner lost. A path that the gateway would refuse is an
// *exchange.Error.
func (o *Offline) Candidates(x *exchange.Exchange) ([]route.Candidate, error) {
	if err := o.snapshot.admit(x); err != nil {
		return nil, err
	}
	if o.Preflight(x) == "" {
		return o.snapshot.table.Explain(x), nil
	}
	asked := x.Request.Method
	x.Request.Method = policy.Preflight(&x.Request)
	list := o.snapshot.table.Explain(x)
	x.Request.Method = asked
	return list, nil
}

// Preflight returns the method that a CORS preflight asks leave for, when the
// cors policy of that method's route answers it; "" for anything else. It is for
// a request that Candidates has seen, or one with a plain path.
func (o *Offline) Preflight(x *exchange.Exchange) string {
	if o.snapshot.matchPreflight(x) == nil {
		return ""
	}
	return policy.Preflight(&x.Request)
}

// Reserved are the paths that sources of identity answer themselves, before any
// route and on every host, by path: the names of their nodes.
func (o *Offline) Reserved() map[string]string {
	names := make(map[string]string, len(o.snapshot.reserved))
	for path, n := range o.snapshot.reserved {
		names[path] = n.name
	}
	return names
}

// Allowed returns the methods with which a request that Candidates has seen
// would have matched: without a winner, and with such methods, it is a 405.
func (o *Offline) Allowed(x *exchange.Exchange) []string { return o.snapshot.table.Allowed(x) }

// Policies are those that hold on a route, by its index: its own, those of its
// blocks, the defaults.
func (o *Offline) Policies(i int) []config.Policy {
	c := compiler{doc: o.Document, s: o.snapshot, blocks: map[string][]config.Policy{}}
	for _, b := range o.Document.Policies {
		c.blocks[b.Name] = b.Policies
	}
	return c.policies(&o.Document.Routes[i])
}

// Schema is what is known of a gRPC service without asking it; nil where that is
// nothing.
func (o *Offline) Schema(service string) *transcode.Schema {
	for _, s := range o.snapshot.services {
		if s.name == service && s.schema != nil {
			return s.schema.Schema()
		}
	}
	return nil
}
