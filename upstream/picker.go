package upstream

import (
	"math/bits"
	"slices"
	"sync/atomic"

	"gopura/exchange"
)

// Done reports how an attempt ended: with a response head in x (err nil), or
// with an error. It must be called once for each pick. The target stays busy
// until x is done when there is a response, and is left at once otherwise.
type Done func(x *exchange.Exchange, err error)

// Picker chooses a target. It is immutable, never blocks, allocates nothing,
// and is replaced as a whole when something changes.
type Picker interface {
	// Pick chooses a target for x, one that was not tried yet if there is one.
	// The error is no_healthy_target, or errStale when the picker was replaced
	// in the meantime: then ask its successor.
	Pick(x *exchange.Exchange, tried ...*Target) (t *Target, done Done, err error)
}

// table is what publishes a Picker, and what State shows of it.
type table struct{ Picker }

// rotation is the targets that may be picked, in an order in which each stands
// as often as its weight says, and well spread. Walking it is weighted round
// robin; a random place in it is a weighted random choice.
type rotation struct {
	targets []*Target
	weights []int64
	order   []uint16 // index into targets
}

// maxOrder bounds the length of a rotation's order: weights are rounded to
// shares of it when their reduced sum is larger.
const maxOrder = 4096

// newRotation spreads targets by weight. Weights are 1 or more.
func newRotation(targets []*Target, weights []int64) *rotation {
	r := &rotation{targets: targets, weights: reduce(weights)}
	var total int64
	for _, w := range r.weights {
		total += w
	}
	r.order = make([]uint16, 0, total)
	if total == int64(len(targets)) {
		for i := range targets {
			r.order = append(r.order, uint16(i))
		}
		return r
	}
	// The smooth weighted round robin of nginx: everybody gains its weight,
	// the richest is next and pays the total.
	current := make([]int64, len(targets))
	for range total {
		best := 0
		for i, w := range r.weights {
			if current[i] += w; current[i] > current[best] {
				best = i
			}
		}
		current[best] -= total
		r.order = append(r.order, uint16(best))
	}
	return r
}

// reduce divides weights by what they have in common, then scales them down,
// to at least 1, until their order has a bearable length.
func reduce(weights []int64) []int64 {
	out := slices.Clone(weights)
	var common, total int64
	for _, w := range out {
		common = gcd(common, w)
	}
	for i := range out {
		out[i] /= common
		total += out[i]
	}
	if limit := int64(max(maxOrder, 4*len(out))); total > limit {
		for i, w := range out {
			out[i] = max(1, int64(float64(w)/float64(total)*float64(limit)+0.5))
		}
	}
	return out
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// from returns the first target at or after a place of the order that was not
// tried yet, and is not but; the one at that place when all were.
func (r *rotation) from(place uint64, tried []*Target, but int) int {
	n := uint64(len(r.order))
	for i := range n {
		c := int(r.order[(place+i)%n])
		if c != but && !slices.Contains(tried, r.targets[c]) {
			return c
		}
	}
	return int(r.order[place%n])
}

// random returns a random place.
func (r *rotation) random(rand func() uint64) uint64 {
	place, _ := bits.Mul64(rand(), uint64(len(r.order)))
	return place
}

// roundRobin walks the rotation. The cursor belongs to the service, so that a
// change of targets does not start all over with the first.
type roundRobin struct {
	*rotation
	cursor *atomic.Uint64
}

func (p *roundRobin) Pick(_ *exchange.Exchange, tried ...*Target) (*Target, Done, error) {
	return p.targets[p.from(p.cursor.Add(1), tried, -1)].enter()
}

// random picks independently of what went before, by weight.
type random struct {
	*rotation
	rand func() uint64
}

func (p *random) Pick(_ *exchange.Exchange, tried ...*Target) (*Target, Done, error) {
	return p.targets[p.from(p.rotation.random(p.rand), tried, -1)].enter()
}

// leastRequests compares two random targets and takes the one with fewer
// requests in flight for its weight. Two are enough to spread load nearly as
// well as looking at all, without the herd that runs to the emptiest. An idle
// service is shared by weight: the first of two equals wins.
type leastRequests struct {
	*rotation
	rand func() uint64
}

func (p *leastRequests) Pick(_ *exchange.Exchange, tried ...*Target) (*Target, Done, error) {
	a := p.from(p.rotation.random(p.rand), tried, -1)
	if len(p.targets) > 1 {
		b := p.from(p.rotation.random(p.rand), tried, a)
		if p.targets[b].refs.Load()*p.weights[a] < p.targets[a].refs.Load()*p.weights[b] &&
			!slices.Contains(tried, p.targets[b]) {
			a = b
		}
	}
	return p.targets[a].enter()
}

// nobody is the picker of a service without a target that may be picked.
type nobody struct{ why error }

func (p nobody) Pick(*exchange.Exchange, ...*Target) (*Target, Done, error) {
	return nil, nil, exchange.NoTarget.Because(p.why)
}
