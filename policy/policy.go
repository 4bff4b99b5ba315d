package policy

import (
	"errors"
	"log/slog"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
)

// Stage is when a policy runs.
type Stage uint8

const (
	Guard     Stage = iota // cheap refusals: sizes, methods, address lists
	Identify               // who is calling
	Authorize              // may they
	Limit                  // how much
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
	Log   *slog.Logger    // never nil

	// CleanPath normalises a path as the gateway does with every target. Nil:
	// only paths that are plainly normal pass.
	CleanPath func(*exchange.Arena, []byte) ([]byte, error)
	// Shadow counts what a policy in shadow mode would have refused, and with
	// which code. It may run while the request body is read, so it must not
	// change x. Nil: nobody counts.
	Shadow func(x *exchange.Exchange, policy, code string)
}

// shadow counts a refusal that did not happen.
func (e *Env) shadow(x *exchange.Exchange, policy string, code *exchange.Code) {
	if e.Shadow != nil {
		e.Shadow(x, policy, code.Name)
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
