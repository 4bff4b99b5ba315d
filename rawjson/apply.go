package rawjson

import (
	"bytes"
	"fmt"
	"sync"
)

// CollisionError says that a value can't be shaped as asked.
type CollisionError struct{ Name string }

func (e *CollisionError) Error() string {
	return fmt.Sprintf("shape: two members are named %q", e.Name)
}

// Append appends v in its new shape. When there is nothing to take, it appends
// null.
func (s *Shape) Append(dst []byte, v Value) ([]byte, error) {
	if s.take != nil {
		if s.take.many() {
			return s.appendAll(dst, v)
		}
		v, _ = s.take.Find(v)
	}
	if len(v.b) == 0 {
		return append(dst, "null"...), nil
	}
	if s.root == nil {
		return append(dst, v.b...), nil
	}
	w := writers.Get().(*writer)
	defer w.release()
	w.collision = s.collision
	start := len(dst)
	w.Reset(dst)
	if err := w.value(v, s.root); err != nil {
		return dst[:start], err
	}
	return w.Bytes(), nil
}

// appendAll takes a list.
func (s *Shape) appendAll(dst []byte, v Value) ([]byte, error) {
	var b Builder
	b.Reset(dst)
	if s.root != nil {
		b.Reset(nil)
	}
	b.Array()
	b.all(v, s.take.steps)
	b.EndArray()
	if s.root == nil {
		return b.Bytes(), nil
	}
	return (&Shape{root: s.root, collision: s.collision}).Append(dst, b.Value())
}

// Apply is Append to a value of its own: a part of v where v only takes.
func (s *Shape) Apply(v Value) (Value, error) {
	if s.root == nil && s.take == nil && len(v.b) > 0 {
		return v, nil
	}
	if s.root == nil && s.take != nil && !s.take.many() {
		if taken, ok := s.take.Find(v); ok {
			return taken, nil
		}
	}
	b, err := s.Append(nil, v)
	return Value{b}, err
}

// writer writes values in their new shape.
type writer struct {
	Builder
	collision Collision
	found     []entry // of the objects that are being written whose names can collide
}

// entry is a member of the object to be.
type entry struct {
	name  Name
	value Value
	node  *node
	own   bool // it bears its name from the start
	out   bool // another one stays in its place
}

var writers = sync.Pool{New: func() any { return new(writer) }}

func (w *writer) release() {
	w.Builder = Builder{}
	clear(w.found)
	if w.found = w.found[:0]; cap(w.found) <= 1024 {
		writers.Put(w)
	}
}

// value writes v as n says. Of a value of another type than n expects, what is
// there to change is nothing.
func (w *writer) value(v Value, n *node) error {
	switch k := v.Kind(); {
	case n == nil, !n.pick && len(n.members) == 0 && n.elements == nil:
		w.Raw(v)
	case k == Object && len(n.members) > 0:
		w.Object()
		var err error
		if n.merges {
			err = w.merged(v, n)
		} else {
			err = w.members(v, n)
		}
		w.EndObject()
		return err
	case k == Array && n.elements != nil:
		w.Array()
		for c := v.Walk(); c.Next(); {
			if !n.elements.admits(c.Value) {
				continue
			}
			if err := w.value(c.Value, n.elements); err != nil {
				return err
			}
		}
		w.EndArray()
	case !n.admits(v): // the whole document: it can't be left out
		w.Null()
	default:
		w.Raw(v)
	}
	return nil
}

// admits reports whether v may stay: when only parts of it were picked, what
// has no such parts must not slip through. null is nothing, and stays.
func (n *node) admits(v Value) bool {
	if n == nil || !n.pick {
		return true
	}
	switch v.Kind() {
	case Object:
		return len(n.members) > 0
	case Array:
		return n.elements != nil
	case Null:
		return true
	}
	return false
}

// find returns the node of a member and whether the member stays.
func (n *node) find(c *Cursor) (*node, bool) {
	for i := range n.members {
		if m := &n.members[i]; c.Name.Is(m.name) {
			return m.node, !m.node.drop && m.node.admits(c.Value)
		}
	}
	return nil, !n.pick
}

// members writes the members of an object in which no name changes.
func (w *writer) members(v Value, n *node) error {
	for c := v.Walk(); c.Next(); {
		m, ok := n.find(&c)
		if !ok {
			continue
		}
		w.RawName(c.Name)
		if err := w.value(c.Value, m); err != nil {
			return err
		}
	}
	return nil
}

// merged writes the members of an object in which names change: they are
// collected first, to see which of them collide.
func (w *writer) merged(v Value, n *node) error {
	start := len(w.found)
	w.collect(v, n, true)
	if err := w.collide(start); err != nil {
		return err
	}
	for i := start; i < len(w.found); i++ {
		e := w.found[i] // found may move: value comes here again
		if e.out {
			continue
		}
		if e.node != nil && e.node.renamed {
			w.Name(e.node.rename)
		} else {
			w.RawName(e.name)
		}
		if err := w.value(e.value, e.node); err != nil {
			return err
		}
	}
	clear(w.found[start:])
	w.found = w.found[:start]
	return nil
}

func (w *writer) collect(v Value, n *node, own bool) {
	for c := v.Walk(); c.Next(); {
		m, ok := n.find(&c)
		switch {
		case !ok:
		case m != nil && m.flatten && c.Value.Kind() == Object:
			w.collect(c.Value, m, false)
		default:
			w.found = append(w.found, entry{name: c.Name, value: c.Value, node: m, own: own && (m == nil || !m.renamed)})
		}
	}
}

// collide decides which of the members from start on stay.
func (w *writer) collide(start int) error {
	found := w.found[start:]
	if len(found) <= largeObject {
		for i := range found {
			for j := range found[:i] {
				if !found[j].out && found[i].same(&found[j]) {
					if err := w.decide(&found[j], &found[i]); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	at := make(map[string]int, len(found))
	for i := range found {
		name := found[i].text()
		j, ok := at[name]
		if ok {
			if err := w.decide(&found[j], &found[i]); err != nil {
				return err
			}
		}
		if !found[i].out {
			at[name] = i
		}
	}
	return nil
}

// decide leaves one of two members out; b comes behind a. Members that say the
// same are no collision.
func (w *writer) decide(a, b *entry) error {
	switch {
	case a.node == nil && b.node == nil && bytes.Equal(a.value.b, b.value.b):
		a.out = false
	case w.collision == RefuseCollision:
		return &CollisionError{b.text()}
	case w.collision == KeepOwn:
		a.out = b.own && !a.own
	default:
		a.out = !b.own || a.own
	}
	b.out = !a.out
	return nil
}

func (e *entry) text() string {
	if e.node != nil && e.node.renamed {
		return e.node.rename
	}
	return e.name.String()
}

func (e *entry) same(o *entry) bool {
	switch a, b := e.node != nil && e.node.renamed, o.node != nil && o.node.renamed; {
	case a && b:
		return e.node.rename == o.node.rename
	case a:
		return o.name.Is(e.node.rename)
	case b:
		return e.name.Is(o.node.rename)
	}
	return e.name.Equal(o.name)
}
