package gateway

import (
	"regexp"
	"slices"
	"strings"

	"gopura/compose"
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/policy"
	"gopura/route"
)

// compose compiles the plan of a composed route.
func (c *compiler) compose(r *config.Route, env *expr.Env, path string) (*compose.Plan, bool) {
	faulty := false
	o := compose.Options{
		Env:    env,
		Params: route.Params(r.Match.Path),
		Service: func(name string) exchange.Handler {
			if svc := c.services[name]; svc != nil && svc.entry != nil {
				return svc.entry
			}
			faulty = true // the document has said so already
			return nil
		},
		Policies: func(call string, list []config.Policy, path string) (exchange.Middleware, bool) {
			return c.callPolicies(r.Name+" "+call, call, list, env, path)
		},
		Problem: func(p compose.Problem) {
			pos := c.doc.At(p.Path)
			if p.Text != "" {
				pos = c.doc.Within(pos, p.Text, p.Offset)
			}
			c.doc.Add(config.Problem{Pos: pos, Path: p.Path, Message: p.Message, Hint: p.Hint, Warning: p.Warning})
		},
		RPC:      c.grpcMethod,
		AnyBody:  slices.ContainsFunc(c.policies(r), func(p config.Policy) bool { return p.Name == "content_types" }),
		Alone:    c.cast != nil && !c.twin(),
		Observer: func(call string) compose.Observer { return c.g.metrics.Call(c.s.scope, r.Name, call) },
	}
	if r.Match.Regexp != "" {
		o.Params = nil
		if re, err := regexp.Compile(r.Match.Regexp); err == nil {
			o.Params = re.SubexpNames()[1:]
		}
	}
	plan, ok := compose.Compile(r, path, o)
	return plan, ok && !faulty
}

// callPolicies compiles the policies that one call has for itself, beside those
// of its service.
func (c *compiler) callPolicies(owner, call string, list []config.Policy, env *expr.Env, path string) (exchange.Middleware, bool) {
	own := c.policyEnv(&config.Route{Name: owner}, env, "call "+call)
	own.Call = true
	chain, faults := policy.Chain(own, list)
	for _, f := range faults {
		at := path + "." + f.Policy
		if f.Path != "" {
			at += strings.Replace("."+f.Path, ".[", "[", 1)
		}
		c.exprProblem(f.Pos, at, f.Text, f.Err)
	}
	return chain, len(faults) == 0
}

// Tree draws the plan of a composed route, by its place in the file; empty: it
// is none.
func (o *Offline) Tree(rule int) string {
	if n := o.snapshot.nodes; rule < len(n) && n[rule].plan != nil {
		return n[rule].plan.Tree()
	}
	return ""
}
