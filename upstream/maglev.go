package upstream

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"

	"gopura/exchange"
)

// maglevSize is the prime number of slots. One size for all services: a size
// that followed the number of targets would move every key when it changed.
const maglevSize = 65537

// maglev is the consistent hash table of Google's load balancer (NSDI 2016,
// §3.4), with weights. It is built over all members of the service and
// depends on nothing but their keys and weights, so that every gateway with
// the same targets sends a key to the same one. Health is looked at when a key
// is looked up: a member that is out moves its own keys and no others.
type maglev struct {
	members []*Target
	slots   []uint16 // index into members
}

func newMaglev(members []*Target) *maglev {
	m := &maglev{members: slices.Clone(members), slots: make([]uint16, maglevSize)}
	slices.SortFunc(m.members, func(a, b *Target) int { return cmp.Compare(a.key, b.key) })
	type row struct {
		next, skip uint64
		weight     float64 // share of the heaviest member's
		turns      float64
	}
	rows := make([]row, len(m.members))
	heaviest := 1
	for _, t := range m.members {
		heaviest = max(heaviest, t.weight)
	}
	for i, t := range m.members {
		h := xxhash.Sum64String(t.key)
		rows[i] = row{next: h % maglevSize, skip: mix(h)%(maglevSize-1) + 1, weight: float64(t.weight) / float64(heaviest)}
	}
	taken := make([]bool, maglevSize)
	for left := maglevSize; left > 0; {
		for i := range rows {
			r := &rows[i]
			if r.turns += r.weight; r.turns < 1 {
				continue
			}
			r.turns--
			for taken[r.next] {
				r.next = (r.next + r.skip) % maglevSize
			}
			taken[r.next], m.slots[r.next] = true, uint16(i)
			if left--; left == 0 {
				break
			}
		}
	}
	return m
}

// mix is the finalizer of SplitMix64: a cheap second hash.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// hashed sends equal keys to the same target.
type hashed struct {
	*maglev
	up   []bool // of members: may be picked
	key  func(dst []byte, x *exchange.Exchange) []byte
	none Picker // for an empty key, which says nothing
}

func (p *hashed) Pick(x *exchange.Exchange, tried ...*Target) (*Target, Done, error) {
	key := p.key(x.Arena.Grow(64), x)
	if len(key) == 0 {
		return p.none.Pick(x, tried...)
	}
	h := xxhash.Sum64(key)
	for range 16 {
		i := p.slots[h%maglevSize]
		if p.up[i] && !slices.Contains(tried, p.members[i]) {
			return p.members[i].enter()
		}
		h = mix(h + 0x9e3779b97f4a7c15)
	}
	// Nearly everybody is out: the next one in order, still the same for a key.
	n := uint64(len(p.members))
	first := -1
	for i := range n {
		j := int((h%n + i) % n)
		if !p.up[j] {
			continue
		}
		if !slices.Contains(tried, p.members[j]) {
			return p.members[j].enter()
		}
		if first < 0 {
			first = j
		}
	}
	return p.members[first].enter()
}
