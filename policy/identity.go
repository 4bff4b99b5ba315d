package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/identity"
)

const identityDoc = "Lets in whom one of these sources knows, asked in order. A request without a credential is answered with 401 (identity_required), " +
	"one whose credential no source accepts with 401 (identity_invalid), and with 503 (identity_unavailable) when a source can't say at the moment. " +
	"The names under forward are set by the gateway alone: no client can send them, on any route."

// maxAccept is how many sources a route may accept.
const maxAccept = 16

// Identity is the settings of identity.
type Identity struct {
	Pos     config.Pos    `yaml:"-"`
	Accept  []string      `yaml:"accept" short:"true" one:"true" required:"true" doc:"Names of sources under the top-level identity; any of them will do."`
	Forward []config.Pair `yaml:"forward" doc:"What the service is told: header fields by name, each the name of a claim (sub, email, address.country). Lists are joined with commas; a claim that is absent, or whose items hold commas, leaves the field out."`
	Mode    string        `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count and log what would be refused, and let it pass without an identity."`
}

// Compile implements Spec.
func (s *Identity) Compile(env *Env) (exchange.Middleware, error) {
	g := &gate{env: env, strict: s.Mode != shadow}
	var faults []error
	fault := func(path string, pos config.Pos, format string, args ...any) {
		faults = append(faults, &Fault{Path: path, Pos: pos, Err: fmt.Errorf(format, args...)})
	}
	for i, name := range s.Accept {
		source, known := env.source(name)
		switch {
		case !known:
			hint := config.Suggest(name, env.Identities)
			if len(env.Identities) == 0 {
				hint = "add it to the top-level identity"
			}
			faults = append(faults, &Fault{Path: "accept", Pos: s.Pos, Err: &expr.Error{Message: fmt.Sprintf("there is no source of identity %q", name), Hint: hint}})
		case slices.Contains(s.Accept[:i], name):
			fault("accept", s.Pos, "%q is named twice", name)
		case source == nil: // has a fault of its own
			faults = append(faults, nil)
		}
		g.sources = append(g.sources, asked{name: name, source: source})
	}
	switch {
	case len(s.Accept) == 0:
		fault("accept", s.Pos, "names no source of identity")
	case len(s.Accept) > maxAccept:
		fault("accept", s.Pos, "more than %d sources", maxAccept)
	}
	for i, p := range s.Forward {
		same := func(q config.Pair) bool { return strings.EqualFold(p.Name, q.Name) }
		if err := checkName(p.Name, "request"); err != nil {
			fault("forward."+p.Name, p.Pos, "%v", err)
		} else if slices.ContainsFunc(s.Forward[:i], same) {
			fault("forward."+p.Name, p.Pos, "the field is named twice")
		} else if p.Value == "" {
			fault("forward."+p.Name, p.Pos, "needs the name of a claim")
		}
		g.forward = append(g.forward, forward{header: p.Name, claim: p.Value, steps: strings.Split(p.Value, ".")})
		env.asserts(p.Name)
	}
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	for i := range g.sources {
		_, g.sources[i].fallback = g.sources[i].source.(identity.Fallback)
	}
	slices.SortStableFunc(g.sources, func(a, b asked) int { // wherever it stands: who has a credential is not nobody
		return btoi(a.fallback) - btoi(b.fallback)
	})
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error { return g.serve(x, next) })
	}, nil
}

// gate is a compiled identity policy.
type gate struct {
	env     *Env
	sources []asked
	forward []forward
	strict  bool
}

type asked struct {
	name     string
	source   identity.Source
	fallback bool
}

func (g *gate) serve(x *exchange.Exchange, next exchange.Handler) error {
	var errs [maxAccept]error
	id, err := g.ask(x, &errs)
	if err == identity.Answered {
		return nil
	}
	if err != nil {
		e := exchange.AsError(err)
		g.env.refused(x, "identity", g.blamed(e, &errs), e)
		if g.strict {
			return g.challenged(x, e, &errs)
		}
		g.env.shadow(x, "identity", &exchange.Code{Name: e.Code})
		x.Response.Header.Truncate()
	}
	x.Identity = id
	for i := range g.forward {
		g.forward[i].set(x, id)
	}
	err = g.after(x, next)
	if e, ok := err.(*exchange.Error); ok && e.Code == exchange.IdentityRequired.Name {
		for i := range errs {
			errs[i] = identity.None // an anonymous client asked for more than nobody may have
		}
		return g.challenged(x, e, &errs)
	}
	return err
}

// after serves what comes behind.
func (g *gate) after(x *exchange.Exchange, next exchange.Handler) error {
	if x.Response.Header.Len() == 0 {
		return next.Serve(x)
	}
	// What a source adds to the answer (a session's next cookie) must outlive the
	// upstream's answer, and its failure.
	added := slices.Clone(x.Response.Header.Fields())
	x.Response.Header.Truncate()
	if err := next.Serve(x); err != nil {
		e := exchange.AsError(err).With()
		for _, f := range added {
			e.Header.AddField(f)
		}
		return e
	}
	for _, f := range added {
		x.Response.Header.AddField(f)
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ask asks the sources in order. A bad credential does not end it, since the
// next source may know it (two issuers share the Authorization field), but
// nobody who showed one becomes anonymous. The error is Answered or an
// *exchange.Error.
func (g *gate) ask(x *exchange.Exchange, errs *[maxAccept]error) (*exchange.Identity, error) {
	var worst *exchange.Error
	for i := range g.sources {
		s := &g.sources[i]
		if s.fallback && worst != nil {
			continue
		}
		id, err := s.source.Identify(x)
		if g.env.Note != nil {
			g.env.Note(x, s.name+": "+told(id, err))
		}
		switch {
		case err == nil && id != nil:
			return id, nil
		case err == identity.Answered:
			return nil, err
		case err == nil:
			err = exchange.Internal.Errorf("source %s: neither an identity nor an error", s.name)
		}
		errs[i] = err
		if err == identity.None {
			continue
		}
		if e := exchange.AsError(err); worst == nil || e.Status > worst.Status {
			worst = e
		}
	}
	if worst == nil {
		worst = exchange.IdentityRequired.Because(nil)
	}
	return nil, worst
}

// told says in words what a source has said.
func told(id *exchange.Identity, err error) string {
	switch {
	case err == nil && id != nil && id.Anonymous:
		return "anybody"
	case err == nil && id != nil:
		return "it is " + id.Sub
	case err == identity.None:
		return "no credential for it"
	case err == identity.Answered:
		return "has answered itself"
	}
	return fmt.Sprint(err)
}

// blamed is the name of the source that e is from; "" when none has found a
// credential.
func (g *gate) blamed(e *exchange.Error, errs *[maxAccept]error) string {
	for i := range g.sources {
		if errs[i] != nil && errs[i] != identity.None && exchange.AsError(errs[i]).Code == e.Code {
			return g.sources[i].name
		}
	}
	return ""
}

// challenged returns e with what tells the client how to do better (RFC 9110
// §15.5.2).
func (g *gate) challenged(x *exchange.Exchange, e *exchange.Error, errs *[maxAccept]error) error {
	if e.Status != 401 {
		return e
	}
	e = e.With()
	h := &e.Header
	for i := range g.sources {
		c, ok := g.sources[i].source.(identity.Challenger)
		if !ok {
			continue
		}
		text := c.Challenge(x, errs[i])
		told := text == ""
		for v := range h.Values("WWW-Authenticate") {
			told = told || string(v) == text
		}
		if !told {
			h.Add("WWW-Authenticate", text)
		}
	}
	return e
}

// forward is a header field that tells the upstream a claim.
type forward struct {
	header string
	claim  string
	steps  []string // the claim as a path, for claims within claims
}

// set sets the field. The client's own has been taken out already, unless a
// policy before this one has set it.
func (f *forward) set(x *exchange.Exchange, id *exchange.Identity) {
	h := &x.Request.Header
	h.DelAlias(f.header)
	if id == nil {
		return
	}
	switch v := f.find(id).(type) {
	case string:
		if v != "" && exchange.ValidValue(v) {
			h.Add(f.header, v)
		}
	case nil:
	default:
		if b, ok := appendClaim(x.Arena.Grow(64), v, true); ok && len(b) > 0 {
			h.AddBytes(f.header, b)
		}
	}
}

// find returns the claim of that very name, or the one that the dots lead to.
func (f *forward) find(id *exchange.Identity) any {
	if v, ok := id.Claims[f.claim]; ok {
		return v
	}
	if f.claim == "sub" {
		return id.Sub
	}
	var v any = id.Claims
	for _, step := range f.steps {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[step]
	}
	return v
}
