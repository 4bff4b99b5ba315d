package h2

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	"gopura/exchange"
)

// stream is one request and its answer. It is pooled, with the memory of its
// exchange and the functions that are handed out for each request.
type stream struct {
	*Server
	x exchange.Exchange
	w http.ResponseWriter
	r *http.Request

	write  watch         // the client takes the response
	left   chan struct{} // clientLeft has run
	names  []string      // see sorted
	inform func(int, *exchange.Header) error
	leave  func()
}

func newStream(s *Server) *stream {
	st := &stream{Server: s, left: make(chan struct{}, 1)}
	st.inform, st.leave, st.write.bite = st.informClient, st.clientLeft, st.breakOff
	st.x.Reset()
	return st
}

// serve is net/http's handler: one stream, on its own goroutine.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	st := s.streams.Get().(*stream)
	if !st.run(w, r) {
		// RST_STREAM: a response that broke must not look as if it had ended.
		panic(http.ErrAbortHandler)
	}
}

// run serves the stream and reports whether the response is whole.
func (st *stream) run(w http.ResponseWriter, r *http.Request) (whole bool) {
	x := &st.x
	st.w, st.r = w, r
	x.Client = r.Context().Value(clientKey{}).(*exchange.Client)
	x.Start = time.Now()
	x.OnInform(st.inform)
	x.Arm()
	// net/http cancels the request's context when the stream is reset or the
	// connection ends; no goroutine waits for that.
	stay := context.AfterFunc(r.Context(), st.leave)
	defer func() {
		v := recover()
		if v != nil {
			whole = false
			st.fail(exchange.Internal.Errorf("panic: %v", v))
			st.panicked(v)
		}
		if !stay() {
			<-st.left // clientLeft may still look at x
		}
		st.finish(v == nil)
	}()
	if e := st.fill(r); e != nil {
		st.conf.Root.Refuse(x, e)
	} else {
		st.conf.Root.Serve(x)
	}
	return st.respond()
}

func (st *stream) panicked(v any) {
	st.conf.Log.Error("panic while serving a stream", "panic", v, "stack", string(debug.Stack()))
}

// finish ends the exchange. A stream whose exchange somebody panicked over is
// not used again.
func (st *stream) finish(reuse bool) {
	defer func() {
		if v := recover(); v != nil { // a body's Close, when the response is out
			st.panicked(v)
		}
	}()
	x := &st.x
	if x.Response.Body != nil {
		x.Response.Body.Close()
	}
	x.Request.Body.Close()
	before := x.Err
	x.Done()
	if x.Err != before {
		st.conf.Log.Error("the end of a stream failed", "error", x.Err)
	}
	if reuse {
		x.Reset()
		st.w, st.r = nil, nil
		st.write.reset()
		st.streams.Put(st)
	}
}

// fail notes why the response is not whole; the first reason stays.
func (st *stream) fail(err error) {
	if st.x.Err == nil {
		st.x.Err = exchange.AsError(err)
	}
}

func (st *stream) clientLeft() {
	st.x.Cancel(exchange.ClientGone.Because(context.Cause(st.r.Context())))
	st.left <- struct{}{}
}

// breakOff resets a stream whose window the client has kept closed.
func (st *stream) breakOff() {
	st.x.Cancel(exchange.ClientGone.Errorf("the client took nothing within %s", st.conf.WriteTimeout))
	st.setWriteDeadline(time.Unix(1, 0)) // net/http: one in the past resets the stream at once
}

func (st *stream) setWriteDeadline(t time.Time) {
	if d, ok := st.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		d.SetWriteDeadline(t)
	}
}
