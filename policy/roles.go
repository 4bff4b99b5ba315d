package policy

import (
	"fmt"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

const rolesDoc = "Lets only identities pass that have roles: all of a list, or any of one. They stand in the claims roles and realm_access.roles, or where claim says. " +
	"The refusal is 403 (role_missing), or 401 (identity_required) for a client that has shown no identity."

// Roles is the settings of roles.
type Roles struct {
	Pos   config.Pos `yaml:"-"`
	All   []string   `yaml:"all" short:"true" one:"true" doc:"Roles that must all be there."`
	Any   []string   `yaml:"any" one:"true" doc:"Roles of which one must be there."`
	Claim []string   `yaml:"claim" one:"true" default:"roles,realm_access.roles" doc:"The claim that lists the roles, dots leading into objects: resource_access.shop.roles. Of several, each counts."`
	Mode  string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// Compile implements Spec.
func (s *Roles) Compile(env *Env) (exchange.Middleware, error) {
	n := needs{name: "roles", all: s.All, any: s.Any}
	claims := s.Claim
	if len(claims) == 0 {
		claims = []string{"roles", "realm_access.roles"}
	}
	for _, c := range claims {
		n.claims = append(n.claims, claimPath{name: c, steps: strings.Split(c, ".")})
	}
	if err := n.check(env, s.Pos, func(s string) bool { return s != "" }); err != nil {
		return nil, err
	}
	refusal := func(x *exchange.Exchange) *exchange.Error { return env.deny(x, exchange.RoleMissing, errMissing) }
	return n.middleware(env, s.Mode == shadow, refusal), nil
}

// needs is a list of names that the claims of an identity must hold.
type needs struct {
	name     string
	all, any []string
	claims   []claimPath
}

func (n *needs) check(env *Env, pos config.Pos, valid func(string) bool) error {
	if len(n.all)+len(n.any) == 0 {
		return &Fault{Pos: pos, Err: fmt.Errorf("names none, so everybody would pass")}
	}
	for _, list := range [][]string{n.all, n.any} {
		for _, name := range list {
			if !valid(name) {
				return &Fault{Pos: pos, Err: fmt.Errorf("not a name: %q", name)}
			}
		}
	}
	if !env.identified {
		return &Fault{Pos: pos, Err: fmt.Errorf("the route has no identity, so nobody would pass: add identity")}
	}
	return nil
}

func (n *needs) middleware(env *Env, shadowed bool, refusal func(*exchange.Exchange) *exchange.Error) exchange.Middleware {
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if n.met(x.Identity) {
				return next.Serve(x)
			}
			return env.refuse(next, x, n.name, shadowed, refusal(x))
		})
	}
}

// met does not allocate.
func (n *needs) met(who *exchange.Identity) bool {
	if who == nil {
		return false
	}
	for _, name := range n.all {
		if !n.has(who.Claims, name) {
			return false
		}
	}
	for _, name := range n.any {
		if n.has(who.Claims, name) {
			return true
		}
	}
	return len(n.any) == 0
}

func (n *needs) has(claims map[string]any, name string) bool {
	for i := range n.claims {
		if n.claims[i].holds(claims, name) {
			return true
		}
	}
	return false
}

// claimPath is where a list of names stands among claims. A claim whose name
// itself has dots ("https://a.example/roles") goes before a path of that text.
type claimPath struct {
	name  string
	steps []string
	words bool // a text is a list of words; else it is one name
}

func (c *claimPath) find(claims map[string]any) any {
	if v, ok := claims[c.name]; ok {
		return v
	}
	var v any = claims
	for _, step := range c.steps {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[step]
	}
	if len(c.steps) == 0 {
		return nil
	}
	return v
}

// holds reports whether the claim lists the name. Whatever is no text, and no
// list of them, lists nothing.
func (c *claimPath) holds(claims map[string]any, name string) bool {
	switch v := c.find(claims).(type) {
	case string:
		if !c.words {
			return v == name
		}
		for word := range strings.SplitSeq(v, " ") {
			if word == name {
				return true
			}
		}
	case []string:
		for _, s := range v {
			if s == name {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok && s == name {
				return true
			}
		}
	}
	return false
}
