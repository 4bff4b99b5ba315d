package upstream

import (
	"errors"
	"io"
	"sync"

	"gopura/exchange"
)

// recorder keeps a copy of a request body while it is sent, up to a limit, so
// that it can be sent once more. It always knows whether anything was taken at
// all: an untouched body of any size can be sent again.
//
// Each attempt reads through a view of its own. A transport may answer while it
// still sends; when that answer gives way to a retry, its view ends, and the
// recorder is never read from two sides.
type recorder struct {
	inner exchange.Body
	limit int64
	first view
	done  func(*exchange.Exchange) // r.end, made once

	mu      sync.Mutex
	attempt int  // the view that may read
	keep    bool // a retry is still possible
	lost    bool // something taken was not kept
	failed  bool // inner is broken
	ended   bool // inner has given io.EOF
	sized   bool // inner told its length
	closed  bool // the view was closed while keep
	reading bool // inner.Next is running
	out     bool // the last piece given out is inner's
	lent    bool // the last piece given out is a kept one
	replay  int  // index of the kept piece that comes next; len(kept): go on with inner
	kept    []*exchange.Buffer
	size    int64 // bytes in kept: all buffers but the last are full
}

var recorders sync.Pool

// record puts a recorder in front of x's request body. It is in place before
// the transport registers anything on x, so it ends after the transport has.
func record(x *exchange.Exchange, limit int64) *recorder {
	r, _ := recorders.Get().(*recorder)
	if r == nil {
		r = new(recorder)
		r.first.r, r.done = r, r.end
	}
	r.inner, r.limit, r.keep = x.Request.Body, limit, true
	n := r.inner.Len()
	if r.sized = n >= 0; n > limit {
		r.limit = 0 // it would be lost in the end: don't begin to keep it
	}
	x.Request.Body = &r.first
	x.OnDone(r.done)
	return r
}

func (r *recorder) end(x *exchange.Exchange) {
	r.mu.Lock()
	reusable := r.attempt == 0 // else a view of another attempt may still point here
	if v, ok := x.Request.Body.(*view); ok && v.r == r {
		x.Request.Body = r.inner
	}
	r.drop()
	r.inner, r.limit, r.attempt = exchange.NoBody, 0, 0
	r.keep, r.lost, r.failed, r.ended, r.sized = false, false, false, false, false
	r.closed, r.reading, r.out, r.lent = false, false, false, false
	r.mu.Unlock()
	if reusable {
		recorders.Put(r)
	}
}

// drop gives the kept bytes back.
func (r *recorder) drop() {
	for i, b := range r.kept {
		b.Release()
		r.kept[i] = nil
	}
	r.kept, r.size, r.replay = r.kept[:0], 0, 0
}

// canRewind reports whether the whole body can be given out again. While the
// last attempt's transport may still be sending, it can't when that one waits
// for a piece or works on one that will be overwritten.
func (r *recorder) canRewind(sending bool) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mayRewind(sending)
}

func (r *recorder) mayRewind(sending bool) bool {
	if !r.keep || r.lost || r.failed || r.reading {
		return false
	}
	return !sending || !r.out || r.ended || r.sized && r.inner.Len() == 0
}

// rewind gives x a new view of the body, from its first byte.
func (r *recorder) rewind(x *exchange.Exchange, sending bool) bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mayRewind(sending) {
		return false
	}
	r.attempt++
	r.replay, r.closed, r.out, r.lent = 0, false, false, false
	x.Request.Body = &view{r, r.attempt}
	return true
}

// stop says that there will be no retry. What was kept is forgotten as soon as
// no piece of it can be in use.
func (r *recorder) stop() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.keep = false
	if !r.lent && !r.replaying() {
		r.drop()
	}
	closed := r.closed
	r.mu.Unlock()
	if closed {
		r.inner.Close()
	}
}

// replaying reports whether a kept piece comes next.
func (r *recorder) replaying() bool { return r.replay < len(r.kept) }

// copy keeps p.
func (r *recorder) copy(p []byte) {
	for len(p) > 0 {
		used := int(r.size % exchange.BufferSize)
		if used == 0 {
			r.kept = append(r.kept, exchange.NewBuffer())
		}
		n := copy(r.kept[len(r.kept)-1].B[used:], p)
		r.size += int64(n)
		p = p[n:]
	}
	r.replay = len(r.kept)
}

func (r *recorder) piece(i int) []byte {
	b := r.kept[i].B[:]
	if i == len(r.kept)-1 {
		b = b[:r.size-int64(i)*exchange.BufferSize]
	}
	return b
}

// view is the request body as one attempt sees it.
type view struct {
	r       *recorder
	attempt int
}

var errSuperseded = errors.New("the request is sent by another attempt")

func (v *view) Next() ([]byte, error) {
	r := v.r
	r.mu.Lock()
	r.out = r.out && v.attempt != r.attempt
	switch {
	case v.attempt != r.attempt:
		r.mu.Unlock()
		return nil, errSuperseded
	case r.replaying():
		p := r.piece(r.replay)
		r.replay++
		r.lent = true
		r.mu.Unlock()
		return p, nil
	}
	if r.lent = false; !r.keep {
		r.drop()
	}
	if r.ended {
		r.mu.Unlock()
		return nil, io.EOF
	}
	r.reading = true
	r.mu.Unlock()

	p, err := r.inner.Next()

	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading, r.out = false, err == nil
	switch {
	case err == io.EOF:
		r.ended = true
	case err != nil:
		r.failed = true
	case !r.keep || r.lost:
	case r.size+int64(len(p)) > r.limit:
		r.lost = true
		r.drop()
	default:
		r.copy(p)
	}
	return p, err
}

func (v *view) Len() int64 {
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	var n int64
	if !r.ended {
		n = r.inner.Len()
	}
	if r.replaying() {
		if !r.sized {
			return -1 // as the first time, so that a trailer section still has a place
		}
		n += r.size - int64(r.replay)*exchange.BufferSize
	}
	return n
}

func (v *view) Trailer() *exchange.Header { return v.r.inner.Trailer() }

// Close while a retry is possible is only the end of this attempt. It no longer
// is when a piece is being waited for: that wait must end.
func (v *view) Close() error {
	r := v.r
	r.mu.Lock()
	if v.attempt != r.attempt || r.keep && !r.reading {
		r.closed = r.closed || v.attempt == r.attempt
		r.mu.Unlock()
		return nil
	}
	r.keep = false
	inner := r.inner
	r.mu.Unlock()
	return inner.Close()
}

// Ready implements exchange.Ready.
func (v *view) Ready() bool {
	r := v.r
	r.mu.Lock()
	ready, inner := r.replaying() || r.ended, r.inner
	r.mu.Unlock()
	if ready {
		return true
	}
	waiting, ok := inner.(exchange.Ready)
	return ok && waiting.Ready()
}
