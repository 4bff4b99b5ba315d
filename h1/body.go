package h1

import (
	"io"
	"sync/atomic"
	"time"

	"gopura/exchange"
)

// inbox is the memory that a connection is read into: the head of a message at
// its start, then, from base on, the body piece by piece. b[r:w] is unread.
type inbox struct {
	link  *link
	b     []byte
	r, w  int
	base  int
	extra *exchange.Buffer // where a head left too little room for the body
}

func (in *inbox) unread() []byte { return in.b[in.r:in.w] }

// fill reads more bytes behind the unread ones, which it moves to base when the
// room behind them is small. It returns io.EOF when the peer has ended.
func (in *inbox) fill() error {
	if in.r == in.w {
		in.r, in.w = in.base, in.base
	}
	if len(in.b)-in.w < 512 {
		if in.r > in.base {
			in.w = in.base + copy(in.b[in.base:], in.b[in.r:in.w])
			in.r = in.base
		}
		if len(in.b)-in.w < 512 {
			return errInboxFull
		}
	}
	n, err := in.link.Read(in.b[in.w:])
	in.w += n
	return err
}

// endHead says that the head ends at n: the rest of the buffer is for the
// body. A head that leaves little room gets a second buffer.
func (in *inbox) endHead(n int) {
	in.r, in.base = n, n
	if len(in.b)-n < exchange.BufferSize/4 {
		in.extra = exchange.NewBuffer()
		in.w = copy(in.extra.B[:], in.b[n:in.w])
		in.b, in.r, in.base = in.extra.B[:], 0, 0
	}
}

func (in *inbox) release() {
	if in.extra != nil {
		in.extra.Release()
		in.extra = nil
	}
	in.b, in.r, in.w, in.base = nil, 0, 0, 0
}

type bodyMode uint8

const (
	byLength bodyMode = iota
	byChunks
	byClose // until the connection ends: responses only
	absent  // announced with a length, but not sent: answers to HEAD, and 304
)

// body is a message body being read off a connection. It implements
// exchange.Body and exchange.Ready.
type body struct {
	in      *inbox
	mode    bodyMode
	left    int64 // byLength: of the body; byChunks: of the chunk
	state   chunkState
	limit   int // bytes of chunk extensions still allowed
	room    int // bytes of trailers still allowed
	fields  int // trailer lines still allowed
	err     error
	atEnd   atomic.Bool // read to its end
	broken  atomic.Bool // err is set, and is no io.EOF
	closing atomic.Bool
	reading atomic.Bool       // a read from the network is under way
	timeout time.Duration     // between two reads that bring something
	by      time.Time         // end of the exchange, zero: none
	before  func() error      // called once before the first read from the network
	fail    func(error) error // turns a read or framing error into the side's own
	count   *int64            // counts the bytes, nil: not
	trailer exchange.Header
	notes   []byte // owns the trailer's bytes
}

func (b *body) start(in *inbox, m *framing, lim *Limits) {
	b.in, b.err, b.before, b.count = in, nil, nil, nil
	b.atEnd.Store(false)
	b.closing.Store(false)
	b.trailer.Truncate()
	b.state, b.limit, b.room, b.fields = chunkSize, maxChunkExtensions, lim.Trailer, lim.Fields
	b.broken.Store(false)
	switch {
	case m.chunked:
		b.mode, b.left = byChunks, 0
	case m.length >= 0:
		b.mode, b.left = byLength, m.length
		if m.length == 0 {
			b.atEnd.Store(true)
		}
	default:
		b.mode, b.left = byClose, -1
	}
}

// startAbsent makes b a body of n bytes (-1: unknown) that never travels.
func (b *body) startAbsent(n int64) {
	b.mode, b.left, b.err = absent, n, nil
	b.closing.Store(false)
	b.broken.Store(false)
	b.atEnd.Store(true)
	b.trailer.Truncate()
}

// Next implements exchange.Body.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	p, err := b.next()
	if err != nil {
		if err == io.EOF {
			b.atEnd.Store(true)
		} else {
			b.broken.Store(true)
			if b.fail != nil {
				err = b.fail(err)
			}
		}
		b.err = err
		return nil, err
	}
	if b.count != nil {
		*b.count += int64(len(p))
	}
	return p, nil
}

func (b *body) next() ([]byte, error) {
	switch b.mode {
	case byLength:
		if b.left == 0 {
			return nil, io.EOF
		}
		if b.in.r == b.in.w {
			if err := b.fill(); err != nil {
				return nil, midway(err)
			}
		}
		p := b.piece()
		if b.left == 0 {
			b.atEnd.Store(true)
		}
		return p, nil
	case byChunks:
		return b.nextChunked()
	case absent:
		return nil, io.EOF
	}
	if b.in.r == b.in.w {
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
	p := b.in.unread()
	b.in.r = b.in.w
	return p, nil
}

// piece takes what is buffered of the current length.
func (b *body) piece() []byte {
	p := b.in.unread()
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	b.left -= int64(len(p))
	b.in.r += len(p)
	return p[:len(p):len(p)]
}

func (b *body) fill() error {
	if b.before != nil {
		f := b.before
		b.before = nil
		if err := f(); err != nil {
			return err
		}
	}
	b.reading.Store(true)
	defer b.reading.Store(false)
	if b.closing.Load() { // after reading is set: Close sees one of the two
		return errClosed
	}
	by := b.by
	if b.timeout > 0 {
		if t := time.Now().Add(b.timeout); by.IsZero() || t.Before(by) {
			by = t
		}
	}
	b.in.link.within(by)
	return b.in.fill()
}

// midway is what the end of the connection means inside a message.
func midway(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Len implements exchange.Body.
func (b *body) Len() int64 {
	if b.mode == byLength || b.mode == absent {
		return b.left
	}
	return -1
}

// Ready implements exchange.Ready.
func (b *body) Ready() bool {
	switch {
	case b.err != nil || b.mode == absent || b.mode == byLength && b.left == 0:
		return true
	case b.in.r == b.in.w:
		return false
	case b.mode == byChunks:
		return b.chunkReady()
	}
	return true
}

// Trailer implements exchange.Body.
func (b *body) Trailer() *exchange.Header {
	if b.trailer.Len() == 0 {
		return nil
	}
	return &b.trailer
}

// Close implements exchange.Body. A Next that waits in another goroutine is
// broken off; nothing more can be read from the connection then, but an answer
// can still be written to it.
func (b *body) Close() error {
	b.closing.Store(true)
	if b.reading.Load() {
		b.in.link.stopReading()
	}
	return nil
}

// finished reports whether the message has been read to its end.
func (b *body) finished() bool { return b.atEnd.Load() }
