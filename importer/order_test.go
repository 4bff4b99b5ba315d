package importer

import "testing"

// Priorities are given only where our own order would ask another route first.
func TestPrioritise(t *testing.T) {
	list := []*ranked{
		{matcher: matcher{regexp: `^/.*\.png$`}},                 // before the longer prefix
		{matcher: matcher{path: "/images/big/*"}},                // natural order below the regexp
		{matcher: matcher{hosts: []string{"a.test"}, path: "/"}}, // the host makes it more specific
		{matcher: matcher{path: "/images/*"}},
		{matcher: matcher{path: "/*", when: []string{"a"}}},
		{matcher: matcher{path: "/*", when: []string{"b"}}}, // a tie
		{matcher: matcher{path: "/other"}},                  // behind /*, which takes it
	}
	for _, r := range list {
		r.route = &block{}
	}
	prioritise(list)
	want := []int{3, 2, 2, 2, 2, 1, 0}
	for i, r := range list {
		if r.priority != want[i] {
			t.Errorf("route %d: priority %d, not %d", i, r.priority, want[i])
		}
	}
}
