package store

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
)

// dialGuarded connects to Redis by a connection that reads nothing but small
// and sound replies: the client makes room for whatever size is announced to
// it, so that a few bytes from a server that is broken, or is not Redis, could
// take all memory.
func dialGuarded(ctx context.Context, address string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	var conn net.Conn
	var err error
	if c == nil {
		conn, err = d.DialContext(ctx, network, address)
	} else {
		conn, err = (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	return &guarded{Conn: conn}, nil
}

// guarded follows the framing of RESP2 and RESP3 in what it reads.
type guarded struct {
	net.Conn
	replies
}

func (g *guarded) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if bad := g.feed(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

const (
	replyBulk  = 1 << 20 // bytes of a string
	replyItems = 1 << 17 // announced and not there yet: a large cluster's map is far below
	replyDepth = 16
	replyLine  = 1 << 16
)

// replies is a place in a stream of replies.
type replies struct {
	skip   int64 // bytes of a string, and its line end
	kind   byte  // of the line that is being read; 0: at the beginning of one
	length int
	size   int64
	absent bool    // size -1
	open   []int64 // items that are still to come, of aggregates within one another
	items  int64   // the sum of open
}

func (r *replies) feed(b []byte) error {
	for len(b) > 0 {
		if r.skip > 0 {
			n := min(r.skip, int64(len(b)))
			b = b[n:]
			if r.skip -= n; r.skip == 0 {
				r.value()
			}
			continue
		}
		c := b[0]
		b = b[1:]
		if r.kind == 0 {
			if !strings.ContainsRune("+-:$*%~>_,#!=(", rune(c)) {
				return errGarbage
			}
			r.kind, r.length, r.size, r.absent = c, 0, 0, false
			continue
		}
		if c == '\n' {
			if err := r.line(); err != nil {
				return err
			}
			continue
		}
		if r.length++; r.length > replyLine {
			return errGarbage
		}
		if !strings.ContainsRune("$!=*%~>", rune(r.kind)) || c == '\r' {
			continue
		}
		switch {
		case c == '-' && r.length == 1:
			r.absent = true
		case c >= '0' && c <= '9' && r.size <= replyBulk:
			r.size = r.size*10 + int64(c-'0')
		default:
			return errGarbage
		}
	}
	return nil
}

func (r *replies) line() error {
	kind := r.kind
	r.kind = 0
	switch kind {
	case '$', '!', '=':
		if r.size > replyBulk {
			return errGarbage
		}
		if !r.absent {
			r.skip = r.size + 2
			return nil
		}
	case '*', '%', '~', '>':
		n := r.size
		if kind == '%' {
			n *= 2
		}
		if n > 0 && !r.absent {
			if r.items += n; r.items > replyItems || len(r.open) == replyDepth {
				return errGarbage
			}
			r.open = append(r.open, n)
			return nil
		}
	}
	r.value()
	return nil
}

// value ends one value, and the aggregates that end with it.
func (r *replies) value() {
	for i := len(r.open) - 1; i >= 0; i-- {
		r.items--
		if r.open[i]--; r.open[i] > 0 {
			return
		}
		r.open = r.open[:i]
	}
}
