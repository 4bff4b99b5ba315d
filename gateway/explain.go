package gateway

import (
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/policy"
	"gopura/telemetry"
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
	Services   []ServiceSummary `json:"services,omitempty"` // that were sent something
	Answer     AnswerSummary    `json:"answer"`
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
	tr := r.cast.traces.begin(x)
	defer r.cast.traces.end(x)
	if x.Client.Listener == "" && len(s.doc.Listeners) > 0 {
		x.Client.Listener = s.doc.Listeners[0].Name
	}
	e := &Explanation{Request: strings.TrimPrefix(requestLines(x)[0], "request "), Candidates: []CandidateInfo{}, Steps: []Step{}, Sent: []Sent{}}
	s.introduce(x)
	x.ID = []byte("rehearsal") // not by chance: the same request gets the same explanation
	x.Request.Header.SetBytes("X-Request-Id", x.ID)
	n, err := r.find(x, e)
	if err == nil {
		e.Conditions, tr.saw = tr.saw, nil
		err = n.handler.Serve(x)
	}
	if err != nil {
		answer(x, err)
	} else {
		finishResponse(x)
	}
	for _, a := range tr.acts {
		e.Steps = append(e.Steps, a.Step)
	}
	e.Sent = append(e.Sent, tr.sent...)
	r.idle(n, e)
	r.services(e)
	e.conclude(x)
	return e
}

// find matches x and fills what there is to say about routes.
func (r *Rehearsal) find(x *exchange.Exchange, e *Explanation) (*node, error) {
	s := r.snapshot
	if err := s.admit(x); err != nil {
		return nil, err
	}
	routes := RoutesOf(r.Document)
	for _, c := range s.table.Explain(x) {
		o := routes[c.Rule]
		e.Candidates = append(e.Candidates, CandidateInfo{o.Name, o.Origin, o.To, c.Won, c.Reason})
	}
	n, err := s.match(x)
	if err != nil {
		return n, err
	}
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
	return n, nil
}

// idle adds the policies of the route that had no part in it.
func (r *Rehearsal) idle(n *node, e *Explanation) {
	if n == nil || n.route == nil {
		return
	}
	ended := slices.ContainsFunc(e.Steps, func(s Step) bool { return s.Owner == "" && s.Verdict != verdictPassed })
	all := PoliciesOf(r.Document, n.route)
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
func (r *Rehearsal) services(e *Explanation) {
	for i := range r.Document.Services {
		s := &r.Document.Services[i]
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
		sum.Rules = rulesOf(s)
		e.Services = append(e.Services, sum)
	}
}

// rulesOf says in words how a service is called.
func rulesOf(s *config.Service) []string {
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
	if n := s.Retries.Attempts; n > 0 {
		add("retries: %d, on %s", n, strings.Join(s.Retries.On, ", "))
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
