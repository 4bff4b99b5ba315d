package gateway

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gopura/config"
	"gopura/identity"
	"gopura/policy"
)

// prepareTimeout bounds how long a configuration waits for what its sources of
// identity fetch before it is put in force. What is not there by then follows.
const prepareTimeout = 5 * time.Second

// sources are the sources of identity of a configuration.
type sources struct {
	byName  map[string]identity.Source // nil: it has a fault
	names   []string
	used    map[string]bool
	prepare []func(context.Context)
	kinds   map[string]string // jwt, api_key, …
	fetch   map[string]bool   // those that fetch something before they can tell
}

// compileSources compiles the sources of identity, before the routes that name
// them.
func (c *compiler) compileSources() {
	c.sources = sources{byName: map[string]identity.Source{}, used: map[string]bool{}, kinds: map[string]string{}, fetch: map[string]bool{}}
	for i := range c.doc.Identities {
		b := &c.doc.Identities[i]
		env := &identity.Env{
			Name: b.Name, Expr: c.env, Scope: c.s.scope, Pool: &c.g.pool, Log: c.g.log.With("identity", b.Name),
			Dir: filepath.Dir(b.Pos.File),
			Prepare: func(f func(context.Context)) {
				c.sources.prepare = append(c.sources.prepare, f)
				c.sources.fetch[b.Name] = true
			},
			Asserts: c.asserts,
			Now:     time.Now,
			Values:  c.kept.plain, StoreKey: c.kept.key,
			Refusals: func(rate config.Rate) (identity.Refusals, error) {
				name := "identity " + b.Name
				return policy.OpenRefusals(c.store(), c.s.scope, name+" refusals", rate, c.g.limited(c.s.scope, name, "refusals", "enforce"))
			},
		}
		path := "identity." + b.Name + "." + b.Kind
		source, err := b.Spec.(identity.Spec).Compile(env)
		for _, f := range identity.Faults(err) {
			at := path
			if f.Path != "" {
				at += "." + f.Path
			}
			c.exprProblem(f.Pos, at, "", f.Err)
		}
		if err != nil {
			source = nil
		}
		watchKeys(c.g.metrics, c.s.scope, b.Name, source)
		c.sources.byName[b.Name], c.sources.kinds[b.Name] = source, b.Kind
		c.sources.names = append(c.sources.names, b.Name)
	}
}

// source is how a route's policy finds a source.
func (c *compiler) source(name string) (identity.Source, bool) {
	s, ok := c.sources.byName[name]
	c.sources.used[name] = ok
	if ok && c.cast != nil {
		s = c.cast.source(name, s, c.sources.kinds[name], c.sources.fetch[name])
	}
	return s, ok
}

func (c *compiler) warnUnusedSources() {
	for i := range c.doc.Identities {
		if b := &c.doc.Identities[i]; !c.sources.used[b.Name] {
			c.doc.Warn(b.Pos, "identity."+b.Name, "no route accepts this source of identity")
		} else if b.Kind == "mtls" && !slices.ContainsFunc(c.doc.Listeners, asksForCertificate) {
			c.doc.Add(config.Problem{Pos: b.Pos, Path: "identity." + b.Name, Warning: true,
				Message: "no listener asks clients for a certificate, so this source knows nobody", Hint: "set tls.client of a listener"})
		}
	}
}

func asksForCertificate(l config.Listener) bool { return l.TLS != nil && l.TLS.Client != nil }

// prepareSources lets the sources fetch what they need, all at once, and waits
// for them for a while.
func (c *compiler) prepareSources() {
	if c.dry || len(c.sources.prepare) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), prepareTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, f := range c.sources.prepare {
		all.Go(func() { f(ctx) })
	}
	all.Wait()
}

// asserts notes request fields that the gateway alone sets: introduce takes them
// from every request, whatever its route.
func (c *compiler) asserts(names ...string) {
	for _, name := range names {
		if name = strings.ToLower(name); !slices.Contains(c.s.asserted, name) {
			c.s.asserted = append(c.s.asserted, name)
		}
	}
}
