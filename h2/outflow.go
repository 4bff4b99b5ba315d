package h2

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// outflow is the sending half of a stream: DATA within the peer's windows. One
// goroutine sends; stop may be called by any.
type outflow struct {
	l    *link
	id   uint32
	wake chan struct{} // has room for one
	wait *time.Timer   // made when first needed

	// Under the link's mu.
	window  int64
	pending []byte // of a send that waits
	queued  bool   // is in l.blocked
	starved bool   // is in l.starved
	err     error  // set: nothing more is sent
	ended   bool   // END_STREAM is on its way
	batch   uint64 // where the last DATA frame lies: in out while l.batch is this,
	at      int    // at this index
}

// start makes o ready for a stream. The caller holds the link's mu.
func (o *outflow) start(l *link, id uint32) {
	if o.wake == nil {
		o.wake = make(chan struct{}, 1)
	}
	select {
	case <-o.wake:
	default:
	}
	o.l, o.id, o.window, o.err, o.ended, o.at = l, id, l.initial, nil, false, -1
	o.pending, o.queued, o.starved = nil, false, false
}

func (o *outflow) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// stop ends sending: a send that waits returns err. The first reason stays.
func (o *outflow) stop(err error) {
	o.l.mu.Lock()
	o.stopLocked(err)
	o.l.mu.Unlock()
}

func (o *outflow) stopLocked(err error) {
	if o.err == nil {
		o.err = err
		o.signal()
	}
}

// widen takes over a WINDOW_UPDATE of the stream, or a change of the initial
// window. The caller holds the link's mu.
func (o *outflow) widen(by int64) error {
	if o.window += by; o.window > maxWindow {
		return http2.StreamError{StreamID: o.id, Code: http2.ErrCodeFlowControl}
	}
	if o.starved && o.window > 0 {
		o.unqueue()
		o.queue()
		o.l.share()
	}
	return nil
}

// push appends as much of p as the windows allow and returns the rest: all of
// it, when others wait for their turn. It does not flush, and does not wait.
func (o *outflow) push(p []byte) (rest []byte, err error) {
	l := o.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 && len(l.blocked) == 0 {
		if err := o.failure(); err != nil {
			return p, err
		}
		n := o.frame(p)
		if n == 0 {
			return p, nil
		}
		p = p[n:]
	}
	return p, o.failure()
}

// frame appends one DATA frame with as much of p as the windows allow, and
// returns how much that is. The caller holds the link's mu.
func (o *outflow) frame(p []byte) int {
	l := o.l
	n := min(int64(len(p)), o.window, l.window, int64(l.maxFrame))
	if n <= 0 || len(l.out) >= maxQueued {
		return 0
	}
	o.batch, o.at = l.batch, len(l.out)
	l.framer.WriteData(o.id, false, p[:n])
	o.window -= n
	l.window -= n
	l.moved += n
	return int(n)
}

func (o *outflow) failure() error {
	if o.err != nil {
		return o.err
	}
	return o.l.err
}

var errSendTimeout = errors.New("the peer takes nothing")

// send sends p and flushes, waiting for the windows and for its turn, each time
// at most for timeout (0: for ever).
func (o *outflow) send(p []byte, timeout time.Duration) error {
	l := o.l
	l.mu.Lock()
	o.pending = p
	o.queue()
	l.share()
	for len(o.pending) > 0 && o.failure() == nil {
		left, moved := len(o.pending), l.moved
		l.mu.Unlock()
		l.flush()
		woken := o.await(timeout)
		l.mu.Lock()
		// A peer that takes what others send leaves us waiting for our turn. What
		// else is written to it, answers to PINGs say, is no sign of that.
		if !woken && len(o.pending) == left && (l.moved == moved || o.window <= 0) {
			o.unqueue()
			o.pending = nil
			l.mu.Unlock()
			return errSendTimeout
		}
	}
	o.unqueue()
	o.pending = nil
	err := o.failure()
	l.mu.Unlock()
	l.flush()
	return err
}

// queue lets o wait for its turn, or for its window. The caller holds the link's
// mu.
func (o *outflow) queue() {
	l := o.l
	if o.window > 0 {
		o.queued = true
		l.blocked = append(l.blocked, o)
	} else {
		o.starved = true
		l.starved = append(l.starved, o)
	}
}

// unqueue ends the waiting. The caller holds the link's mu.
func (o *outflow) unqueue() {
	if o.queued {
		o.l.blocked = without(o.l.blocked, o)
	}
	if o.starved {
		o.l.starved = without(o.l.starved, o)
	}
	o.queued, o.starved = false, false
}

func without(list []*outflow, o *outflow) []*outflow {
	if i := slices.Index(list, o); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// share lets those who wait have a DATA frame each, in turn, as long as there is
// room. The caller holds mu.
func (l *link) share() {
	for len(l.blocked) > 0 && l.window > 0 && len(l.out) < maxQueued {
		o := l.blocked[0]
		l.blocked = slices.Delete(l.blocked, 0, 1)
		o.queued = false
		if o.failure() == nil {
			o.pending = o.pending[o.frame(o.pending):]
		}
		if len(o.pending) == 0 || o.failure() != nil {
			o.signal()
		} else {
			o.queue()
		}
	}
}

// await waits until o is woken, and reports false after timeout.
func (o *outflow) await(timeout time.Duration) bool {
	if timeout <= 0 {
		<-o.wake
		return true
	}
	if o.wait == nil {
		o.wait = time.NewTimer(timeout)
	} else {
		o.wait.Reset(timeout)
	}
	select {
	case <-o.wake:
		o.wait.Stop()
		return true
	case <-o.wait.C:
		return false
	}
}

// end appends END_STREAM: on the last DATA frame while that has not been taken
// to be written, else on an empty one. It does not flush.
func (o *outflow) end() {
	o.l.mu.Lock()
	o.endLocked()
	o.l.mu.Unlock()
}

func (o *outflow) endLocked() {
	l := o.l
	if o.ended || o.failure() != nil {
		return
	}
	o.ended = true
	const flags = 4 // offset in a frame header
	if o.at >= 0 && o.batch == l.batch && o.at+flags < len(l.out) {
		l.out[o.at+flags] |= byte(http2.FlagDataEndStream)
		return
	}
	l.framer.WriteData(o.id, true, nil)
}

// leave takes o out of the link's lists when its stream is over. Afterwards it
// can be started again.
func (o *outflow) leave() {
	o.l.mu.Lock()
	o.unqueue()
	o.l.mu.Unlock()
}
