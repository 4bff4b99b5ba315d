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

	mu      sync.Mutex // orders interim answers before the final head
	headOut bool       // the final head is on its way
	waiting bool       // the client waits for 100 before it sends its body
}

func newWorkspace() *workspace {
	ws := &workspace{buf: exchange.NewBuffer(), out: make([]byte, 0, exchange.BufferSize)}
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
	ws  *workspace            // what tryRead has taken
	n   int
	err error

	idle   atomic.Bool // waits for a request
	handed bool        // HTTP/2 has it

	mu     sync.Mutex
	active *exchange.Exchange // what the client's leaving cancels
	gone   bool
	tunnel bool // the client's half-close is the tunnel's business
}

func newConn(s *Server, nc net.Conn, client *exchange.Client) *conn {
	c := &conn{s: s, client: *client, scheme: "http"}
	c.link.nc = nc
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
	first := true
	for {
		ws := c.await()
		if ws == nil {
			return
		}
		for {
			if first && c.preface(ws) {
				return
			}
			first = false
			if !c.exchange(ws) {
				c.free(ws)
				return
			}
			if !ws.next() {
				break
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
	c.conf = c.s.config.Load()
	var by time.Time
	if c.conf.IdleTimeout > 0 {
		by = time.Now().Add(c.conf.IdleTimeout)
	}
	c.link.within(by)
	c.idle.Store(true)
	defer c.idle.Store(false)
	for {
		if c.s.draining.Load() {
			c.link.nc.SetReadDeadline(time.Now().Add(idleGrace))
		}
		ws, err := c.firstBytes()
		if err == nil {
			ws.c = c
			return ws
		}
		if c.s.draining.Load() || !c.link.early(err, c.link.readBy, c.link.armRead) {
			return nil
		}
	}
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
	c.ws, c.n, c.err = nil, 0, nil
	if err := c.raw.Read(c.try); err != nil {
		return nil, err
	}
	ws := c.ws
	if c.n <= 0 {
		if ws != nil {
			c.s.work.Put(ws)
		}
		if c.err != nil {
			return nil, c.err
		}
		return nil, io.EOF
	}
	ws.in.w = c.n
	return ws, nil
}

// workspace takes one whose inbox is empty.
func (c *conn) workspace() *workspace {
	ws := c.s.work.Get().(*workspace)
	ws.in = inbox{link: &c.link, b: ws.buf.B[:]}
	return ws
}

// tryRead reads into a workspace that it gives back when there is nothing yet.
func (c *conn) tryRead(fd uintptr) bool {
	ws := c.workspace()
	for {
		n, err := syscall.Read(int(fd), ws.in.b)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			c.s.work.Put(ws)
			return false
		}
		c.ws, c.n, c.err = ws, n, err
		return true
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

// exchange serves one request and reports whether the connection goes on.
func (c *conn) exchange(ws *workspace) (keep bool) {
	x := &ws.x
	x.Reset()
	c.conf = c.s.config.Load()
	x.Client, x.Request.Scheme, x.Start = &c.client, c.scheme, time.Now()
	x.OnInform(ws.inform)
	ws.headOut, ws.waiting = false, false
	ws.head.reset()
	if err := c.readHead(ws); err != nil {
		return c.refuse(ws, err)
	}
	if ws.head.chunked || ws.head.length > 0 {
		c.openBody(ws)
	} else {
		ws.body.atEnd.Store(true)
	}
	x.Arm()
	c.begin(x)
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

func (c *conn) begin(x *exchange.Exchange) {
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
	if c.active != nil && !c.tunnel {
		c.active.Cancel(errGone) // under the lock: end waits until it has returned
	}
	c.mu.Unlock()
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
		n, err := ws.head.parse(&x.Request, in.b[:in.w], lim)
		if err != nil {
			return err
		}
		if n > 0 {
			in.endHead(n)
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

func deadline(now time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d)
}
