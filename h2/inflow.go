package h2

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// inflow is the receiving half of a stream: what has arrived and was not
// pulled, never more than a window of it. The link's reader puts, one goroutine
// pulls, and close may be called by any.
type inflow struct {
	wake chan struct{} // has room for one
	wait *time.Timer   // made when first needed

	mu     sync.Mutex
	bufs   []*exchange.Buffer // what is here: all of them are full but the last,
	w      int                // which holds w bytes
	lent   *exchange.Buffer   // holds the piece that was pulled last
	few    [fewBytes]byte     // what came before bufs, so that a few bytes need no buffer:
	n      int                // n bytes
	out    bool               // the piece that was pulled last is in few
	size   int                // bytes here
	window int                // bytes that the peer may still send
	owed   int                // bytes that were pulled and not given back to the peer's window
	ended  bool               // END_STREAM has arrived
	err    error              // why it won't end well; what is here can't be pulled any more
}

// fewBytes is what a stream holds without a buffer: a message of gRPC, a small form.
const fewBytes = 1 << 10

// start makes f ready for a stream whose window is that large.
func (f *inflow) start(window int) {
	if f.wake == nil {
		f.wake = make(chan struct{}, 1)
	}
	select {
	case <-f.wake:
	default:
	}
	f.mu.Lock()
	f.w, f.n, f.out, f.size, f.owed = 0, 0, false, 0, 0
	f.window, f.ended, f.err = window, false, nil
	f.mu.Unlock()
}

func (f *inflow) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// put keeps a DATA frame: p of its flow bytes, which count against the window
// (padding does too). It fails when the peer sends more than it may.
func (f *inflow) put(p []byte, flow int, end bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if flow > f.window {
		return http2.StreamError{Code: http2.ErrCodeFlowControl}
	}
	f.window -= flow
	f.owed += flow - len(p)
	if f.err != nil {
		return nil // nobody wants it
	}
	f.size += len(p)
	if len(f.bufs) == 0 && !f.out && len(p) <= len(f.few)-f.n {
		f.n += copy(f.few[f.n:], p)
		p = nil
	}
	for len(p) > 0 {
		if len(f.bufs) == 0 || f.w == exchange.BufferSize {
			f.bufs = append(f.bufs, exchange.NewBuffer())
			f.w = 0
		}
		n := copy(f.bufs[len(f.bufs)-1].B[f.w:], p)
		f.w += n
		p = p[n:]
	}
	f.ended = f.ended || end
	f.signal()
	return nil
}

// finish says that nothing follows.
func (f *inflow) finish() {
	f.mu.Lock()
	f.ended = true
	f.signal()
	f.mu.Unlock()
}

// fail breaks f off: a pull that waits returns err. The first reason stays, and
// a body that is here to its end is whole whatever happens to its stream.
func (f *inflow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && !f.ended {
		f.err = err
		f.signal()
	}
}

// drop forgets what is here: nobody wants it.
func (f *inflow) drop(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.releaseAll()
	f.signal()
}

// pull returns what is here, valid until the next pull. Nothing and no error:
// there is nothing yet. At the end it returns done.
func (f *inflow) pull() (p []byte, done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takeBack()
	if f.size == 0 {
		return nil, f.ended && f.err == nil, f.err
	}
	if f.n > 0 {
		p = f.few[:f.n:f.n]
		f.n, f.out = 0, true
		f.size -= len(p)
		f.owed += len(p)
		return p, false, nil
	}
	first, last := f.bufs[0], exchange.BufferSize
	if len(f.bufs) == 1 {
		last = f.w
	}
	p = first.B[:last:last]
	f.size -= len(p)
	f.owed += len(p)
	f.lent = first
	f.bufs = f.bufs[:copy(f.bufs, f.bufs[1:])]
	return p, false, nil
}

// takeBack ends the life of the piece that was pulled last. The caller holds mu.
func (f *inflow) takeBack() {
	if f.lent != nil {
		f.lent.Release()
		f.lent = nil
	}
	if f.out {
		exchange.Poison(f.few[:])
		f.out = false
	}
}

// repay returns how many bytes the peer's window is to be widened by, when that
// is worth a frame: half of the full window, or whatever there is when the peer
// may send nothing more.
func (f *inflow) repay(full int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.owed
	if f.ended || f.err != nil || n == 0 || n < full/2 && f.window > 0 {
		return 0
	}
	f.owed = 0
	f.window += n
	return n
}

// wanted reports whether anybody will pull what arrives.
func (f *inflow) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err == nil
}

// left returns the number of bytes here, and whether they are the last.
func (f *inflow) left() (n int, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size, f.ended
}

// ready reports whether pull has something to say.
func (f *inflow) ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size > 0 || f.ended || f.err != nil
}

// release gives the memory back when the stream is over.
func (f *inflow) release() {
	f.mu.Lock()
	f.takeBack()
	if f.err == nil {
		f.err = errReleased
	}
	f.releaseAll()
	f.mu.Unlock()
}

var errReleased = errors.New("the stream is over")

func (f *inflow) releaseAll() {
	for i, b := range f.bufs {
		b.Release()
		f.bufs[i] = nil
	}
	f.bufs, f.size, f.w, f.n = f.bufs[:0], 0, 0, 0
}

// await waits until f is woken, and reports false when by has come.
func (f *inflow) await(by time.Time) bool {
	if by.IsZero() {
		<-f.wake
		return true
	}
	left := time.Until(by)
	if left <= 0 {
		return false
	}
	if f.wait == nil {
		f.wait = time.NewTimer(left)
	} else {
		f.wait.Reset(left)
	}
	select {
	case <-f.wake:
		f.wait.Stop()
		return true
	case <-f.wait.C:
		return false
	}
}
