package config

import (
	"slices"
	"strconv"
	"strings"
)

// checkCompose applies the rules of a composed route that its text alone tells.
func (r *Route) checkCompose(at *At) {
	if len(r.Compose) == 0 {
		at.Hint("such as user: GET users/users/{id}", "compose", "names no call")
	}
	if len(r.Compose) > maxCalls {
		at.Problem("compose", "%d calls are more than %d", len(r.Compose), maxCalls)
	}
	if !at.Has("timeout") {
		r.Timeout, _ = ParseDuration(defaultComposeTimeout)
	}
	for i := range r.Compose {
		c := &r.Compose[i]
		prefix := "compose" + strings.TrimPrefix(join("x", c.Name), "x")
		if c.When == "" && has(at, prefix, "when") {
			at.Problem(prefix+".when", "the expression is empty")
		}
		for j := range repeated(c.After, itself) {
			at.Problem(prefix+".after["+strconv.Itoa(j)+"]", "%s is named twice", quote(c.After[j]))
		}
	}
}

// has reports whether a key below another one is set.
func has(at *At, path, key string) bool {
	_, ok := at.d.places[at.path+"."+path+"."+key]
	return ok
}

// Check is the rule of a call.
func (c *Call) Check(at *At) {
	c.HasDefault = at.Has("default")
	checkAsk(at, c.Call)
	if c.HasDefault && at.Has("optional") {
		if c.Optional {
			at.Hint("default alone says both", "optional", "either optional or default, not both")
		} else {
			at.Problem("default", "a call that is not optional has no default")
		}
	}
	checkHeaderNames(at, c.Headers, c.Forward)
	for _, list := range []struct {
		key   string
		spans []StatusSpan
	}{{"absent", c.Absent}, {"pass", c.Pass}} {
		for i, s := range list.spans {
			for _, a := range c.Accept {
				if s.From <= a.To && a.From <= s.To {
					at.Problem(list.key+"["+strconv.Itoa(i)+"]", "%s is among the statuses of accept (%s) already", s, a)
					break
				}
			}
		}
	}
	for i, s := range c.Pass {
		for _, a := range c.Absent {
			if s.From <= a.To && a.From <= s.To {
				at.Problem("pass["+strconv.Itoa(i)+"]", "%s is among the statuses of absent (%s) already", s, a)
			}
		}
	}
}

// Check is the rule of the call that undoes another.
func (u *Undo) Check(at *At) {
	checkAsk(at, u.Call)
	checkHeaderNames(at, u.Headers, u.Forward)
}

// Check is the rule of how an answer is made.
func (r *Respond) Check(at *At) {
	if r.Body != "" && r.Merge != nil {
		at.Problem("merge", "either body or merge, not both")
	}
	if at.Has("body") && r.Body == "" {
		at.Problem("body", "the expression is empty")
	}
	for _, h := range r.Headers {
		checkHeader(at, "headers", h)
	}
}

// Check is the rule of a merge.
func (m *Merge) Check(at *At) {
	for i := range repeated(m.Parts, itself) {
		at.Problem("parts["+strconv.Itoa(i)+"]", "%s is named twice", quote(m.Parts[i]))
	}
	switch {
	case len(m.Parts) < 2:
		at.Problem("parts", "there is nothing to merge: at least two calls are needed")
	case m.By != "" && len(m.Parts) != 2:
		at.Problem("by", "two lists are merged by a member; these are %d", len(m.Parts))
	}
	for _, key := range []string{"to", "as"} {
		if at.Has(key) && m.By == "" {
			at.Hint("add by: <member>", key, "needs by, the member by which the objects are matched")
		}
	}
	if m.Many && m.As == "" {
		at.Hint("add as: <member>", "many", "needs as, the member that gets the list")
	}
}

func checkHeaderNames(at *At, set []Pair, forward []string) {
	for _, h := range set {
		checkHeader(at, "headers", h)
	}
	for i, name := range forward {
		key := "forward[" + strconv.Itoa(i) + "]"
		switch {
		case !isToken(name):
			at.Problem(key, "%s is no name of a header field", quote(name))
		case slices.Contains(framing, strings.ToLower(name)):
			at.Problem(key, "the gateway itself sets %s", name)
		}
	}
	for i := range repeated(forward, itself) {
		at.Problem("forward["+strconv.Itoa(i)+"]", "%s is named twice", quote(forward[i]))
	}
}

func checkHeader(at *At, under string, h Pair) {
	key := under + strings.TrimPrefix(join("x", h.Name), "x")
	switch {
	case !isToken(h.Name):
		at.Problem(key, "%s is no name of a header field", quote(h.Name))
	case slices.Contains(framing, strings.ToLower(h.Name)):
		at.Problem(key, "the gateway itself sets %s", h.Name)
	}
}

// framing are the fields that belong to the wire, not to a message.
var framing = []string{"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
