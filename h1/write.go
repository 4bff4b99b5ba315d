package h1

import (
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"gopura/exchange"
)

// answer is one response being written.
type answer struct {
	c       *conn
	ws      *workspace
	out     []byte // bytes not yet written, the head first
	body    exchange.Body
	ready   exchange.Ready // body, when it can tell
	chunked bool
	left    int64     // announced bytes still to come, -1: none announced
	now     time.Time // when the answer began; zero after its first write
}

// respond writes the response of the exchange and reports whether the
// connection can go on. It never leaves a broken body looking like a whole one.
func (c *conn) respond(ws *workspace) (keep bool) {
	x := &ws.x
	defer func() {
		if p := recover(); p != nil {
			x.Err = exchange.Internal.Errorf("panic while the answer was written: %v\n%s", p, debug.Stack())
			c.abort()
			keep = false
		}
	}()
	waiting := false
	if x.Request.ExpectContinue {
		ws.mu.Lock()
		ws.headOut, waiting = true, ws.waiting
		ws.mu.Unlock()
	}
	if x.Response.Tunnel != nil {
		return c.relay(ws)
	}
	r := &x.Response
	a := answer{c: c, ws: ws, body: r.Body, left: -1, now: x.Now}
	if a.body == nil {
		a.body = exchange.NoBody
	}
	a.ready, _ = a.body.(exchange.Ready)
	bodyless := x.Request.Method == "HEAD" || r.Status == 204 || r.Status == 304
	n := a.body.Len()
	toEnd := false // the end of the connection is the end of the body
	if !bodyless {
		a.left = n
		if n < 0 {
			a.chunked = ws.head.minor == 1
			toEnd = !a.chunked
		}
	}
	keep = ws.head.persistent() && !toEnd && !c.s.draining.Load() && !waiting && ws.bodyReadable()

	out := appendStatus(ws.out[:0], r.Status)
	out = appendFields(out, &r.Header)
	if !r.Header.Has("Date") {
		out = append(append(append(out, "Date: "...), c.s.date.At(a.now)...), "\r\n"...)
	}
	switch {
	case r.Status == 204:
	case a.chunked:
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	case n >= 0 && (r.Status != 304 || n > 0):
		out = strconv.AppendInt(append(out, "Content-Length: "...), n, 10)
		out = append(out, "\r\n"...)
	}
	switch {
	case !keep:
		out = append(out, "Connection: close\r\n"...)
	case ws.head.minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	a.out = append(out, "\r\n"...)

	if bodyless {
		a.body.Close()
		return a.flush() == nil && keep
	}
	if err := a.pull(); err != nil {
		a.fail(err)
		return false
	}
	return keep
}

// bodyReadable says whether what is left of the request body will be read
// before the next request; else the answer says that the connection ends. (An
// upstream that has answered may still be reading it. One that failed has closed
// it, and what it took of it is lost.)
func (ws *workspace) bodyReadable() bool {
	return ws.body.finished() || !ws.body.broken.Load() && !ws.body.closing.Load() && (!ws.x.Response.Made || ws.head.length >= 0 && ws.head.length <= maxDiscard)
}

// limit gives the write that begins now its deadline.
func (a *answer) limit() {
	now := a.now
	if now.IsZero() {
		now = time.Now()
	}
	a.now = time.Time{}
	by := deadline(now, a.c.conf.WriteTimeout)
	// An answer of our own may be the one that says that the exchange took too long.
	if d := a.ws.x.Deadline; !d.IsZero() && !a.ws.x.Response.Made && (by.IsZero() || d.Before(by)) {
		by = d
	}
	a.c.link.withinWrite(by)
}

// pull moves the body from its source to the client: pieces that are there go
// out together, and nothing is held back while the next one is waited for.
func (a *answer) pull() error {
	for {
		if a.left == 0 {
			a.body.Close()
			return a.flush()
		}
		if len(a.out) > 0 && (a.ready == nil || !a.ready.Ready()) {
			if err := a.flush(); err != nil {
				return err
			}
		}
		p, err := a.body.Next()
		if err == io.EOF {
			return a.end()
		}
		if err != nil {
			a.flush() // what did arrive
			return err
		}
		if len(p) == 0 {
			continue // as a chunk it would be the last one
		}
		if err := a.write(p); err != nil {
			return err
		}
		a.ws.x.Sent += int64(len(p))
	}
}

// smallPiece is up to which size copying a piece behind what waits to be
// written is cheaper than naming it to the kernel by itself.
const smallPiece = 4 << 10

// end finishes a body whose source has ended.
func (a *answer) end() error {
	if a.left > 0 {
		a.flush()
		return exchange.UpstreamBroken.Errorf("body ended %d bytes early", a.left)
	}
	if a.chunked {
		a.out = append(a.out, "0\r\n"...)
		if t := a.body.Trailer(); t != nil {
			a.out = appendFields(a.out, t)
		}
		a.out = append(a.out, "\r\n"...)
	}
	a.body.Close()
	return a.flush()
}

func (a *answer) write(p []byte) error {
	if a.left >= 0 {
		if int64(len(p)) > a.left {
			return exchange.UpstreamBroken.Errorf("body longer than announced")
		}
		a.left -= int64(len(p))
	}
	if a.chunked {
		a.out = strconv.AppendInt(a.out, int64(len(p)), 16)
		a.out = append(a.out, "\r\n"...)
	}
	if len(a.out)+len(p)+2 <= cap(a.out) && (len(a.out) > 0 || len(p) < smallPiece) {
		a.out = append(a.out, p...)
		if a.chunked {
			a.out = append(a.out, "\r\n"...)
		}
		return nil
	}
	if err := a.flush(); err != nil {
		return err
	}
	if err := a.send(p); err != nil {
		return err
	}
	if a.chunked {
		a.out = append(a.out, "\r\n"...)
	}
	return nil
}

// flush writes what waits.
func (a *answer) flush() error {
	out := a.out
	a.out = a.ws.out[:0]
	return a.send(out)
}

// send writes p, at once where the socket takes it.
func (a *answer) send(p []byte) error {
	rest := p[a.c.link.direct(p):]
	if len(rest) == 0 {
		a.now = time.Time{}
		return nil
	}
	a.limit()
	_, err := a.c.link.Write(rest)
	return a.clientError(err)
}

func (a *answer) clientError(err error) error {
	if err == nil {
		return nil
	}
	if d := a.ws.x.Deadline; !d.IsZero() && !time.Now().Before(d) {
		return exchange.ExchangeTimeout.Because(err)
	}
	return exchange.ClientGone.Because(err)
}

// fail ends an answer that can't be completed: visibly, never as if it had
// ended, and with the upstream call given up.
func (a *answer) fail(err error) {
	x := &a.ws.x
	if x.Err == nil {
		x.Err = exchange.AsError(err)
	}
	a.body.Close()
	x.Cancel(err)
	a.c.abort()
}

// abort makes the client see that the answer is broken, whatever its framing:
// the connection is reset.
func (c *conn) abort() {
	c.link.Interrupt()
	nc := base(c.link.nc)
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	if nc != c.link.nc {
		nc.Close() // before TLS can say goodbye, which would make it an orderly end
	}
}

// statusLines holds "HTTP/1.1 200 OK\r\n" for every status that has a name.
var statusLines = func() (lines [600]string) {
	for code, text := range map[int]string{
		100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
		200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
		205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
		300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
		305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
		400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
		405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
		409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
		414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
		418: "I'm a teapot", 421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked",
		424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required",
		429: "Too Many Requests", 431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
		499: "Client Closed Request",
		500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
		504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
		507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended", 511: "Network Authentication Required",
	} {
		lines[code] = fmt.Sprintf("HTTP/1.1 %d %s\r\n", code, text)
	}
	return lines
}()

func appendStatus(dst []byte, status int) []byte {
	if status > 0 && status < len(statusLines) && statusLines[status] != "" {
		return append(dst, statusLines[status]...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	return append(dst, " \r\n"...)
}

func appendFields(dst []byte, h *exchange.Header) []byte {
	for _, f := range h.Fields() {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}
