package route

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"

	"gopura/exchange"
)

// index is the set of rules, ordered and as tries.
type index struct {
	rules   []*rule // those that compiled, in the order of the configuration
	entries []entry // one for each rule and host, best first
	exact   map[string]*node
	wild    map[string]*node // by the name below which they match
	longest int              // of the names in wild
	any     *node
}

// entry is a rule on one of its hosts. Its rank is its place in the order of
// specificity.
type entry struct {
	rank int32
	host host
	*rule
}

// node is what is known after some segments of a path.
type node struct {
	best  int32            // smallest rank here and below
	few   []step           // the exact segments
	many  map[string]*node // the same by name, when they are many
	param *node
	lists [3][]*entry // by end, best first
}

// step is an exact segment and where it leads.
type step struct {
	text string
	to   *node
}

const (
	noRank    = math.MaxInt32
	manySteps = 8
)

func (t *index) build() {
	for _, r := range t.rules {
		for _, h := range r.on {
			t.entries = append(t.entries, entry{host: h, rule: r})
		}
	}
	slices.SortFunc(t.entries, compareEntries)
	t.exact, t.wild, t.any = map[string]*node{}, map[string]*node{}, newNode()
	for i := range t.entries {
		e := &t.entries[i]
		e.rank = int32(i)
		t.root(e.host).add(e)
	}
}

// compareEntries is the order of specificity. Rules that tie keep the order of
// the configuration.
func compareEntries(a, b entry) int {
	return cmp.Or(
		cmp.Compare(b.priority, a.priority),
		cmp.Compare(a.host.rank(), b.host.rank()),
		strings.Compare(a.path.order, b.path.order),
		a.detail.compare(b.detail),
		before(a.forHEAD(), b.forHEAD()),
		cmp.Compare(a.index, b.index),
	)
}

// root returns the trie of a host, made when there is none.
func (t *index) root(h host) *node {
	if h.name == "" {
		return t.any
	}
	m := t.exact
	if h.labels > 0 {
		m = t.wild
		t.longest = max(t.longest, len(h.name))
	}
	if m[h.name] == nil {
		m[h.name] = newNode()
	}
	return m[h.name]
}

// roots returns the tries that a host looks into, the most specific first.
func (t *index) roots(h host) (list []*node) {
	if h.labels == 0 && h.name != "" {
		list = append(list, t.exact[h.name])
	} else {
		list = append(list, t.wild[h.name])
	}
	for name, more := h.name, true; more; {
		_, name, more = strings.Cut(name, ".")
		list = append(list, t.wild[name])
	}
	return append(list, t.any)
}

func newNode() *node { return &node{best: noRank} }

// add puts an entry at the end of its path. Entries come best first.
func (n *node) add(e *entry) {
	n.best = min(n.best, e.rank)
	for _, s := range e.path.segments {
		n = n.child(s)
		n.best = min(n.best, e.rank)
	}
	n.lists[e.path.end] = append(n.lists[e.path.end], e)
}

func (n *node) child(s segment) *node {
	if s.param != "" {
		if n.param == nil {
			n.param = newNode()
		}
		return n.param
	}
	if c := n.exact([]byte(s.literal)); c != nil {
		return c
	}
	c := newNode()
	n.few = append(n.few, step{s.literal, c})
	if n.many != nil {
		n.many[s.literal] = c
	} else if len(n.few) > manySteps {
		n.many = map[string]*node{}
		for _, f := range n.few {
			n.many[f.text] = f.to
		}
	}
	return c
}

// exact returns where an exact segment leads, or nil.
func (n *node) exact(text []byte) *node {
	if n.many != nil {
		return n.many[string(text)]
	}
	for i := range n.few {
		if n.few[i].text == string(text) {
			return n.few[i].to
		}
	}
	return nil
}

// search is one walk through the tries. It goes on until nothing better can
// come.
type search struct {
	x     *exchange.Exchange
	best  int32     // only a smaller rank is looked at
	found *entry    // the entry of that rank
	other bool      // look for an entry that only the method keeps from matching
	list  *[]*entry // gather all entries that match, whatever their method
}

// find returns the best rule that matches x, its parameters filled in.
func (t *index) find(x *exchange.Exchange) *rule {
	s := search{x: x, best: noRank}
	t.walk(&s)
	x.Request.Params = x.Request.Params[:0]
	if s.found == nil {
		return nil
	}
	s.found.fill(x)
	return s.found.rule
}

// walk searches the tries of every host condition that holds.
func (t *index) walk(s *search) {
	path, name := s.x.Request.Path, s.x.Request.Host
	if len(path) == 0 || path[0] != '/' {
		return
	}
	if n := t.exact[string(name)]; n != nil {
		s.walk(n, 0)
	}
	if len(t.wild) > 0 {
		for i := bytes.IndexByte(name, '.'); i >= 0; i = bytes.IndexByte(name, '.') {
			name = name[i+1:]
			if len(name) > t.longest {
				continue
			}
			if n := t.wild[string(name)]; n != nil {
				s.walk(n, 0)
			}
		}
	}
	s.walk(t.any, 0)
}

// walk looks at what is below n for the path from i on: there is a slash, or
// the end.
func (s *search) walk(n *node, i int) {
	if n.best >= s.best {
		return
	}
	path := s.x.Request.Path
	if i == len(path) {
		s.try(n.lists[atEnd])
	} else if n.few != nil || n.param != nil {
		end := len(path)
		if j := bytes.IndexByte(path[i+1:], '/'); j >= 0 {
			end = i + 1 + j
		}
		part := path[i+1 : end]
		if n.few != nil {
			// Decoded, so that an exact segment can't be dodged by encoding it.
			if c := n.exact(decode(&s.x.Arena, part, false)); c != nil {
				s.walk(c, end)
			}
		}
		if n.param != nil && len(part) > 0 {
			s.walk(n.param, end)
		}
	}
	s.try(n.lists[withRegexp])
	s.try(n.lists[withTail])
}

// try looks for a better entry in a list that is sorted.
func (s *search) try(list []*entry) {
	for _, e := range list {
		if e.rank >= s.best {
			return
		}
		if s.list == nil && e.allows(s.x.Request.Method) == s.other || !e.searches(s.x) || !e.accepts(s.x) {
			continue
		}
		if s.list != nil {
			*s.list = append(*s.list, e)
			continue
		}
		s.best, s.found = e.rank, e
		if s.other {
			s.best = -1 // one is enough
		}
		return
	}
}

// searches asks the regexp of the path, if there is one.
func (r *rule) searches(x *exchange.Exchange) bool {
	return r.regexp == nil || r.regexp.Match(x.Request.Path)
}

// wrongMethod reports whether some rule would match x with another method.
func (t *index) wrongMethod(x *exchange.Exchange) bool {
	s := search{x: x, best: noRank, other: true}
	t.walk(&s)
	x.Request.Params = x.Request.Params[:0]
	return s.found != nil
}

// allowed returns the methods of the rules that match x but for its method.
func (t *index) allowed(x *exchange.Exchange) (methods []string) {
	var list []*entry
	s := search{x: x, best: noRank, list: &list}
	t.walk(&s)
	x.Request.Params = x.Request.Params[:0]
	for _, e := range list {
		methods = append(methods, e.methods...)
		if e.allows("HEAD") {
			methods = append(methods, "HEAD")
		}
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

// fill sets the path parameters of a rule whose path matches x.
func (r *rule) fill(x *exchange.Exchange) {
	params, path := x.Request.Params[:0], x.Request.Path
	if r.path.params && r.groups == nil {
		for _, s := range r.path.segments {
			part := path[1:]
			if j := bytes.IndexByte(part, '/'); j >= 0 {
				part = part[:j]
			}
			if s.param != "" {
				params = append(params, exchange.Param{Name: s.param, Value: part})
			}
			path = path[1+len(part):]
		}
		if r.path.tail != "" {
			params = append(params, exchange.Param{Name: r.path.tail, Value: bytes.TrimPrefix(path, slash)})
		}
	} else if r.groups != nil {
		m := r.regexp.FindSubmatchIndex(path)
		for i, name := range r.groups {
			if name != "" && m != nil && m[2*i] >= 0 {
				params = append(params, exchange.Param{Name: name, Value: path[m[2*i]:m[2*i+1]]})
			}
		}
	}
	x.Request.Params = params
}
