package gateway

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/policy"
	"gopura/telemetry"
	"gopura/upstream"
)

// Step is what one policy did to a request.
type Step struct {
	Policy   string   `json:"policy"`
	Owner    string   `json:"owner,omitempty"` // "service users": a policy of the service; empty: of the route
	Stage    string   `json:"stage"`
	Origin   string   `json:"origin"` // file:line:col
	Verdict  string   `json:"verdict"`
	Code     string   `json:"code,omitempty"`   // of a refusal
	Status   int      `json:"status,omitempty"` // of a refusal or an answer
	Reason   string   `json:"reason,omitempty"` // of a refusal: what the audit log says, clients never see it
	Shadowed string   `json:"shadowed,omitempty"`
	Saw      []Saw    `json:"saw,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Request  []string `json:"request,omitempty"`  // what it changed of the request
	Response []string `json:"response,omitempty"` // what it changed of the answer
}

// What a policy can do.
const (
	verdictPassed   = "passed"
	verdictRefused  = "refused"
	verdictAnswered = "answered"
	verdictUnasked  = "not reached"
	verdictIdle     = "nothing to do"
)

// Saw is an expression and what it came to.
type Saw struct {
	Expression string   `json:"expression"`
	Value      string   `json:"value,omitempty"`
	Error      string   `json:"error,omitempty"`
	Facts      []string `json:"facts,omitempty"` // jwt.scope = ["a", "b"]
}

// maxShown is how much of a value an explanation shows.
const maxShown = 120

// Bounds of one explanation.
const (
	maxActs     = 500
	maxSent     = 200
	maxSaw      = 200
	maxAttempts = 200
)

// trace is what is noted about one exchange and the calls that are made for it,
// which may run at the same time.
type trace struct {
	mu       sync.Mutex
	acts     []*act
	open     map[*exchange.Exchange][]*act // those that are at work, the innermost last
	saw      []Saw                         // while none was: the conditions of routes
	sent     []Sent                        // what services were sent
	attempts []Attempt
}

// traces are the exchanges that are being explained, by their request ids: calls
// have that of the exchange that they are made for. The zero value is ready; it is
// safe for concurrent use.
type traces struct {
	mu   sync.Mutex
	byID map[string]*trace
}

// begin returns nil when an exchange of that id is being explained already.
func (t *traces) begin(x *exchange.Exchange) *trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = map[string]*trace{}
	}
	if t.byID[string(x.ID)] != nil {
		return nil
	}
	tr := &trace{open: map[*exchange.Exchange][]*act{}}
	t.byID[string(x.ID)] = tr
	return tr
}

func (t *traces) end(x *exchange.Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, string(x.ID))
}

func (t *traces) of(x *exchange.Exchange) *trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[string(x.ID)]
}

// at returns the policy that is at work on x, or nil. tr.mu is held.
func (tr *trace) at(x *exchange.Exchange) *act {
	if open := tr.open[x]; len(open) > 0 {
		return open[len(open)-1]
	}
	return nil
}

// send notes what a service is sent, by the exchange that is explained or a call
// on its behalf.
func (t *traces) send(service string, x *exchange.Exchange) {
	tr := t.of(x)
	if tr == nil {
		return
	}
	lines := requestLines(x)
	s := Sent{Service: service, Request: lines[0][len("request "):], Host: string(x.Request.Authority)}
	s.Header = appendFields(nil, &x.Request.Header)
	if !upstream.Idempotent(&x.Request) {
		s.once = x.Request.Method
		if x.Request.Upgrade != nil {
			s.once = "an upgrade"
		}
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.sent) < maxSent {
		tr.sent = append(tr.sent, s)
	}
}

// attempt notes what became of one.
func (tr *trace) attempt(a Attempt) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.attempts) < maxAttempts {
		tr.attempts = append(tr.attempts, a)
	}
}

func (tr *trace) takeAttempts() []Attempt {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return append([]Attempt{}, tr.attempts...)
}

func (tr *trace) takeSaw() []Saw {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	saw := tr.saw
	tr.saw = nil
	return saw
}

// fill tells what has been noted so far.
func (tr *trace) fill(e *Explanation) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, a := range tr.acts {
		e.Steps = append(e.Steps, a.Step)
	}
	e.Sent = append(e.Sent, tr.sent...)
}

// watch is told of each expression.
func (t *traces) watch(x *exchange.Exchange, s expr.Sighting) {
	tr := t.of(x)
	if tr == nil {
		return
	}
	saw := sawOf(s)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	list := &tr.saw
	if a := tr.at(x); a != nil {
		list = &a.Saw
	}
	same := func(o Saw) bool {
		return o.Expression == saw.Expression && o.Value == saw.Value && o.Error == saw.Error
	}
	if !slices.ContainsFunc(*list, same) && len(*list) < maxSaw {
		*list = append(*list, saw)
	}
}

func sawOf(s expr.Sighting) Saw {
	saw := Saw{Expression: s.Text}
	if s.Err != nil {
		saw.Error = strings.TrimPrefix(s.Err.Error(), fmt.Sprintf("expression %q: ", s.Text))
	} else {
		saw.Value = shownAs(s.Text, s.Value)
	}
	for _, f := range s.Facts {
		value := shownAs(f.Fact, f.Value)
		if f.Err != nil {
			value = "cannot be told"
		}
		if saw.Value == maskedValue || value == maskedValue && saw.Value != "true" && saw.Value != "false" {
			saw.Value, value = maskedValue, maskedValue
		}
		saw.Facts = append(saw.Facts, f.Fact+" = "+value)
	}
	return saw
}

const maskedValue = "***"

// shownAs is the value of a fact, masked when its name says that it is secret.
func shownAs(fact string, v any) string {
	name := fact
	if i := strings.LastIndexAny(strings.TrimRight(fact, `"']`), `."'`); i >= 0 {
		name = fact[i+1:]
	}
	if _, flag := v.(bool); !flag && (telemetry.Secret(name) || strings.HasPrefix(fact, "cookie")) {
		return maskedValue
	}
	return expr.Show(v, maxShown)
}

// working calls f with the policy that is at work on x, if it is explained.
func (t *traces) working(x *exchange.Exchange, f func(*act)) {
	tr := t.of(x)
	if tr == nil {
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if a := tr.at(x); a != nil {
		f(a)
	}
}

// note is told in words what a policy saw.
func (t *traces) note(x *exchange.Exchange, text string) {
	t.working(x, func(a *act) {
		if len(a.Notes) < maxSaw {
			a.Notes = append(a.Notes, text)
		}
	})
}

// refused is told why a policy refuses, or would.
func (t *traces) refused(x *exchange.Exchange, _, part string, e *exchange.Error) {
	t.working(x, func(a *act) {
		if e.Err != nil {
			a.Reason = e.Err.Error()
		}
		if part != "" {
			a.Reason = strings.TrimSuffix(part+": "+a.Reason, ": ")
		}
	})
}

// shadowed is told what a policy in shadow mode would have refused with.
func (t *traces) shadowed(x *exchange.Exchange, _, code string) {
	t.working(x, func(a *act) { a.Shadowed = code })
}

// around lets the traces see what a policy does.
func (t *traces) around(owner string, p config.Policy, link exchange.Middleware) exchange.Middleware {
	stage := ""
	if i := policy.Named(p.Name); i >= 0 {
		stage = policy.Kinds[i].Stage.String()
	}
	return func(next exchange.Handler) exchange.Handler {
		inner := link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if tr := t.of(x); tr != nil {
				return tr.handOn(x, next)
			}
			return next.Serve(x)
		}))
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if tr := t.of(x); tr != nil {
				return tr.run(&act{Step: Step{Policy: p.Name, Owner: owner, Stage: stage, Origin: p.Pos.String()}}, x, inner)
			}
			return inner.Serve(x)
		})
	}
}

// act is a policy at work.
type act struct {
	Step
	asked  []string // the request as it came to it
	answer []string // the answer as it came back to it
	handed bool     // it has let the request pass
}

// run lets a policy work and notes its verdict.
func (tr *trace) run(a *act, x *exchange.Exchange, inner exchange.Handler) error {
	a.asked = requestLines(x)
	tr.mu.Lock()
	if len(tr.acts) < maxActs {
		tr.acts = append(tr.acts, a)
	}
	tr.mu.Unlock()
	tr.push(x, a)
	err := inner.Serve(x)
	tr.pop(x)
	answer := responseLines(x)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch {
	case a.handed && err == nil:
		a.Response = changes(a.answer, answer)
	case a.handed:
	case err != nil:
		e := exchange.AsError(err)
		a.Verdict, a.Code, a.Status = verdictRefused, e.Code, e.Status
		if a.Reason == "" && e.Err != nil {
			a.Reason = e.Err.Error()
		}
	default:
		a.Verdict, a.Status = verdictAnswered, x.Response.Status
	}
	return err
}

func (tr *trace) push(x *exchange.Exchange, a *act) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.open[x] = append(tr.open[x], a)
}

// pop returns the innermost policy at work on x, which is no longer. A call that a
// policy makes by itself may come without one.
func (tr *trace) pop(x *exchange.Exchange) *act {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	open := tr.open[x]
	if len(open) == 0 {
		return nil
	}
	a := open[len(open)-1]
	if open = open[:len(open)-1]; len(open) == 0 {
		delete(tr.open, x) // the memory of x is used again
	} else {
		tr.open[x] = open
	}
	return a
}

// handOn is what comes behind the policy that is at work.
func (tr *trace) handOn(x *exchange.Exchange, next exchange.Handler) error {
	a := tr.pop(x)
	if a == nil {
		return next.Serve(x)
	}
	after := requestLines(x)
	tr.mu.Lock()
	a.handed, a.Verdict = true, verdictPassed
	a.Request = changes(a.asked, after)
	tr.mu.Unlock()
	err := next.Serve(x)
	answer := responseLines(x)
	tr.push(x, a)
	tr.mu.Lock()
	a.answer = answer
	tr.mu.Unlock()
	return err
}

// requestLines is the request as lines that can be compared, secrets masked.
func requestLines(x *exchange.Exchange) []string {
	q := &x.Request
	target := string(q.Path)
	if q.Query != nil {
		target += "?" + string(q.Query)
	}
	lines := []string{"request " + q.Method + " " + telemetry.Masked([]byte(target)), "host " + string(q.Host)}
	if id := x.Identity; id != nil {
		who := id.Sub
		if id.Anonymous {
			who = "anonymous"
		}
		lines = append(lines, fmt.Sprintf("identity %s (%s)", who, id.Name))
	}
	return appendFields(lines, &q.Header)
}

// responseLines is the answer as lines that can be compared.
func responseLines(x *exchange.Exchange) []string {
	return appendFields([]string{fmt.Sprintf("status %d", x.Response.Status)}, &x.Response.Header)
}

func appendFields(lines []string, h *exchange.Header) []string {
	for _, f := range h.Fields() {
		value := string(f.Value)
		if telemetry.Secret(string(f.Name)) {
			value = maskedValue
		}
		if len(value) > maxShown {
			value = value[:maxShown] + "…"
		}
		lines = append(lines, string(f.Name)+": "+value)
	}
	return lines
}

// changes lists the lines that are new with "+" and those that are gone with "-".
func changes(before, after []string) (list []string) {
	count := map[string]int{}
	for _, l := range before {
		count[l]++
	}
	var added []string
	for _, l := range after {
		if count[l] > 0 {
			count[l]--
			continue
		}
		added = append(added, "+ "+l)
	}
	for _, l := range before {
		if count[l] > 0 {
			count[l]--
			list = append(list, "- "+l)
		}
	}
	return append(list, added...)
}
