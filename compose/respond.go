package compose

import (
	"fmt"
	"slices"
	"strconv"

	"gopura/config"
	"gopura/expr"
	"gopura/rawjson"
)

// answer is how the answer is made of the results.
type answer struct {
	body    *expr.Program // an expression, …
	merge   *merge        // … or results put into one another, …
	members []member      // … or one member for each call
	status  int
	choose  *expr.Program // the status; nil: as above
	headers []header
	refuse  bool // partial answers fail
	meta    meta
	stream  bool // parts may be sent as they arrive
	uses    []int
}

// member is a call in the answer: its text before the value.
type member struct {
	call int
	lead []byte // `,"name":`
}

// meta says when an answer has a member _meta.
type meta uint8

const (
	metaOff meta = iota
	metaOn
	metaAsked
)

// merge puts the results of calls into one another.
type merge struct {
	parts []int
	lists *rawjson.Merge // of two lists, by a member
	as    bool           // each object of the first gets its match as a member
}

func (c *compiler) respond() {
	a := &c.plan.answer
	a.status = 200
	r, path := c.route.Respond, c.path+".respond"
	used := &usage{c: c, into: map[int]bool{}}
	defer func() { a.uses = used.list() }()
	if r == nil {
		r = &config.Respond{Status: "200", Partial: "allow", Meta: "off", Stream: "auto"}
	}
	switch {
	case r.Body != "":
		a.body = c.program(c.env.Forgiving(), r.Body, expr.Any, path+".body", used)
	case r.Merge != nil:
		a.merge = c.merge(r.Merge, path+".merge", used)
	default:
		c.members(used)
	}
	a.refuse = r.Partial == "refuse"
	a.meta = map[string]meta{"on": metaOn, "asked": metaAsked}[r.Meta]
	a.stream = r.Stream == "parts" || r.Stream == "auto" && r.Body == "" && r.Merge == nil
	if n, err := strconv.Atoi(r.Status); err == nil {
		if a.status = n; n < 200 || n > 599 {
			c.problem(path+".status", "", 0, "", "a status is a number from 200 to 599")
		}
	} else {
		a.choose = c.program(c.env, r.Status, expr.Number, path+".status", used)
	}
	for _, h := range r.Headers {
		t := c.template(c.env, h.Value, 0, expr.Header, path+".headers."+h.Name, h.Value, used)
		a.headers = append(a.headers, header{h.Name, t})
	}
}

func (c *compiler) members(used *usage) {
	for _, k := range c.plan.calls {
		if k.conf.Hidden {
			continue
		}
		lead := []byte{','}
		if len(c.plan.answer.members) == 0 {
			lead = []byte{'{'}
		}
		lead = append(rawjson.AppendString(lead, k.name), ':')
		c.plan.answer.members = append(c.plan.answer.members, member{k.index, lead})
		used.into[k.index] = true
	}
}

func (c *compiler) merge(m *config.Merge, path string, used *usage) *merge {
	out := &merge{as: m.As != ""}
	for i, name := range m.Parts {
		j, ok := c.index[name]
		if !ok {
			c.problem(fmt.Sprintf("%s.parts[%d]", path, i), "", 0, suggest(name, c.names), "there is no call "+strconv.Quote(name))
			continue
		}
		out.parts = append(out.parts, j)
		used.into[j] = true
	}
	if m.By == "" {
		return out
	}
	spec := rawjson.MergeSpec{Kind: rawjson.Union, LeftKey: m.By, RightKey: m.To, Collision: rawjson.TakeNew}
	if m.As != "" {
		spec.Kind, spec.As, spec.Many = rawjson.Join, m.As, m.Many
	}
	var err error
	if out.lists, err = rawjson.CompileMerge(spec); err != nil {
		c.problem(path+".by", "", 0, "", err.Error())
	}
	return out
}

// shows reports whether a call is a member of the answer that streams.
func (a *answer) shows(i int) bool {
	if len(a.members) == 0 {
		return true
	}
	return slices.ContainsFunc(a.members, func(m member) bool { return m.call == i })
}
