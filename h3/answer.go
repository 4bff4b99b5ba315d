package h3

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/quic-go/qpack"

	"gopura/exchange"
)

// smallPiece is up to which size a piece of a body is copied behind what waits to
// be written, so that it leaves in one packet.
const smallPiece = 4 << 10

// respond writes the answer. On an error it is not whole.
func (st *stream) respond() error {
	x := &st.x
	if x.Response.Tunnel != nil && x.Request.Upgrade != nil && st.acceptable() {
		return st.relay()
	}
	if status := x.Response.Status; status < 200 || status > 999 || x.Response.Tunnel != nil {
		x.DropResponse()
		st.c.conf.Root.Refuse(x, exchange.Internal.Errorf("status %d is no answer over HTTP/3", status))
	}
	p := &x.Response
	if p.Body == nil {
		p.Body = exchange.NoBody
	}
	left := p.Body.Len()
	st.head(p, left)
	if x.Request.Method == "HEAD" || p.Status == http.StatusNoContent || p.Status == http.StatusNotModified {
		return st.flush()
	}
	if err := st.sendBody(p.Body, left); err != nil {
		return err
	}
	if t := p.Body.Trailer(); t != nil {
		st.trailer(t)
	}
	if err := st.flush(); err != nil {
		return err
	}
	if cause := x.Cancelled(); cause != nil && exchange.ClientGone.Is(cause) {
		return cause // nothing that was said will reach the client
	}
	return nil
}

// head appends the head of the response to what is to be written.
func (st *stream) head(p *exchange.Response, length int64) {
	st.heading.Lock()
	st.headed = true
	st.heading.Unlock()
	st.field(":status", strconv.Itoa(p.Status))
	dated := false
	for _, f := range p.Header.Fields() {
		name := st.lower(f.Name)
		if forbidden(name) {
			continue
		}
		dated = dated || name == "date"
		st.field(name, stringOf(f.Value))
	}
	// RFC 9110 §8.6: never with 204. With 304 it would be that of the 200, and
	// is optional; Go's own client takes it for the length of a missing body.
	if length >= 0 && p.Status != http.StatusNoContent && p.Status != http.StatusNotModified {
		st.names = strconv.AppendInt(st.names[:0], length, 10)
		st.field("content-length", stringOf(st.names))
	}
	if !dated {
		st.names = time.Now().UTC().AppendFormat(st.names[:0], http.TimeFormat)
		st.field("date", stringOf(st.names))
	}
	st.endBlock()
}

// trailer appends the trailer section.
func (st *stream) trailer(t *exchange.Header) {
	n := 0
	for _, f := range t.Fields() {
		if name := st.lower(f.Name); !forbidden(name) {
			st.field(name, stringOf(f.Value))
			n++
		}
	}
	if n > 0 {
		st.endBlock()
	}
}

func (st *stream) field(name, value string) {
	st.enc.WriteField(qpack.HeaderField{Name: name, Value: value}) // an appender does not fail
}

// endBlock appends the HEADERS frame of the fields that were written.
func (st *stream) endBlock() {
	st.out = append(appendFrame(st.out, frameHeaders, uint64(len(st.coded))), st.coded...)
	st.coded = st.coded[:0]
	st.enc.Close()
}

// sendBody pulls the body and flushes whenever the next piece would keep the
// client waiting for what is there.
func (st *stream) sendBody(body exchange.Body, left int64) error {
	ready, _ := body.(exchange.Ready)
	for left != 0 {
		if len(st.out) > 0 && (ready == nil || !ready.Ready()) {
			if err := st.flush(); err != nil {
				return err
			}
		}
		p, err := body.Next()
		if err == io.EOF && left < 0 {
			return nil
		}
		if err == io.EOF {
			return exchange.UpstreamBroken.Errorf("the body ended %d bytes short", left)
		}
		if err != nil {
			return err
		}
		if left > 0 {
			if int64(len(p)) > left {
				return exchange.UpstreamBroken.Errorf("the body is longer than announced")
			}
			left -= int64(len(p))
		}
		if err := st.send(p); err != nil {
			return err
		}
	}
	// The end may still say that the body is broken, or bring trailers.
	switch _, err := body.Next(); err {
	case io.EOF:
		return nil
	case nil:
		return exchange.UpstreamBroken.Errorf("the body is longer than announced")
	default:
		return err
	}
}

// send writes a piece of the body, or keeps it when it is small.
func (st *stream) send(p []byte) error {
	st.out = appendFrame(st.out, frameData, uint64(len(p)))
	small := len(p) <= smallPiece
	if small {
		st.out = append(st.out, p...)
	}
	if !small || len(st.out) > maxKept/2 {
		if err := st.flush(); err != nil {
			return err
		}
	}
	if !small {
		if err := st.write(p); err != nil {
			return err
		}
	}
	st.x.Sent += int64(len(p))
	return nil
}

func (st *stream) flush() error {
	if len(st.out) == 0 {
		return nil
	}
	err := st.write(st.out)
	st.out = st.out[:0]
	return err
}

// write waits for the client's windows, at most for the write timeout; in a tunnel
// for ever.
func (st *stream) write(p []byte) error {
	by := time.Time{}
	if st.x.Response.Tunnel == nil {
		by = time.Now().Add(st.c.conf.WriteTimeout)
	}
	st.str.SetWriteDeadline(by)
	_, err := st.str.Write(p)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		gone := exchange.ClientGone.Errorf("the client took nothing within %s", st.c.conf.WriteTimeout)
		st.x.Cancel(gone)
		return gone
	case st.x.Cancelled() != nil:
		return st.x.Cancelled()
	}
	return st.c.lost(err)
}

// sendInform passes an interim answer on.
func (st *stream) sendInform(status int, fields *exchange.Header) error {
	if status > 101 && status < 200 { // 100 is said when the body is wanted
		st.interim(status, fields)
	}
	return nil
}

// sendContinue tells the client that its body is wanted (RFC 9110 §10.1.1).
func (st *stream) sendContinue() { st.interim(100, nil) }

// interim writes an interim answer at once. It may be called by whoever reads the
// request body, so that it uses nothing of the stream's.
func (st *stream) interim(status int, fields *exchange.Header) {
	st.heading.Lock()
	defer st.heading.Unlock()
	if st.headed {
		return
	}
	var coded appender
	enc := qpack.NewEncoder(&coded)
	enc.WriteField(qpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	if fields != nil {
		for _, f := range fields.Fields() {
			if name := string(lowered(nil, f.Name)); !forbidden(name) {
				enc.WriteField(qpack.HeaderField{Name: name, Value: stringOf(f.Value)})
			}
		}
	}
	st.str.SetWriteDeadline(time.Now().Add(st.c.conf.WriteTimeout))
	st.str.Write(append(appendFrame(nil, frameHeaders, uint64(len(coded))), coded...))
}

// lower returns a field name as HTTP/3 has them; it is valid until the next call.
func (st *stream) lower(name []byte) string {
	for _, c := range name {
		if upper(c) {
			st.names = lowered(st.names[:0], name)
			return stringOf(st.names)
		}
	}
	return stringOf(name)
}

func lowered(dst, name []byte) []byte {
	for _, c := range name {
		if upper(c) {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// forbidden says which fields are not sent: those that RFC 9114 §4.2 forbids, and
// what belongs to the wire.
func forbidden(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "content-length", "te", "http2-settings":
		return true
	}
	return !exchange.ValidName(name)
}
