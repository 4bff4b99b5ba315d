package rawjson

// Table is a value that is looked into again and again: after a few look-ups
// in a large one it makes an index. It is for one goroutine.
type Table struct {
	Value Value

	lookups  int
	names    map[string]Value
	elements []Value
	size     int // + 1; 0: not counted
}

const (
	patience   = 3   // look-ups without an index
	worthIndex = 512 // bytes
)

// Member is Value.Member.
func (t *Table) Member(name string) (Value, bool) {
	if t.names == nil {
		if t.lookups++; t.lookups <= patience || len(t.Value.b) < worthIndex {
			return t.Value.Member(name)
		}
		t.names = make(map[string]Value)
		for n, v := range t.Value.Members() {
			t.names[n.String()] = v
		}
	}
	v, ok := t.names[name]
	return v, ok
}

// Index is Value.Index.
func (t *Table) Index(i int) (Value, bool) {
	if t.elements == nil {
		if t.lookups++; t.lookups <= patience || len(t.Value.b) < worthIndex {
			return t.Value.Index(i)
		}
		for v := range t.Value.Elements() {
			t.elements = append(t.elements, v)
		}
	}
	if i < 0 || i >= len(t.elements) {
		return Value{}, false
	}
	return t.elements[i], true
}

// Len is Value.Len.
func (t *Table) Len() int {
	if t.size == 0 {
		t.size = t.Value.Len() + 1
	}
	return t.size - 1
}
