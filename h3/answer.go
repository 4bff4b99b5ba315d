package h3

import (
	"errors"
	"os"
	"time"

	"github.com/quic-go/qpack"

	"gopura/exchange"
	"gopura/semantics"
)

// smallPiece is up to which size a piece of a body is copied behind what waits to
// be written, so that it leaves in one packet.
const smallPiece = 4 << 10

// respond writes the answer. On an error it is not whole.
func (st *stream) respond() error {
	return semantics.Answer(&st.x, st, st.c.conf.Root)
}

// What follows makes a stream a semantics.Stream.

// Head appends the head of the response to what is to be written; end says that
// nothing follows.
func (st *stream) Head(p *exchange.Response, length int64, end bool) error {
	st.heading.Lock()
	st.headed = true
	st.heading.Unlock()
	st.fields.Head(&st.coder, p, length, st.c.s.date.At(time.Now()))
	st.out = st.coder.frame(st.out)
	if end {
		return st.Flush()
	}
	return nil
}

// Data writes a piece of the body, or keeps it when it is small.
func (st *stream) Data(p []byte) error {
	st.out = appendFrame(st.out, frameData, uint64(len(p)))
	small := len(p) <= smallPiece
	if small {
		st.out = append(st.out, p...)
	}
	if !small || len(st.out) > maxKept/2 {
		if err := st.Flush(); err != nil {
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

// Flush writes what was kept.
func (st *stream) Flush() error {
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

// Trailer writes the trailer section.
func (st *stream) Trailer(t *exchange.Header) error {
	if st.fields.Trailer(&st.coder, t) > 0 {
		st.out = st.coder.frame(st.out)
	}
	return st.Flush()
}

// End writes what was kept. The stream ends when the exchange is done, and that of a
// tunnel here.
func (st *stream) End() error {
	if err := st.Flush(); err != nil || st.x.Response.Tunnel == nil {
		return err
	}
	st.unwatch()
	st.str.Close()
	return nil
}

// Upload returns what the client sends.
func (st *stream) Upload() exchange.Body { return &st.body }

// Cut ends both directions, whatever they wait for.
func (st *stream) Cut(error) { st.reset(codeRequestCancelled) }

// sendInform passes an interim answer on.
func (st *stream) sendInform(status int, fields *exchange.Header) error {
	if semantics.Informs(status) {
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
	var c coder
	c.init()
	var f semantics.Fields
	f.Interim(&c, status, fields)
	st.str.SetWriteDeadline(time.Now().Add(st.c.conf.WriteTimeout))
	st.str.Write(c.frame(nil))
}

// coder encodes header blocks.
type coder struct {
	enc   *qpack.Encoder
	coded appender
}

// appender is a slice that a qpack.Encoder writes to.
type appender []byte

// Write implements io.Writer.
func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}

func (c *coder) init() { c.enc = qpack.NewEncoder(&c.coded) }

// Field implements semantics.FieldWriter.
func (c *coder) Field(name, value string) {
	c.enc.WriteField(qpack.HeaderField{Name: name, Value: value}) // an appender does not fail
}

// frame appends the HEADERS frame of the fields that were written.
func (c *coder) frame(out []byte) []byte {
	out = append(appendFrame(out, frameHeaders, uint64(len(c.coded))), c.coded...)
	c.coded = c.coded[:0]
	c.enc.Close()
	return out
}
