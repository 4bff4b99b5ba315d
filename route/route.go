package route

import (
	"regexp"

	"gopura/exchange"
)

// Rule is one route as configured. Conditions that are left out match
// everything.
type Rule[T any] struct {
	Name   string // for messages
	Origin string // for messages: file:line:col

	// Hosts are exact names or wildcards: "*.example.com" is every name
	// below example.com, but not example.com itself.
	Hosts []string
	// Methods are case-sensitive; GET includes HEAD.
	Methods []string
	// Path is a pattern: "/users", "/users/{id}", "/files/*",
	// "/files/{rest...}". {id} is one segment that is not empty; a tail is the
	// path before it and everything below, so "/files/*" matches "/files" too.
	// Exact segments match in every percent-encoding.
	Path string
	// Regexp, instead of Path, is searched in the normalised path, where ":"
	// and "%3A" are still different. It must be anchored at the start. Named
	// groups are parameters.
	Regexp *regexp.Regexp
	// Headers and Query look at the first value of a name. Query names and
	// values are decoded.
	Headers, Query []Value
	// When is asked last, with the path parameters of this rule in place.
	When     func(*exchange.Exchange) bool
	WhenText string
	// Priority comes before specificity; higher wins.
	Priority int

	Value T
}

// Value is a condition on a header or a query value.
type Value struct {
	Name   string
	Kind   ValueKind
	Text   string         // of Exact and Prefix
	Regexp *regexp.Regexp // of Regexp: searched, not anchored
}

// ValueKind says how a Value compares.
type ValueKind uint8

const (
	Present ValueKind = iota
	Absent
	Exact
	Prefix
	Regexp
)

// Outcome says how a match ended.
type Outcome uint8

const (
	NoRoute     Outcome = iota // no rule matches
	WrongMethod                // no rule matches, but one would with another method
	Found
)

// Table is an immutable set of rules, safe for concurrent use.
type Table[T any] struct {
	index  index
	values []T
}

// Build compiles the rules. The table is never nil: it holds every rule
// without an Invalid conflict, and of ambiguous rules the earlier one wins.
// Whether such a table may be used is the caller's decision.
func Build[T any](rules []Rule[T]) (*Table[T], []Conflict) {
	t := &Table[T]{values: make([]T, len(rules))}
	var conflicts []Conflict
	for i := range rules {
		r := &rules[i]
		t.values[i] = r.Value
		c, err := compile(i, &conditions{
			r.Name, r.Origin, r.Hosts, r.Methods, r.Path, r.Regexp, r.Headers, r.Query, r.When, r.WhenText, r.Priority,
		})
		if err != nil {
			conflicts = append(conflicts, Conflict{Kind: Invalid, Rule: i, Other: -1, Message: err.Error()})
			continue
		}
		t.index.rules = append(t.index.rules, c)
	}
	t.index.build()
	return t, append(conflicts, t.index.conflicts()...)
}

// Match finds the route of x and fills x.Request.Params with its path
// parameters. It does not allocate, except for the parameters of a Regexp and
// for what When does.
func (t *Table[T]) Match(x *exchange.Exchange) (v T, o Outcome) {
	if r := t.index.find(x); r != nil {
		return t.values[r.index], Found
	}
	if t.index.wrongMethod(x) {
		return v, WrongMethod
	}
	return v, NoRoute
}

// Allowed returns the methods that rules name for what x asks, sorted: the
// Allow header of a 405.
func (t *Table[T]) Allowed(x *exchange.Exchange) []string { return t.index.allowed(x) }

// Explain returns every rule whose path matches x, the best first, and why
// each but the winner lost.
func (t *Table[T]) Explain(x *exchange.Exchange) []Candidate { return t.index.explain(x) }
