package policy

import (
	"fmt"
	"strconv"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/store"
)

// Refusals limits the credentials of one address (of IPv6, one /64) that a source
// of identity refuses. The key is the address and never the name that was tried,
// so that nobody can lock somebody else out.
type Refusals struct {
	limiter store.Limiter
	rate    config.Rate
	count   func() // counts a request that is turned away
}

// OpenRefusals opens the limit of that name in s, for as long as scope lasts.
func OpenRefusals(s store.Store, scope *lifetime.Scope, name string, rate config.Rate, count func()) (*Refusals, error) {
	l, err := s.Rate(name, store.Rate{Count: rate.Count, Per: rate.Per}, store.LimiterOptions{})
	if err != nil {
		return nil, err
	}
	scope.Add(l.Close)
	return &Refusals{l, rate, count}, nil
}

// Look implements identity.Refusals.
func (r *Refusals) Look(x *exchange.Exchange) error {
	return r.say(r.limiter.Look(appendNetwork(x.Arena.Grow(64), x)))
}

// Count implements identity.Refusals.
func (r *Refusals) Count(x *exchange.Exchange) error {
	return r.say(r.limiter.Take(appendNetwork(x.Arena.Grow(64), x), 1))
}

func (r *Refusals) say(d store.Decision) error {
	switch {
	case d.Allowed:
		return nil
	case d.Unavailable:
		return exchange.LimitUnavailable.Because(errNoData)
	}
	r.count()
	e := exchange.IdentityLimited.Because(fmt.Errorf("%s credentials of this address may be refused, and were; again in %s", r.rate, d.RetryAfter.Round(time.Millisecond)))
	e.Header.Add("Retry-After", strconv.FormatInt(max(seconds(d.RetryAfter), 1), 10))
	return e
}
