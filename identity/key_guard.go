package identity

import (
	"context"
	"net/netip"
	"time"
)

// How many keys that nobody remembers are looked for at the same time: fewer
// than the calls that the store lets through at once, so that what is known can
// be asked for again whatever comes.
const (
	maxLookups     = 2
	maxLookupQueue = 64 // wait for that
	maxSeekers     = 10_000
)

// keyGuard bounds the lookups of keys that are not remembered, which anybody can
// cause by making keys up: in a second, at the same time, and for each client.
// One client has half of those of a second at most, and waits only for its own,
// so that keys which others show for the first time are found while it tries.
type keyGuard struct {
	rate  float64
	all   meter
	each  *memory[netip.Prefix, *meter]
	slots *slots
}

func newKeyGuard(rate int, wait time.Duration) *keyGuard {
	return &keyGuard{
		rate: float64(rate), all: meter{rate: float64(rate)}, each: newMemory[netip.Prefix, *meter](maxSeekers),
		slots: newSlots(maxLookups, maxLookupQueue, wait),
	}
}

// enter waits until a lookup for a client may begin; who entered calls leave.
// Otherwise nobody has been asked, which says nothing about the store.
func (g *keyGuard) enter(ctx context.Context, from netip.Addr, now time.Time) (leave func(), err error) {
	who := neighbourhood(from)
	m, ok := g.each.get(who, now)
	if !ok {
		m = &meter{rate: max(g.rate/2, 1)}
		g.each.set(who, m, now.Add(time.Minute))
	}
	if !m.take(now) || !g.all.take(now) {
		return nil, errTooMuch
	}
	if g.slots.take(ctx, from) != nil {
		return nil, errTooMuch
	}
	return g.slots.leave, nil
}

// neighbourhood is what one client can choose its address from: of IPv6 a /64.
func neighbourhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
