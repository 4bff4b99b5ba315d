package transcode

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"gopura/exchange"
)

// ErrMessageTooLarge is a message that is longer than allowed.
var ErrMessageTooLarge = errors.New("a message is longer than allowed")

var gunzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// gunzip appends what src holds compressed, at most max bytes of it: a few
// bytes of gzip can be a thousand times as many.
func gunzip(dst, src []byte, max int) ([]byte, error) {
	z := gunzippers.Get().(*gzip.Reader)
	defer gunzippers.Put(z)
	if err := z.Reset(bytes.NewReader(src)); err != nil {
		return dst, fmt.Errorf("gzip: %w", err)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, exchange.BufferSize)...)[:len(dst)]
		}
		n, err := z.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst) > max {
			return dst, ErrMessageTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
	}
}

var gzippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return z
}}

// appendGzip appends src compressed.
func appendGzip(dst, src []byte) []byte {
	z := gzippers.Get().(*gzip.Writer)
	defer gzippers.Put(z)
	b := bytes.NewBuffer(dst)
	z.Reset(b)
	_, _ = z.Write(src) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}
