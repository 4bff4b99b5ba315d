package compose

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"gopura/config"
	"gopura/expr"
	"gopura/rawjson"
)

// bodyName is the client's request body in expressions.
const bodyName = "body"

// compiler turns a route into a plan. What is wrong is reported, all of it.
type compiler struct {
	Options
	plan   *Plan
	route  *config.Route
	path   string // routes[2]
	index  map[string]int
	names  []string
	env    *expr.Env // knows the calls and body
	failed bool
}

// Compile compiles the plan of a route; path is the route's in the document.
// It reports false when there are problems.
func Compile(r *config.Route, path string, o Options) (*Plan, bool) {
	c := &compiler{Options: o, route: r, path: path, plan: &Plan{alone: o.Alone, anyBody: o.AnyBody}, index: map[string]int{}}
	c.plan.runs.New = func() any { return newRun(c.plan) }
	if !c.nameCalls() {
		return nil, false
	}
	for i := range r.Compose {
		c.call(c.plan.calls[i])
	}
	if c.failed || !c.graph() { // what refers to what is known only when all could be read
		return nil, false
	}
	c.twins()
	c.respond()
	c.warn()
	return c.plan, !c.failed
}

func (c *compiler) problem(path, text string, offset int, hint, message string) {
	c.failed = true
	c.Problem(Problem{Path: path, Text: text, Offset: offset, Message: message, Hint: hint})
}

func (c *compiler) warning(path, hint, message string) {
	c.Problem(Problem{Path: path, Message: message, Hint: hint, Warning: true})
}

// wrong reports what an expression or template says is wrong with its text.
func (c *compiler) wrong(path, text string, list []insertion, err error) {
	var e *expr.Error
	if !errors.As(err, &e) {
		c.problem(path, text, 0, "", err.Error())
		return
	}
	c.problem(path, text, origin(list, e.Offset), e.Hint, e.Message)
}

// callPath is the path of a call in the document.
func (c *compiler) callPath(name string) string {
	if isName(strings.ReplaceAll(name, "-", "_")) {
		return c.path + ".compose." + name
	}
	return c.path + ".compose[" + strconv.Quote(name) + "]"
}

// nameCalls gives the calls their numbers, and refuses names that would hide
// something else.
func (c *compiler) nameCalls() bool {
	for i := range c.route.Compose {
		conf := &c.route.Compose[i]
		why, hint := c.unfit(conf.Name)
		if why != "" {
			c.problem(c.callPath(conf.Name), "", 0, hint, why)
			continue
		}
		c.index[conf.Name] = len(c.plan.calls)
		c.names = append(c.names, conf.Name)
		c.plan.calls = append(c.plan.calls, &call{index: len(c.plan.calls), name: conf.Name, conf: conf})
	}
	if c.failed {
		return false
	}
	env, err := c.Env.With(append(slices.Clone(c.names), bodyName))
	if err != nil {
		c.problem(c.path+".compose", "", 0, "", err.Error())
		return false
	}
	c.env = env
	return true
}

// unfit says why a call or an element can't have that name.
func (c *compiler) unfit(name string) (why, hint string) {
	switch {
	case !isName(name):
		return strconv.Quote(name) + " is no name that expressions can use", "letters, digits and _ only, not a digit first"
	case strings.HasPrefix(name, "_"):
		return strconv.Quote(name) + " is no name for a result: names that begin with _ are the gateway's own", ""
	case name == bodyName:
		return "body is the body of the client's request", "give it another name"
	case contains(c.Params, name):
		return name + " is a parameter of the route's path, {" + name + "}", "give it another name"
	}
	for _, f := range expr.Facts() {
		if root, _, _ := strings.Cut(f.Name, "."); root == name {
			return name + " is a fact of the request, which the result would hide", "give it another name"
		}
	}
	if _, err := c.Env.With([]string{name}); err != nil {
		return name + " is a word of expressions", "give it another name"
	}
	return "", ""
}

// call compiles one call, all but its place in the graph.
func (c *compiler) call(k *call) {
	conf, path := k.conf, c.callPath(k.name)
	k.required = !conf.Optional && !conf.HasDefault
	k.fallback = c.defaultOf(conf, path)
	env := c.env
	used := &usage{c: c, into: map[int]bool{}}
	if conf.ForEach != nil {
		env = c.each(k, path, used)
	}
	if conf.When != "" {
		k.when = c.program(c.env, conf.When, expr.Bool, path+".when", used)
	}
	k.ask = c.request(env, path, conf.Ask(), part{text: conf.Call, headers: conf.Headers, forward: conf.Forward, body: conf.Body, as: conf.As}, used)
	k.ask.timeout = conf.Timeout
	k.needs = used.list()
	c.behind(&k.ask, k.name, conf.Policies, path)
	if conf.Undo != nil {
		c.undo(k, path)
	}
	for i, name := range conf.After {
		at := path + ".after[" + strconv.Itoa(i) + "]"
		j, ok := c.index[name]
		switch {
		case !ok:
			c.problem(at, "", 0, suggest(name, c.names), "there is no call "+strconv.Quote(name))
		default:
			k.after = append(k.after, j)
		}
	}
	k.shape = c.shapeOf(conf, path)
	k.limits = limitsOf(conf)
	if c.Observer != nil {
		k.observe = c.Observer(k.name)
	}
}

// behind puts the service that r asks behind the policies of a call.
func (c *compiler) behind(r *request, name string, list []config.Policy, path string) {
	if r.handler == nil || c.Policies == nil || len(list) == 0 {
		return
	}
	if chain, ok := c.Policies(name, list, path); !ok {
		c.failed = true
	} else if chain != nil {
		r.handler = chain(r.handler)
	}
}

// undo compiles the call that undoes k. It shows the service the credentials
// that k shows: whoever may do a thing may undo it. Limits of k do not hold for
// it, since what was let in is to be let out.
func (c *compiler) undo(k *call, path string) {
	u := k.conf.Undo
	if k.each != nil {
		c.problem(path+".compensate", "", 0, "let the service undo them all in one call that stands by itself", "a call for each element of a list can't be undone")
	}
	used := &usage{c: c, into: map[int]bool{}}
	r := c.request(c.env, path+".compensate", u.Ask(), part{text: u.Call, headers: u.Headers, forward: u.Forward, body: u.Body}, used)
	r.timeout, r.vars = u.Timeout, used.list()
	own, at := u.Policies, path+".compensate"
	if len(own) == 0 && !c.failed && r.service == k.ask.service { // what one service is shown is not for another
		at = path
		for _, p := range k.conf.Policies {
			if p.Name == "credentials" {
				own = append(own, p)
			}
		}
	}
	c.behind(&r, k.name+".compensate", own, at)
	k.undo = &r
	k.undoBlind = !slices.Contains(r.vars, k.index)
}

func limitsOf(conf *config.Call) rawjson.Limits {
	l := rawjson.Limits{Bytes: int(conf.MaxSize), Depth: conf.MaxDepth}
	switch conf.Duplicates {
	case "first":
		l.Duplicates = rawjson.KeepFirst
	case "last":
		l.Duplicates = rawjson.KeepLast
	}
	if conf.UTF8 == "replace" {
		l.UTF8 = rawjson.ReplaceUTF8
	}
	return l
}

// defaultOf is what takes the place of the result of a call that fails.
func (c *compiler) defaultOf(conf *config.Call, path string) rawjson.Value {
	text := []byte("null")
	if conf.HasDefault {
		var err error
		if text, err = json.Marshal(conf.Default); err != nil {
			c.problem(path+".default", "", 0, "", "can't be written as JSON")
			return rawjson.Value{}
		}
	}
	v, err := rawjson.Parse(text, rawjson.Limits{})
	if err != nil {
		c.problem(path+".default", "", 0, "", err.Error())
	}
	return v
}

// each compiles for_each, and returns the environment of the call, in which an
// element has a name.
func (c *compiler) each(k *call, path string, used *usage) *expr.Env {
	f := k.conf.ForEach
	path += ".for_each"
	why, hint := c.unfit(f.As)
	if _, taken := c.index[f.As]; taken && why == "" {
		why, hint = "there is a call "+strconv.Quote(f.As)+" already", "as: <another name>"
	}
	if why != "" {
		c.problem(path+".as", "", 0, hint, why)
		return c.env
	}
	k.each = &each{max: f.Max, limit: f.Limit, unique: f.Unique}
	k.each.in = c.program(c.env, f.In, expr.List, path+".in", used)
	env, err := c.Env.With(append(slices.Clone(c.names), bodyName, f.As))
	if err != nil {
		c.problem(path+".as", "", 0, "", err.Error())
		return c.env
	}
	used.item = f.As
	return env
}

func (c *compiler) shapeOf(conf *config.Call, path string) *rawjson.Shape {
	if conf.Take == "" && len(conf.Pick)+len(conf.Drop)+len(conf.Rename)+len(conf.Flatten) == 0 {
		return nil
	}
	spec := rawjson.Spec{Take: conf.Take, Pick: conf.Pick, Drop: conf.Drop, Flatten: conf.Flatten}
	for _, r := range conf.Rename {
		spec.Rename = append(spec.Rename, rawjson.Renamed{From: r.Name, To: r.Value})
	}
	s, err := rawjson.CompileShape(spec)
	if err != nil {
		c.specProblem(path, err)
	}
	return s
}

func (c *compiler) specProblem(path string, err error) {
	var e *rawjson.SpecError
	if errors.As(err, &e) {
		c.problem(path+"."+e.Key, "", 0, "", strconv.Quote(e.Path)+": "+e.Message)
		return
	}
	c.problem(path, "", 0, "", err.Error())
}
