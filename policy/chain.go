package policy

import (
	"fmt"
	"slices"

	"gopura/config"
	"gopura/exchange"
)

// ConfigKinds is the table of kinds as the configuration's decoder wants it.
func ConfigKinds() []config.PolicyKind {
	list := make([]config.PolicyKind, len(Kinds))
	for i, k := range Kinds {
		list[i] = config.PolicyKind{Name: k.Name, Doc: k.Doc, New: func() any { return k.New() }}
	}
	return list
}

// Named returns the place of a kind in the table, or -1.
func Named(name string) int {
	return slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
}

// Sorted returns the policies in the order in which they run: by stage, then
// by the table of kinds. Unknown names come last.
func Sorted(policies []config.Policy) []config.Policy {
	sorted := slices.Clone(policies)
	rank := func(p config.Policy) int {
		i := Named(p.Name)
		if i < 0 {
			return 1 << 30
		}
		return int(Kinds[i].Stage)<<16 + i
	}
	slices.SortStableFunc(sorted, func(a, b config.Policy) int { return rank(a) - rank(b) })
	return sorted
}

// Chain compiles the policies of a route into one middleware. It compiles all
// of them, so that all faults are found at once; with faults there is no
// middleware.
func Chain(env *Env, policies []config.Policy) (exchange.Middleware, []*Fault) {
	var links []exchange.Middleware
	var faults []*Fault
	sorted := Sorted(policies)
	env.identified = slices.ContainsFunc(sorted, func(p config.Policy) bool { return p.Name == "identity" })
	for i, p := range sorted {
		spec, ok := p.Spec.(Spec)
		switch {
		case p.Off:
			faults = append(faults, &Fault{Policy: p.Name, Pos: p.Pos, Err: fmt.Errorf("there is nothing to switch off here")})
			continue
		case Named(p.Name) < 0 || !ok:
			faults = append(faults, &Fault{Policy: p.Name, Pos: p.Pos, Err: fmt.Errorf("there is no such policy")})
			continue
		case i > 0 && sorted[i-1].Name == p.Name:
			faults = append(faults, &Fault{Policy: p.Name, Pos: p.Pos, Err: fmt.Errorf("given twice")})
			continue
		}
		link, err := spec.Compile(env)
		if err != nil {
			faults = append(faults, faultsOf(err, p)...)
		} else if link != nil {
			if env.Timed && slices.Contains(waiting, p.Name) {
				link = timed(p.Name, link)
			}
			if env.Around != nil {
				link = env.Around(p, link)
			}
			links = append(links, link)
		}
	}
	if faults != nil {
		return nil, faults
	}
	return func(next exchange.Handler) exchange.Handler {
		for _, link := range slices.Backward(links) {
			next = link(next)
		}
		return next
	}, nil
}
