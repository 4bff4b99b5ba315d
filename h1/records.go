package h1

import (
	"encoding/binary"
	"io"
	"net"
)

// records is the connection below an upstream's TLS. It follows the framing of
// TLS records, which tells two things that package tls does not: whether bytes
// have been read that nobody has asked for yet, and whether the connection was
// ended by a close_notify or cut off.
type records struct {
	net.Conn
	head  [5]byte // type, version, length of the record at hand
	have  int     // how much of head is there
	left  int     // bytes of the record still to come
	ended bool    // the peer has closed the TCP connection
}

func (r *records) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.ended = r.ended || err == io.EOF
	for p = p[:n]; len(p) > 0; {
		if r.left == 0 {
			m := copy(r.head[r.have:], p)
			p = p[m:]
			if r.have += m; r.have == len(r.head) {
				r.have, r.left = 0, int(binary.BigEndian.Uint16(r.head[3:]))
			}
			continue
		}
		m := min(r.left, len(p))
		r.left -= m
		p = p[m:]
	}
	return n, err
}

// NetConn lets base look below.
func (r *records) NetConn() net.Conn { return r.Conn }

// partial reports whether a record has been read in part.
func (r *records) partial() bool { return r.have > 0 || r.left > 0 }
