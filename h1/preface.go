package h1

import (
	"bytes"
	"net"
	"time"
)

// http2Preface is how an HTTP/2 client with prior knowledge begins (RFC 9113 §3.4).
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// preface looks whether the connection begins with HTTP/2, and if so hands it
// over and returns true.
func (c *conn) preface(ws *workspace) bool {
	if c.conf.HTTP2 == nil || c.client.TLS != nil || ws.in.b[0] != 'P' {
		return false
	}
	c.link.within(deadline(time.Now(), c.conf.HeadTimeout))
	for {
		got := ws.in.b[:ws.in.w]
		if len(got) >= len(http2Preface) {
			got = got[:len(http2Preface)]
		}
		if !bytes.HasPrefix([]byte(http2Preface), got) {
			return false
		}
		if len(got) == len(http2Preface) {
			break
		}
		n, err := c.link.Read(ws.in.b[ws.in.w:])
		if err != nil {
			return false
		}
		ws.in.w += n
	}
	replay := &replayConn{Conn: c.link.nc, first: bytes.Clone(ws.in.b[:ws.in.w])}
	c.free(ws)
	c.s.watch.remove(c) // cancelling is HTTP/2's own business from here on
	c.link.nc.SetDeadline(noTime)
	c.handed = true
	c.conf.HTTP2(replay, &c.client)
	return true
}

// replayConn is a connection of which some bytes have been read already.
type replayConn struct {
	net.Conn
	first []byte
}

func (r *replayConn) Read(p []byte) (int, error) {
	if len(r.first) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.first)
	if r.first = r.first[n:]; len(r.first) == 0 {
		r.first = nil
	}
	return n, nil
}
