package policy

import (
	"fmt"

	"gopura/config"
	"gopura/exchange"
	"gopura/store"
)

const quotaDoc = "Lets so much pass in a time, `1000/day per identity.sub`, and refuses the rest with 429 (quota_exceeded) and Retry-After. " +
	"The time is rolling: what was used comes back as much later, to a sixteenth of it; or that of the calendar. " +
	"A fact that is not there is the client's address instead; an address of IPv6 counts by its /64."

// Quota is the settings of quota: one rule, or a list.
type Quota []QuotaRule

// QuotaRule is one quota.
type QuotaRule struct {
	Pos        config.Pos  `yaml:"-"`
	Limit      Allowance   `yaml:"limit" short:"true" required:"true" doc:"How much, and by what it is counted: 1000/day per identity.sub. Also per week and month."`
	LimitPos   config.Pos  `yaml:"-"`
	Key        []string    `yaml:"key" one:"true" doc:"By what it is counted, in place of per: an expression over the facts of the request, or several."`
	KeyPos     config.Pos  `yaml:"-"`
	Cost       string      `yaml:"cost" doc:"What a request costs, an expression: a whole number, 0 or more; anything else counts as 1. Default: 1."`
	CostPos    config.Pos  `yaml:"-"`
	CostHeader string      `yaml:"cost_header" doc:"A response field in which the service says what the request did cost. It is counted after the fact and not passed on."`
	By         string      `yaml:"by" doc:"What says which of plans holds: jwt.plan."`
	ByPos      config.Pos  `yaml:"-"`
	Plans      []QuotaPlan `yaml:"plans" doc:"Quotas by plan, in place of limit: gold: 100000/day; off is no quota. Whoever has none of them has limit."`
	Calendar   bool        `yaml:"calendar" doc:"Begin anew at midnight, on Monday, on the first of the month, or with each part of a day."`
	Zone       string      `yaml:"zone" default:"UTC" doc:"Whose midnight: Europe/Berlin."`
	Name       string      `yaml:"name" doc:"What the quota is called, for clients and operators. Routes whose quotas have one name share them."`
	Store      string      `yaml:"store" enum:"shared,local" default:"shared" doc:"shared: all replicas together, when there is a store; local: each for itself."`
	Headers    string      `yaml:"headers" enum:"refused,always,off" default:"refused" doc:"On which answers the client is told how much is left: RateLimit, RateLimit-Policy, X-RateLimit-*."`
	MaxKeys    int         `yaml:"max_keys" default:"1048576" min:"512" max:"67108864" doc:"How many keys are remembered."`
	Mode       string      `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// QuotaPlan is the quota of one plan.
type QuotaPlan struct {
	Pos   config.Pos `yaml:"-"`
	Name  string     `yaml:"-" key:"plan"`
	Off   bool       `yaml:"-" word:"off"`
	Limit Allowance  `yaml:"limit" short:"true" required:"true" doc:"How much."`
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
		c.meter.base = c.window(r, "", r.Limit, r.LimitPos)
		if c.by(r.By, r.ByPos, len(r.Plans)) {
			for _, p := range r.Plans {
				c.plan(p.Name, p.Off, p.Limit, p.Pos, func() *grade { return c.window(r, p.Name, p.Limit, p.Pos) })
			}
		}
	}
	return c.middleware()
}

func (c *meterCompiler) window(r *QuotaRule, plan string, a Allowance, pos config.Pos) *grade {
	w := store.Window{Count: a.Count, Per: a.Per, Calendar: r.Calendar}
	var err error
	if w.Zone, err = loadZone(r.Zone); err != nil {
		c.fault("zone", r.Pos, "", err)
		return nil
	}
	l, err := c.open(r.Store, plan, fmt.Sprint(w.Count, w.Per, w.Calendar, w.Zone, r.MaxKeys), func(s store.Store, name string) (store.Limiter, error) {
		return s.Window(name, w, store.LimiterOptions{MaxKeys: r.MaxKeys})
	})
	if err != nil {
		c.fault("limit", pos, "", err)
		return nil
	}
	return &grade{limiter: l, stated: stated(c.meter.shown, w.Count, w.Per)}
}
