package gateway

import (
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/policy"
	"gopura/route"
	"gopura/telemetry"
	"gopura/upstream"
)

// Explanation is why a request got its answer.
type Explanation struct {
	Request    string           `json:"request"` // GET example.com/users/42
	Candidates []CandidateInfo  `json:"candidates"`
	Conditions []Saw            `json:"conditions,omitempty"` // that routes asked
	Route      string           `json:"route,omitempty"`
	Origin     string           `json:"origin,omitempty"` // file:line:col of the route
	Params     []string         `json:"params,omitempty"` // path.id = 42
	Timeout    string           `json:"timeout,omitempty"`
	Plan       string           `json:"plan,omitempty"` // of a composed route: what waits for what
	Steps      []Step           `json:"steps"`
	To         string           `json:"to,omitempty"`
	Sent       []Sent           `json:"sent"`
	Calls      []CallInfo       `json:"calls,omitempty"`    // of a composed route
	Services   []ServiceSummary `json:"services,omitempty"` // that were sent something
	Answer     AnswerSummary    `json:"answer"`
	Notes      []string         `json:"notes,omitempty"` // what an explanation on paper can't know
}

// CallInfo is what became of a call of a composed route.
type CallInfo struct {
	Name     string  `json:"name"`
	Service  string  `json:"service"`
	Target   string  `json:"target,omitempty"`
	Requests int     `json:"requests"` // 0: it was not made, or an identical one was there
	Status   int     `json:"status,omitempty"`
	Code     string  `json:"code,omitempty"` // why it failed, or was not made
	Duration float64 `json:"duration_ms,omitempty"`
}

// CandidateInfo is a route whose path matches, and what became of it.
type CandidateInfo struct {
	Route  string `json:"route"`
	Origin string `json:"origin"`
	To     string `json:"to"`
	Won    bool   `json:"won"`
	Reason string `json:"reason,omitempty"` // why it lost
}

// ServiceSummary is what is in force for a service.
type ServiceSummary struct {
	Name    string   `json:"name"`
	Origin  string   `json:"origin"`
	Targets []string `json:"targets"`
	Rules   []string `json:"rules"`
}

// AnswerSummary is what the client gets.
type AnswerSummary struct {
	Status int      `json:"status"`
	By     string   `json:"by"`               // gateway, or the service
	Code   string   `json:"code,omitempty"`   // of a failure
	Detail string   `json:"detail,omitempty"` // what the client is told about it
	Cause  string   `json:"cause,omitempty"`  // what only the log is told
	Header []string `json:"header,omitempty"`
}

// Explain sends x through the configuration and says what happened. The
// exchange has a request and a client; its answer is left in it.
func (r *Rehearsal) Explain(x *exchange.Exchange) *Explanation {
	s := r.snapshot
	if x.Client.Listener == "" && len(s.doc.Listeners) > 0 {
		x.Client.Listener = s.doc.Listeners[0].Name
	}
	e := newExplanation(x)
	s.introduce(x)
	x.ID = []byte("rehearsal") // not by chance: the same request gets the same explanation
	x.Request.Header.SetBytes("X-Request-Id", x.ID)
	tr := r.cast.traces.begin(x)
	defer r.cast.traces.end(x)
	n, err := r.find(x, e)
	if err == nil {
		e.Conditions = tr.takeSaw()
		err = n.handler.Serve(x)
	}
	if err != nil {
		answer(x, err)
	} else {
		finishResponse(x)
	}
	tr.fill(e)
	e.calls(x)
	e.idle(r.Document, n)
	e.services(r.Document)
	r.played(e)
	e.conclude(x)
	return e
}

func newExplanation(x *exchange.Exchange) *Explanation {
	return &Explanation{Request: strings.TrimPrefix(requestLines(x)[0], "request "), Candidates: []CandidateInfo{}, Steps: []Step{}, Sent: []Sent{}}
}

// calls says what became of the calls of a composed route, also of those that
// were never made.
func (e *Explanation) calls(x *exchange.Exchange) {
	for i := range x.Calls {
		c := &x.Calls[i]
		e.Calls = append(e.Calls, CallInfo{c.Name, c.Service, c.Target, c.Requests, c.Status, c.Code, float64(c.Duration.Microseconds()) / 1e3})
	}
}

// played says which answers of services were not real.
func (r *Rehearsal) played(e *Explanation) {
	empty := false
	for i := range e.Sent {
		s := &e.Sent[i]
		if s.Played = "as given"; !slices.Contains(r.cast.understudies.Played, s.Service) {
			s.Played, empty = "an empty 200", true
		}
	}
	for i := range e.Calls { // they took no time that means anything
		e.Calls[i].Duration = 0
	}
	if empty {
		e.Notes = append(e.Notes, "Answers of services are played: an empty 200, unless you say what they answer.")
	}
}

// find matches x and fills what there is to say about routes.
func (r *Rehearsal) find(x *exchange.Exchange, e *Explanation) (*node, error) {
	s := r.snapshot
	if err := s.admit(x); err != nil {
		return nil, err
	}
	e.candidates(s.table, r.Document, x)
	n, err := s.match(x)
	if err == nil {
		e.matched(x, n)
	}
	return n, err
}

// candidates says which routes could take x, and why each but one does not.
func (e *Explanation) candidates(table *route.Table[*node], doc *config.Document, x *exchange.Exchange) {
	routes := RoutesOf(doc)
	for _, c := range table.Explain(x) {
		o := routes[c.Rule]
		e.Candidates = append(e.Candidates, CandidateInfo{o.Name, o.Origin, o.To, c.Won, c.Reason})
	}
}

// matched describes the route that takes x.
func (e *Explanation) matched(x *exchange.Exchange, n *node) {
	e.Route = n.name
	if n.route != nil {
		e.Origin, e.To = n.route.Pos.String(), destination(n.route)
	}
	if n.timeout > 0 {
		e.Timeout = n.timeout.String()
	}
	if n.plan != nil {
		e.Plan = n.plan.Tree()
	}
	for _, p := range x.Request.Params {
		e.Params = append(e.Params, fmt.Sprintf("path.%s = %s", p.Name, p.Value))
	}
}

// idle adds the policies of the route that had no part in it.
func (e *Explanation) idle(doc *config.Document, n *node) {
	if n == nil || n.route == nil {
		return
	}
	ended := slices.ContainsFunc(e.Steps, func(s Step) bool { return s.Owner == "" && s.Verdict != verdictPassed })
	all := PoliciesOf(doc, n.route)
	at := 0
	for _, p := range all {
		i := slices.IndexFunc(e.Steps, func(s Step) bool { return s.Owner == "" && s.Policy == p.Name })
		if i >= 0 {
			at = i + 1
			continue
		}
		s := Step{Policy: p.Name, Origin: p.Pos.String(), Verdict: verdictIdle}
		if k := policy.Named(p.Name); k >= 0 {
			s.Stage = policy.Kinds[k].Stage.String()
		}
		if ended && at >= len(e.Steps) {
			s.Verdict = verdictUnasked
		}
		e.Steps = slices.Insert(e.Steps, at, s)
		at++
	}
}

// PoliciesOf returns the policies that hold for a route, its own, those of the
// blocks that it uses and the defaults, in the order in which they run.
func PoliciesOf(doc *config.Document, r *config.Route) []config.Policy {
	c := &compiler{doc: doc, blocks: map[string][]config.Policy{}}
	for _, b := range doc.Policies {
		c.blocks[b.Name] = b.Policies
	}
	return policy.Sorted(c.policies(r))
}

// services says what is in force for the services that were sent something.
func (e *Explanation) services(doc *config.Document) {
	for i := range doc.Services {
		s := &doc.Services[i]
		if !slices.ContainsFunc(e.Sent, func(o Sent) bool { return o.Service == s.Name }) {
			continue
		}
		sum := ServiceSummary{Name: s.Name, Origin: s.Pos.String()}
		for _, t := range s.Targets {
			text := telemetry.Masked([]byte(t.URL))
			if len(s.Targets) > 1 {
				text += fmt.Sprintf(" (weight %d)", t.Weight)
			}
			sum.Targets = append(sum.Targets, text)
		}
		sum.Rules = rulesOf(s, e.onceOf(s.Name))
		e.Services = append(e.Services, sum)
	}
}

// load says how the targets of the services are just now.
func (e *Explanation) load(states []upstream.ServiceState) {
	for i := range e.Services {
		sum := &e.Services[i]
		for _, state := range states {
			if state.Name != sum.Name {
				continue
			}
			sum.Targets = sum.Targets[:0]
			for _, t := range state.Targets {
				sum.Targets = append(sum.Targets, fmt.Sprintf("%s (weight %d, %s, %d in flight)", t.Address, t.Weight, t.Status, t.InFlight))
			}
			if state.Breaker != nil {
				sum.Rules = append(sum.Rules, fmt.Sprintf("the breaker is %s", state.Breaker.Phase))
			}
		}
	}
}

// onceOf are the methods of what a service was sent that may not reach a target twice.
func (e *Explanation) onceOf(service string) (methods []string) {
	for _, o := range e.Sent {
		if o.Service == service && o.once != "" && !slices.Contains(methods, o.once) {
			methods = append(methods, o.once)
		}
	}
	return methods
}

// retriesOf says what is tried again, and of what may not reach a target twice
// (once) that it is only where a target has certainly not acted on it.
func retriesOf(r *config.Retries, once []string) string {
	text := fmt.Sprintf("retries: %d, on %s", r.Attempts, strings.Join(r.On, ", "))
	var sure []string
	for _, on := range r.On {
		if !slices.Contains([]string{"reset", "timeout", "502", "503", "504"}, on) {
			sure = append(sure, on)
		}
	}
	switch {
	case len(once) == 0 || len(sure) == len(r.On):
		return text
	case len(sure) == 0:
		return text + "; " + strings.Join(once, ", ") + " never, without an Idempotency-Key"
	}
	return text + "; " + strings.Join(once, ", ") + " only on " + strings.Join(sure, ", ") + ", without an Idempotency-Key"
}

// rulesOf says in words how a service is called.
func rulesOf(s *config.Service, once []string) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if len(s.Targets) > 1 {
		how := s.Balance.Kind
		if s.Balance.Key != "" {
			how += " by " + s.Balance.Key
		}
		add("balance: %s", how)
	}
	add("timeouts: connect %s, response %s", s.Timeouts.Connect, s.Timeouts.Response)
	if s.Retries.Attempts > 0 {
		add("%s", retriesOf(&s.Retries, once))
	} else {
		add("retries: none")
	}
	if h := s.Health; h != nil {
		what := "GET " + h.Path
		if h.TCP {
			what = "a connection"
		}
		add("health: %s every %s", what, h.Interval)
	}
	if s.Breaker != nil {
		add("breaker: opens when %s of at least %d requests in %s fail", s.Breaker.FailureRate, s.Breaker.Minimum, s.Breaker.Window)
	}
	return list
}

// conclude describes the answer.
func (e *Explanation) conclude(x *exchange.Exchange) {
	a := &e.Answer
	a.Status, a.By = x.Response.Status, "gateway"
	if !x.Response.Made && x.Service != "" {
		a.By = "service " + x.Service
	}
	if err := x.Err; err != nil {
		a.Code, a.Detail = err.Code, err.Detail
		if a.Detail == "" {
			a.Detail = err.Sentence()
		}
		if err.Err != nil {
			a.Cause = err.Err.Error()
		}
	}
	a.Header = appendFields(nil, &x.Response.Header)
}
