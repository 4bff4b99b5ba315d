package policy

import (
	"errors"
	"log/slog"

	"gopura/cache"
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/identity"
	"gopura/lifetime"
	"gopura/store"
)

// Stage is when a policy runs.
type Stage uint8

const (
	Guard     Stage = iota // cheap refusals: sizes, methods, address lists
	Identify               // who is calling
	Authorize              // may they
	Limits                 // how much
	Shape                  // headers, rewrites, bodies
)

// String returns the word used in docs and explanations.
func (s Stage) String() string {
	return [...]string{"guard", "identify", "authorize", "limit", "shape"}[s]
}

// Spec is a policy's settings as decoded from the configuration.
type Spec interface {
	// Compile checks the settings and returns what serves by them, or nil when
	// there is nothing to do. The error is a *Fault or several, joined.
	Compile(*Env) (exchange.Middleware, error)
}

// Kind is one policy that a configuration may name.
type Kind struct {
	Name  string // the key of the configuration
	Stage Stage
	Doc   string // the paragraph of the reference page
	New   func() Spec
}

// Env is all that a policy may reach.
type Env struct {
	Expr  *expr.Env
	Scope *lifetime.Scope // owns what the policy opens
	Pool  *lifetime.Pool  // state that outlives a configuration
	Route string          // name of the route
	// Methods are those that the route's match names; none: any.
	Methods []string
	Log     *slog.Logger // never nil

	// CleanPath normalises a path as the gateway does with every target. Nil:
	// only paths that are plainly normal pass.
	CleanPath func(*exchange.Arena, []byte) ([]byte, error)
	// Shadow counts what a policy in shadow mode would have refused, and with
	// which code. It may run while the request body is read, so it must not
	// change x. Nil: nobody counts.
	Shadow func(x *exchange.Exchange, policy, code string)
	// Refused writes the audit record of a refusal, enforced or not: what refused
	// (a policy and a part of it), and why. Nil: nobody reads it.
	Refused func(x *exchange.Exchange, policy, part string, e *exchange.Error)
	// Identity returns a source of identity and whether there is one of that
	// name; nil, true: it could not be compiled. Nil: there are none.
	Identity func(name string) (identity.Source, bool)
	// Identities are the names of the sources.
	Identities []string
	// Asserts says that the gateway alone sets these request fields: they are
	// taken from no client, on no route. Nil: nobody strips them.
	Asserts func(names ...string)

	// Store keeps the limits: together with the other replicas, or as Local does.
	Store store.Store
	// Local keeps them in this process.
	Local store.Store
	// Shapes has the numbers of each limit of the configuration by its name, so
	// that one name has one meaning. Nil: nobody looks.
	Shapes map[string]string
	// Limited returns how to count a request that a policy limits, in a mode. Nil:
	// nobody counts.
	Limited func(policy, mode string) func()

	// Sockets is told of the WebSockets that are open. Nil: nobody counts them.
	Sockets *Sockets

	// Caches are those of the gateway. Nil: the policy has one to itself.
	Caches *cache.Set
	// Call: the policies are those of a call that the gateway makes for a composed
	// answer, whose request is the gateway's own.
	Call bool

	// Around wraps what a policy does, for explanations. Nil: nobody looks.
	Around func(p config.Policy, link exchange.Middleware) exchange.Middleware
	// Timed: exchanges may be in traces, which tell of the policies that wait.
	Timed bool
	// Note says what a policy saw, in words, for explanations. Nil: nobody reads it.
	Note func(x *exchange.Exchange, text string)

	costFields map[string]bool // response fields with costs that a policy of the route takes out
	identified bool            // the route has an identity policy, so a refused client can be told how to prove who it is
}

// shadow counts a refusal that did not happen.
func (e *Env) shadow(x *exchange.Exchange, policy string, code *exchange.Code) {
	if e.Shadow != nil {
		e.Shadow(x, policy, code.Name)
	}
}

// refused writes the audit record of a refusal.
func (e *Env) refused(x *exchange.Exchange, policy, part string, err *exchange.Error) {
	if e.Refused != nil {
		e.Refused(x, policy, part, err)
	}
}

// counter returns how to count a request that a policy limits.
func (e *Env) counter(policy, mode string) func() {
	if e.Limited == nil {
		return func() {}
	}
	return e.Limited(policy, mode)
}

// source returns a source of identity, and whether there is one.
func (e *Env) source(name string) (identity.Source, bool) {
	if e.Identity == nil {
		return nil, false
	}
	return e.Identity(name)
}

// asserts says which request fields no client may send.
func (e *Env) asserts(names ...string) {
	if e.Asserts != nil {
		e.Asserts(names...)
	}
}

// Modes of the policies that refuse.
const (
	enforce = "enforce"
	shadow  = "shadow"
)

// Fault is what is wrong with one setting of a policy.
type Fault struct {
	Policy string     // its name
	Path   string     // the setting below it: "request.set.X-User"; empty: the policy as a whole
	Pos    config.Pos // where it stands, as near as is known
	Err    error      // an *expr.Error says where within the text
	Text   string     // the text that it speaks of, if any
}

func (f *Fault) Error() string {
	s := "policy " + f.Policy + ": "
	if f.Path != "" {
		s += f.Path + ": "
	}
	return s + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// faultsOf takes a joined error apart; what is no *Fault becomes one.
func faultsOf(err error, p config.Policy) []*Fault {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*Fault
		for _, e := range joined.Unwrap() {
			list = append(list, faultsOf(e, p)...)
		}
		return list
	}
	var f *Fault
	if !errors.As(err, &f) {
		f = &Fault{Err: err}
	}
	placed := *f
	placed.Policy = p.Name
	if placed.Pos == (config.Pos{}) {
		placed.Pos = p.Pos
	}
	return []*Fault{&placed}
}
