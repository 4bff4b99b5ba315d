package exchange

import "io"

// KeepBody reads the body into memory and puts it back. Of one that is larger
// than limit it reads no more than it must to know.
func KeepBody(x *Exchange, limit int64) (text []byte, whole bool, err error) {
	body := x.Request.Body
	if n := body.Len(); n > 0 {
		text = make([]byte, 0, min(n, limit))
	}
	for err == nil && int64(len(text)) <= limit {
		var p []byte
		p, err = body.Next()
		text = append(text, p...)
	}
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	x.Request.Body = &keptBody{rest: text, body: body, whole: err == io.EOF}
	x.Request.ExpectContinue = false // the client has been told to continue
	return text, int64(len(text)) <= limit, nil
}

// keptBody is a body that has been read: its bytes from memory, and what was
// left of it from where it comes.
type keptBody struct {
	rest  []byte
	body  Body
	whole bool // nothing was left
}

// Next implements Body.
func (b *keptBody) Next() ([]byte, error) {
	switch {
	case len(b.rest) > 0:
		p := b.rest
		b.rest = nil
		return p, nil
	case b.whole:
		return nil, io.EOF
	}
	return b.body.Next()
}

// Len implements Body.
func (b *keptBody) Len() int64 {
	if b.whole {
		return int64(len(b.rest))
	}
	if n := b.body.Len(); n >= 0 {
		return int64(len(b.rest)) + n
	}
	return -1
}

// Trailer implements Body.
func (b *keptBody) Trailer() *Header { return b.body.Trailer() }

// Close implements Body.
func (b *keptBody) Close() error { b.rest = nil; return b.body.Close() }

// Ready implements Ready.
func (b *keptBody) Ready() bool { return len(b.rest) > 0 || b.whole }
