package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"gopura/exchange"
)

// upConn is one connection to a target. One exchange uses it at a time.
type upConn struct {
	t     *Transport
	link  link
	raw   syscall.RawConn
	plain bool      // no TLS: raw may be read
	since time.Time // idle since, zero on a new connection

	look  func(fd uintptr) // asks whether the socket is silent, bound once
	alive bool             // its answer

	// asking: a request is written and its answer awaited in one visit to the
	// runtime's poller; see tryAsk.
	try   func(fd uintptr) bool // c.tryAsk, bound once
	asked bool                  // the request is out
	out   []byte                // what is to be written
	wrote int                   // how much of it was
	err   error

	in    inbox
	head  responseParser
	heard bool // an interim answer has arrived
	body  body
	x     *exchange.Exchange
	clean bool // the message on it was framed so that another can follow
	taken bool // a tunnel has it
	whole bool // the request has gone out to its end

	release func(*exchange.Exchange) // c.done, bound once
	fail    func(error) error        // c.bodyError, bound once

	pump  chan error   // result of the goroutine that sends the request body; nil: none
	start time.Time    // of the round trip
	sent  atomic.Int64 // nanoseconds from start until the pump ended, 0 before
	moved atomic.Int64 // pieces that the pump has sent
}

func newUpConn(t *Transport, nc net.Conn) *upConn {
	c := &upConn{t: t}
	c.link.use(nc)
	c.release, c.fail, c.try = c.done, c.bodyError, c.tryAsk
	c.look = func(fd uintptr) { c.alive = silent(fd) }
	if sc, ok := base(nc).(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.plain = c.raw != nil && base(nc) == nc
	return c
}

// errNotIdle is found on a kept connection that the target has closed, or on
// which it has sent something unasked, which the next client would take for its
// answer.
var errNotIdle = errors.New("the kept connection was closed or had something to read")

// quiet reports whether the connection, if it was kept, is still idle.
func (c *upConn) quiet() bool {
	if c.since.IsZero() || c.raw == nil {
		return true
	}
	c.alive = false
	return c.raw.Control(c.look) == nil && c.alive && !c.link.holds()
}

// ask writes a whole request and reads the first bytes of the answer, which it
// has to wait for anyway. A kept connection must be quiet.
func (c *upConn) ask(out []byte, by time.Time) (wrote int, err error) {
	if !c.plain {
		if !c.quiet() {
			return 0, errNotIdle
		}
		return c.link.Write(out)
	}
	c.out, c.asked, c.wrote, c.err = out, false, 0, nil
	c.link.within(by)
	for {
		err := c.raw.Read(c.try)
		if err == nil {
			return c.wrote, c.err
		}
		if !c.link.early(err, by, c.link.armRead) {
			return c.wrote, err
		}
	}
}

// tryAsk is called by the runtime's poller: at once, and then whenever there
// may be bytes. Because the poller was told to watch before the request is
// written, it can't miss the answer, and no read has to find nothing first.
func (c *upConn) tryAsk(fd uintptr) bool {
	if !c.asked {
		if !c.since.IsZero() && !silent(fd) {
			c.err = errNotIdle
			return true
		}
		c.asked = true
		c.link.open(fd)
		c.wrote, c.err = c.link.Write(c.out)
		c.link.shut()
		return c.err != nil
	}
	n, errno := receive(fd, c.in.b[c.in.w:])
	switch {
	case errno == syscall.EAGAIN:
		return false
	case errno != 0:
		c.err = errno
	case n == 0:
		c.err = io.EOF
	default:
		c.in.w += n
	}
	return true
}

// answering is a connection on which nothing is on its way but an answer.
type answering upConn

// Interrupt implements exchange.Interrupter. When the whole answer is here, nobody
// waits for the connection: a client that leaves as soon as it has the answer does
// not cost the next one a handshake.
func (c *answering) Interrupt() {
	if !c.body.finished() {
		c.link.Interrupt()
	}
}

// roundTrip sends the request and reads the response head.
func (c *upConn) roundTrip(x *exchange.Exchange) *exchange.Error {
	c.x, c.clean, c.taken, c.whole, c.pump = x, false, false, false, nil
	c.body.atEnd.Store(false) // before answering may look
	cut := exchange.Interrupter(&c.link)
	if x.Request.Body.Len() == 0 {
		cut = (*answering)(c)
	}
	if cause := x.Interruptible(cut); cause != nil {
		c.t.discard(c)
		return cancelled(cause)
	}
	x.Response.Header.Truncate()
	c.head.reset()
	buf := x.Buffer()
	c.in = inbox{link: &c.link, b: buf.B[:]}
	c.start, c.heard = time.Now(), false
	by := c.by(c.start)
	wrote, err := c.send(x, buf.B[:0], by)
	if err == nil {
		err = c.receive(x, by)
	}
	x.Now = time.Now()
	x.Upstream = x.Now.Sub(c.start)
	x.Upload = c.uploaded(x.Upstream, err)
	if err == nil {
		x.OnDone(c.release)
		return nil
	}
	e := c.sendError(x, err, wrote)
	c.link.Interrupt() // ends the pump's writing
	if c.pump != nil {
		x.Request.Body.Close() // and its reading: the part that it has taken is lost
	}
	c.stopPump(x)
	x.Release()
	c.drop()
	return e
}

// by is when a wait that begins now has to be over.
func (c *upConn) by(now time.Time) time.Time {
	by := deadline(now, c.t.c.ResponseTimeout)
	if d := c.x.Deadline; !d.IsZero() && (by.IsZero() || d.Before(by)) {
		by = d
	}
	return by
}

// send writes the head, and the body with it when that is at hand; a longer
// body is left to a goroutine, so that the response can be read meanwhile.
func (c *upConn) send(x *exchange.Exchange, out []byte, by time.Time) (wrote int, err error) {
	r := &x.Request
	out = appendRequest(out, r, c.t.c.Authority)
	c.link.withinWrite(by)
	body := r.Body
	n := body.Len()
	if n == 0 {
		c.whole = true
		return c.ask(out, by)
	}
	if !c.quiet() { // before the body is touched
		return 0, errNotIdle
	}
	if r.ExpectContinue {
		return c.sendExpecting(x, out, by)
	}
	if ready, ok := body.(exchange.Ready); ok && n > 0 && n <= int64(cap(out)-len(out)) {
		for body.Len() > 0 && ready.Ready() {
			p, err := body.Next()
			if err != nil {
				return 0, err
			}
			out = append(out, p...)
		}
	}
	left := body.Len()
	c.whole = left == 0
	wrote, err = c.link.Write(out)
	if err == nil && left != 0 {
		c.startPump(body, n < 0)
	}
	return wrote, err
}

// continueWait is how long a target may take to say 100 before the body is
// sent all the same (RFC 9110 §10.1.1 forbids to wait for ever).
const continueWait = time.Second

// sendExpecting leaves the body with the client until the target wants it.
func (c *upConn) sendExpecting(x *exchange.Exchange, out []byte, by time.Time) (int, error) {
	wrote, err := c.link.Write(out)
	if err != nil {
		return wrote, err
	}
	until := time.Now().Add(continueWait)
	if !by.IsZero() && by.Before(until) {
		until = by
	}
	c.link.within(until)
	err = c.in.fill()
	if err == nil {
		n, perr := c.head.parse(&x.Response.Header, c.in.b[:c.in.w], &c.t.c.Limits)
		final := perr == nil && n > 0 && c.head.status >= 200
		x.Response.Header.Truncate()
		c.head.reset() // receive parses it again
		if final {
			return wrote, nil // the body is not wanted
		}
	} else if !errors.Is(err, os.ErrDeadlineExceeded) || c.link.broken() {
		return wrote, err
	}
	c.startPump(x.Request.Body, x.Request.Body.Len() < 0)
	return wrote, nil
}

func (c *upConn) startPump(body exchange.Body, chunked bool) {
	done := make(chan error, 1)
	c.pump = done
	c.sent.Store(0)
	go func() {
		last, err := c.pumpBody(body, chunked)
		c.sent.Store(max(1, int64(last.Sub(c.start))))
		done <- err
	}()
}

// pumpPanicked makes an error of a body that panics: nobody else would.
func (c *upConn) pumpPanicked(err *error) {
	if p := recover(); p != nil {
		*err = exchange.Internal.Errorf("panic while the request body was sent: %v\n%s", p, debug.Stack())
		c.link.Interrupt()
	}
}

// answerBy is when the answer to a request with a pump has to be here. The wait
// for it begins when the last byte is out: the target is not to blame while the
// client is still sending.
func (c *upConn) answerBy() time.Time {
	if c.pump == nil {
		return noTime
	}
	if sent := c.sent.Load(); sent > 0 {
		return c.by(c.start.Add(time.Duration(sent)))
	}
	// Look again soon: a pump that can't write ends without waking anybody.
	now := time.Now()
	return c.by(now.Add(-c.t.c.ResponseTimeout * 7 / 8))
}

// uploaded is how long of the wait for the answer the request body was on its
// way. One that still is, was so all the time when the wait was in vain; an answer
// that comes before its end has waited for the target alone.
func (c *upConn) uploaded(waited time.Duration, err error) time.Duration {
	if c.pump == nil {
		return 0
	}
	sent := time.Duration(c.sent.Load())
	if sent == 0 && err != nil {
		return waited
	}
	return min(sent, waited)
}

// pumpBody sends the request body piece by piece, and returns when its last
// write began.
func (c *upConn) pumpBody(body exchange.Body, chunked bool) (last time.Time, err error) {
	defer c.pumpPanicked(&err)
	var out []byte
	for {
		p, err := body.Next()
		last = time.Now()
		if err == io.EOF {
			break
		}
		if err != nil {
			c.link.Interrupt() // the message can't be completed, and must not look as if it were
			return last, err
		}
		if len(p) == 0 {
			continue // as a chunk it would be the last one
		}
		c.link.withinWrite(deadline(last, c.t.c.ResponseTimeout))
		if chunked {
			out = append(strconv.AppendInt(out[:0], int64(len(p)), 16), "\r\n"...)
			out = append(append(out, p...), "\r\n"...)
			p = out
		}
		if _, err = c.link.Write(p); err != nil {
			return last, err
		}
		c.moved.Add(1)
	}
	if !chunked {
		return last, nil
	}
	out = append(out[:0], "0\r\n"...)
	if t := body.Trailer(); t != nil {
		out = appendFields(out, t)
	}
	c.link.withinWrite(deadline(last, c.t.c.ResponseTimeout))
	_, err = c.link.Write(append(out, "\r\n"...))
	return last, err
}

// pumpGrace is how long a request body may stand still after the response has
// ended.
const pumpGrace = time.Second

// stopPump waits for the pump while it makes progress: a response may end
// before its request. It gives up what is not sent when there is none.
func (c *upConn) stopPump(x *exchange.Exchange) {
	if c.pump == nil {
		return
	}
	timer := time.NewTimer(pumpGrace)
	defer timer.Stop()
	for moved := c.moved.Load(); c.pump != nil; moved = c.moved.Load() {
		select {
		case err := <-c.pump:
			c.whole = err == nil
			c.pump = nil
		case now := <-timer.C:
			if moved != c.moved.Load() && (x.Deadline.IsZero() || now.Before(x.Deadline)) {
				timer.Reset(pumpGrace)
				continue
			}
			c.link.Interrupt()
			x.Request.Body.Close()
			<-c.pump
			c.pump = nil
		}
	}
}

// maxInterim bounds the 1xx answers to one request.
const maxInterim = 16

// receive reads the response head, and the interim ones before it.
func (c *upConn) receive(x *exchange.Exchange, by time.Time) error {
	h := &x.Response.Header
	for interim := 0; ; {
		n, err := c.readHead(h, by)
		if err != nil {
			return err
		}
		status := c.head.status
		if status >= 200 || status == 101 {
			c.in.endHead(n)
			return c.accept(x)
		}
		if interim++; interim > maxInterim {
			return malformed("too many interim answers")
		}
		if status != 100 {
			if err := x.Inform(status, h); err != nil {
				return exchange.ClientGone.Because(err)
			}
		}
		c.heard = true
		h.Truncate()
		c.in.w = copy(c.in.b, c.in.b[n:c.in.w])
		c.head.reset()
	}
}

func (c *upConn) readHead(h *exchange.Header, by time.Time) (int, error) {
	for {
		if c.in.w > 0 {
			n, err := c.head.parse(h, c.in.b[:c.in.w], &c.t.c.Limits)
			if err != nil {
				return 0, err
			}
			if n > 0 {
				return n, nil
			}
		}
		if c.in.w == len(c.in.b) {
			b := make([]byte, c.t.c.Limits.Head+exchange.BufferSize)
			c.in.w = copy(b, c.in.b)
			c.in.b = b
			h.Truncate()
			c.head.reset()
		}
		c.link.within(by)
		n, err := c.link.Read(c.in.b[c.in.w:])
		c.in.w += n
		if err != nil {
			if by = c.answerBy(); errors.Is(err, os.ErrDeadlineExceeded) && by.After(time.Now()) && !c.link.broken() {
				continue // the request took a while
			}
			if c.in.w > 0 {
				err = midway(err)
			}
			return 0, err
		}
	}
}

// accept turns the head into the exchange's response (RFC 9112 §6.3).
func (c *upConn) accept(x *exchange.Exchange) error {
	r, m := &x.Response, &c.head.framing
	r.Status = c.head.status
	switch {
	case r.Status == 101:
		return c.acceptUpgrade(x)
	case x.Request.Method == "HEAD" || r.Status == 204 || r.Status == 304:
		n := m.length
		c.clean = m.persistent()
		if r.Status == 204 {
			// RFC 9110 §8.6 and RFC 9112 §6.1 forbid it a length: whoever states one
			// may send a body all the same, which the next client would be given.
			c.clean = c.clean && n <= 0 && !m.chunked
			n = 0
		}
		c.body.startAbsent(n)
		r.Body = &c.body
	default:
		if exchange.IsEventStream(&r.Header) {
			x.LiftDeadline() // it may last as long as it flows
		}
		c.body.start(&c.in, m, &c.t.c.Limits)
		c.body.timeout, c.body.by, c.body.fail = c.t.c.ResponseTimeout, x.Deadline, c.fail
		c.clean = m.persistent() && c.body.mode != byClose
		r.Body = &c.body
	}
	return nil
}

func (c *upConn) acceptUpgrade(x *exchange.Exchange) error {
	if x.Request.Upgrade == nil || !c.head.upgrade || !exchange.EqualFold(c.head.protocol, string(x.Request.Upgrade)) {
		return malformed("an upgrade that was not asked for")
	}
	c.taken = true
	c.link.within(noTime)
	c.link.withinWrite(noTime)
	x.Response.Tunnel = &upTunnel{c: c}
	x.Response.Body = exchange.NoBody
	return nil
}

// done runs when the exchange is over: the connection is kept or closed.
func (c *upConn) done(x *exchange.Exchange) {
	c.stopPump(x)
	x.Release()
	if c.clean && c.whole && !c.taken && c.body.finished() && c.in.r == c.in.w && !c.link.broken() {
		c.in.release()
		c.x = nil
		c.t.keep(c, x.Now)
		return
	}
	c.drop()
}

func (c *upConn) drop() {
	c.in.release()
	c.x = nil
	c.t.discard(c)
}

// sendError says what a failed round trip means for the client.
func (c *upConn) sendError(x *exchange.Exchange, err error, wrote int) *exchange.Error {
	if cause := x.Cancelled(); cause != nil {
		return cancelled(cause)
	}
	if c.pump != nil && c.link.broken() { // by the pump, because the client's body broke
		perr := <-c.pump
		c.pump = nil
		var e *exchange.Error
		if errors.As(perr, &e) {
			return e
		}
	}
	var e *exchange.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, os.ErrDeadlineExceeded):
		if d := x.Deadline; !d.IsZero() && !time.Now().Before(d) {
			return exchange.ExchangeTimeout.Because(err)
		}
		return exchange.UpstreamTimeout.Because(err)
	case wrote == 0:
		e := exchange.UpstreamStale.Because(err)
		e.Retry = true
		return e
	case !c.since.IsZero() && !c.heard && c.in.w == 0:
		return exchange.UpstreamStale.Because(err)
	}
	return exchange.UpstreamReset.Because(err)
}

// bodyError says what broke the response body.
func (c *upConn) bodyError(err error) error {
	if cause := c.x.Cancelled(); cause != nil {
		return cancelled(cause)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if d := c.x.Deadline; !d.IsZero() && !time.Now().Before(d) {
			return exchange.ExchangeTimeout.Because(err)
		}
	}
	return exchange.UpstreamBroken.Because(err)
}

// upTunnel is the upstream end of a tunnel.
type upTunnel struct{ c *upConn }

func (t *upTunnel) Read(p []byte) (int, error) {
	in := &t.c.in
	if in.r < in.w {
		n := copy(p, in.unread())
		in.r += n
		return n, nil
	}
	return t.c.link.Read(p)
}

func (t *upTunnel) Write(p []byte) (int, error) { return t.c.link.Write(p) }

func (t *upTunnel) CloseWrite() error {
	if cw, ok := t.c.link.nc.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return t.Close()
}

func (t *upTunnel) Close() error {
	t.c.link.Interrupt()
	return nil
}
