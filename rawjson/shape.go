package rawjson

import "strings"

// Spec says how a value is shaped, without an expression. Take comes first; all
// other paths are relative to what it took, and name members as they arrived.
// A member that is not there is no error.
type Spec struct {
	Take      string    // this becomes the value; items[].id: the list of what is found
	Pick      []string  // only these stay: a, b.c, items[].id
	Drop      []string  // these go
	Rename    []Renamed // members get another name, in their place
	Flatten   []string  // the members of these objects are lifted into the parent, in their place
	Collision Collision // when a renamed or lifted member meets one of its name
}

// Renamed is a member's new name: From is a path, To a name.
type Renamed struct{ From, To string }

// Collision says what happens when two members of an object get the same name.
type Collision uint8

const (
	RefuseCollision Collision = iota // the value can't be shaped: an error
	KeepOwn                          // what bore the name from the start, else the first, stays
	TakeNew                          // what got the name by Rename or Flatten, else the last, stays
)

// Shape is a compiled Spec. It is immutable and safe for concurrent use.
type Shape struct {
	take      *Path
	root      *node // nil: as it is
	collision Collision
}

// node says what becomes of a value. A nil node: it stays as it is.
type node struct {
	path string // as written, for errors

	pick    bool // of the members or elements, only those with a node stay
	drop    bool
	flatten bool
	rename  string // empty: keeps its name
	renamed bool

	members  []child // by name; a handful
	elements *node
	merges   bool // a member is renamed or lifted, so names can collide
}

type child struct {
	name string
	node *node
}

// CompileShape compiles a Spec. What is wrong is a *SpecError.
func CompileShape(s Spec) (*Shape, error) {
	out := &Shape{collision: s.Collision}
	if s.Take != "" {
		p, err := CompilePath(s.Take)
		if err != nil {
			return nil, inSpec(err, "take")
		}
		out.take = p
	}
	if len(s.Pick)+len(s.Drop)+len(s.Rename)+len(s.Flatten) == 0 {
		return out, nil
	}
	out.root = &node{}
	for _, p := range s.Pick {
		if err := out.root.pickPath(p); err != nil {
			return nil, inSpec(err, "pick")
		}
	}
	for _, p := range s.Drop {
		if err := out.root.change("drop", p, "", len(s.Pick) > 0); err != nil {
			return nil, err
		}
	}
	for _, r := range s.Rename {
		if err := out.root.change("rename", r.From, r.To, len(s.Pick) > 0); err != nil {
			return nil, err
		}
	}
	for _, p := range s.Flatten {
		if err := out.root.change("flatten", p, "", len(s.Pick) > 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func inSpec(err error, key string) error {
	if e, ok := err.(*SpecError); ok {
		e.Key = key
	}
	return err
}

// at returns the node that a step leads to, made when it is not there; made
// says that.
func (n *node) at(s step) (next *node, made bool) {
	if s.kind == toAll {
		if n.elements == nil {
			n.elements, made = &node{}, true
		}
		return n.elements, made
	}
	for _, c := range n.members {
		if c.name == s.name {
			return c.node, false
		}
	}
	next = &node{}
	n.members = append(n.members, child{s.name, next})
	return next, true
}

// shapePath compiles a path that a Shape can follow.
func shapePath(text string) (*Path, error) {
	p, err := CompilePath(text)
	if err != nil {
		return nil, err
	}
	for _, s := range p.steps {
		if s.kind == toElement {
			return nil, &SpecError{Path: text, Message: "it must say [], all elements: one alone can't be changed"}
		}
	}
	return p, nil
}

// pickPath adds a path to what stays.
func (n *node) pickPath(text string) error {
	p, err := shapePath(text)
	if err != nil {
		return err
	}
	for i, s := range p.steps {
		next, made := n.at(s)
		if !made && (!next.pick || i == len(p.steps)-1) {
			return &SpecError{Path: text, Message: "it is picked already: " + shorter(next.path, text)}
		}
		n.pick = true
		if n.path == "" {
			n.path = text
		}
		n = next
	}
	n.path = text
	return nil
}

func shorter(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// change adds a change to the member that a path leads to. Where something was
// picked, the path must lead to what was.
func (n *node) change(key, text, to string, picked bool) error {
	fail := func(message string) error { return &SpecError{Key: key, Path: text, Message: message} }
	p, err := shapePath(text)
	if err != nil {
		return inSpec(err, key)
	}
	if p.steps[len(p.steps)-1].kind != toMember {
		return fail("it must end in the name of a member")
	}
	parent := n
	for _, s := range p.steps {
		parent = n
		wasPick := n.pick
		next, made := n.at(s)
		if made && wasPick {
			return fail("it is not picked")
		}
		if next.drop {
			return fail("it is dropped: " + next.path)
		}
		n = next
	}
	switch key {
	case "drop":
		if n.pick {
			return fail("it is picked: " + n.path)
		}
		n.drop = true
	case "rename":
		if n.renamed {
			return fail("it is renamed twice")
		}
		if n.rename, n.renamed = to, true; strings.TrimSpace(to) == "" {
			return fail("the new name is missing")
		}
		for _, c := range parent.members {
			if c.node != n && c.node.renamed && c.node.rename == to {
				return fail("another member gets the name " + to + ": " + c.node.path)
			}
		}
		parent.merges = true
	case "flatten":
		switch {
		case n.renamed:
			return fail("it is renamed: what is lifted has no name of its own")
		case n.flatten:
			return fail("it is written twice")
		}
		n.flatten, parent.merges = true, true
	}
	n.path = text
	return nil
}
