package policy

import (
	"errors"
	"slices"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

const allowDoc = "Lets only those requests pass for which an expression is true. An expression that can't be evaluated refuses. " +
	"The refusal is 403 (forbidden), or 401 (identity_required) when the expression asks for the identity and the client has shown none."

// Allow is the settings of allow.
type Allow struct {
	Pos     config.Pos `yaml:"-"`
	When    string     `yaml:"when" short:"true" required:"true" doc:"A CEL expression over the facts of the request, true or false: '\"users.read\" in jwt.scope'."`
	WhenPos config.Pos `yaml:"-"`
	Mode    string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

var errFalse = errors.New("the expression is false")

// Compile implements Spec.
func (s *Allow) Compile(env *Env) (exchange.Middleware, error) {
	p, err := env.Expr.Compile(s.When, expr.Bool)
	if err != nil {
		pos := s.WhenPos
		if pos == (config.Pos{}) {
			pos = s.Pos
		}
		return nil, &Fault{Pos: pos, Text: s.When, Err: err}
	}
	identity := slices.ContainsFunc(p.Facts(), func(fact string) bool {
		return fact == "jwt" || fact == "identity.name" || fact == "identity.sub"
	})
	shadowed := s.Mode == shadow
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			ok, err := p.Bool(x)
			if ok && err == nil {
				return next.Serve(x)
			}
			if err == nil {
				err = errFalse
			}
			refusal := exchange.Forbidden.Because(err)
			if identity {
				refusal = env.deny(x, exchange.Forbidden, err)
			}
			return env.refuse(next, x, "allow", shadowed, refusal)
		})
	}, nil
}
