package rawjson

import (
	"bytes"
	"hash/maphash"
)

// nameSet finds a name that comes twice in one object, for all objects that
// are open at a time: the names lie on one stack.
//
// In a small object a name is compared with the others by a key of 64 bits,
// which is cheap; its text is compared only when the keys are equal. The names
// of a large object, and of one with escapes in a name, are in a hash table too, whose hash is seeded, so that
// nobody can choose names that collide. What is on the stack last was put into
// the table last, and so is taken out first: that is why taking out leaves no
// gap in a chain of probes.
type nameSet struct {
	stack  []nameRef
	table  []uint32 // index in stack + 1; its length is a power of two
	used   int
	decode []byte
}

// nameRef is a name of the document with its quotes.
type nameRef struct {
	key        uint64 // in a small object see keyOfName, in a large one the hash
	start, end uint32
	escaped    bool
	hashed     bool // it is in the table
}

// scope is one open object.
type scope struct {
	first int    // its first name on the stack
	seen  uint64 // a bit for each key: most names are new, and this says so
	large bool
}

const (
	largeObject = 16      // names
	keptNames   = 1 << 14 // of a nameSet that is used again
	smallTable  = 128
	mixer       = 0x9E3779B97F4A7C15
)

var seed = maphash.MakeSeed()

func (n *nameSet) reset() {
	n.stack = n.stack[:0]
	if n.used > 0 { // the document was left in the middle
		clear(n.table)
		n.used = 0
	}
}

func (n *nameSet) small() bool { return cap(n.stack) <= keptNames && cap(n.decode) <= keptNames }

func (n *nameSet) enter() scope { return scope{first: len(n.stack)} }

func (n *nameSet) leave(o *scope) {
	if o.large {
		for i := len(n.stack) - 1; i >= o.first; i-- {
			n.remove(i)
		}
	}
	n.stack = n.stack[:o.first]
}

// add adds the name b[start:end] to the object o and reports whether it was
// there already.
func (n *nameSet) add(o *scope, b []byte, start, end int, plain bool) bool {
	if o.large || !plain {
		return n.addSlowly(o, b, start, end, plain)
	}
	key := keyOfName(b, start, end)
	bit := uint64(1) << (key * mixer >> 58)
	if o.seen&bit != 0 {
		for i := o.first; i < len(n.stack); i++ {
			if n.stack[i].key == key && n.same(b, i, b[start+1:end-1]) {
				return true
			}
		}
	}
	o.seen |= bit
	n.stack = append(n.stack, nameRef{key: key, start: uint32(start), end: uint32(end)})
	if len(n.stack)-o.first > largeObject {
		n.enlarge(o, b)
	}
	return false
}

// addSlowly is add of a name that must be decoded, or to a large object.
func (n *nameSet) addSlowly(o *scope, b []byte, start, end int, plain bool) bool {
	text := b[start+1 : end-1]
	if !plain {
		n.decode = appendDecoded(n.decode[:0], text)
		text = n.decode
		if !o.large { // its key says nothing about how it is written
			n.enlarge(o, b)
		}
	}
	r := nameRef{key: maphash.Bytes(seed, text), start: uint32(start), end: uint32(end), escaped: !plain}
	mask := uint64(len(n.table) - 1)
	for at := r.key & mask; n.table[at] != 0; at = (at + 1) & mask {
		// Names of the objects around this one are in the table too.
		if i := int(n.table[at] - 1); i >= o.first && n.stack[i].key == r.key && n.same(b, i, text) {
			return true
		}
	}
	n.stack = append(n.stack, r)
	n.insert(len(n.stack) - 1)
	return false
}

// same reports whether the name i of the stack is text.
func (n *nameSet) same(b []byte, i int, text []byte) bool {
	r := n.stack[i]
	inner := b[r.start+1 : r.end-1]
	if r.escaped {
		inner = appendDecoded(nil, inner) // rare: and its hash is the same
	}
	return bytes.Equal(inner, text)
}

// enlarge puts the names of an object that has become large into the table.
func (n *nameSet) enlarge(o *scope, b []byte) {
	o.large = true
	for i := o.first; i < len(n.stack); i++ {
		r := &n.stack[i]
		r.key = maphash.Bytes(seed, b[r.start+1:r.end-1])
		n.insert(i)
	}
	if len(n.table) == 0 {
		n.table = make([]uint32, smallTable)
	}
}

// insert puts the name i into the table, which is at most half full.
func (n *nameSet) insert(i int) {
	if n.stack[i].hashed = true; 2*(n.used+1) > len(n.table) {
		n.table = make([]uint32, max(smallTable, 2*len(n.table)))
		n.used = 0
		for j := range n.stack[:i] {
			if n.stack[j].hashed {
				n.place(j)
			}
		}
	}
	n.place(i)
}

func (n *nameSet) place(i int) {
	mask := uint64(len(n.table) - 1)
	at := n.stack[i].key & mask
	for n.table[at] != 0 {
		at = (at + 1) & mask
	}
	n.table[at] = uint32(i + 1)
	n.used++
}

// remove takes the name i, the last that was put in, out of the table.
func (n *nameSet) remove(i int) {
	mask := uint64(len(n.table) - 1)
	at := n.stack[i].key & mask
	for n.table[at] != uint32(i+1) {
		at = (at + 1) & mask
	}
	n.table[at] = 0
	n.used--
}

// keyOfName is different for most names that are different: the name itself,
// or its ends.
func keyOfName(b []byte, start, end int) uint64 {
	n := end - start - 2
	switch {
	case n > 8:
		return load(b, start+1) ^ load(b, end-9)*mixer
	case start+9 <= len(b):
		return load(b, start+1) & (1<<(8*n) - 1)
	}
	var x uint64
	for i := range n {
		x |= uint64(b[start+1+i]) << (8 * i)
	}
	return x
}
