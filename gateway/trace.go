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

// trace is what is noted about one exchange.
type trace struct {
	acts []*act
	open []*act // those that are at work, the innermost last
	saw  []Saw  // while none was: the conditions of routes
	sent []Sent // what services were sent
}

// traces are the exchanges that are being explained. The zero value is ready;
// it is safe for concurrent use.
type traces struct {
	mu   sync.Mutex
	byID map[*exchange.Exchange]*trace
	last *trace // whose calls are noted, too: they have exchanges of their own
}

func (t *traces) begin(x *exchange.Exchange) *trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = map[*exchange.Exchange]*trace{}
	}
	tr := new(trace)
	t.byID[x], t.last = tr, tr
	return tr
}

func (t *traces) end(x *exchange.Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byID, x)
	t.last = nil
}

// send notes what a service is sent, by the exchange that is explained or a call
// on its behalf.
func (t *traces) send(service string, x *exchange.Exchange) {
	lines := requestLines(x)
	s := Sent{Service: service, Request: lines[0][len("request "):], Host: string(x.Request.Authority)}
	s.Header = appendFields(nil, &x.Request.Header)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != nil {
		t.last.sent = append(t.last.sent, s)
	}
}

func (t *traces) of(x *exchange.Exchange) *trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[x]
}

// watch is told of each expression.
func (t *traces) watch(x *exchange.Exchange, s expr.Sighting) {
	tr := t.of(x)
	if tr == nil {
		return
	}
	saw := sawOf(s)
	list := &tr.saw
	if n := len(tr.open); n > 0 {
		list = &tr.open[n-1].Saw
	}
	same := func(o Saw) bool {
		return o.Expression == saw.Expression && o.Value == saw.Value && o.Error == saw.Error
	}
	if !slices.ContainsFunc(*list, same) {
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

// note is told in words what a policy saw.
func (t *traces) note(x *exchange.Exchange, text string) {
	if tr := t.of(x); tr != nil && len(tr.open) > 0 {
		s := tr.open[len(tr.open)-1]
		s.Notes = append(s.Notes, text)
	}
}

// refused is told why a policy refuses, or would.
func (t *traces) refused(x *exchange.Exchange, _, part string, e *exchange.Error) {
	tr := t.of(x)
	if tr == nil || len(tr.open) == 0 {
		return
	}
	s := tr.open[len(tr.open)-1]
	if e.Err != nil {
		s.Reason = e.Err.Error()
	}
	if part != "" {
		s.Reason = strings.TrimSuffix(part+": "+s.Reason, ": ")
	}
}

// shadowed is told what a policy in shadow mode would have refused with.
func (t *traces) shadowed(x *exchange.Exchange, _, code string) {
	if tr := t.of(x); tr != nil && len(tr.open) > 0 {
		tr.open[len(tr.open)-1].Shadowed = code
	}
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
	tr.acts, tr.open = append(tr.acts, a), append(tr.open, a)
	a.asked = requestLines(x)
	err := inner.Serve(x)
	tr.open = tr.open[:len(tr.open)-1]
	switch {
	case a.handed && err == nil:
		a.Response = changes(a.answer, responseLines(x))
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

// handOn is what comes behind the policy that is at work.
func (tr *trace) handOn(x *exchange.Exchange, next exchange.Handler) error {
	a := tr.open[len(tr.open)-1]
	a.handed, a.Verdict = true, verdictPassed
	a.Request = changes(a.asked, requestLines(x))
	tr.open = tr.open[:len(tr.open)-1]
	err := next.Serve(x)
	tr.open = append(tr.open, a)
	a.answer = responseLines(x)
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
