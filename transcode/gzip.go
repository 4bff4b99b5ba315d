package transcode

import (
	"bytes"
	"compress/gzip"
	"errors"
	"sync"

	"gopura/rawjson"
)

// errMessageTooLarge is a message that is longer than allowed.
var errMessageTooLarge = errors.New("a message is longer than allowed")

// gunzip appends what src holds compressed, at most max bytes of it: a few
// bytes of gzip can be a thousand times as many.
func gunzip(dst, src []byte, max int) ([]byte, error) {
	out, err := rawjson.Decompress(dst, "gzip", src, max)
	if errors.Is(err, rawjson.ErrTooLarge) {
		return dst, errMessageTooLarge
	}
	if err != nil {
		return dst, err
	}
	return out, nil
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
