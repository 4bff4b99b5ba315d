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
		if c.by(r.By, r.ByPos, len(r.Plans)) {
			for _, p := range r.Plans {
				c.plan(p.Name, p.Off, p.Rate, p.Pos, func() *grade { return c.rate(r, p.Name, p.Rate, p.Burst, p.Pos) })
			}
		}
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

// by compiles what says which plan a request has; false: there are no plans.
func (c *meterCompiler) by(text string, pos config.Pos, plans int) bool {
	switch {
	case text == "" && plans == 0:
		return false
	case text == "":
		c.fault("plans", c.pos, "", fmt.Errorf("say by what the plan is known: by: jwt.plan"))
		return false
	case plans == 0:
		c.fault("by", pos, "", fmt.Errorf("there are no plans"))
		return false
	}
	p, err := c.env.Expr.Compile(text, expr.String)
	if err != nil {
		c.fault("by", pos, text, err)
		return false
	}
	c.meter.by, c.meter.plans = p, map[string]*grade{}
	return true
}

// plan notes what one plan may have, which open opens.
func (c *meterCompiler) plan(name string, off bool, a Allowance, pos config.Pos, open func() *grade) {
	switch {
	case off:
		c.meter.plans[name] = nil
	case a.Key != "":
		c.fault("plans."+name, pos, "", fmt.Errorf("all plans are counted by the key of the %s", c.policy))
	default:
		c.meter.plans[name] = open()
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
