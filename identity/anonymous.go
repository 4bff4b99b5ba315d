package identity

import (
	"gopura/config"
	"gopura/exchange"
)

const anonymousDoc = "Lets a request without a credential through, as nobody in particular. " +
	"Among several sources it comes last, and a bad credential for one of the others is still refused."

// Anonymous is the settings of anonymous.
type Anonymous struct {
	Pos    config.Pos     `yaml:"-"`
	Sub    string         `yaml:"sub" default:"anonymous" doc:"The subject of such requests."`
	Claims map[string]any `yaml:"claims" doc:"Claims of such requests, by name."`
}

// Compile implements Spec.
func (s *Anonymous) Compile(env *Env) (Source, error) {
	return anonymous{&exchange.Identity{Name: env.Name, Sub: s.Sub, Claims: withSub(s.Claims, s.Sub), Anonymous: true}}, nil
}

type anonymous struct{ id *exchange.Identity }

// Identify implements Source.
func (a anonymous) Identify(*exchange.Exchange) (*exchange.Identity, error) { return a.id, nil }

// Fallback implements Fallback.
func (anonymous) Fallback() {}

// withSub returns claims with the subject among them: it can't be overruled.
func withSub(claims map[string]any, sub string) map[string]any {
	all := make(map[string]any, len(claims)+1)
	for k, v := range claims {
		all[k] = v
	}
	all["sub"] = sub
	return all
}
