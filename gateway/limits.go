package gateway

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gopura/certs"
	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
	"gopura/policy"
	"gopura/store"
)

// openStore adopts or opens the store that replicas share. It does not have to
// be there yet: until it is, limits hold as its on_failure says.
func (c *compiler) openStore() error {
	conf := c.doc.Store
	if conf == nil {
		return nil
	}
	o, err := redisOptions(conf)
	if err != nil {
		c.doc.Problem(conf.Pos, "store", "%v", err)
		return nil
	}
	trust := ""
	if conf.TLS != nil {
		var faults []certs.Fault
		o.TLS, trust, faults = certs.Upstream(conf.TLS)
		c.tlsFaults(faults, "store.tls")
		if len(faults) > 0 {
			return nil
		}
	}
	if c.dry {
		c.s.shared = store.NewMemory(store.MemoryOptions{})
		c.kept, err = newValues(c.s.shared, conf, "")
		return err
	}
	key := o // the address and the numbers, and the secrets as a hash
	key.TLS = nil
	text, err := json.Marshal(key)
	if err != nil {
		return c.problem(conf.Pos, "store", err)
	}
	name := fmt.Sprintf("store %x", sha256.Sum256(append(text, trust...)))
	s, err := lifetime.Hold(&c.g.pool, c.s.scope, name, func() (store.Store, func(), error) {
		s, err := store.OpenRedis(o)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	})
	if err != nil {
		return c.problem(conf.Pos, "store", err)
	}
	c.s.shared = s
	if c.kept, err = newValues(s, conf, name); err != nil {
		return c.problem(conf.Pos, "store.secret", err)
	}
	return nil
}

func redisOptions(s *config.Store) (store.RedisOptions, error) {
	o := store.RedisOptions{Addresses: s.Addresses}
	if s.URL != "" {
		var err error
		if o, err = store.ParseRedisURL(s.URL); err != nil {
			return o, err
		}
	}
	if s.Sentinel != "" {
		o.Sentinel = s.Sentinel
	}
	if s.Username != "" {
		o.Username = s.Username
	}
	if !s.Password.IsZero() {
		o.Password = s.Password.Reveal()
	}
	if s.SentinelUsername != "" {
		o.SentinelUsername = s.SentinelUsername
	}
	if !s.SentinelPassword.IsZero() {
		o.SentinelPassword = s.SentinelPassword.Reveal()
	}
	if s.Database > 0 {
		o.DB = s.Database
	}
	o.Cluster = o.Cluster || s.Cluster
	o.ClientTime = s.Clock == "replica"
	o.Mode, o.OnFailure, o.Timeout, o.Prefix = store.Mode(s.Mode), store.OnFailure(s.OnFailure), s.Timeout, s.Prefix
	return o, nil
}

// store is where limits are kept unless they say otherwise.
func (c *compiler) store() store.Store {
	if c.s.shared != nil {
		return c.s.shared
	}
	return c.g.memory
}

// limited returns the counter of requests that a policy limits.
func (g *Gateway) limited(scope *lifetime.Scope, route, policy, mode string) func() {
	return g.metrics.Limited(scope, route, policy, mode).Inc
}

// guard puts a service behind its own limits, which hold for all routes
// together.
func (c *compiler) guard(svc *service, s *config.Service, path string) exchange.Handler {
	end := exchange.Handler(svc)
	if c.cast != nil {
		end = c.cast.service(s.Name, svc)
	}
	if len(s.Policies) == 0 {
		return end
	}
	env := c.policyEnv(&config.Route{Name: "service " + s.Name}, c.env, "service "+s.Name)
	chain, faults := policy.Chain(env, s.Policies)
	for _, f := range faults {
		at := path + "." + f.Policy
		if f.Path != "" {
			at += strings.Replace("."+f.Path, ".[", "[", 1)
		}
		c.exprProblem(f.Pos, at, f.Text, f.Err)
	}
	if chain == nil {
		return nil
	}
	return chain(end)
}

// withGlobalLimits adds the limits that the defaults set for the gateway as a
// whole to those of a route that has its own.
func withGlobalLimits(list, defaults []config.Policy) []config.Policy {
	for _, d := range defaults {
		i := slices.IndexFunc(list, func(p config.Policy) bool { return p.Name == d.Name })
		if d.Name == "limit" && i >= 0 && list[i].Spec != d.Spec {
			list[i].Spec = policy.WithGlobal(list[i].Spec, d.Spec)
		}
	}
	return list
}

// LimitInfo is what an operator sees of a limit.
type LimitInfo struct {
	store.LimiterState
	Store string           `json:"store"` // memory, redis
	Top   []store.KeyState `json:"top"`
}

// stores are those in force.
func (g *Gateway) stores() []store.Store {
	list := []store.Store{g.memory}
	if h := g.current.Get(); h != nil && h.Value.shared != nil {
		list = append(list, h.Value.shared)
	}
	return list
}

// Stores returns the state of what limits are counted in: this process, and
// the shared store when there is one.
func (g *Gateway) Stores() []store.StoreState {
	list := []store.StoreState{}
	for _, s := range g.stores() {
		state := s.State()
		state.Limiters = nil // see Limits
		list = append(list, state)
	}
	return list
}

// Limits returns the limits in force, each with its busiest keys.
func (g *Gateway) Limits(top int) []LimitInfo {
	list := []LimitInfo{}
	for _, s := range g.stores() {
		state := s.State()
		for _, l := range state.Limiters {
			info := LimitInfo{LimiterState: l, Store: state.Kind, Top: []store.KeyState{}}
			if found := s.Find(l.Name); found != nil {
				if keys := found.Top(top); keys != nil {
					info.Top = keys
				}
			}
			list = append(list, info)
		}
	}
	return list
}

// Limit returns the limiter of that name, or nil.
func (g *Gateway) Limit(name string) store.Limiter {
	for _, s := range g.stores() {
		if l := s.Find(name); l != nil {
			return l
		}
	}
	return nil
}
