package policy

import (
	"errors"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
)

const scopesDoc = "Lets only identities pass that have scopes of OAuth 2.0: all of a list, or any of one. They stand in the claims scope and scp, " +
	"as one text of words (RFC 8693) or as a list. The refusal is 403 (scope_missing) with the scopes in WWW-Authenticate (RFC 6750), or 401 (identity_required) for a client that has shown no identity."

// Scopes is the settings of scopes.
type Scopes struct {
	Pos  config.Pos `yaml:"-"`
	All  []string   `yaml:"all" short:"true" one:"true" doc:"Scopes that must all be there."`
	Any  []string   `yaml:"any" one:"true" doc:"Scopes of which one must be there."`
	Mode string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

var scopeClaims = []claimPath{{name: "scope", words: true}, {name: "scp", words: true}}

// Compile implements Spec.
func (s *Scopes) Compile(env *Env) (exchange.Middleware, error) {
	n := needs{"scopes", s.All, s.Any, scopeClaims}
	if err := n.check(env, s.Pos, validScope); err != nil {
		return nil, err
	}
	// The attribute scope names what would be enough; of alternatives the first
	// (RFC 6750 §3).
	wanted := s.All
	if len(s.Any) > 0 {
		wanted = append(slices.Clone(s.All), s.Any[0])
	}
	challenge := `Bearer error="insufficient_scope", scope="` + strings.Join(wanted, " ") + `"`
	refusal := func(x *exchange.Exchange) *exchange.Error {
		e := env.deny(x, exchange.ScopeMissing, errMissing)
		if e.Status == 403 {
			e.Header.Add("WWW-Authenticate", challenge)
		}
		return e
	}
	return n.middleware(env, s.Mode == shadow, refusal), nil
}

// validScope is RFC 6749 §3.3; such a text needs no escape in a quoted string.
func validScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

var errMissing = errors.New("the claims do not have what the route needs")
