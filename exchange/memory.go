package exchange

import "sync"

// BufferSize is the size of the buffers that connections read into.
const BufferSize = 16 << 10

// Buffer is a pooled piece of memory with one owner.
type Buffer struct {
	B [BufferSize]byte
}

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// NewBuffer takes a buffer from the pool. Its content is garbage.
func NewBuffer() *Buffer { return buffers.Get().(*Buffer) }

// Release gives the buffer back. With -tags poison its bytes are overwritten,
// so that a test sees who still looks at them.
func (b *Buffer) Release() {
	Poison(b.B[:])
	buffers.Put(b)
}

// Buffer takes a buffer that is given back after the done stack has run: what
// it holds (a response head, say) can be looked at by everything in the stack.
func (x *Exchange) Buffer() *Buffer {
	b := NewBuffer()
	x.bufs = append(x.bufs, b)
	return b
}

// Arena hands out small pieces of memory that live until the exchange is done,
// for values that policies and the gateway compose.
type Arena struct {
	chunk []byte
}

const arenaChunk = 1024

// Grow returns an empty slice with room for n bytes. Appending more than n is
// allowed and moves it to the heap.
func (a *Arena) Grow(n int) []byte {
	if n > cap(a.chunk)-len(a.chunk) {
		if n > arenaChunk/2 {
			return make([]byte, 0, n)
		}
		a.chunk = make([]byte, 0, arenaChunk)
	}
	i := len(a.chunk)
	a.chunk = a.chunk[:i+n]
	return a.chunk[i : i : i+n]
}

// Copy returns a copy of b that lives until the exchange is done.
func (a *Arena) Copy(b []byte) []byte { return append(a.Grow(len(b)), b...) }

func (a *Arena) reset() {
	Poison(a.chunk)
	a.chunk = a.chunk[:0]
}
