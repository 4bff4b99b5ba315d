package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gopura/exchange"
)

// workspace is everything that a request needs and an idle connection does
// not: it is taken when bytes arrive and given back after the answer.
type workspace struct {
	x    exchange.Exchange
	buf  *exchange.Buffer
	in   inbox
	head requestParser
	body body
	out  []byte
	c    *conn

	inform func(int, *exchange.Header) error // ws.sendInform, bound once
	expect func() error                      // ws.sendContinue, bound once
	fail   func(error) error                 // ws.bodyError, bound once

	begun   bool            // x is set up for the request whose first bytes are in the inbox
	headLen int             // length of its head, 0: not yet known
	headErr *exchange.Error // what is wrong with it

	mu      sync.Mutex // orders interim answers before the final head
	headOut bool       // the final head is on its way
	waiting bool       // the client waits for 100 before it sends its body
}

// headRoom is how much a head takes in front of a piece that fills a buffer, for
// both to go out in one write.
const headRoom = 4 << 10

func newWorkspace() *workspace {
	ws := &workspace{buf: exchange.NewBuffer(), out: make([]byte, 0, exchange.BufferSize+headRoom)}
	ws.inform, ws.expect, ws.fail = ws.sendInform, ws.sendContinue, ws.bodyError
	return ws
}

// conn is one client connection, served by one goroutine.
type conn struct {
	s      *Server
	conf   *ServerConfig
	link   link
	client exchange.Client
	scheme string
	raw    syscall.RawConn // nil when nc is no plain TCP connection
	mark   watchMark

	try func(fd uintptr) bool // c.tryRead, bound once
	ws  *workspace            // with the first bytes of a request, from tryRead
	err error                 // or why there are none

	idle   atomic.Bool // waits for a request
	spoken bool        // a request has been begun on it
	handed bool        // HTTP/2 has it

	mu     sync.Mutex
	active *exchange.Exchange // what the client's leaving cancels
	gone   bool
	tunnel bool // the client's half-close is the tunnel's business
}

func newConn(s *Server, nc net.Conn, client *exchange.Client) *conn {
	c := &conn{s: s, client: *client, scheme: "http"}
	c.link.use(nc)
	c.try = c.tryRead
	if client.TLS != nil {
		c.scheme = "https"
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		c.raw, _ = tcp.SyscallConn()
	}
	return c
}

func (c *conn) serve() {
	c.s.watch.add(c)
	defer func() {
		c.s.watch.remove(c)
		if !c.handed {
			c.link.nc.Close()
		}
	}()
	for {
		ws := c.await()
		if ws == nil {
			c.lingerOverUnread()
			return
		}
		for more := true; more; more = ws.next() {
			if !c.spoken && c.preface(ws) {
				return
			}
			c.spoken = true
			if !c.exchange(ws) {
				c.free(ws)
				c.lingerOverUnread()
				return
			}
		}
		c.free(ws)
	}
}

func (c *conn) free(ws *workspace) {
	ws.in.release()
	ws.c = nil
	ws.x.Client = nil
	exchange.Poison(ws.buf.B[:])
	c.s.work.Put(ws)
}

// await waits for the first bytes of a request. While it waits, a plain TCP
// connection holds no buffer. It returns nil when the connection is over.
func (c *conn) await() *workspace {
	c.rest(time.Now())
	for {
		c.idle.Store(true)
		if c.s.draining.Load() {
			c.link.nc.SetReadDeadline(time.Now().Add(idleGrace))
		}
		ws, err := c.firstBytes()
		c.idle.Store(false)
		if ws != nil {
			return ws
		}
		if err != nil && (c.s.draining.Load() || !c.link.early(err, c.link.readBy, c.link.armRead)) {
			return nil
		}
	}
}

// rest begins, at now, the time between two requests.
func (c *conn) rest(now time.Time) {
	c.conf = c.s.config.Load()
	c.link.within(deadline(now, c.conf.IdleTimeout))
	c.idle.Store(true)
}

func (c *conn) firstBytes() (*workspace, error) {
	if c.raw == nil {
		var first [1]byte // a workspace only once there is something to put in it
		n, err := c.link.nc.Read(first[:])
		if n == 0 {
			return nil, err
		}
		ws := c.workspace()
		ws.in.b[0], ws.in.w = first[0], 1
		n, _ = c.link.Read(ws.in.b[1:]) // an error will be met again
		ws.in.w += n
		return ws, nil
	}
	c.ws, c.err = nil, nil
	if err := c.raw.Read(c.try); err != nil {
		return nil, err
	}
	return c.ws, c.err
}

// workspace takes one whose inbox is empty.
func (c *conn) workspace() *workspace {
	ws := c.s.work.Get().(*workspace)
	ws.in = inbox{link: &c.link, b: ws.buf.B[:]}
	ws.c, ws.begun = c, false
	return ws
}

// tryRead is called by the runtime's poller: at once, and then whenever there
// may be bytes. It returns true when its work is done.
//
// Requests that need nothing more from the client are served in here. The
// poller was told to watch before the first read, so it has not missed what
// arrives meanwhile, and the next wait needs no read that finds nothing: one
// system call less for each request. Whatever else has to read from the
// connection leaves, because the reader's lock is held.
func (c *conn) tryRead(fd uintptr) bool {
	ws := c.workspace()
	for {
		n, errno := receive(fd, ws.in.b)
		if errno == syscall.EAGAIN {
			c.s.work.Put(ws)
			return false
		}
		if errno != 0 || n == 0 {
			c.s.work.Put(ws)
			if c.err = io.EOF; errno != 0 {
				c.err = errno
			}
			return true
		}
		c.idle.Store(false)
		ws.in.w = n
		if c.spoken || ws.in.b[0] != http2Preface[0] {
			c.spoken = true
			c.link.open(fd)
			result := c.serveInPlace(ws)
			c.link.shut()
			switch result {
			case served:
				now := ws.x.Now
				c.free(ws)
				c.rest(now)
				if c.s.draining.Load() {
					return true // await shortens the wait
				}
				// The poller tells of what arrives, not of what was there: a full
				// buffer may have left bytes, and an end that came with the request
				// has been told already.
				if n < exchange.BufferSize && c.watched() {
					return false
				}
				ws = c.workspace()
				continue
			case over:
				c.free(ws)
				c.err = io.EOF
				return true
			}
		}
		c.ws = ws
		return true
	}
}

type inPlace uint8

const (
	served  inPlace = iota // all that was read has been answered
	over                   // the connection ends
	outside                // the request that is begun has to read from the client
)

// serveInPlace serves the requests that are in the inbox whole: those without
// a body or an upgrade.
func (c *conn) serveInPlace(ws *workspace) inPlace {
	for {
		c.begin(ws)
		ws.headLen, ws.headErr = ws.head.parse(&ws.x.Request, ws.in.b[:ws.in.w], &c.conf.Limits)
		if ws.headErr != nil || ws.headLen == 0 || ws.head.chunked || ws.head.length > 0 || ws.x.Request.Upgrade != nil {
			return outside
		}
		if !c.exchange(ws) {
			return over
		}
		if !ws.next() {
			return served
		}
	}
}

// next moves the bytes of a pipelined request to the front of the buffer and
// reports whether there are any.
func (ws *workspace) next() bool {
	rest := ws.in.unread()
	b := ws.buf.B[:]
	if len(rest) > len(b) {
		b = make([]byte, len(ws.in.b))
	}
	n := copy(b, rest)
	link := ws.in.link
	ws.in.release()
	ws.in = inbox{link: link, b: b, w: n}
	return n > 0
}

// begin sets the exchange up for the request whose first bytes are here.
func (c *conn) begin(ws *workspace) {
	x := &ws.x
	x.Reset()
	c.conf = c.s.config.Load()
	x.Client, x.Request.Scheme, x.Start = &c.client, c.scheme, time.Now()
	x.Now = x.Start
	x.OnInform(ws.inform)
	ws.headOut, ws.waiting = false, false
	ws.head.reset()
	ws.begun, ws.headLen, ws.headErr = true, 0, nil
}

// exchange serves one request and reports whether the connection goes on.
func (c *conn) exchange(ws *workspace) (keep bool) {
	if !ws.begun {
		c.begin(ws)
	}
	ws.begun = false
	x := &ws.x
	if err := c.readHead(ws); err != nil {
		return c.refuse(ws, err)
	}
	if ws.head.chunked || ws.head.length > 0 {
		c.openBody(ws)
	} else {
		ws.body.atEnd.Store(true)
	}
	x.Arm()
	c.activate(x)
	c.conf.Root.Serve(x)
	keep = c.respond(ws)
	c.end()
	x.Done()
	if c.link.broken() {
		return false
	}
	if !ws.body.finished() && (!keep || !ws.discard()) {
		c.linger()
		return false
	}
	return keep
}

// activate says that the client's leaving cancels x from now on.
func (c *conn) activate(x *exchange.Exchange) {
	c.mu.Lock()
	c.active = x
	gone := c.gone
	c.mu.Unlock()
	if gone {
		x.Cancel(errGone)
	}
}

func (c *conn) end() {
	c.mu.Lock()
	c.active = nil
	c.mu.Unlock()
}

var errGone error = exchange.ClientGone.Because(nil)

// left is called by the watch when the client has closed its side.
func (c *conn) left() {
	c.mu.Lock()
	c.gone = true
	switch {
	case c.active != nil && !c.tunnel:
		c.active.Cancel(errGone) // under the lock: end waits until it has returned
	case c.idle.Load():
		// It may wait for an edge that has passed. Woken up, it reads what there
		// is: a last request, or the end.
		c.link.nc.SetReadDeadline(past)
	}
	c.mu.Unlock()
}

// watched reports that the client is there, and that left will be called when
// it leaves.
func (c *conn) watched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mark.set && !c.gone
}

// cut breaks the connection off.
func (c *conn) cut(cause error) {
	c.mu.Lock()
	if c.active != nil {
		c.active.Cancel(cause)
	}
	c.mu.Unlock()
	c.link.Interrupt()
}

// errSilent ends a connection on which no request is left to answer.
var errSilent = exchange.BadRequest.Because(io.EOF)

func (c *conn) readHead(ws *workspace) *exchange.Error {
	x, in, lim := &ws.x, &ws.in, &c.conf.Limits
	timed := false
	for {
		if ws.headLen == 0 && ws.headErr == nil {
			ws.headLen, ws.headErr = ws.head.parse(&x.Request, in.b[:in.w], lim)
		}
		if ws.headErr != nil {
			return ws.headErr
		}
		if ws.headLen > 0 {
			in.endHead(ws.headLen)
			lowerHost(x)
			return nil
		}
		if in.w == len(in.b) { // the limits allow more than the buffer holds
			b := make([]byte, lim.Head+exchange.BufferSize)
			in.w = copy(b, in.b)
			in.b = b
			x.Request.Header.Truncate()
			ws.head.reset()
		}
		if !timed && c.conf.HeadTimeout > 0 {
			timed = true
			c.link.within(x.Start.Add(c.conf.HeadTimeout))
		}
		m, rerr := c.link.Read(in.b[in.w:])
		in.w += m
		switch {
		case rerr == nil:
		case errors.Is(rerr, os.ErrDeadlineExceeded) && !c.link.broken():
			return exchange.RequestTimeout.Because(rerr)
		default:
			return errSilent
		}
	}
}

// lowerHost gives the exchange its host in lower case.
func lowerHost(x *exchange.Exchange) {
	for _, ch := range x.Request.Host {
		if 'A' <= ch && ch <= 'Z' {
			h := x.Arena.Copy(x.Request.Host)
			for i, ch := range h {
				if 'A' <= ch && ch <= 'Z' {
					h[i] = ch | 0x20
				}
			}
			x.Request.Host = h
			return
		}
	}
}

func (c *conn) openBody(ws *workspace) {
	x, b := &ws.x, &ws.body
	b.start(&ws.in, &ws.head.framing, &c.conf.Limits)
	b.timeout, b.count, b.fail = c.conf.BodyTimeout, &x.Received, ws.fail
	if x.Request.ExpectContinue {
		if len(ws.in.unread()) > 0 {
			x.Request.ExpectContinue = false // the client did not wait after all
		} else {
			b.before, ws.waiting = ws.expect, true
		}
	}
	x.Request.Body = b
}

// bodyError turns what broke the request body into the client's error.
func (ws *workspace) bodyError(err error) error {
	var e *exchange.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, errTooMuch), errors.Is(err, errChunk), errors.Is(err, errTrailer), errors.Is(err, errInboxFull):
		return exchange.BadBody.Because(err)
	case errors.Is(err, os.ErrDeadlineExceeded) && !ws.c.link.broken():
		return exchange.RequestTimeout.Because(err)
	}
	return exchange.ClientGone.Because(err)
}

// sendContinue tells the client that its body is wanted (RFC 9110 §10.1.1).
func (ws *workspace) sendContinue() error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.headOut {
		return errClosed
	}
	ws.waiting = false
	ws.c.link.withinWrite(deadline(time.Now(), ws.c.conf.WriteTimeout))
	_, err := ws.c.link.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

// sendInform passes an interim answer on; HTTP/1.0 has none.
func (ws *workspace) sendInform(status int, h *exchange.Header) error {
	if ws.head.minor == 0 || status <= 101 || status > 199 {
		return nil
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.headOut {
		return nil
	}
	out := appendStatus(ws.out[:0], status)
	out = appendFields(out, h)
	out = append(out, "\r\n"...)
	ws.c.link.withinWrite(deadline(time.Now(), ws.c.conf.WriteTimeout))
	_, err := ws.c.link.Write(out)
	return err
}

// refuse answers what can't be served, and ends the connection.
func (c *conn) refuse(ws *workspace, e *exchange.Error) bool {
	if e == errSilent {
		return false
	}
	x := &ws.x
	ws.body.atEnd.Store(true)
	ws.head.close = true
	x.Request.Body = exchange.NoBody
	if x.Request.Path == nil {
		x.Request.Path = rootPath
	}
	c.conf.Root.Refuse(x, e)
	c.respond(ws)
	x.Done()
	c.linger()
	return false
}

const (
	maxDiscard = 256 << 10
	maxLinger  = 2 * time.Second
)

// discard reads what is left of a request body, when that is little, so that
// the connection can go on.
func (ws *workspace) discard() bool {
	if ws.body.closing.Load() || ws.body.err != nil || ws.body.before != nil || ws.body.Len() > maxDiscard {
		return false
	}
	ws.body.by = time.Now().Add(maxLinger)
	defer func() { ws.body.by = time.Time{} }()
	for n := 0; n < maxDiscard; {
		p, err := ws.body.Next()
		if err == io.EOF {
			return true
		}
		if err != nil {
			return false
		}
		n += len(p)
	}
	return false
}

// linger ends our side and reads on for a moment: closing with unread bytes
// would reset the connection, and the client might never see the answer.
func (c *conn) linger() {
	if cw, ok := c.link.nc.(interface{ CloseWrite() error }); !ok || cw.CloseWrite() != nil {
		return
	}
	c.link.nc.SetReadDeadline(time.Now().Add(maxLinger))
	b := exchange.NewBuffer()
	defer b.Release()
	for n := 0; n < 4*maxDiscard; {
		m, err := c.link.nc.Read(b.B[:])
		if err != nil {
			return
		}
		n += m
	}
}

// lingerOverUnread lingers when the client has sent more than was read: a
// pipelined request behind one that ends the connection.
func (c *conn) lingerOverUnread() {
	if c.raw == nil || c.link.broken() {
		return
	}
	unread := false
	c.raw.Control(func(fd uintptr) { unread = !silent(fd) })
	if unread {
		c.linger()
	}
}

func deadline(now time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d)
}
