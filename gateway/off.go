package gateway

import (
	"slices"

	"gopura/config"
	"gopura/policy"
)

// withoutOff takes out the policies that are switched off: they have kept those
// of the same name away that would have come after them.
func withoutOff(list []config.Policy) []config.Policy {
	return slices.DeleteFunc(list, func(p config.Policy) bool { return p.Off })
}

// warnOff says where a route is without a default that decides who may come in.
// That may well be meant, and must not happen by the way.
func (c *compiler) warnOff(r *config.Route, path string) {
	off := slices.Clone(r.Policies)
	for i := len(r.Use) - 1; i >= 0; i-- {
		off = append(off, c.blocks[r.Use[i]]...)
	}
	warned := map[string]bool{}
	for _, p := range off {
		if warned[p.Name] {
			continue
		}
		warned[p.Name] = true // the first of a name counts
		if p.Off && protects(p.Name) && slices.ContainsFunc(c.doc.Defaults, func(d config.Policy) bool { return d.Name == p.Name }) {
			c.doc.Warn(p.Pos, path+"."+p.Name, "the %s of the defaults is switched off for the route %q", p.Name, r.Name)
		}
	}
}

// protects says whether a policy decides who may come in.
func protects(name string) bool {
	i := policy.Named(name)
	if i < 0 {
		return false
	}
	stage := policy.Kinds[i].Stage
	return stage == policy.Identify || stage == policy.Authorize || name == "ip"
}
