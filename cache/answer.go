package cache

import (
	"bytes"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// entry is what is kept under one key: an answer, the fields by which the
// answers of a resource differ, or that there is nothing to keep.
type entry struct {
	answer *answer
	varies *variants
	passes time.Time // until then requests for it don't wait for one another

	url   string
	owner string
	size  uint32
}

// variants are the request fields that a resource's answers differ by.
type variants struct {
	names []string     // in lower case
	count atomic.Int32 // of the answers that were stored
}

// answer is one that was stored. It does not change.
type answer struct {
	status int
	made   bool // by the gateway
	header exchange.Header
	body   []byte
	etag   []byte // nil: none
	dated  []byte // its Last-Modified; nil: none

	since      time.Time // it is that old since then: the time when it came, less the age that it had
	life       time.Duration
	whileStale time.Duration // how long past its life it is given while another is fetched
	ifError    time.Duration // … and when none can be had
	shared     Credentials   // requests with these may be given it all the same
	slot       *atomic.Uint32
	generation uint32 // of slot when the service was asked
}

func (a *answer) age(now time.Time) time.Duration  { return max(0, now.Sub(a.since)) }
func (a *answer) left(now time.Time) time.Duration { return a.life - a.age(now) }

// changed reports whether the resource has been changed through the gateway since.
func (a *answer) changed() bool { return a.slot.Load() != a.generation }

// validators reports whether the service can be asked whether it still holds.
func (a *answer) validators() bool { return a.etag != nil || a.dated != nil }

// Credentials is what a request carries that tells its client from others.
type Credentials uint8

const (
	Authorization Credentials = 1 << iota
	Cookie
	APIKey         // X-Api-Key
	Identity       // an identity policy has found out who is calling
	AllCredentials = Authorization | Cookie | APIKey | Identity
)

// maxVary is how many fields the answers of a resource may differ by.
const maxVary = 8

// judge decides whether the response of x may be stored, and makes the answer,
// still without its body. vary are the fields that it differs by.
func (h *handler) judge(x *exchange.Exchange, q *request, now time.Time) (a *answer, vary []string, ok bool) {
	r, c := &x.Response, &h.cache.rules
	if !c.Statuses(r.Status) || r.Tunnel != nil || r.Body == nil || r.Body.Len() > c.MaxBody || exchange.IsEventStream(&r.Header) {
		return nil, nil, false
	}
	var age, date, expires []byte
	origin := false
	for _, f := range r.Header.Fields() {
		switch {
		case exchange.EqualFold(f.Name, "set-cookie"), exchange.EqualFold(f.Name, "content-range"):
			return nil, nil, false
		case exchange.EqualFold(f.Name, "age"):
			age = f.Value
		case exchange.EqualFold(f.Name, "date"):
			date = f.Value
		case exchange.EqualFold(f.Name, "expires"):
			expires = f.Value
		case exchange.EqualFold(f.Name, "access-control-allow-origin"):
			origin = origin || !bytes.Equal(f.Value, []byte("*"))
		case exchange.EqualFold(f.Name, "vary"):
			var fine bool
			if vary, fine = appendVary(vary, f.Value); !fine {
				return nil, nil, false
			}
		}
	}
	if origin { // it was made for one origin, also where the service forgets to say so
		vary, _ = appendVary(vary, []byte("origin"))
	}
	if len(vary) > maxVary {
		return nil, nil, false
	}
	says := parseControl(&r.Header)
	if says.noStore || says.private {
		return nil, nil, false
	}
	a = &answer{status: r.Status, made: r.Made, shared: says.sharing(), slot: q.slot, generation: q.generation}
	if q.credentials&^h.cache.covered(vary)&^a.shared != 0 {
		return nil, nil, false
	}
	old := seconds(age)
	if d, ok := parseDate(date); ok {
		old = max(old, now.Sub(d)) // RFC 9111 §4.2.3
	}
	a.since = now.Add(-min(max(0, old), 10*365*24*time.Hour))
	a.etag, a.dated = r.Header.Get("Etag"), r.Header.Get("Last-Modified")
	c.lives(a, &says, date, expires)
	return a, vary, a.life > 0 && a.left(now) > 0 || a.validators() && says.present
}

// sharing returns the credentials of requests that may be given an answer that
// was made for another one (RFC 9111 §3.5).
func (c *control) sharing() Credentials {
	switch {
	case c.public || c.sMaxAge >= 0:
		return AllCredentials
	case c.mustRevalidate:
		return Authorization
	}
	return 0
}

// lives sets how long an answer may be used (RFC 9111 §4.2.1, RFC 5861).
func (c *Rules) lives(a *answer, says *control, date, expires []byte) {
	a.whileStale, a.ifError = c.StaleWhileRevalidate, c.StaleIfError
	if !c.Respect {
		a.life = c.TTL
		return
	}
	switch {
	case says.noCache:
		a.life = 0
	case says.sMaxAge >= 0:
		a.life = says.sMaxAge
		a.whileStale, a.ifError = 0, 0 // RFC 9111 §5.2.2.10, unless it says more itself
	case says.maxAge >= 0:
		a.life = says.maxAge
	case expires != nil:
		if until, ok := parseDate(expires); ok { // any other one is in the past
			from, ok := parseDate(date)
			if !ok {
				from = a.since
			}
			a.life = max(0, until.Sub(from))
		}
	default:
		a.life = c.TTL
	}
	if says.staleWhile >= 0 {
		a.whileStale = says.staleWhile
	}
	if says.staleIfError >= 0 {
		a.ifError = says.staleIfError
	}
	if says.noCache || says.mustRevalidate || says.proxyRevalidate {
		a.whileStale, a.ifError = 0, 0 // RFC 9111 §5.2.2.2
	}
}

// appendVary adds the names of a Vary field, in lower case and once. It is not
// fine when nobody can say what the answer differs by.
func appendVary(names []string, value []byte) (_ []string, fine bool) {
next:
	for part := range bytes.SplitSeq(value, []byte{','}) {
		part = bytes.Trim(part, " \t")
		switch {
		case len(part) == 0:
			continue
		case part[0] == '*', !exchange.ValidName(part), len(part) > 64, len(names) > maxVary:
			return names, false
		}
		for _, n := range names {
			if exchange.EqualFold(part, n) {
				continue next
			}
		}
		names = append(names, string(bytes.ToLower(part)))
	}
	return names, true
}

// keep fills a with the header and the body of a response, copied: the header
// without what was of that one exchange.
func (a *answer) keep(h *exchange.Header, body []byte, now time.Time) {
	var kept exchange.Header
	for _, f := range h.Fields() {
		if !ofOneExchange(f.Name) {
			kept.AddField(f)
		}
	}
	if !h.Has("Date") {
		kept.AddBytes("Date", now.UTC().AppendFormat(nil, httpDate)) // RFC 9110 §6.6.1
	}
	a.header.CopyFrom(&kept)
	a.etag, a.dated = a.header.Get("Etag"), a.header.Get("Last-Modified")
	a.body = body
}

func ofOneExchange(name []byte) bool {
	for _, n := range []string{"age", "set-cookie", "x-request-id", "gopura-retry", "proxy-authenticate", "proxy-authentication-info"} {
		if exchange.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// merge makes the header of a 304 that of the answer that it confirms
// (RFC 9111 §3.2): its own fields, but for those that speak of the body that is
// kept, and the others of a. A time that it doesn't say is now.
func (a *answer) merge(h *exchange.Header) {
	h.Filter(func(f exchange.Field) bool { return !ofBody(f.Name) })
	own := h.Len()
	for _, f := range a.header.Fields() {
		if exchange.EqualFold(f.Name, "date") || exchange.EqualFold(f.Name, "age") {
			continue
		}
		if ofBody(f.Name) || !hasAmong(h.Fields()[:own], f.Name) {
			h.AddField(f)
		}
	}
}

func hasAmong(fields []exchange.Field, name []byte) bool {
	for _, f := range fields {
		if bytes.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

func ofBody(name []byte) bool {
	for _, n := range []string{"content-encoding", "content-type", "content-range", "content-length", "etag", "vary"} {
		if exchange.EqualFold(name, n) {
			return true
		}
	}
	return false
}

// weight is what an entry takes of memory, about.
func (e *entry) weigh(key string) {
	n := 256 + len(key) + len(e.url)
	if a := e.answer; a != nil {
		n += 384 + cap(a.body)
		for _, f := range a.header.Fields() {
			n += len(f.Name) + len(f.Value) + 48
		}
	}
	e.size = uint32(min(n, 1<<32-1))
}
