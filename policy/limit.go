package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/store"
)

const limitDoc = "Lets requests pass at a rate, `10/s per client.ip`, and refuses the rest with 429 (rate_limited) and Retry-After. " +
	"A key begins with a full bucket of burst tokens, which fills up again at the rate. With several limits all must pass; what refuses takes nothing from the others. " +
	"A fact that is not there is the client's address instead; an address of IPv6 counts by its /64."

// Limit is the settings of limit: one rule, or a list.
type Limit []LimitRule

// LimitRule is one rate.
type LimitRule struct {
	Pos        config.Pos `yaml:"-"`
	Rate       Allowance  `yaml:"rate" short:"true" required:"true" doc:"How much, and by what it is counted: 10/s, 100/min per client.ip. Without a key, all requests count together."`
	RatePos    config.Pos `yaml:"-"`
	Burst      int64      `yaml:"burst" min:"0" doc:"How many may come at once; 0: as many as the rate counts."`
	Key        []string   `yaml:"key" one:"true" doc:"By what it is counted, in place of per: an expression over the facts of the request, or several."`
	KeyPos     config.Pos `yaml:"-"`
	Cost       string     `yaml:"cost" doc:"What a request costs, an expression: a whole number, 0 or more; anything else counts as 1. Default: 1."`
	CostPos    config.Pos `yaml:"-"`
	CostHeader string     `yaml:"cost_header" doc:"A response field in which the service says what the request did cost. It is counted after the fact and not passed on."`
	By         string     `yaml:"by" doc:"What says which of plans holds: jwt.plan."`
	ByPos      config.Pos `yaml:"-"`
	Plans      []Plan     `yaml:"plans" doc:"Rates by plan, in place of rate: gold: 100/s; off is no limit. Whoever has none of them has rate."`
	Queue      *Queue     `yaml:"queue" doc:"Let requests wait for their turn in place of refusing them."`
	Name       string     `yaml:"name" doc:"What the limit is called, for clients and operators. Routes whose limits have one name share them."`
	Scope      string     `yaml:"scope" enum:"route,gateway" default:"route" doc:"gateway: all routes together. In defaults, such a rule also holds where a route has limits of its own."`
	Store      string     `yaml:"store" enum:"shared,local" default:"shared" doc:"shared: all replicas together, when there is a store; local: each for itself."`
	Headers    string     `yaml:"headers" enum:"refused,always,off" default:"refused" doc:"On which answers the client is told how much is left: RateLimit, RateLimit-Policy, X-RateLimit-*."`
	MaxKeys    int        `yaml:"max_keys" default:"1048576" min:"512" max:"67108864" doc:"How many keys are remembered."`
	Mode       string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// Plan is the rate of one plan.
type Plan struct {
	Pos   config.Pos `yaml:"-"`
	Name  string     `yaml:"-" key:"plan"`
	Off   bool       `yaml:"-" word:"off"`
	Rate  Allowance  `yaml:"rate" short:"true" required:"true" doc:"How much."`
	Burst int64      `yaml:"burst" min:"0" doc:"How many at once; 0: as many as the rate counts."`
}

// maxRules is how many rules a policy may have: they are looked at one by one.
const maxRules = 8

// Compile implements Spec.
func (s *Limit) Compile(env *Env) (exchange.Middleware, error) {
	c := meterCompiler{env: env, policy: "limit", code: exchange.RateLimited}
	if len(*s) > maxRules {
		return nil, &Fault{Pos: (*s)[maxRules].Pos, Err: fmt.Errorf("more than %d limits", maxRules)}
	}
	for i := range *s {
		r := &(*s)[i]
		c.begin(i, len(*s), r.Name, r.Scope, r.Mode, r.Headers, r.Pos)
		c.key(r.Rate, r.RatePos, r.Key, r.KeyPos)
		c.cost(r.Cost, r.CostPos, r.CostHeader)
		c.meter.base = c.rate(r, "", r.Rate, r.Burst, r.RatePos)
		c.plans(r)
		c.queue(r.Queue)
	}
	return c.middleware()
}

func (c *meterCompiler) rate(r *LimitRule, plan string, a Allowance, burst int64, pos config.Pos) *grade {
	rate := store.Rate{Count: a.Count, Per: a.Per, Burst: burst}
	l, err := c.open(r.Store, plan, fmt.Sprint(rate, r.MaxKeys), func(s store.Store, name string) (store.Limiter, error) {
		return s.Rate(name, rate, store.LimiterOptions{MaxKeys: r.MaxKeys})
	})
	if err != nil {
		c.fault("rate", pos, "", err)
		return nil
	}
	return &grade{limiter: l, stated: stated(c.meter.shown, a.Count, a.Per)}
}

func (c *meterCompiler) plans(r *LimitRule) {
	switch {
	case r.By == "" && len(r.Plans) == 0:
		return
	case r.By == "":
		c.fault("plans", r.Pos, "", fmt.Errorf("say by what the plan is known: by: jwt.plan"))
		return
	case len(r.Plans) == 0:
		c.fault("by", r.ByPos, "", fmt.Errorf("there are no plans"))
		return
	}
	p, err := c.env.Expr.Compile(r.By, expr.String)
	if err != nil {
		c.fault("by", r.ByPos, r.By, err)
		return
	}
	c.meter.by, c.meter.plans = p, map[string]*grade{}
	for _, plan := range r.Plans {
		if plan.Off {
			c.meter.plans[plan.Name] = nil
			continue
		}
		if plan.Rate.Key != "" {
			c.fault("plans."+plan.Name, plan.Pos, "", fmt.Errorf("all plans are counted by the key of the limit"))
		}
		c.meter.plans[plan.Name] = c.rate(r, plan.Name, plan.Rate, plan.Burst, plan.Pos)
	}
}

// WithGlobal returns a route's own limits together with those of the defaults
// that are for the gateway as a whole.
func WithGlobal(own, defaults any) any {
	a, ok1 := own.(*Limit)
	b, ok2 := defaults.(*Limit)
	if !ok1 || !ok2 {
		return own
	}
	all := slices.Clone(*a)
	for _, r := range *b {
		if r.Scope == "gateway" {
			all = append(all, r)
		}
	}
	return &all
}

const quotaDoc = "Lets so much pass in a time, `1000/day per identity.sub`, and refuses the rest with 429 (quota_exceeded) and Retry-After. " +
	"The time is rolling: what was used comes back as much later, to a sixteenth of it; or that of the calendar. " +
	"A fact that is not there is the client's address instead; an address of IPv6 counts by its /64."

// Quota is the settings of quota: one rule, or a list.
type Quota []QuotaRule

// QuotaRule is one quota.
type QuotaRule struct {
	Pos        config.Pos `yaml:"-"`
	Limit      Allowance  `yaml:"limit" short:"true" required:"true" doc:"How much, and by what it is counted: 1000/day per identity.sub. Also per week and month."`
	LimitPos   config.Pos `yaml:"-"`
	Key        []string   `yaml:"key" one:"true" doc:"By what it is counted, in place of per: an expression over the facts of the request, or several."`
	KeyPos     config.Pos `yaml:"-"`
	Cost       string     `yaml:"cost" doc:"What a request costs, an expression: a whole number, 0 or more; anything else counts as 1. Default: 1."`
	CostPos    config.Pos `yaml:"-"`
	CostHeader string     `yaml:"cost_header" doc:"A response field in which the service says what the request did cost. It is counted after the fact and not passed on."`
	Calendar   bool       `yaml:"calendar" doc:"Begin anew at midnight, on Monday, on the first of the month, or with each part of a day."`
	Zone       string     `yaml:"zone" default:"UTC" doc:"Whose midnight: Europe/Berlin."`
	Name       string     `yaml:"name" doc:"What the quota is called, for clients and operators. Routes whose quotas have one name share them."`
	Store      string     `yaml:"store" enum:"shared,local" default:"shared" doc:"shared: all replicas together, when there is a store; local: each for itself."`
	Headers    string     `yaml:"headers" enum:"refused,always,off" default:"refused" doc:"On which answers the client is told how much is left: RateLimit, RateLimit-Policy, X-RateLimit-*."`
	MaxKeys    int        `yaml:"max_keys" default:"1048576" min:"512" max:"67108864" doc:"How many keys are remembered."`
	Mode       string     `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// Compile implements Spec.
func (s *Quota) Compile(env *Env) (exchange.Middleware, error) {
	c := meterCompiler{env: env, policy: "quota", code: exchange.QuotaExceeded}
	if len(*s) > maxRules {
		return nil, &Fault{Pos: (*s)[maxRules].Pos, Err: fmt.Errorf("more than %d quotas", maxRules)}
	}
	for i := range *s {
		r := &(*s)[i]
		c.begin(i, len(*s), r.Name, "", r.Mode, r.Headers, r.Pos)
		c.key(r.Limit, r.LimitPos, r.Key, r.KeyPos)
		c.cost(r.Cost, r.CostPos, r.CostHeader)
		c.meter.base = c.window(r)
	}
	return c.middleware()
}

func (c *meterCompiler) window(r *QuotaRule) *grade {
	w := store.Window{Count: r.Limit.Count, Per: r.Limit.Per, Calendar: r.Calendar}
	var err error
	if w.Zone, err = loadZone(r.Zone); err != nil {
		c.fault("zone", r.Pos, "", err)
		return nil
	}
	l, err := c.open(r.Store, "", fmt.Sprint(w.Count, w.Per, w.Calendar, w.Zone, r.MaxKeys), func(s store.Store, name string) (store.Limiter, error) {
		return s.Window(name, w, store.LimiterOptions{MaxKeys: r.MaxKeys})
	})
	if err != nil {
		c.fault("limit", r.LimitPos, "", err)
		return nil
	}
	return &grade{limiter: l, stated: stated(c.meter.shown, w.Count, w.Per)}
}

// meterCompiler compiles the rules of a limit or a quota, one after the other.
type meterCompiler struct {
	env    *Env
	policy string
	code   *exchange.Code
	meters []*meter
	meter  *meter // the one at hand
	name   string // of its state
	pos    config.Pos
	path   string
	faults []error
}

func (c *meterCompiler) fault(path string, pos config.Pos, text string, err error) {
	if pos == (config.Pos{}) {
		pos = c.pos
	}
	c.faults = append(c.faults, &Fault{Path: strings.TrimPrefix(c.path+"."+path, "."), Pos: pos, Text: text, Err: err})
}

// begin begins the i-th of n rules.
func (c *meterCompiler) begin(i, n int, name, scope, mode, headers string, pos config.Pos) {
	c.meter, c.pos, c.path = &meter{code: c.code, shadow: mode == shadow, headers: headers, shown: name}, pos, ""
	c.meters = append(c.meters, c.meter)
	if n > 1 {
		c.path = "[" + strconv.Itoa(i) + "]"
	}
	if c.name = name; name == "" {
		number := ""
		if i > 0 {
			number = " #" + strconv.Itoa(i+1)
		}
		owner := c.env.Route
		if scope == "gateway" {
			owner = "gateway"
		}
		c.name, c.meter.shown = owner+" "+c.policy+number, c.policy+strings.ReplaceAll(number, " #", "-")
	} else if !validName(name) {
		c.fault("name", pos, "", fmt.Errorf("a name is made of letters, digits and _ - .; this one is not"))
	}
	c.meter.count = c.env.counter(c.policy, mode)
}

func validName(s string) bool {
	return len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r == '_' || r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	})
}

func (c *meterCompiler) key(a Allowance, at config.Pos, texts []string, pos config.Pos) {
	switch {
	case a.Key != "" && len(texts) > 0:
		c.fault("key", pos, "", fmt.Errorf("either per or key, not both"))
		return
	case a.Key != "":
		texts, pos = []string{a.Key}, at
	case len(texts) > maxKeyParts:
		c.fault("key", pos, "", fmt.Errorf("more than %d parts", maxKeyParts))
		return
	}
	k, err := compileKey(c.env, texts, pos)
	var f *Fault
	if errors.As(err, &f) {
		c.fault("key", f.Pos, f.Text, f.Err)
	}
	c.meter.key = k
}

func (c *meterCompiler) cost(text string, pos config.Pos, header string) {
	if text != "" {
		p, err := c.env.Expr.Compile(text, expr.Any)
		if err != nil {
			c.fault("cost", pos, text, err)
		}
		c.meter.cost = p
	}
	if header != "" && !exchange.ValidName(header) {
		c.fault("cost_header", config.Pos{}, "", fmt.Errorf("not a field name: %q", header))
	}
	c.meter.costHeader = header
	if name := strings.ToLower(header); header != "" && !c.env.costFields[name] {
		if c.env.costFields == nil {
			c.env.costFields = map[string]bool{}
		}
		c.env.costFields[name], c.meter.costOurs = true, true
	}
}

// open opens a limiter. One name is one state, so within a configuration all
// who use it must mean the same.
func (c *meterCompiler) open(in, plan, shape string, open func(store.Store, string) (store.Limiter, error)) (store.Limiter, error) {
	name := c.name
	if plan != "" {
		name += " " + plan
	}
	s := c.env.Store
	if in == "local" {
		s = c.env.Local
	}
	if s == nil {
		return nil, fmt.Errorf("there is no store")
	}
	if c.env.Shapes != nil {
		shape = c.policy + " " + in + " " + shape
		if before, ok := c.env.Shapes[name]; ok && before != shape {
			return nil, fmt.Errorf("another limit is called %q and has other numbers", name)
		}
		c.env.Shapes[name] = shape
	}
	l, err := open(s, name)
	if err != nil {
		return nil, err
	}
	c.env.Scope.Add(l.Close)
	c.meter.shared = in != "local" && c.env.Store != c.env.Local
	return l, nil
}

func (c *meterCompiler) queue(q *Queue) {
	if q == nil {
		return
	}
	r, err := openRoom(c.env, c.policy+" queue "+c.name)
	if err != nil {
		c.fault("queue", q.Pos, "", err)
		return
	}
	c.meter.queue = &queue{room: r, max: q.Max, wait: q.Wait}
}

func (c *meterCompiler) middleware() (exchange.Middleware, error) {
	if c.faults != nil {
		return nil, errors.Join(c.faults...)
	}
	if len(c.meters) == 0 {
		return nil, nil
	}
	return func(next exchange.Handler) exchange.Handler {
		m := &metered{next: next, env: c.env, policy: c.policy, meters: c.meters}
		for _, r := range c.meters {
			m.after = m.after || r.costHeader != "" || r.headers == "always"
		}
		return m
	}, nil
}
