package gateway

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"gopura/certs"
	"gopura/compose"
	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
	"gopura/lifetime"
	"gopura/policy"
	"gopura/route"
	"gopura/telemetry"
	"gopura/upstream"
)

// compiler turns one document into one snapshot. Everything that it opens is
// in the snapshot's scope; what is wrong becomes a problem of the document, so
// that all of it is reported at once.
type compiler struct {
	g        *Gateway
	doc      *config.Document
	env      *expr.Env
	s        *snapshot
	services map[string]*service
	blocks   map[string][]config.Policy
	sources  sources
	shapes   map[string]string      // of the limits, by name
	tls      map[string]*certs.Plan // of the listeners that speak TLS
	dry      bool                   // only check: open nothing
	kept     values                 // what replicas share beside the limits
	cast     *cast                  // who plays in a rehearsal; nil: it is none
}

// compile builds a snapshot. On an error its scope has been closed and nothing
// has changed.
func (g *Gateway) compile(doc *config.Document, dry bool) (*snapshot, error) {
	return g.compileWith(doc, dry, nil)
}

func (g *Gateway) compileWith(doc *config.Document, dry bool, cast *cast) (*snapshot, error) {
	env, err := expr.New(expr.Options{MaxInput: max(32<<10, int(doc.Limits.Head))})
	if err != nil {
		return nil, err
	}
	s := &snapshot{doc: doc, room: &g.room, trusted: doc.TrustedProxies, scope: new(lifetime.Scope), at: time.Now()}
	s.clean = route.CleanOptions{KeepEncodedSlash: doc.Paths.EncodedSlash == "keep", KeepDoubleSlash: !doc.Paths.MergeSlashes}
	c := &compiler{g: g, doc: doc, env: env, s: s, dry: dry, cast: cast, services: map[string]*service{}, blocks: map[string][]config.Policy{}, shapes: map[string]string{}}
	if err := c.all(); err != nil {
		s.scope.Close()
		return nil, err
	}
	return s, nil
}

func (c *compiler) all() error {
	for _, b := range c.doc.Policies {
		c.blocks[b.Name] = b.Policies
	}
	if err := c.openStore(); err != nil {
		return err
	}
	if !c.twin() {
		c.checkListeners()
	}
	plans := c.planServices()
	c.compileSources()
	rules := c.rules()
	c.reserve()
	c.planTraces()
	c.warnUnusedSources()
	if err := c.doc.Err(); err != nil {
		return err
	}
	// From here on things are opened, so nothing of the document can be wrong.
	if err := c.openFront(); err != nil {
		return err
	}
	if err := c.openServices(plans); err != nil {
		return err
	}
	c.prepareSources()
	for i := range rules {
		c.finishNode(rules[i].Value)
		c.s.nodes = append(c.s.nodes, rules[i].Value)
	}
	for _, n := range c.s.reserved {
		c.finishNode(n)
		c.s.nodes = append(c.s.nodes, n)
	}
	c.s.unrouted = &node{snap: c.s}
	c.finishNode(c.s.unrouted)
	c.s.warnings = append(c.s.warnings, c.doc.Problems().List...)
	return nil
}

// twin reports whether a snapshot is compiled a second time, to watch requests. It
// takes part in nothing that comes before a route or after an answer.
func (c *compiler) twin() bool { return c.cast != nil && c.cast.live != nil }

// openFront opens what serves all routes alike.
func (c *compiler) openFront() error {
	if c.twin() {
		return nil
	}
	if err := c.openAccessLog(); err != nil {
		return err
	}
	if err := c.openTraces(); err != nil {
		return err
	}
	if err := c.openTLS(); err != nil {
		return err
	}
	if c.doc.Overload.Mode != upstream.OverloadOff && !c.dry {
		if err := c.g.watchPressure(c.s.scope); err != nil {
			return err
		}
	}
	c.countEntrances()
	if err := c.watchErrors(); err != nil {
		return err
	}
	return c.keepSeries()
}

func (c *compiler) finishNode(n *node) {
	n.metrics = c.g.metrics.Route(c.s.scope, n.name)
	n.finish = n.done
}

func (c *compiler) openAccessLog() error {
	a := c.doc.AccessLog
	if a == nil || c.dry {
		return nil
	}
	key := fmt.Sprintf("access_log %q %q", a.To, a.Format)
	log, err := lifetime.Hold(&c.g.pool, c.s.scope, key, func() (*telemetry.AccessLog, func(), error) {
		l, err := telemetry.NewAccessLog(telemetry.AccessConfig{To: a.To, Format: a.Format, Lost: func(records uint64, err error) {
			if err == nil {
				err = errors.New("the sink is too slow")
			}
			c.g.log.Error("access records are lost; requests go on", "records", records, "to", a.To, "error", err)
		}})
		if err != nil {
			return nil, nil, err
		}
		return l, func() { l.Close() }, nil
	})
	if err != nil {
		return c.problem(a.Pos, "access_log", err)
	}
	c.s.access = log
	c.g.metrics.OnScrape(c.s.scope, func() { c.g.metrics.AccessDropped.Set(log.Dropped()) })
	return nil
}

// problem adds a problem and returns all there are.
func (c *compiler) problem(pos config.Pos, path string, err error) error {
	c.doc.Problem(pos, path, "%v", err)
	return c.doc.Err()
}

// rules compiles the routes. It returns what could be compiled; the rest is in
// the document's problems.
func (c *compiler) rules() []route.Rule[*node] {
	var rules []route.Rule[*node]
	var index []int // of a rule's route
	for i := range c.doc.Routes {
		r := &c.doc.Routes[i]
		path := fmt.Sprintf("routes[%d]", i)
		rule, ok := c.rule(r, path)
		if ok {
			rules = append(rules, rule)
			index = append(index, i)
		}
	}
	table, conflicts := route.Build(rules)
	c.s.table = table
	for _, f := range conflicts {
		r := &c.doc.Routes[index[f.Rule]]
		path := fmt.Sprintf("routes[%d].match", index[f.Rule])
		if f.Kind == route.Shadowed {
			c.doc.Warn(r.Match.Pos, path, "route %q: %s", r.Name, f.Message)
		} else {
			c.doc.Problem(r.Match.Pos, path, "route %q: %s", r.Name, f.Message)
		}
	}
	return rules
}

func (c *compiler) rule(r *config.Route, path string) (rule route.Rule[*node], ok bool) {
	m := &r.Match
	rule = route.Rule[*node]{
		Name: r.Name, Origin: r.Pos.String(), Hosts: m.Hosts, Methods: m.Methods, Path: m.Path, Priority: r.Priority,
	}
	ok = true
	var err error
	if m.Regexp != "" {
		if rule.Regexp, err = regexp.Compile(m.Regexp); err != nil {
			c.doc.Problem(m.Pos, path+".match.regexp", "%v", err)
			ok = false
		}
	}
	var ok1, ok2, ok3, ok4 bool
	rule.Headers, ok1 = c.values(m.Headers, path+".match.headers")
	rule.Query, ok2 = c.values(m.Query, path+".match.query")
	ok3 = c.when(r, &rule, path)
	rule.Value, ok4 = c.node(r, path)
	return rule, ok && ok1 && ok2 && ok3 && ok4
}

func (c *compiler) values(list []config.ValueMatch, path string) (out []route.Value, ok bool) {
	ok = true
	for _, v := range list {
		w := route.Value{Name: v.Name}
		switch {
		case v.Exact != nil:
			w.Kind, w.Text = route.Exact, *v.Exact
		case v.Prefix != "":
			w.Kind, w.Text = route.Prefix, v.Prefix
		case v.Regexp != "":
			re, err := regexp.Compile(v.Regexp)
			if err != nil {
				c.doc.Problem(v.Pos, path+"."+v.Name+".regexp", "%v", err)
				ok = false
				continue
			}
			w.Kind, w.Regexp = route.Regexp, re
		case v.Present != nil && !*v.Present:
			w.Kind = route.Absent
		}
		out = append(out, w)
	}
	return out, ok
}

// when compiles the condition of a route. One that can't be evaluated for a
// request does not hold for it.
func (c *compiler) when(r *config.Route, rule *route.Rule[*node], path string) bool {
	if r.Match.When == "" {
		return true
	}
	env := c.routeEnv(r)
	if c.cast != nil {
		env = env.Watching(c.cast.traces.watch)
	}
	p, err := env.Compile(r.Match.When, expr.Bool)
	if err != nil {
		c.exprProblem(r.Match.WhenPos, path+".match.when", r.Match.When, err)
		return false
	}
	rule.WhenText = r.Match.When
	rule.When = func(x *exchange.Exchange) bool {
		ok, err := p.Bool(x)
		return ok && err == nil
	}
	return true
}

// exprProblem reports an expression's error at its place in the file.
func (c *compiler) exprProblem(pos config.Pos, path, text string, err error) {
	var e *expr.Error
	if !errors.As(err, &e) {
		c.doc.Problem(pos, path, "%v", err)
		return
	}
	near, at := "", c.doc.Within(pos, text, e.Offset)
	if at == pos && e.Offset > 0 && e.Offset < len(text) { // the text stands in another form in the file
		near = fmt.Sprintf(" (at %q)", clip(text[e.Offset:]))
	}
	c.doc.Add(config.Problem{Pos: at, Path: path, Message: e.Message + near, Hint: e.Hint})
}

func clip(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}

// node compiles where a route ends, and its policies around it.
func (c *compiler) node(r *config.Route, path string) (*node, bool) {
	n := &node{snap: c.s, route: r, name: r.Name, timeout: r.Timeout}
	env := c.routeEnv(r)
	end, ok := c.end(r, env, path)
	policies := c.policies(r)
	c.warnOff(r, path)
	n.preflights = policy.TakesPreflights(policies)
	chain, faults := policy.Chain(c.policyEnv(r, env, ""), policies)
	for _, f := range faults {
		at := path + "." + f.Policy
		if f.Path != "" {
			at += strings.Replace("."+f.Path, ".[", "[", 1)
		}
		c.exprProblem(f.Pos, at, f.Text, f.Err)
	}
	if !ok || len(faults) > 0 {
		return n, false
	}
	n.plan, _ = end.(*compose.Plan)
	if end, ok = c.importance(n, r, env, end, path); !ok {
		return n, false
	}
	n.handler, ok = c.interpret(r, chain(end), path)
	return n, ok
}

// routeEnv is the environment for the expressions of a route: it knows which
// path parameters there are.
func (c *compiler) routeEnv(r *config.Route) *expr.Env {
	if r.Match.Regexp != "" {
		re, err := regexp.Compile(r.Match.Regexp)
		if err != nil {
			return c.env // reported elsewhere
		}
		return c.env.ForRoute(re.SubexpNames()[1:])
	}
	return c.env.ForRoute(route.Params(r.Match.Path))
}

// policyEnv is what the policies of owner may reach: of a route (owner is empty) or a service.
func (c *compiler) policyEnv(r *config.Route, env *expr.Env, owner string) *policy.Env {
	e := &policy.Env{
		Expr: env, Scope: c.s.scope, Pool: &c.g.pool, Route: r.Name, Methods: r.Match.Methods, Log: c.g.log,
		CleanPath: func(a *exchange.Arena, p []byte) ([]byte, error) { return route.Clean(a, p, c.s.clean) },
		Shadow:    c.g.shadow(c.s.scope, r.Name),
		Refused:   c.g.refused,
		Identity:  c.source, Identities: c.sources.names,
		Asserts: c.asserts,
		Store:   c.store(),
		Local:   c.g.memory,
		Shapes:  c.shapes,
		Sockets: &c.g.sockets,
		Caches:  c.g.caches,
		Timed:   tracing(c.doc),
		Limited: func(policy, mode string) func() { return c.g.limited(c.s.scope, r.Name, policy, mode) },
	}
	if c.cast != nil {
		c.cast.direct(e, owner)
	}
	return e
}

// policies puts a route's policies together: its own, then those of the blocks
// that it uses (a later block before an earlier one), then the defaults. The
// first of a name counts, also when it says off.
func (c *compiler) policies(r *config.Route) []config.Policy {
	list := append([]config.Policy(nil), r.Policies...)
	have := map[string]bool{}
	for _, p := range list {
		have[p.Name] = true
	}
	add := func(more []config.Policy) {
		for _, p := range more {
			if !have[p.Name] {
				have[p.Name] = true
				list = append(list, p)
			}
		}
	}
	for i := len(r.Use) - 1; i >= 0; i-- {
		add(c.blocks[r.Use[i]])
	}
	add(c.doc.Defaults)
	list = withGlobalLimits(withoutOff(list), c.doc.Defaults)
	if c.doc.Limits.Body > 0 {
		add([]config.Policy{{Name: "max_body", Pos: c.doc.Limits.Pos, Spec: &policy.MaxBody{Pos: c.doc.Limits.Pos, Size: c.doc.Limits.Body}}})
	}
	return list
}

// end compiles the handler behind the policies.
func (c *compiler) end(r *config.Route, env *expr.Env, path string) (exchange.Handler, bool) {
	switch {
	case r.Redirect != nil:
		to, err := env.TemplateFor(r.Redirect.To, expr.URL)
		if err != nil {
			c.exprProblem(r.Redirect.ToPos, path+".redirect.to", r.Redirect.To, err)
			return nil, false
		}
		return &redirect{r.Redirect.Status, to}, true
	case r.Answer != nil:
		s, err := newStatic(r.Answer)
		if err != nil {
			c.doc.Problem(r.Answer.Pos, path+".answer", "%v", err)
			return nil, false
		}
		return s, true
	case len(r.Reflection) > 0:
		return c.reflection(r, path)
	case len(r.Compose) > 0:
		plan, ok := c.compose(r, env, path)
		return plan, ok
	}
	return c.splits(r, path)
}

func (c *compiler) splits(r *config.Route, path string) (exchange.Handler, bool) {
	s := &split{}
	for _, to := range r.To {
		svc := c.services[to.Service]
		if svc == nil || svc.entry == nil {
			return nil, false // the document has said so already
		}
		if to.Weight == 0 {
			continue
		}
		h, ok := svc.entry, true
		if r.GRPC != nil {
			if h, ok = c.transcoder(r, svc, path); !ok {
				return nil, false
			}
		}
		s.total += uint32(to.Weight)
		s.upTo = append(s.upTo, s.total)
		s.handlers = append(s.handlers, h)
	}
	switch len(s.handlers) {
	case 0:
		c.doc.Problem(r.Pos, path+".to", "all weights are 0")
		return nil, false
	case 1:
		return s.handlers[0], true
	}
	return s, true
}
