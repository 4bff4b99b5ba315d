package compose

import (
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// Options are what a plan reaches beside its own route.
type Options struct {
	Env    *expr.Env // of the route
	Params []string  // path parameters of the route

	// Service returns the entry of a service: balancing, retries and limits
	// included. Nil: it has a fault that is reported elsewhere.
	Service func(name string) exchange.Handler
	// Policies compiles the policies of the call of that name. False: they have
	// faults, which are reported. Nil: calls have none.
	Policies func(call string, list []config.Policy, path string) (exchange.Middleware, bool)
	// RPC returns what serves a method of gRPC, package.Service/Method: JSON in,
	// JSON out, as POST to /package.Service/Method. Nil: there is none.
	RPC func(service, method string) (Method, error)
	// Observer returns what counts the calls of that name. Nil: nobody counts.
	Observer func(call string) Observer
	// AnyBody lets clients send forms, XML and texts, too, where the route says which
	// it takes. Else only JSON is: a form of another site needs no leave to be sent.
	AnyBody bool
	// Alone makes one call at a time, in the order of the file, so that a rehearsal
	// is the same each time.
	Alone bool
	// Problem reports what is wrong with a value of the document: its path, its
	// text, and the place within that. Warning: it is only doubtful.
	Problem func(p Problem)
}

// Method serves a method of gRPC.
type Method interface {
	exchange.Handler
	// Lacks reports that its message has no field of that path, and the names of
	// those that are there. Of what is not known nothing is lacking.
	Lacks(path []string) (there []string, yes bool)
}

// Observer counts calls that have ended.
type Observer interface{ Observe(c *exchange.Call) }

// Problem is what is wrong with a route.
type Problem struct {
	Path    string // of the value in the document: routes[2].compose.user.call
	Text    string // the value, when Offset is within it
	Offset  int
	Message string
	Hint    string
	Warning bool
}
