package h2

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"

	"gopura/exchange"
)

// requestBody is the body of a request, read through the exchange's buffer.
type requestBody struct {
	st     *stream
	r      *http.Request
	buf    []byte
	left   int64 // -1: unknown
	watch  watch
	closed atomic.Bool
	err    error // sticky: io.EOF, or why the body is broken
	tail   exchange.Header
}

var errBodyClosed = errors.New("h2: read of a closed request body")

func newRequestBody(st *stream, r *http.Request) *requestBody {
	b := &requestBody{st: st, r: r, buf: st.x.Buffer().B[:], left: r.ContentLength}
	// Closing net/http's body ends a Read that is waiting.
	b.watch.bite = func() { r.Body.Close() }
	return b
}

func (b *requestBody) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.watch.arm(b.st.conf.BodyTimeout)
	n, err := b.r.Body.Read(b.buf)
	bit := b.watch.disarm()
	b.st.x.Received += int64(n)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	if err != nil {
		b.err = b.end(err, bit)
	}
	if n > 0 {
		return b.buf[:n], nil
	}
	if b.err == nil { // net/http's pipe does not return 0, nil
		b.err = exchange.BadBody.Because(io.ErrNoProgress)
	}
	return nil, b.err
}

// end says what the end of net/http's body means.
func (b *requestBody) end(err error, bit bool) error {
	switch {
	case err == io.EOF:
		for _, name := range slices.Sorted(maps.Keys(b.r.Trailer)) {
			for _, v := range b.r.Trailer[name] {
				b.tail.Add(name, v)
			}
		}
		return io.EOF
	case bit:
		return exchange.RequestTimeout.Errorf("no piece of the request body within %s", b.st.conf.BodyTimeout)
	case b.closed.Load():
		return errBodyClosed
	case b.r.Context().Err() != nil:
		return exchange.ClientGone.Because(err)
	}
	return exchange.BadBody.Because(err) // not as long as Content-Length announced
}

func (b *requestBody) Len() int64 { return b.left }

// Ready: what net/http has received it does not tell.
func (b *requestBody) Ready() bool { return b.left == 0 }

func (b *requestBody) Trailer() *exchange.Header {
	if b.err != io.EOF || b.tail.Len() == 0 {
		return nil
	}
	return &b.tail
}

// Close ends a Next that is waiting; net/http lets it run beside a Read.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	return b.r.Body.Close()
}
