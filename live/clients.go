package live

import (
	"cmp"
	"slices"
	"time"

	"gopura/exchange"
)

// maxClients is how many clients are counted at a time.
const maxClients = 256

// Client is what is known of a busy client.
type Client struct {
	Client     string  `json:"client"`             // its address
	Identity   string  `json:"identity,omitempty"` // its subject, when it proved one
	Requests   uint64  `json:"requests"`
	Errors     uint64  `json:"errors"`  // 5xx
	Refused    uint64  `json:"refused"` // 4xx
	Limited    uint64  `json:"limited"` // 429
	Rate       float64 `json:"rate"`
	AtMostOver uint64  `json:"at_most_over,omitempty"` // requests that may be somebody else's
}

type clientKey struct {
	client   string
	identity string
}

// clients counts the busiest in two generations, so that the numbers are of the
// last half to whole minute.
type clients struct {
	now, before sketch
	begun       time.Time // of now
	first       time.Time // of before, or of now
}

// sketch counts by space saving (Metwally et al., 2005): who is new takes the
// place of who has come least, with its count as the possible error. Whoever has
// more than a 256th of the requests is in it.
type sketch struct {
	at     map[clientKey]int
	counts []counted
}

type counted struct {
	key clientKey
	Client
}

func (c *clients) count(x *exchange.Exchange, now time.Time) {
	c.turn(now)
	k := clientKey{}
	if x.Client != nil && x.Client.Addr.IsValid() {
		k.client = x.Client.Addr.Addr().Unmap().WithZone("").String()
	}
	if x.Identity != nil && !x.Identity.Anonymous {
		k.identity = x.Identity.Sub
	}
	status := x.Response.Status
	if status == 0 && x.Err != nil {
		status = x.Err.Status
	}
	c.now.add(k, status)
}

// turn begins a generation when it is time.
func (c *clients) turn(now time.Time) {
	switch age := now.Sub(c.begun); {
	case c.begun.IsZero() || age > 4*halfLife:
		c.now, c.before, c.begun, c.first = sketch{}, sketch{}, now, now
	case age > halfLife:
		c.before, c.first = c.now, c.begun
		c.now, c.begun = sketch{}, now
	}
}

func (s *sketch) add(k clientKey, status int) {
	i, known := s.at[k]
	switch {
	case known:
	case len(s.counts) < maxClients:
		if s.at == nil {
			s.at = make(map[clientKey]int, maxClients)
		}
		i = len(s.counts)
		s.counts = append(s.counts, counted{key: k, Client: Client{Client: k.client, Identity: k.identity}})
		s.at[k] = i
	default:
		i = s.least()
		old := &s.counts[i]
		delete(s.at, old.key)
		*old = counted{key: k, Client: Client{Client: k.client, Identity: k.identity, Requests: old.Requests, AtMostOver: old.Requests}}
		s.at[k] = i
	}
	c := &s.counts[i]
	c.Requests++
	switch {
	case status == 429:
		c.Limited++
		c.Refused++
	case status >= 500 || status == 0:
		c.Errors++
	case status >= 400:
		c.Refused++
	}
}

// least is the place of who has come least often.
func (s *sketch) least() (at int) {
	for i := range s.counts {
		if s.counts[i].Requests < s.counts[at].Requests {
			at = i
		}
	}
	return at
}

// list puts both generations together, the busiest first.
func (c *clients) list(now time.Time) ([]Client, time.Time) {
	c.turn(now)
	sum := map[clientKey]*Client{}
	for _, s := range []*sketch{&c.before, &c.now} {
		for i := range s.counts {
			one := s.counts[i].Client
			all := sum[s.counts[i].key]
			if all == nil {
				sum[s.counts[i].key] = &one
				continue
			}
			all.Requests += one.Requests
			all.Errors += one.Errors
			all.Refused += one.Refused
			all.Limited += one.Limited
			all.AtMostOver += one.AtMostOver
		}
	}
	list := make([]Client, 0, len(sum))
	span := max(now.Sub(c.first).Seconds(), 1)
	for _, one := range sum {
		one.Rate = float64(one.Requests) / span
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Identity, b.Identity))
	})
	return list, c.first
}
