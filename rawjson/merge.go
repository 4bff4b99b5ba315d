package rawjson

import (
	"errors"
	"fmt"
	"strconv"
)

// MergeKind says how two lists become one.
type MergeKind uint8

const (
	Concat MergeKind = iota // the elements of the left one, then those of the right one
	Join                    // each object of the left list gets what the right list has for its key
	Union                   // objects with the same key become one, the others follow in their order
)

// MergeSpec says how two lists become one. Keys are the same when they are the
// same JSON value: strings by their text, numbers by their digits. What has no
// key, or null, matches nothing.
type MergeSpec struct {
	Kind      MergeKind
	LeftKey   string    // Join, Union: the path of the key in an object of the left list
	RightKey  string    // in one of the right list; empty: LeftKey
	As        string    // Join: the member that the left object gets, in place of one of that name
	Many      bool      // Join: a list of all that match; else the first that matches, or null
	Inner     bool      // Join: a left object without a match is left out
	Collision Collision // Union: which of two members of the same name, but not of the same value, stays; KeepOwn: the left one
}

// Merge is a compiled MergeSpec. It is immutable and safe for concurrent use.
type Merge struct {
	MergeSpec
	left, right *Path
}

// CompileMerge compiles a MergeSpec. What is wrong is a *SpecError.
func CompileMerge(s MergeSpec) (m *Merge, err error) {
	m = &Merge{MergeSpec: s}
	if s.Kind == Concat {
		return m, nil
	}
	if s.Kind == Join && s.As == "" {
		return nil, &SpecError{Key: "as", Message: "the name of the new member is missing"}
	}
	if s.RightKey == "" {
		s.RightKey = s.LeftKey
	}
	if m.left, err = keyPath("left key", s.LeftKey); err != nil {
		return nil, err
	}
	m.right, err = keyPath("right key", s.RightKey)
	return m, err
}

func keyPath(key, text string) (*Path, error) {
	p, err := CompilePath(text)
	if err == nil && p.many() {
		err = &SpecError{Path: text, Message: "a key is one value: [] is not allowed"}
	}
	return p, inSpec(err, key)
}

// Append appends the list made from left and right. A null or absent list is
// an empty one; what is no list is an error.
func (m *Merge) Append(dst []byte, left, right Value) ([]byte, error) {
	for i, v := range []Value{left, right} {
		if k := v.Kind(); k != None && k != Null && k != Array {
			return dst, fmt.Errorf("merge: the %s side is no list but: %s", [...]string{"left", "right"}[i], k)
		}
	}
	var b Builder
	b.Reset(dst)
	b.Array()
	var err error
	switch m.Kind {
	case Concat:
		b.elements(left)
		b.elements(right)
	case Join:
		err = m.join(&b, left, right)
	case Union:
		err = m.union(&b, left, right)
	}
	if err != nil {
		return dst, err
	}
	b.EndArray()
	return b.Bytes(), nil
}

func (b *Builder) elements(v Value) {
	for e := range v.Elements() {
		b.Raw(e)
	}
}

// keyed is a list by the keys of its objects: those with the same key are a
// chain, in their order.
type keyed struct {
	values []Value
	next   []int
	first  map[string]int
	last   map[string]int
}

func byKey(list Value, p *Path) *keyed {
	k := &keyed{first: map[string]int{}, last: map[string]int{}}
	for e := range list.Elements() {
		i := len(k.values)
		k.values, k.next = append(k.values, e), append(k.next, -1)
		key, ok := keyOf(nil, e, p)
		if !ok {
			continue
		}
		if j, ok := k.last[string(key)]; ok {
			k.next[j] = i
		} else {
			k.first[string(key)] = i
		}
		k.last[string(key)] = i
	}
	return k
}

func (k *keyed) find(key []byte, ok bool) int {
	if ok {
		if i, ok := k.first[string(key)]; ok {
			return i
		}
	}
	return -1
}

// keyOf appends the key of an object in a form that is the same for the same
// value.
func keyOf(dst []byte, v Value, p *Path) ([]byte, bool) {
	v, ok := p.Find(v)
	if !ok {
		return dst, false
	}
	switch v.Kind() {
	case String:
		return v.AppendString(append(dst, '"')), true
	case Number:
		return appendNumber(dst, v), true
	case Bool:
		return append(dst, v.b...), true
	}
	return dst, false // null, or no single value
}

// appendNumber appends a number in one form for all its spellings: 1, 1.0 and
// 10e-1 are the same key.
func appendNumber(dst []byte, v Value) []byte {
	var d decimal
	if d.read(v.b); d.digits() == 0 {
		return append(dst, '0')
	}
	if v.b[0] == '-' {
		dst = append(dst, '-')
	}
	dst = append(append(dst, d.before...), d.after...)
	return strconv.AppendInt(append(dst, 'e'), d.exponent, 10)
}

// maxJoined bounds a join: what the right list has for a key is written again
// for each left object with that key.
const maxJoined = 64 << 20

var errJoined = errors.New("merge: too many objects have the same key: the list would be larger than 64 MiB")

func (m *Merge) join(b *Builder, left, right Value) error {
	k := byKey(right, m.right)
	var buf [64]byte
	for e := range left.Elements() {
		at := k.find(keyOf(buf[:0], e, m.left))
		if at < 0 && m.Inner {
			continue
		}
		if e.Kind() != Object {
			b.Raw(e)
			continue
		}
		b.Object()
		for c := e.Walk(); c.Next(); {
			if !c.Name.Is(m.As) {
				b.RawName(c.Name)
				b.Raw(c.Value)
			}
		}
		b.Name(m.As)
		switch {
		case m.Many:
			b.Array()
			for ; at >= 0 && len(b.buf)-b.base <= maxJoined; at = k.next[at] {
				b.Raw(k.values[at])
			}
			b.EndArray()
		case at < 0:
			b.Null()
		default:
			b.Raw(k.values[at])
		}
		b.EndObject()
		if len(b.buf)-b.base > maxJoined {
			return errJoined
		}
	}
	return nil
}

// union writes the left list, each object with the members of the right one of
// its key, then the right objects whose keys the left list has not. Of several
// with the same key on one side the first counts; the others stay as they are.
func (m *Merge) union(b *Builder, left, right Value) error {
	k := byKey(right, m.right)
	used := make([]bool, len(k.values))
	var buf [64]byte
	for e := range left.Elements() {
		at := k.find(keyOf(buf[:0], e, m.left))
		if at < 0 || used[at] || e.Kind() != Object {
			b.Raw(e)
			continue
		}
		used[at] = true
		if err := m.unite(b, e, k.values[at]); err != nil {
			return err
		}
	}
	for i, v := range k.values {
		if !used[i] {
			b.Raw(v)
		}
	}
	return nil
}

// unite writes two objects as one: the members of the left one, then those
// that only the right one has.
func (m *Merge) unite(b *Builder, left, right Value) error {
	w := writers.Get().(*writer)
	defer w.release()
	w.collision = m.Collision
	for c := left.Walk(); c.Next(); {
		w.found = append(w.found, entry{name: c.Name, value: c.Value, own: true})
	}
	for c := right.Walk(); c.Next(); {
		w.found = append(w.found, entry{name: c.Name, value: c.Value})
	}
	if err := w.collide(0); err != nil {
		return fmt.Errorf("merge: %w", err)
	}
	b.Object()
	for i := range w.found {
		if e := &w.found[i]; !e.out {
			b.RawName(e.name)
			b.Raw(e.value)
		}
	}
	b.EndObject()
	return nil
}
