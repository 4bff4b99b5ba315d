package gateway

import (
	"slices"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/identity"
	"gopura/policy"
	"gopura/store"
)

// Rehearsal is a configuration compiled so that requests can be tried on it:
// routes and policies are the real ones, understudies stand for everything that
// would have to be asked over a network. It is for one goroutine at a time.
type Rehearsal struct {
	*Offline
	cast cast
}

// Understudies play what is not there.
type Understudies struct {
	// Service answers for a service. Nil: an empty 200.
	Service func(name string, x *exchange.Exchange) error
	// Played names the services whose answers were given, for explanations.
	Played []string
	// Identity answers for a source of identity; false: the source itself is
	// asked, if it can tell without a network. Nil: it always is.
	Identity func(name string, x *exchange.Exchange) (id *exchange.Identity, err error, ok bool)
	// Now is the clock of limits. Nil: the real one.
	Now func() time.Time
}

// Rehearse compiles what load returns to be tried. Nothing is opened, and
// nothing is sent anywhere. Limits begin full.
func Rehearse(load func() (*config.Document, error), u Understudies) (*Rehearsal, error) {
	doc, err := load()
	if err != nil {
		return nil, err
	}
	r := &Rehearsal{cast: cast{understudies: u, traces: new(traces)}}
	g := New(Options{})
	if u.Now != nil {
		g.memory = store.NewMemory(store.MemoryOptions{Now: u.Now})
	}
	s, err := g.compileWith(doc, true, &r.cast)
	if err != nil {
		return nil, err
	}
	r.Offline = &Offline{doc, s}
	return r, nil
}

// Sent is a request that a service gets.
type Sent struct {
	Service string   `json:"service"`
	Request string   `json:"request"` // GET /users/42
	Host    string   `json:"host,omitempty"`
	Header  []string `json:"header,omitempty"` // secrets masked
	Played  string   `json:"played,omitempty"` // what was taken for its answer, on paper

	once string // what may not reach a target twice, by its method; else nothing
}

// cast is who plays in a rehearsal.
type cast struct {
	understudies Understudies
	traces       *traces
	live         *Gateway // unless nil, everybody plays themselves, and is watched
}

// service returns the understudy of a service.
func (c *cast) service(name string, real exchange.Handler) exchange.Handler {
	return exchange.HandlerFunc(func(x *exchange.Exchange) error {
		c.traces.send(name, x)
		if c.live != nil {
			return real.Serve(x)
		}
		x.Service = name
		if c.understudies.Service != nil {
			return c.understudies.Service(name, x)
		}
		x.Response.Status, x.Response.Body = 200, exchange.NoBody
		return nil
	})
}

// remoteKinds are the sources of identity that ask somebody about each client.
var remoteKinds = []string{"introspection", "oidc", "forward_auth", "ext_authz"}

// source returns the understudy of a source of identity.
func (c *cast) source(name string, real identity.Source, kind string, fetches bool) identity.Source {
	if _, nobody := real.(identity.Fallback); real == nil || nobody || c.live != nil {
		return real
	}
	return &understudy{Source: real, cast: c, name: name, remote: fetches || slices.Contains(remoteKinds, kind)}
}

type understudy struct {
	identity.Source
	cast   *cast
	name   string
	remote bool
}

// Identify implements identity.Source.
func (u *understudy) Identify(x *exchange.Exchange) (*exchange.Identity, error) {
	if f := u.cast.understudies.Identity; f != nil {
		if id, err, ok := f(u.name, x); ok {
			return id, err
		}
	}
	if u.remote && !x.Request.Header.Has("Authorization") && !x.Request.Header.Has("Cookie") {
		return nil, identity.None
	}
	if u.remote {
		u.cast.traces.note(x, u.name+" would have to ask over the network, which a rehearsal does not: say who is calling")
		return nil, exchange.IdentityUnavailable.Errorf("not asked in a rehearsal")
	}
	return u.Source.Identify(x)
}

// Challenge implements identity.Challenger.
func (u *understudy) Challenge(x *exchange.Exchange, refused error) string {
	if c, ok := u.Source.(identity.Challenger); ok {
		return c.Challenge(x, refused)
	}
	return ""
}

// link returns what stands for a policy: itself, unless it would have to ask.
func (c *cast) link(owner string, p config.Policy, link exchange.Middleware) exchange.Middleware {
	if c.live != nil {
		return c.traces.around(owner, p, link)
	}
	if p.Name == "opa" {
		link = func(next exchange.Handler) exchange.Handler {
			return exchange.HandlerFunc(func(x *exchange.Exchange) error {
				c.traces.note(x, "OPA is not asked in a rehearsal: it is taken to say yes")
				return next.Serve(x)
			})
		}
	}
	if p.Name == "cache" {
		link = func(next exchange.Handler) exchange.Handler {
			return exchange.HandlerFunc(func(x *exchange.Exchange) error {
				c.traces.note(x, "nothing is kept in a rehearsal: the service is asked")
				return next.Serve(x)
			})
		}
	}
	return c.traces.around(owner, p, link)
}

// direct gives a policy's environment to the cast.
func (c *cast) direct(env *policy.Env, owner string) {
	env.Expr = env.Expr.Watching(c.traces.watch)
	env.Note = c.traces.note
	refused, shadowed := env.Refused, env.Shadow
	env.Refused, env.Shadow = c.traces.refused, c.traces.shadowed
	if c.live != nil {
		env.Refused = func(x *exchange.Exchange, policy, part string, e *exchange.Error) {
			refused(x, policy, part, e)
			c.traces.refused(x, policy, part, e)
		}
		env.Shadow = func(x *exchange.Exchange, policy, code string) {
			shadowed(x, policy, code)
			c.traces.shadowed(x, policy, code)
		}
	}
	env.Around = func(p config.Policy, link exchange.Middleware) exchange.Middleware { return c.link(owner, p, link) }
}
