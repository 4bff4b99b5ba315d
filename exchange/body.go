package exchange

import "io"

// Body is a message body, pulled piece by piece. A body has one reader; Close
// may be called from another goroutine.
type Body interface {
	// Next returns the next piece, never empty, or io.EOF after the last. The
	// piece is valid until the next call. Any other error means that the body
	// is broken and must not be passed on as if it had ended.
	Next() ([]byte, error)
	// Len returns the number of bytes left, or -1 when only the end will tell.
	Len() int64
	// Trailer returns the trailer section, nil when there is none. It is
	// known after Next has returned io.EOF.
	Trailer() *Header
	// Close gives up what is left. It may be called twice.
	Close() error
}

// Ready is what a Body may also implement: it reports whether Next would
// return without waiting for the network. Writers use it to put the last
// pieces of a message into one packet; its absence means "don't know".
type Ready interface{ Ready() bool }

// NoBody is an empty body.
var NoBody Body = noBody{}

type noBody struct{}

func (noBody) Next() ([]byte, error) { return nil, io.EOF }
func (noBody) Len() int64            { return 0 }
func (noBody) Trailer() *Header      { return nil }
func (noBody) Close() error          { return nil }
func (noBody) Ready() bool           { return true }

// Unread is the body of an answer whose bytes never travel (HEAD, 304) though
// their number is known; n is -1 when it is not.
func Unread(n int64) Body { return unread(n) }

type unread int64

func (unread) Next() ([]byte, error) { return nil, io.EOF }
func (u unread) Len() int64          { return int64(u) }
func (unread) Trailer() *Header      { return nil }
func (unread) Close() error          { return nil }
func (unread) Ready() bool           { return true }

// BytesBody is a body held in memory. The bytes are not copied.
func BytesBody(b []byte) Body {
	if len(b) == 0 {
		return NoBody
	}
	return &bytesBody{b}
}

type bytesBody struct{ b []byte }

func (b *bytesBody) Next() ([]byte, error) {
	if len(b.b) == 0 {
		return nil, io.EOF
	}
	p := b.b
	b.b = nil
	return p, nil
}
func (b *bytesBody) Len() int64       { return int64(len(b.b)) }
func (b *bytesBody) Trailer() *Header { return nil }
func (b *bytesBody) Close() error     { b.b = nil; return nil }
func (b *bytesBody) Ready() bool      { return true }

// ReadAll reads a body into memory, at most limit bytes. A longer body is
// ErrBodyTooLarge, and its rest is left unread.
func ReadAll(b Body, limit int64) ([]byte, error) {
	if b.Len() > limit {
		return nil, ErrBodyTooLarge
	}
	var out []byte
	if n := b.Len(); n > 0 {
		out = make([]byte, 0, min(n, 4*BufferSize)) // what is announced need not come
	}
	for {
		p, err := b.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if int64(len(out)+len(p)) > limit {
			return out, ErrBodyTooLarge
		}
		out = append(out, p...)
	}
}

// Reader reads a body through io.Reader, for code that is not on the hot path.
func Reader(b Body) io.ReadCloser { return &bodyReader{body: b} }

type bodyReader struct {
	body Body
	rest []byte
	err  error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.rest, r.err = r.body.Next()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *bodyReader) Close() error { return r.body.Close() }
