package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
	"gopura/expr"
	"gopura/store"
)

// meter is a compiled rule of a limit or a quota.
type meter struct {
	base  *grade
	by    *expr.Program     // which plan; nil: there are none
	plans map[string]*grade // nil: no limit

	key        key
	cost       *expr.Program // nil: 1
	costHeader string
	costOurs   bool   // this rule takes the field out: it is the outermost of the route that reads it
	queue      *queue // nil: none waits

	code    *exchange.Code
	shadow  bool
	headers string // refused, always, off
	shown   string // its name, for clients
	shared  bool   // its counts are in the store of all replicas, which may have to be asked
	count   func() // counts a refusal
}

// grade is what one plan may have.
type grade struct {
	limiter store.Limiter
	stated  string // the member of RateLimit-Policy
}

// taken is what a request took from one limiter.
type taken struct {
	meter *meter
	grade *grade
	key   []byte
	cost  int64
	was   store.Decision
}

// metered is a handler behind meters that must all let a request pass.
type metered struct {
	next   exchange.Handler
	env    *Env
	policy string
	meters []*meter
	after  bool // something is left to do when the response is there
}

var (
	errUsedUp = errors.New("nothing is left under the key of the request")
	errNoData = errors.New("the shared store can't be asked")
)

// Serve implements exchange.Handler.
func (m *metered) Serve(x *exchange.Exchange) error {
	var list [maxRules]taken
	n := 0
	for _, r := range m.meters {
		t := &list[n]
		t.meter, t.grade = r, r.grade(x)
		if t.grade == nil {
			continue
		}
		t.key, t.cost = r.key.append(x.Arena.Grow(64), x), r.costOf(x)
		err := t.take(x)
		if m.env.Note != nil {
			m.env.Note(x, t.explain())
		}
		if err == nil {
			n++
			continue
		}
		if r.shadow {
			r.count()
			m.env.shadow(x, m.policy, r.code)
			continue
		}
		for i := range list[:n] {
			list[i].giveBack()
		}
		if err == errGone {
			return exchange.ClientGone.Because(err)
		}
		r.count()
		return t.refusal(err)
	}
	if !m.after {
		return m.next.Serve(x)
	}
	err := m.next.Serve(x)
	for i := range list[:n] {
		list[i].finish(x, &err)
	}
	for _, r := range m.meters {
		if r.costOurs && err == nil {
			if n, ok := statedCost(x, r.costHeader); ok {
				x.Costs = append(x.Costs, exchange.StatedCost{Field: r.costHeader, Cost: n}) // for the limits in front of this one
			}
			x.Response.Header.Del(r.costHeader)
		}
	}
	return err
}

// take takes what the request costs, or waits for its turn to.
func (t *taken) take(x *exchange.Exchange) error {
	q := t.meter.queue
	if q == nil || t.meter.shadow {
		return t.decide(x)
	}
	if !q.room.busy(t.key) {
		if err := t.decide(x); err == nil || t.was.RetryAfter > q.wait || t.was.Unavailable {
			return err
		}
	}
	return q.awaitTokens(x, t)
}

func (t *taken) decide(x *exchange.Exchange) error {
	var span exchange.SpanRef
	if t.meter.shared {
		span = x.BeginSpan(exchange.SpanStore, t.meter.shown, "")
	}
	t.was = t.grade.limiter.Take(t.key, t.cost)
	x.EndSpan(span, nil, exchange.WorthSpan)
	switch {
	case t.was.Allowed:
		return nil
	case t.was.Unavailable:
		return errNoData
	}
	return errUsedUp
}

func (t *taken) giveBack() { t.grade.limiter.Charge(t.key, -t.cost) }

// grade is what the plan of x may have; nil: there is no limit for it.
func (r *meter) grade(x *exchange.Exchange) *grade {
	if r.by == nil {
		return r.base
	}
	if plan, err := r.by.Append(x.Arena.Grow(32), x); err == nil {
		if g, ok := r.plans[string(plan)]; ok {
			return g
		}
	}
	return r.base
}

// costOf is what x costs: what can't be told costs 1, and nothing less than 0.
func (r *meter) costOf(x *exchange.Exchange) int64 {
	if r.cost == nil {
		return 1
	}
	v, err := r.cost.Value(x)
	if err != nil {
		return 1
	}
	return costFrom(v)
}

func costFrom(v any) int64 {
	const most = 1 << 31
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			return min(v, most)
		}
	case uint64:
		return int64(min(v, most))
	case float64:
		if v >= 0 {
			return int64(min(v, most))
		}
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
			return min(n, most)
		}
	}
	return 1
}

// explain says what the limit has decided.
func (t *taken) explain() string {
	if t.was.Unavailable {
		return t.meter.shown + ": the shared store can't be asked"
	}
	return fmt.Sprintf("%s: costs %d, %d of %d left, full again in %s", t.meter.shown, t.cost, t.was.Remaining, t.was.Limit, t.was.ResetAfter.Round(time.Millisecond))
}

// finish does what is left when the response is there: the cost that the
// service states, and the fields that tell the client what is left.
func (t *taken) finish(x *exchange.Exchange, err *error) {
	r := t.meter
	if r.costHeader != "" && *err == nil {
		if n, ok := statedCost(x, r.costHeader); ok {
			t.grade.limiter.Charge(t.key, n-t.cost)
		}
	}
	if r.headers != "always" {
		return
	}
	if *err == nil {
		t.tell(&x.Response.Header, &x.Arena)
		return
	}
	e := exchange.AsError(*err).With()
	t.tell(&e.Header, nil)
	*err = e
}

// statedCost is what the service says that x did cost, also when a limit of the service
// has taken the field out already.
func statedCost(x *exchange.Exchange, field string) (int64, bool) {
	if v := x.Response.Header.Get(field); v != nil {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return min(n, 1<<31), err == nil && n >= 0
	}
	for _, c := range x.Costs {
		if strings.EqualFold(c.Field, field) {
			return c.Cost, true
		}
	}
	return 0, false
}

// refusal is the answer of a limit that is reached.
func (t *taken) refusal(why error) error {
	if why == errNoData {
		return exchange.LimitUnavailable.Because(why)
	}
	e := t.meter.code.Because(why)
	e.Header.Add("Retry-After", strconv.FormatInt(max(seconds(t.was.RetryAfter), 1), 10))
	if t.meter.headers != "off" {
		t.tell(&e.Header, nil)
	}
	return e
}

// tell adds what is left to a response: the fields of the IETF draft, one of
// each for every limit, and those that clients have known for long, for the
// first limit of a chain only.
func (t *taken) tell(h *exchange.Header, a *exchange.Arena) {
	grow := func(n int) []byte {
		if a == nil {
			return make([]byte, 0, n)
		}
		return a.Grow(n)
	}
	reset := seconds(t.was.ResetAfter)
	if !t.was.Allowed {
		reset = max(seconds(t.was.RetryAfter), 1)
	}
	h.Add("RateLimit-Policy", t.grade.stated)
	b := append(append(append(grow(len(t.meter.shown)+56), '"'), t.meter.shown...), `";r=`...)
	b = strconv.AppendInt(b, t.was.Remaining, 10)
	b = strconv.AppendInt(append(b, ";t="...), reset, 10)
	h.AddBytes("RateLimit", b)
	if h.Has("X-RateLimit-Limit") {
		return
	}
	h.AddBytes("X-RateLimit-Limit", strconv.AppendInt(grow(20), t.was.Limit, 10))
	h.AddBytes("X-RateLimit-Remaining", strconv.AppendInt(grow(20), t.was.Remaining, 10))
	h.AddBytes("X-RateLimit-Reset", strconv.AppendInt(grow(20), reset, 10))
}

// seconds rounds up: before that, asking again is in vain.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// stated is a member of RateLimit-Policy. A window of less than a second can't
// be written.
func stated(name string, count int64, per time.Duration) string {
	s := fmt.Sprintf("%q;q=%d", name, count)
	if per%time.Second == 0 {
		s += ";w=" + strconv.FormatInt(int64(per/time.Second), 10)
	}
	return s
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	if name == "Local" {
		return nil, errors.New("name the zone: Europe/Berlin")
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	return z, nil
}
