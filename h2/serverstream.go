package h2

import (
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
	"gopura/semantics"
)

// serverStream is one request and its answer. It is pooled, with the memory of
// its exchange and the functions that are handed out for each request.
type serverStream struct {
	c    *serverConn
	id   uint32
	x    exchange.Exchange
	in   inflow
	out  outflow
	body serverBody

	inform func(int, *exchange.Header) error // st.sendInform, bound once
	fields semantics.Fields

	// From the reader, before the stream is served.
	head  semantics.Head
	flaw  error
	empty bool // END_STREAM came with the head

	// Under the link's mu.
	ended   bool            // the client has said END_STREAM
	got     int64           // bytes of DATA
	held    int             // of them, those that the connection's window misses
	tail    exchange.Header // trailers, when ended
	counted bool            // in alive: neither ended by both sides nor reset by one
	settled bool            // reset by one side: nothing more is sent
	how     ending          // and by which

	heading sync.Mutex // orders interim answers before the final head
	headed  bool       // the final head is on its way
}

func newServerStream() *serverStream {
	st := new(serverStream)
	st.inform = st.sendInform
	st.body.st = st
	st.x.Reset()
	return st
}

// begin sets the stream up for the request whose HEADERS are here.
func (st *serverStream) begin(c *serverConn, id uint32, now time.Time) {
	st.c, st.id = c, id
	st.ended, st.got, st.held, st.settled, st.how, st.headed = false, 0, 0, false, whole, false
	st.in.start(streamWindow)
	x := &st.x
	x.Client, x.Start, x.Now = c.client, now, now
	x.Request.Scheme = c.scheme
	x.OnInform(st.inform)
	x.Arm()
}

// open takes over what the header block said.
func (st *serverStream) open(b *block, end bool) {
	st.head, st.flaw = b.Head, b.Flaw
	st.ended, st.empty = end, end
	if end {
		st.in.finish()
	}
}

// recycle gives the stream back to the pool. Its exchange is done.
func (st *serverStream) recycle() {
	s := st.c.s
	st.in.release()
	st.x.Reset()
	st.c, st.tail = nil, exchange.Header{}
	st.head, st.flaw = semantics.Head{}, nil
	s.streams.Put(st)
}

// receive keeps a piece of the body. It holds as much of the connection's window
// until it is pulled or given up. The caller holds the link's mu.
func (st *serverStream) receive(p []byte, flow int, end bool) error {
	if st.in.wanted() {
		st.held += len(p)
		st.c.repay(flow - len(p))
	} else {
		st.c.repay(flow)
	}
	st.got += int64(len(p))
	if st.head.Length >= 0 && st.got > st.head.Length { // RFC 9113 §8.1.1
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeProtocol, Cause: semantics.TooMuch}
	}
	if st.in.put(p, flow, false) != nil {
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeFlowControl}
	}
	if end {
		return st.finishBody()
	}
	return nil
}

// finishBody takes note of END_STREAM. The caller holds the link's mu.
func (st *serverStream) finishBody() error {
	if st.head.Length >= 0 && st.got != st.head.Length { // RFC 9113 §8.1.1
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeProtocol, Cause: semantics.TooLittle}
	}
	st.ended = true
	if st.out.ended {
		st.uncount()
	}
	st.in.finish()
	return nil
}

// breakOff ends a stream that was reset: its exchange is cancelled, its body
// broken, and nothing more is sent. The caller holds the link's mu.
func (st *serverStream) breakOff(cause error, how ending) {
	if !st.settled {
		st.settled, st.how = true, how
	}
	st.uncount()
	st.x.Cancel(cause)
	st.giveUp(cause)
	st.out.stopLocked(cause)
}

// giveUp drops what has arrived of the body and was not pulled, and gives its share of
// the connection's window back: other streams need it. The caller holds the link's mu.
func (st *serverStream) giveUp(why error) (written bool) {
	st.in.drop(why)
	written = st.c.repay(st.held)
	st.held = 0
	return written
}

// run serves the stream on a worker.
func (st *serverStream) run() {
	c := st.c
	reuse := false
	defer func() {
		if v := recover(); v != nil {
			st.panicked(v)
		}
		st.leave()
		c.flush()
		if reuse {
			st.recycle()
		}
		c.settle(1)
	}()
	code := st.serve()
	whole := st.closeBody()
	st.close(code)
	// The client sees the end only when nothing of the exchange is left: what it
	// sends next finds the upstream connection free, and limits given back.
	reuse = st.done() && whole
}

// closeBody closes the response body. Whoever panics over that keeps the memory
// of the stream.
func (st *serverStream) closeBody() (whole bool) {
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
func (st *serverStream) serve() (code http2.ErrCode) {
	x := &st.x
	defer func() {
		if v := recover(); v != nil {
			code = http2.ErrCodeInternal
			st.fail(exchange.Internal.Errorf("panic: %v", v))
			st.panicked(v)
		}
	}()
	e, malformed := st.fill()
	switch {
	case e == nil:
		st.c.conf.Root.Serve(x)
	default:
		st.c.conf.Root.Refuse(x, e)
	}
	if malformed { // RFC 9113 §8.1.1
		st.c.calm.earn(-costReset) // CVE-2025-8671: making us reset is resetting
		x.DropResponse()
		x.Response.Status = 400 // what the record says
		return http2.ErrCodeProtocol
	}
	if err := st.respond(); err != nil {
		st.fail(err)
		if exchange.ClientGone.Is(err) {
			return http2.ErrCodeCancel
		}
		return http2.ErrCodeInternal
	}
	return http2.ErrCodeNo
}

func (st *serverStream) panicked(v any) {
	st.c.conf.Log.Error("panic while serving a stream", "panic", v, "stack", string(debug.Stack()))
}

// fail notes why the response is not whole; the first reason stays.
func (st *serverStream) fail(err error) {
	if st.x.Err == nil {
		st.x.Err = exchange.AsError(err)
	}
}

// close ends the stream towards the client: with RST_STREAM when the answer is
// not whole, or when the rest of the request is not wanted (RFC 9113 §8.1).
func (st *serverStream) close(code http2.ErrCode) {
	c := st.c
	c.mu.Lock()
	unsaid := code != http2.ErrCodeNo || !st.ended
	if unsaid && !st.settled && !c.over {
		c.framer.WriteRSTStream(st.id, code)
		st.how = byUs
	}
	if code == http2.ErrCodeNo && !st.settled {
		c.calm.earn(earnAnswer)
	}
	st.giveUp(errBodyGivenUp)
	delete(c.open, st.id)
	c.closed.add(st.id, st.how)
	st.uncount()
	st.settled = true
	c.crowd = len(c.open)
	if len(c.open) == 0 {
		c.idle = time.Now()
		if c.parting == gone && !c.over {
			c.poke()
		}
	}
	c.mu.Unlock()
	st.out.leave()
}

// uncount makes room for another stream. It comes before the client can know
// that there is: before the frame that ends this one is written. The caller
// holds the link's mu.
func (st *serverStream) uncount() {
	if st.counted {
		st.counted = false
		st.c.alive--
	}
}

// said takes note of our END_STREAM. The caller holds the link's mu.
func (st *serverStream) said() {
	st.out.ended = true
	if st.ended {
		st.uncount()
	}
}

// leave makes sure that the stream is off the connection's list, also after a
// panic.
func (st *serverStream) leave() {
	c := st.c
	c.mu.Lock()
	there := c.open[st.id] == st
	c.mu.Unlock()
	if there {
		st.close(http2.ErrCodeInternal)
	}
}

// done ends the exchange. A stream whose exchange somebody panicked over is not
// used again.
func (st *serverStream) done() (reuse bool) {
	x := &st.x
	before := x.Err
	x.Done()
	if x.Err != before {
		st.c.conf.Log.Error("the end of a stream failed", "error", x.Err)
	}
	return true
}
