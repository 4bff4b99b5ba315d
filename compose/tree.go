package compose

import (
	"fmt"
	"strings"
)

// Tree draws the plan: each call below the one that it waits for. One that
// waits for several stands below the last of them and names the others.
//
//	user     GET users/users/{id}
//	└─ reviews  GET reviews/by/{user.email}  default
//	orders   GET orders/orders?user={id}  optional, at most 300ms
func (p *Plan) Tree() string {
	t := &tree{plan: p, below: make([][]int, len(p.calls))}
	depth := make([]int, len(p.calls))
	for _, i := range p.byDepth(depth) {
		k := p.calls[i]
		parent := -1
		for _, j := range k.waitsFor() {
			if parent < 0 || depth[j] > depth[parent] || depth[j] == depth[parent] && j > parent {
				parent = j
			}
		}
		if parent < 0 {
			t.roots = append(t.roots, i)
		} else {
			t.below[parent] = append(t.below[parent], i)
		}
	}
	for _, i := range t.roots {
		t.draw(i, "", "")
	}
	return t.String()
}

// byDepth returns the calls in their order, and sets how deep each is: the
// length of the longest chain of calls that it waits for.
func (p *Plan) byDepth(depth []int) (order []int) {
	var of func(i int) int
	of = func(i int) int {
		for _, j := range p.calls[i].waitsFor() {
			depth[i] = max(depth[i], 1+of(j))
		}
		return depth[i]
	}
	for i := range p.calls {
		of(i)
		order = append(order, i)
	}
	return order
}

type tree struct {
	strings.Builder
	plan  *Plan
	roots []int
	below [][]int
}

func (t *tree) draw(i int, lead, rest string) {
	k := t.plan.calls[i]
	fmt.Fprintf(t, "%s%s  %s\n", lead, k.name, k.describe(t.plan))
	for n, j := range t.below[i] {
		if n == len(t.below[i])-1 {
			t.draw(j, rest+"└─ ", rest+"   ")
		} else {
			t.draw(j, rest+"├─ ", rest+"│  ")
		}
	}
}

// describe says what a call does, in words.
func (k *call) describe(p *Plan) string {
	var notes []string
	names := func(list []int) string {
		var out []string
		for _, i := range list {
			out = append(out, p.calls[i].name)
		}
		return strings.Join(out, ", ")
	}
	if len(k.needs) > 0 {
		notes = append(notes, "needs "+names(k.needs))
	}
	if len(k.after) > 0 {
		notes = append(notes, "after "+names(k.after))
	}
	if k.each != nil {
		notes = append(notes, fmt.Sprintf("for each of %s, %d at a time", k.conf.ForEach.In, k.each.max))
	}
	if k.when != nil {
		notes = append(notes, "when "+k.conf.When)
	}
	switch {
	case k.conf.HasDefault:
		notes = append(notes, "default "+string(k.fallback.Bytes()))
	case k.conf.Optional:
		notes = append(notes, "optional")
	}
	if k.ask.timeout > 0 {
		notes = append(notes, "at most "+k.ask.timeout.String())
	}
	if k.undo != nil {
		notes = append(notes, "undone by "+k.conf.Undo.Call)
	}
	if k.conf.Hidden {
		notes = append(notes, "hidden")
	}
	if len(notes) == 0 {
		return k.conf.Call
	}
	return k.conf.Call + "  (" + strings.Join(notes, "; ") + ")"
}
