package h2

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/net/http2"

	"gopura/exchange"
	"gopura/semantics"
)

// call is one exchange on a connection to a target: a stream. It is pooled, with
// its windows and headers.
type call struct {
	t   *Transport
	c   *upConn
	x   *exchange.Exchange
	id  uint32
	in  inflow
	out outflow

	over    func(*exchange.Exchange) // k.done, bound once
	fields  semantics.Fields
	names   []byte // values that are put together
	grpc    bool
	head    bool // the method is HEAD
	touched bool // a piece of the request body was taken
	kept    bool // the connection had been idle
	body    responseBody
	pump    pump

	orphan bool // under the link's mu: the owner has left, the reader has not

	// Written by the reader under in.mu. The response head may be read without it
	// once status is seen, the trailers once the end is.
	status   int // 0: no response head yet
	length   int64
	received int64 // bytes of DATA
	bodiless bool
	header   exchange.Header
	tail     exchange.Header
	interim  []interim
	interims int
	reset    bool // the target has reset the stream, or we have
	closed   bool // by the target: END_STREAM or RST_STREAM
}

// interim is a 1xx answer.
type interim struct {
	status int
	header exchange.Header
}

const maxInterim = 16

// roundTrip sends the request and waits for the response head.
// After an error, again tells whether it may be made anew: nothing of the body
// was taken.
func (k *call) roundTrip(c *upConn, x *exchange.Exchange) (e *exchange.Error, again bool) {
	k.c, k.x = c, x
	k.grpc = exchange.IsGRPC(x.Request.Header.Get("Content-Type"))
	k.head = x.Request.Method == http.MethodHead
	k.touched, k.body.left = false, -1
	k.status, k.length, k.received, k.bodiless = 0, -1, 0, false
	k.interims, k.reset, k.closed = 0, false, false
	k.in.start(callWindow)
	start := time.Now()
	if !k.open() {
		k.t.drain(c) // the next attempt takes another
		k.t.leave(c, start)
		k.recycle()
		e = exchange.UpstreamStale.Because(errGoAway)
		e.Retry = true
		return e, true
	}
	cause := x.Interruptible(k)
	var err error
	if cause == nil {
		err = k.send()
		c.flush()
		if err == nil || k.answered() {
			err = k.await(start) // a target may answer, and take no more, while the body is sent
		}
	}
	x.Now = time.Now()
	x.Upstream = x.Now.Sub(start)
	x.Upload = k.uploaded(start, x.Upstream, err)
	switch {
	case cause != nil:
	case err == nil:
		k.respond()
		x.OnDone(k.over)
		return nil, false
	}
	e, again = k.failure(cause, err), !k.touched
	k.done(x)
	return e, again
}

// open takes an id and appends HEADERS, in one go: ids must reach the target in
// order. It reports false when the connection takes no more streams.
func (k *call) open() bool {
	c, r := k.c, &k.x.Request
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.open == nil || c.next > maxStreamID-2 {
		return false
	}
	k.id = c.next
	k.kept = len(c.open) == 0 && k.id > 1
	c.next += 2
	c.open[k.id] = k
	c.crowd++
	c.credit.Add(creditPerCall)
	k.out.start(&c.link, k.id)
	c.request(k, r)
	end := r.Body.Len() == 0
	c.link.head(k.id, end)
	k.out.ended = end
	return true
}

// request encodes the request's head. The caller holds mu.
func (c *upConn) request(k *call, r *exchange.Request) {
	c.Field(":method", r.Method)
	if c.t.c.TLS != nil {
		c.Field(":scheme", "https")
	} else {
		c.Field(":scheme", "http")
	}
	if c.t.c.Authority != "" {
		c.Field(":authority", c.t.c.Authority)
	} else if len(r.Authority) > 0 {
		c.Field(":authority", stringOf(r.Authority))
	}
	if r.Query != nil {
		k.names = append(append(append(k.names[:0], r.Path...), '?'), r.Query...)
		c.Field(":path", stringOf(k.names))
	} else {
		c.Field(":path", stringOf(r.Path))
	}
	if d := k.x.Deadline; k.grpc && !d.IsZero() {
		// What is left for the target, which is less than the client gave us.
		k.names = exchange.AppendGRPCTimeout(k.names[:0], time.Until(d))
		c.Field("grpc-timeout", stringOf(k.names))
	}
	for _, f := range r.Header.Fields() {
		name, ok := k.fields.Request(f.Name)
		if !ok || name == "grpc-timeout" && k.grpc && !k.x.Deadline.IsZero() {
			continue
		}
		c.Field(name, stringOf(f.Value))
	}
	if n := r.Body.Len(); n > 0 && !k.grpc {
		k.names = strconv.AppendInt(k.names[:0], n, 10)
		c.Field("content-length", stringOf(k.names))
	}
	if r.ExpectContinue {
		c.Field("expect", "100-continue")
	}
	if r.Trailers {
		c.Field("te", "trailers")
	}
}

// send sends the body as far as it is here and the windows allow; a goroutine
// sends the rest.
func (k *call) send() error {
	body := k.x.Request.Body
	if k.out.ended {
		return nil
	}
	if k.x.Request.ExpectContinue {
		return nil // see await
	}
	ready, ok := body.(exchange.Ready)
	for ok && ready.Ready() {
		k.touched = true
		p, err := body.Next()
		if err != nil {
			return k.ended(body, err)
		}
		rest, err := k.out.push(p)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			k.pump.start(k, rest)
			return nil
		}
	}
	k.touched = true
	k.pump.start(k, nil)
	return nil
}

// ended ends the request after body has returned err.
func (k *call) ended(body exchange.Body, err error) error {
	if !errors.Is(err, io.EOF) {
		return &bodyError{err}
	}
	t := body.Trailer()
	if t == nil || t.Len() == 0 {
		k.out.end()
		return nil
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if k.out.ended || k.out.failure() != nil {
		return nil
	}
	for _, f := range t.Fields() {
		if name, ok := k.fields.Request(f.Name); ok {
			k.c.Field(name, stringOf(f.Value))
		}
	}
	k.c.link.head(k.id, true)
	k.out.ended = true
	return nil
}

// bodyError is a request body that broke: the client's fault, or a policy's.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// continueWait is how long a target may take to say 100 before the body is sent
// all the same (RFC 9110 §10.1.1 forbids to wait for ever).
const continueWait = time.Second

// await waits for the response head.
func (k *call) await(start time.Time) error {
	expecting := k.x.Request.ExpectContinue && !k.out.ended
	for {
		pass, err := k.look()
		switch {
		case err != nil:
			return err
		case pass == 0: // nothing new
		case pass >= 200:
			return nil
		case expecting:
			expecting = false
			k.touched = true
			k.pump.start(k, nil)
		}
		by := k.by(start)
		if expecting && (by.IsZero() || start.Add(continueWait).Before(by)) {
			by = start.Add(continueWait)
		}
		if k.in.await(by) {
			continue
		}
		if expecting {
			expecting = false
			k.touched = true
			k.pump.start(k, nil)
			continue
		}
		if again := k.by(start); again.IsZero() || again.After(time.Now()) {
			continue // the request took a while
		}
		return errTooLate
	}
}

var errTooLate = errors.New("no answer in time")

// look returns the status of an answer that has arrived, after passing on those
// that came before.
func (k *call) look() (int, error) {
	k.in.mu.Lock()
	status, err, early := k.status, k.in.err, k.interim
	k.interim = nil
	k.in.mu.Unlock()
	pass := 0
	for i := range early {
		pass = early[i].status
		if pass != 100 {
			if err := k.x.Inform(pass, &early[i].header); err != nil {
				return 0, exchange.ClientGone.Because(err)
			}
		}
	}
	if status != 0 {
		return status, nil
	}
	return pass, err
}

// by is when the response head has to be here.
func (k *call) by(start time.Time) time.Time {
	by := time.Time{}
	if t := k.t.c.ResponseTimeout; t > 0 {
		switch sent, sending := k.pump.ended(); {
		case sending: // the target is not to blame while the client sends
		case sent.IsZero():
			by = start.Add(t)
		default:
			by = sent.Add(t)
		}
	}
	if d := k.x.Deadline; !d.IsZero() && (by.IsZero() || d.Before(by)) {
		by = d
	}
	return by
}

// respond makes the exchange's response of what has arrived.
func (k *call) respond() {
	r := &k.x.Response
	r.Status = k.status
	r.Header.Truncate()
	for _, f := range k.header.Fields() {
		r.Header.AddField(f)
	}
	if k.bodiless {
		n := k.length
		if r.Status == http.StatusNoContent {
			n = 0
		}
		r.Body = exchange.Unread(n)
		return
	}
	if exchange.IsEventStream(&r.Header) {
		k.x.LiftDeadline() // it may last as long as it flows
	}
	k.body.start(k)
	r.Body = &k.body
}

// Interrupt implements exchange.Interrupter.
func (k *call) Interrupt() {
	k.in.fail(errInterrupted)
	k.out.stop(errInterrupted)
}

var errInterrupted = errors.New("the exchange was cancelled")

// done runs when the exchange is over: what of the stream is still open is
// reset.
func (k *call) done(x *exchange.Exchange) {
	c := k.c
	k.pump.stop(k, x)
	x.Release()
	k.out.leave()
	k.in.mu.Lock()
	closed, reset := k.closed, k.reset
	k.in.mu.Unlock()
	c.mu.Lock()
	flush := false
	if !reset && (!closed || !k.out.ended) && c.err == nil {
		code := http2.ErrCodeCancel
		if closed {
			code = http2.ErrCodeNo // the answer is whole: the rest of the request is of no interest
		}
		c.framer.WriteRSTStream(k.id, code)
		flush = true
	}
	delete(c.open, k.id)
	c.crowd--
	k.orphan = c.current == k
	mine := !k.orphan
	c.mu.Unlock()
	if flush {
		c.flush()
	}
	c.t.leave(c, x.Now)
	if mine {
		k.recycle()
	}
}

// recycle makes k ready for another exchange. Nobody else may know it.
func (k *call) recycle() {
	k.in.release()
	k.header.Reset()
	k.tail.Reset()
	k.c, k.x, k.interim = nil, nil, nil
	k.out.l = nil
	k.t.calls.Put(k)
}

// failure says what a failed round trip means for the client.
func (k *call) failure(cause, err error) *exchange.Error {
	if cause == nil {
		cause = k.x.Cancelled()
	}
	if cause != nil {
		return cancelled(cause)
	}
	var be *bodyError
	var e *exchange.Error
	var lost *lostError
	switch {
	case errors.As(err, &be):
		if errors.As(be.err, &e) {
			return e
		}
		return exchange.BadBody.Because(be.err)
	case errors.As(err, &e):
		return e
	case err == errTooLate, err == errSendTimeout:
		k.c.suspect()
		if d := k.x.Deadline; !d.IsZero() && !time.Now().Before(d) {
			return exchange.ExchangeTimeout.Because(err)
		}
		return exchange.UpstreamTimeout.Because(err)
	case err == errRefused:
		e := exchange.UpstreamStale.Because(err)
		e.Retry = true
		return e
	case errors.As(err, &lost) && k.kept && k.interims == 0:
		return exchange.UpstreamStale.Because(err) // perhaps it was processed
	}
	if d := k.x.Deadline; !d.IsZero() && !time.Now().Before(d) { // the target knows it, too
		return exchange.ExchangeTimeout.Because(err)
	}
	return exchange.UpstreamReset.Because(err)
}

// answered reports whether the head of the response is here.
func (k *call) answered() bool {
	k.in.mu.Lock()
	defer k.in.mu.Unlock()
	return k.status != 0
}

func malformed(format string, args ...any) *exchange.Error {
	return exchange.UpstreamMalformed.Because(fmt.Errorf(format, args...))
}

func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
