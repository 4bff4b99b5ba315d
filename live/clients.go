package live

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"gopura/exchange"
	"gopura/telemetry"
)

// Bounds of what is known of clients. A client that is counted takes 7 KB, all
// of them 2 MB, for as long as somebody looks.
const (
	maxClients  = 256
	lately      = 12  // steps: the last minute, which the list is about
	maxSteps    = 180 // of a series: 15 minutes
	maxIdentity = 256 // bytes of a subject that tell clients apart
	decay       = 0.92
)

// Client is what is known of a busy client in the last minute.
type Client struct {
	ID       string  `json:"id"`                 // of its series
	Client   string  `json:"client"`             // its address
	Identity string  `json:"identity,omitempty"` // its subject, when it proved one
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"`  // 5xx
	Refused  uint64  `json:"refused"` // 4xx
	Limited  uint64  `json:"limited"` // 429
	Rate     float64 `json:"rate"`
	P50      float64 `json:"p50_ms,omitempty"`
	P95      float64 `json:"p95_ms,omitempty"`
	P99      float64 `json:"p99_ms,omitempty"`

	AtMostMore uint64 `json:"at_most_more,omitempty"` // requests that may have come before it was noticed
}

type clientKey struct {
	client   string
	identity string
}

// id is what the series of a client is called: an address has no spaces.
func (k clientKey) id() string {
	if k.identity == "" {
		return clientID + k.client
	}
	return clientID + k.client + " " + k.identity
}

const clientID = "client:"

// clients counts the busiest by space saving (Metwally et al., 2005), with
// weights that decay: who is new takes the place of whoever has come least
// lately. Whoever makes more than a 256th of the requests is in it. What is told
// of a client is what was counted while it had its place: all of it its own.
type clients struct {
	at     map[clientKey]int
	counts []counted
	first  time.Time // since when it is counted
	step   time.Time // since when the step at hand is
}

type counted struct {
	key          clientKey
	weight, over float64
	now          flow
	past         [lately]flow // by number of step
	ring         []telemetry.Sample
	steps        int // that have ended since it has its place
}

// flow is what a client did in a step.
type flow struct {
	requests, errors, refused, limited uint32
	took                               telemetry.Durations
}

func (f *flow) with(more *flow) {
	f.requests += more.requests
	f.errors += more.errors
	f.refused += more.refused
	f.limited += more.limited
	f.took.With(&more.took)
}

func (f *flow) count(status int, took time.Duration) {
	f.requests++
	f.took.Add(took)
	switch {
	case status == 429:
		f.limited++
		f.refused++
	case status >= 500 || status == 0:
		f.errors++
	case status >= 400:
		f.refused++
	}
}

// sample is the flow of a step as series have it.
func (f *flow) sample() (s telemetry.Sample) {
	per := func(n uint32) float32 { return float32(float64(n) / telemetry.Step.Seconds()) }
	s.Rate, s.Errors, s.Refused, s.Limited = per(f.requests), per(f.errors), per(f.refused), per(f.limited)
	s.P50, s.P95, s.P99 = f.took.Quantiles()
	return s
}

func (c *clients) count(x *exchange.Exchange, now time.Time) {
	c.turn(now)
	k := clientKey{}
	if x.Client != nil && x.Client.Addr.IsValid() {
		k.client = x.Client.Addr.Addr().Unmap().WithZone("").String()
	}
	if x.Identity != nil && !x.Identity.Anonymous {
		if k.identity = x.Identity.Sub; len(k.identity) > maxIdentity {
			k.identity = strings.Clone(k.identity[:maxIdentity])
		}
	}
	status := x.Response.Status
	if status == 0 && x.Err != nil {
		status = x.Err.Status
	}
	one := c.placeOf(k)
	one.weight++
	one.now.count(status, now.Sub(x.Start))
}

// placeOf is where a client is counted.
func (c *clients) placeOf(k clientKey) *counted {
	if i, known := c.at[k]; known {
		return &c.counts[i]
	}
	if c.at == nil {
		c.at = make(map[clientKey]int, maxClients)
	}
	i := len(c.counts)
	if i < maxClients {
		c.counts = append(c.counts, counted{key: k})
	} else {
		i = c.least()
		old := &c.counts[i]
		delete(c.at, old.key)
		*old = counted{key: k, weight: old.weight, over: old.weight, ring: old.ring[:0]}
	}
	c.at[k] = i
	return &c.counts[i]
}

// least is the place of who has come least often lately.
func (c *clients) least() (at int) {
	for i := range c.counts {
		if c.counts[i].weight < c.counts[at].weight {
			at = i
		}
	}
	return at
}

// turn ends the steps whose time is over.
func (c *clients) turn(now time.Time) {
	if c.first.IsZero() {
		c.first, c.step = now, now
	}
	for n := 0; now.Sub(c.step) >= telemetry.Step; n++ {
		if c.step = c.step.Add(telemetry.Step); n > maxSteps {
			*c = clients{}
			c.first, c.step = now, now
			return
		}
		for i := range c.counts {
			c.counts[i].end()
		}
	}
}

// end ends a step.
func (o *counted) end() {
	if len(o.ring) == maxSteps {
		copy(o.ring, o.ring[1:])
		o.ring = o.ring[:maxSteps-1]
	}
	o.ring = append(o.ring, o.now.sample())
	o.past[o.steps%lately] = o.now
	o.steps++
	o.now = flow{}
	o.weight, o.over = o.weight*decay, o.over*decay
}

// list is who asked in the last minute, the busiest first, and since when.
func (c *clients) list(now time.Time) ([]Client, time.Time) {
	c.turn(now)
	since := c.first
	if minute := c.step.Add(-lately * telemetry.Step); since.Before(minute) {
		since = minute
	}
	span := max(now.Sub(since).Seconds(), 1)
	list := make([]Client, 0, len(c.counts))
	for i := range c.counts {
		o := &c.counts[i]
		all := o.now
		for j := range o.past {
			all.with(&o.past[j])
		}
		if all.requests == 0 {
			continue
		}
		one := Client{
			ID: o.key.id(), Client: o.key.client, Identity: o.key.identity, Requests: uint64(all.requests), Errors: uint64(all.errors), Refused: uint64(all.refused),
			Limited: uint64(all.limited), Rate: float64(all.requests) / span, AtMostMore: uint64(math.Ceil(o.over)),
		}
		p50, p95, p99 := all.took.Quantiles()
		one.P50, one.P95, one.P99 = float64(p50), float64(p95), float64(p99)
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Identity, b.Identity))
	})
	return list, since
}

// series is the last n steps of a client, oldest first; nil: it is not known.
func (c *clients) series(id string, n int, now time.Time) []telemetry.Sample {
	c.turn(now)
	text, ok := strings.CutPrefix(id, clientID)
	if !ok {
		return nil
	}
	var k clientKey
	k.client, k.identity, _ = strings.Cut(text, " ")
	i, known := c.at[k]
	if !known {
		return nil
	}
	ring := c.counts[i].ring
	out := make([]telemetry.Sample, n) // zeros, before it came
	copy(out[n-min(n, len(ring)):], ring[len(ring)-min(n, len(ring)):])
	return out
}
