package transcode

import (
	"bytes"
	"fmt"
	"slices"
)

// tree finds the binding of a request: literals go before *, and that before **;
// a binding with a verb goes before one without.
type tree struct {
	root step
	size int
}

type step struct {
	literals map[string]*step
	star     *step
	here     []*binding // that end here
	rest     []*binding // that take what is left
}

// add enters a binding. Two that would take the same requests are an error.
func (t *tree) add(b *binding) error {
	s := &t.root
	for _, seg := range b.template.segments {
		switch seg {
		case rest:
			return enter(&s.rest, b)
		case star:
			if s.star == nil {
				s.star = new(step)
			}
			s = s.star
		default:
			next := s.literals[seg]
			if next == nil {
				if s.literals == nil {
					s.literals = map[string]*step{}
				}
				next = new(step)
				s.literals[seg] = next
			}
			s = next
		}
	}
	return enter(&s.here, b)
}

func enter(list *[]*binding, b *binding) error {
	for _, o := range *list {
		if o.verb == b.verb && (o.http == b.http || o.http == "*" || b.http == "*") {
			return fmt.Errorf("%s %s of %s would never be reached: %s takes the same requests", b.http, b.text, b.method.Path, o.method.Path)
		}
	}
	*list = append(*list, b)
	// A verb before none.
	slices.SortStableFunc(*list, func(a, c *binding) int { return len(c.verb) - len(a.verb) })
	return nil
}

// spans are the segments of a path, as offsets.
type spans struct {
	n    int
	at   [maxTemplateSegments + 1][2]int32
	path []byte
}

func (s *spans) split(path []byte) bool {
	s.path, s.n = path, 0
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	from := 1
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		if s.n > maxTemplateSegments {
			return false
		}
		if s.n == maxTemplateSegments { // what is left is one, for **
			s.at[s.n] = [2]int32{int32(from), int32(len(path))}
			s.n++
			return true
		}
		s.at[s.n] = [2]int32{int32(from), int32(i)}
		s.n++
		from = i + 1
	}
	if s.n == 1 && len(path) == 1 {
		s.n = 0
	}
	return true
}

func (s *spans) segment(i int) []byte { return s.path[s.at[i][0]:s.at[i][1]] }

// find returns the binding for a method and a path; other says that the path
// has one for another method, and methods collects those.
func (t *tree) find(method string, s *spans, methods *[]string) *binding {
	return t.root.find(method, s, 0, methods)
}

func (st *step) find(method string, s *spans, i int, methods *[]string) *binding {
	if i == s.n {
		if b := choose(st.here, method, s, methods); b != nil {
			return b
		}
		return choose(st.rest, method, s, methods)
	}
	seg := s.segment(i)
	last := i == s.n-1
	if st.literals != nil {
		if next := st.literal(seg); next != nil {
			if b := next.find(method, s, i+1, methods); b != nil {
				return b
			}
		}
		if last { // the last literal may have a verb behind it
			if colon := bytes.LastIndexByte(seg, ':'); colon > 0 {
				if next := st.literal(seg[:colon]); next != nil {
					if b := next.find(method, s, i+1, methods); b != nil && b.verb != "" {
						return b
					}
				}
			}
		}
	}
	if st.star != nil && len(seg) > 0 {
		if b := st.star.find(method, s, i+1, methods); b != nil {
			return b
		}
	}
	return choose(st.rest, method, s, methods)
}

func (st *step) literal(seg []byte) *step {
	if bytes.IndexByte(seg, '%') < 0 {
		return st.literals[string(seg)]
	}
	decoded, ok := unescape(nil, seg, false)
	if !ok {
		return nil
	}
	return st.literals[string(decoded)]
}

// choose takes the first binding of the list whose verb and method fit.
func choose(list []*binding, method string, s *spans, methods *[]string) *binding {
	for _, b := range list {
		if b.verb != "" && !s.hasVerb(b.verb) {
			continue
		}
		if b.takes(method) {
			return b
		}
		if methods != nil && !slices.Contains(*methods, b.http) {
			*methods = append(*methods, b.http)
		}
	}
	return nil
}

// hasVerb reports whether the path ends with a colon and the verb.
func (s *spans) hasVerb(verb string) bool {
	if s.n == 0 {
		return false
	}
	seg := s.segment(s.n - 1)
	n := len(seg) - len(verb)
	return n >= 1 && seg[n-1] == ':' && string(seg[n:]) == verb
}

// value returns what a variable of b stands for in the path, still escaped.
func (s *spans) value(b *binding, v *variable) []byte {
	to := v.to
	if to < 0 {
		to = s.n
	}
	if v.from >= to {
		return nil
	}
	end := int(s.at[to-1][1])
	if to == s.n && b.verb != "" {
		end -= len(b.verb) + 1
	}
	return s.path[s.at[v.from][0]:end]
}
