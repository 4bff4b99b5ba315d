package compose

import (
	"fmt"
	"slices"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// usage collects what expressions refer to.
type usage struct {
	c    *compiler
	into map[int]bool
	item string // the name of an element, where there is one
}

func (u *usage) add(names []string) {
	for _, n := range names {
		if n == bodyName {
			u.c.plan.readBody = true
		} else if i, ok := u.c.index[n]; ok && n != u.item {
			u.into[i] = true
		}
	}
}

func (u *usage) list() (list []int) {
	for i := range u.into {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// program compiles an expression.
func (c *compiler) program(env *expr.Env, text string, kind expr.Kind, path string, used *usage) *expr.Program {
	return c.rewritten(env, text, text, nil, kind, path, used)
}

// rewritten compiles an expression that was changed before.
func (c *compiler) rewritten(env *expr.Env, text, changed string, list []insertion, kind expr.Kind, path string, used *usage) *expr.Program {
	p, err := env.Compile(changed, kind)
	if err != nil {
		c.wrong(path, text, list, err)
		return nil
	}
	used.add(p.Vars())
	return p
}

// template compiles a template in which {id} may stand for {path.id}. lead is
// what stands before it in the text of the file.
func (c *compiler) template(env *expr.Env, text string, lead int, place expr.Place, path, whole string, used *usage) *expr.Template {
	changed, list, bare := qualify(text, c.Params)
	for _, n := range bare {
		_, isCall := c.index[n.text]
		if isCall || n.text == bodyName || n.text == used.item || n.text == "listener" || n.text == "route" {
			continue
		}
		known := slices.Concat(c.Params, c.names)
		c.problem(path, whole, lead+n.at, suggest(n.text, known), fmt.Sprintf("there is no call and no path parameter %q", n.text))
		return nil
	}
	t, err := env.TemplateFor(changed, place)
	if err != nil {
		for i := range list {
			list[i].at += lead
		}
		c.wrong(path, whole, list, moved(err, lead))
		return nil
	}
	used.add(t.Vars())
	return t
}

func moved(err error, by int) error {
	if e, ok := err.(*expr.Error); ok {
		m := *e
		m.Offset += by
		return &m
	}
	return err
}

// part is what the settings of a call and of the one that undoes it have in
// common.
type part struct {
	text    string
	headers []config.Pair
	forward []string
	body    string
	as      string
}

// request compiles what a call sends.
func (c *compiler) request(env *expr.Env, path string, ask config.Ask, s part, used *usage) request {
	r := request{service: ask.Service, method: ask.Method, forward: s.forward}
	r.handler = c.Service(ask.Service)
	if ask.RPC != "" {
		c.rpc(env, &r, path, ask, s, used)
	} else {
		r.target = c.template(env, ask.Target, ask.TargetAt, expr.Path, path+".call", s.text, used)
		c.checkTarget(&r, path, ask, s.text)
		if s.body != "" {
			r.body = c.program(env, s.body, expr.Any, path+".body", used)
		}
	}
	for _, h := range s.headers {
		t := c.template(env, h.Value, 0, expr.Header, path+".headers."+h.Name, h.Value, used)
		r.headers = append(r.headers, header{h.Name, t})
	}
	declared := func(name string) bool {
		return slices.ContainsFunc(s.headers, func(h config.Pair) bool { return strings.EqualFold(h.Name, name) }) ||
			slices.ContainsFunc(s.forward, func(n string) bool { return strings.EqualFold(n, name) })
	}
	if !declared("Accept") {
		r.accept = acceptOf(s.as)
	}
	r.derive = !r.safe() && !declared("Idempotency-Key")
	return r
}

func acceptOf(as string) string {
	switch as {
	case "ndjson":
		return "application/x-ndjson"
	case "xml":
		return "application/xml"
	case "form":
		return "application/x-www-form-urlencoded"
	case "text":
		return "text/plain"
	}
	return "application/json"
}

// rpc compiles a call of a method of gRPC.
func (c *compiler) rpc(env *expr.Env, r *request, path string, ask config.Ask, s part, used *usage) {
	r.method, r.rpc = "POST", "/"+ask.RPC
	if s.body != "" {
		c.problem(path+".body", "", 0, "service package.Service/Method {…}", "the message of a gRPC method stands in the call")
	}
	text := ask.Message
	if text == "" {
		text = "{}"
	}
	changed, list := quoteKeys(text)
	for i := range list {
		list[i].at += ask.MessageAt
	}
	p, err := env.Compile(changed, expr.Any)
	if err != nil {
		c.wrong(path+".call", s.text, list, moved(err, ask.MessageAt))
	} else {
		used.add(p.Vars())
		r.body = p
	}
	if c.RPC == nil {
		c.problem(path+".call", "", 0, "METHOD service/path", "calls of gRPC methods are not available")
		return
	}
	h, err := c.RPC(ask.Service, ask.RPC)
	if err != nil {
		c.problem(path+".call", "", 0, "", err.Error())
		return
	}
	r.handler = h
	if p != nil {
		if err := env.Members(changed, h.Lacks); err != nil {
			c.wrong(path+".call", s.text, list, moved(err, ask.MessageAt))
		}
	}
}

// checkTarget looks at what of a path is written out.
func (c *compiler) checkTarget(r *request, path string, ask config.Ask, text string) {
	if r.target == nil {
		return
	}
	sample, _, _ := strings.Cut(r.target.Sample(), "?")
	if exchange.DottedPath([]byte(sample)) {
		c.problem(path+".call", text, ask.TargetAt, "write the path as the service knows it", "the path has a segment of dots")
	}
}
