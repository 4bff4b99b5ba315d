package route

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Conflict is something wrong with a rule of a table.
type Conflict struct {
	Kind    ConflictKind
	Rule    int    // index of the rule that has the problem
	Other   int    // index of the rule that it collides with, or -1
	Message string // without the name of Rule
}

// ConflictKind says how bad a conflict is.
type ConflictKind uint8

const (
	Invalid   ConflictKind = iota // an error: the rule can't be compiled and is left out
	Ambiguous                     // an error: neither of two rules is more specific, and some request matches both
	Shadowed                      // a warning: no request reaches the rule
)

// String returns the word for messages.
func (k ConflictKind) String() string { return [...]string{"invalid", "ambiguous", "shadowed"}[k] }

// conflicts returns what is ambiguous or shadowed, each rule at most once a
// kind.
func (t *index) conflicts() []Conflict {
	rules := map[int]*rule{}
	for _, r := range t.rules {
		rules[r.index] = r
	}
	var list []Conflict
	m := meeting{budget: regexpBudget, unknown: true}
	for _, r := range t.rules {
		if what := m.contradiction(r); what != "" {
			r.dead = true
			list = append(list, Conflict{Shadowed, r.index, -1, fmt.Sprintf("is never reached: its conditions on %s exclude each other", what)})
		} else if by := t.shadowedBy(r); by != nil {
			list = append(list, Conflict{Shadowed, r.index, by.index, fmt.Sprintf("is never reached: %s comes first by its priority and matches all of its requests", by.label())})
		}
	}
	c := ties{meeting{budget: regexpBudget}, map[int]int{}}
	t.ambiguous(&c)
	for later, earlier := range c.found {
		list = append(list, Conflict{Ambiguous, later, earlier, fmt.Sprintf(
			"matches the same requests as %s and is not more specific: add a condition or a priority to one of them", rules[earlier].label())})
	}
	slices.SortFunc(list, func(a, b Conflict) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Kind, b.Kind)) })
	return list
}

func (r *rule) label() string {
	if r.origin == "" {
		return fmt.Sprintf("%q", r.name)
	}
	return fmt.Sprintf("%q (%s)", r.name, r.origin)
}

// ties finds rules of one rank that can meet. Only rules in one list of a node
// can: other nodes are disjoint, or differ in the order of their patterns.
type ties struct {
	meeting meeting
	found   map[int]int // the later rule → the first that it ties with
}

func (t *index) ambiguous(c *ties) {
	for _, tries := range []map[string]*node{t.exact, t.wild, {"": t.any}} {
		for _, name := range slices.Sorted(maps.Keys(tries)) {
			c.node(tries[name])
		}
	}
}

func (c *ties) node(n *node) {
	for _, list := range n.lists {
		for len(list) > 1 {
			k := 1
			for k < len(list) && list[k].priority == list[0].priority && list[k].detail == list[0].detail {
				k++
			}
			c.among(list[:k], nil)
			list = list[k:]
		}
	}
	for _, s := range n.few {
		c.node(s.to)
	}
	if n.param != nil {
		c.node(n.param)
	}
}

// fewRules are compared pair by pair.
const fewRules = 16

// among finds ties in a list. A long list is first parted by a condition that
// most of it has, so that ten thousand rules for one path, each for another
// tenant, are not compared pair by pair.
func (c *ties) among(list []*entry, done []string) {
	by := ""
	if len(list) > fewRules {
		by = commonTrait(list, done)
	}
	if by == "" {
		for i, b := range list {
			c.against(b, list[:i])
		}
		return
	}
	parts := map[string][]*entry{}
	var rest []*entry
	for _, e := range list {
		if v, ok := e.traits()[by]; ok {
			parts[v] = append(parts[v], e)
		} else {
			rest = append(rest, e)
		}
	}
	done = append(slices.Clip(done), by)
	for _, v := range slices.Sorted(maps.Keys(parts)) {
		c.among(parts[v], done)
		for _, e := range parts[v] {
			c.against(e, rest)
		}
	}
	c.among(rest, done)
}

// against records the first of others that ties with e.
func (c *ties) against(e *entry, others []*entry) {
	for _, o := range others {
		if c.meet(e.rule, o.rule) {
			later, earlier := max(e.index, o.index), min(e.index, o.index)
			if first, ok := c.found[later]; !ok || earlier < first {
				c.found[later] = earlier
			}
			return
		}
	}
}

// commonTrait returns the trait that most of the list has, if that is half of
// it and more.
func commonTrait(list []*entry, done []string) (best string) {
	count := map[string]int{}
	for _, e := range list {
		for name := range e.traits() {
			count[name]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if !slices.Contains(done, name) && count[name] > max(count[best], len(list)/2) {
			best = name
		}
	}
	return best
}

// traits are the conditions of which two different values exclude each other.
func (r *rule) traits() map[string]string {
	t := map[string]string{}
	if len(r.methods) == 1 {
		t["method"] = r.methods[0]
	}
	for _, v := range r.headers {
		if v.Kind == Exact {
			t["header "+strings.ToLower(v.Name)] = v.Text
		}
	}
	for _, v := range r.query {
		if v.Kind == Exact {
			t["query "+v.Name] = v.Text
		}
	}
	return t
}

// meet reports whether some request may match both of two rules whose path
// patterns are equal and whose details tie.
func (c *ties) meet(a, b *rule) bool {
	return !a.dead && !b.dead && methodsMeet(a.methods, b.methods) &&
		c.meeting.valuesMeet(a.headers, b.headers, foldName) &&
		c.meeting.valuesMeet(a.query, b.query, sameName) &&
		!(a.when != nil && b.when != nil && negates(a.whenText, b.whenText)) &&
		(a.regexp == nil || a.regexp.String() == b.regexp.String() || c.regexpsMeet(&a.path, &b.path))
}

// methodsMeet compares what is written: a HEAD request that one rule takes by
// name and the other by way of GET is no tie.
func methodsMeet(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

func negates(a, b string) bool { return a == "!("+b+")" || b == "!("+a+")" }

func (c *ties) regexpsMeet(a, b *pattern) bool {
	n := min(len(a.prefix), len(b.prefix))
	return a.prefix[:n] == b.prefix[:n] && c.meeting.possible(a.search, b.search)
}

// shadowedBy returns the first of the rules that together take every request
// from r, or nil. Only a higher priority can do that: a rule that covers
// another one is less specific in everything else.
func (t *index) shadowedBy(r *rule) (first *rule) {
	if len(t.entries) == 0 || t.entries[0].priority <= r.priority {
		return nil
	}
	methods := r.methods
	if len(methods) == 0 {
		methods = []string{""}
	}
	for _, h := range r.on {
		for _, m := range methods {
			c := cover{rule: r, method: m}
			for _, n := range t.roots(h) {
				c.walk(n, 0)
			}
			if c.by == nil {
				return nil
			}
			if first == nil {
				first = c.by
			}
		}
	}
	return first
}

// cover looks for a rule of higher priority that matches every request of a
// rule with a method.
type cover struct {
	rule   *rule
	method string // "" for any
	by     *rule
}

func (c *cover) walk(n *node, depth int) {
	if n == nil || c.by != nil {
		return
	}
	p := &c.rule.path
	c.try(n.lists[withTail])
	c.try(n.lists[withRegexp])
	if depth == len(p.segments) {
		if p.end == atEnd {
			c.try(n.lists[atEnd])
		}
		return
	}
	s := p.segments[depth]
	if s.param == "" {
		c.walk(n.exact([]byte(s.literal)), depth+1)
	}
	if s.param != "" || s.literal != "" {
		c.walk(n.param, depth+1)
	}
}

func (c *cover) try(list []*entry) {
	for _, e := range list {
		if c.by != nil || e.priority <= c.rule.priority {
			return
		}
		if (e.regexp == nil || c.rule.within(e.rule)) && e.takes(c.method) &&
			valuesImply(c.rule.headers, e.headers, foldName) &&
			valuesImply(c.rule.query, e.query, sameName) &&
			(e.when == nil || c.rule.when != nil && e.whenText != "" && c.rule.whenText == e.whenText) {
			c.by = e.rule
		}
	}
}

// takes is allows, where "" stands for every method.
func (r *rule) takes(method string) bool {
	if method == "" {
		return len(r.methods) == 0
	}
	return r.allows(method)
}

// within reports whether the regexp of o surely matches every path of r.
func (r *rule) within(o *rule) bool {
	if r.regexp != nil {
		return r.regexp.String() == o.regexp.String()
	}
	if r.path.end != atEnd {
		return false
	}
	var path []byte
	for _, s := range r.path.segments {
		if s.param != "" {
			return false
		}
		for i := 0; i < len(s.literal); i++ {
			if !unreserved(s.literal[i]) {
				return false // it has more than one encoding
			}
		}
		path = append(append(path, '/'), s.literal...)
	}
	return o.regexp.Match(path)
}
