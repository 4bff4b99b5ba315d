package route

import (
	"bytes"
	"fmt"
	"strings"

	"gopura/exchange"
)

// Candidate is a rule whose path matches a request, and what became of it.
type Candidate struct {
	Rule   int
	Won    bool
	Reason string // why it lost; empty for the winner
}

// explain asks every rule in turn: it may be slow.
func (t *index) explain(x *exchange.Exchange) (list []Candidate) {
	if path := x.Request.Path; len(path) == 0 || path[0] != '/' {
		return nil
	}
	winner := t.find(x)
	var won *entry
	seen := map[int]int{} // rule → place in list
	for i := range t.entries {
		e := &t.entries[i]
		if !e.path.matches(x.Request.Path) || !e.searches(x) {
			continue
		}
		c := Candidate{Rule: e.index}
		switch {
		case !e.host.matches(x.Request.Host):
			c.Reason = fmt.Sprintf("host: %s is not %s", x.Request.Host, e.host)
		case e.rule == winner && won == nil:
			won, c.Won = e, true
		case e.refusal(x) != "":
			c.Reason = e.refusal(x)
		default:
			c.Reason = e.after(won)
		}
		at, again := seen[e.index]
		switch {
		case !again:
			seen[e.index] = len(list)
			list = append(list, c)
		case strings.HasPrefix(list[at].Reason, "host: "):
			list[at] = c // another host of the rule gets further
		}
	}
	if x.Request.Params = x.Request.Params[:0]; winner != nil {
		winner.fill(x)
	}
	return list
}

// refusal says which condition of the rule does not hold. Values of the
// request are not repeated: they may be secrets.
func (r *rule) refusal(x *exchange.Exchange) string {
	if !r.allows(x.Request.Method) {
		return fmt.Sprintf("method: %s is not %s", x.Request.Method, strings.Join(r.methods, " or "))
	}
	for i := range r.headers {
		if v := &r.headers[i]; !v.testHeader(x) {
			return "header " + v.complaint()
		}
	}
	for i := range r.query {
		if v := &r.query[i]; !v.testQuery(x) {
			return "query " + v.complaint()
		}
	}
	if r.when != nil {
		if r.fill(x); !r.when(x) {
			return "when: " + r.whenText + " does not hold"
		}
	}
	return ""
}

// complaint says why a value does not satisfy v.
func (v *Value) complaint() string {
	switch v.Kind {
	case Present:
		return v.Name + ": is missing"
	case Absent:
		return v.Name + ": must not be there"
	case Prefix:
		return fmt.Sprintf("%s: does not start with %q", v.Name, v.Text)
	case Regexp:
		return fmt.Sprintf("%s: does not match %s", v.Name, v.Regexp)
	}
	return fmt.Sprintf("%s: is not %q", v.Name, v.Text)
}

// after says in what e is less specific than the winner.
func (e *entry) after(won *entry) string {
	why := "it stands later in the configuration"
	switch {
	case e.priority != won.priority:
		why = fmt.Sprintf("priority %d is lower than %d", e.priority, won.priority)
	case e.host != won.host:
		why = fmt.Sprintf("host %s is less specific than %s", e.host, won.host)
	case e.path.order != won.path.order:
		why = "its path is less specific"
	case e.detail != won.detail:
		why = "its conditions are less specific"
	case e.forHEAD() != won.forHEAD():
		why = "it does not name HEAD"
	}
	return fmt.Sprintf("%s comes first: %s", won.label(), why)
}

// matches compares a host of a request.
func (h host) matches(name []byte) bool {
	switch {
	case h.name == "":
		return true
	case h.labels == 0:
		return string(name) == h.name
	}
	return strings.HasSuffix(string(name), "."+h.name)
}

// matches compares a path with the segments; a regexp is not asked.
func (p *pattern) matches(path []byte) bool {
	for _, s := range p.segments {
		if len(path) == 0 || path[0] != '/' {
			return false
		}
		part := path[1:]
		if j := bytes.IndexByte(part, '/'); j >= 0 {
			part = part[:j]
		}
		if s.param == "" {
			if rest, ok := cutDecoded(part, s.literal, false); !ok || len(rest) > 0 {
				return false
			}
		} else if len(part) == 0 {
			return false
		}
		path = path[1+len(part):]
	}
	return p.end != atEnd || len(path) == 0
}
