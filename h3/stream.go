package h3

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"gopura/exchange"
	"gopura/semantics"
)

// stream is one request and its answer. It is pooled, with the memory of its
// exchange and the functions that are handed out for each request.
type stream struct {
	c    *conn
	str  *quic.Stream
	x    exchange.Exchange
	in   reader
	buf  *exchange.Buffer // of in; nil when nothing more is read
	raw  []byte           // a header block
	body requestBody

	block block // the head of the request

	coder  coder // of a header block that is being written
	fields semantics.Fields
	out    []byte // what is not yet written

	inform  func(int, *exchange.Header) error // st.sendInform, bound once
	gone    func()                            // st.clientGone, bound once
	left    chan struct{}                     // gone has run
	stay    func() bool                       // gone need not run any more; nil: that was said
	heading sync.Mutex                        // orders interim answers before the final head
	headed  bool                              // the final head is on its way
}

func newStream() *stream {
	st := &stream{left: make(chan struct{}, 1)}
	st.inform, st.gone = st.sendInform, st.clientGone
	st.coder.init()
	st.body.st = st
	st.x.Reset()
	return st
}

// begin sets the stream up for the request that comes on str.
func (st *stream) begin(c *conn, str *quic.Stream) {
	st.c, st.str, st.headed = c, str, false
	st.buf = exchange.NewBuffer()
	st.in.start(str, st.buf.B[:])
	st.body.start(-1)
	x := &st.x
	x.Client = c.client
	x.Start = time.Now()
	x.Now = x.Start
	x.Request.Scheme = "https" // a fact of the connection; :scheme is not believed
	x.OnInform(st.inform)
	x.Arm()
}

// letGo gives the read buffer back.
func (st *stream) letGo() {
	if st.buf != nil {
		st.in.start(nil, nil)
		st.buf.Release()
		st.buf = nil
	}
}

// maxKept bounds the memory that a stream keeps for the next request.
const maxKept = 16 << 10

// recycle gives the stream back to the pool. Its exchange is done.
func (st *stream) recycle() {
	s := st.c.s
	st.x.Reset()
	st.c, st.str, st.block = nil, nil, block{}
	if cap(st.raw) > maxKept {
		st.raw = nil
	}
	if cap(st.out) > maxKept {
		st.out = nil
	}
	if cap(st.coder.coded) > maxKept {
		st.coder.coded = nil
	}
	st.out = st.out[:0]
	s.streams.Put(st)
}

// run serves the stream on a goroutine of its own.
func (st *stream) run() {
	c, reuse := st.c, false
	defer func() {
		if v := recover(); v != nil {
			st.panicked(v)
			st.reset(codeInternal)
		}
		c.leaveStream(st)
		if reuse {
			st.recycle()
		}
	}()
	st.stay = context.AfterFunc(st.str.Context(), st.gone)
	code := st.serve()
	whole := st.closeBody()
	st.unwatch()
	c.forget(st)
	// The client sees the end only when nothing of the exchange is left: what it
	// sends next finds the upstream connection free, and limits given back.
	before := st.x.Err
	st.x.Done()
	if st.x.Err != before {
		c.conf.Log.Error("the end of a stream failed", "error", st.x.Err)
	}
	st.close(code)
	st.letGo()
	reuse = whole // what somebody panicked over is not used again
}

// closeBody gives up the body of the answer, and reports whether that went well:
// limits and records must be told about the end of an exchange in any case.
func (st *stream) closeBody() (whole bool) {
	defer func() {
		if v := recover(); v != nil {
			st.panicked(v)
		}
	}()
	if body := st.x.Response.Body; body != nil {
		body.Close()
	}
	return true
}

// serve makes the answer and writes it. It returns the code with which the
// stream has to be reset when it did not get to its end.
func (st *stream) serve() (code quic.StreamErrorCode) {
	x, c := &st.x, st.c
	defer func() {
		if v := recover(); v != nil {
			code = codeInternal
			st.fail(exchange.Internal.Errorf("panic: %v", v))
			st.panicked(v)
		}
	}()
	var e *exchange.Error
	malformed := false
	if err := st.readHead(); err != nil && !errors.As(err, &e) {
		if err == errNothing {
			return codeRequestIncomplete
		}
		c.fail(err)
		return codeRequestCancelled
	}
	if e == nil {
		e, malformed = st.fill()
	}
	if e == nil {
		c.conf.Root.Serve(x)
	} else {
		c.conf.Root.Refuse(x, e)
	}
	if malformed { // RFC 9114 §4.1.2
		x.DropResponse()
		x.Response.Status = 400 // what the record says
		return codeMessage
	}
	if err := st.respond(); err != nil {
		st.fail(err)
		if exchange.ClientGone.Is(err) {
			return codeRequestCancelled
		}
		return codeInternal
	}
	return 0
}

func (st *stream) panicked(v any) {
	st.c.conf.Log.Error("panic while serving a stream", "panic", v, "stack", string(debug.Stack()))
}

// fail notes why the response is not whole; the first reason stays.
func (st *stream) fail(err error) {
	if st.x.Err == nil {
		st.x.Err = exchange.AsError(err)
	}
}

// clientGone runs when the client takes no more of the answer: it has reset the
// stream, or the connection has ended.
func (st *stream) clientGone() {
	st.x.Cancel(st.c.lost(context.Cause(st.str.Context())))
	st.left <- struct{}{}
}

// unwatch ends the watch for a client that goes. It may be called twice.
func (st *stream) unwatch() {
	if st.stay != nil && !st.stay() {
		<-st.left // clientGone may still look at x
	}
	st.stay = nil
}

// reset ends both directions of the stream.
func (st *stream) reset(code quic.StreamErrorCode) {
	st.str.CancelWrite(code)
	st.str.CancelRead(code)
}

// close ends the stream towards the client: with a reset when the answer is not
// whole, and without the rest of the request (RFC 9114 §4.1.1).
func (st *stream) close(code quic.StreamErrorCode) {
	if code != 0 {
		if code == codeInternal {
			st.str.SetReliableBoundary() // what there was of it may arrive, where the client knows how
		}
		st.reset(code)
		if st.c.calm.spend(costReset) {
			return
		}
		st.c.fail(errFlood)
		return
	}
	st.c.calm.earn(earnAnswer)
	st.str.CancelRead(codeNo)
	st.str.Close()
}
