package rawjson

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// Decompress undoes a Content-Encoding (gzip, deflate, identity, or none) and
// appends at most limit bytes to dst; more is ErrTooLarge, found without having
// them in memory. For identity it returns body itself.
func Decompress(dst []byte, contentEncoding string, body []byte, limit int) ([]byte, error) {
	switch strings.ToLower(strings.TrimSpace(contentEncoding)) {
	case "", "identity":
		if len(body) > limit {
			return nil, ErrTooLarge
		}
		return body, nil
	case "gzip", "x-gzip": // RFC 9110 §8.4.1.3
		return gunzip(dst, body, limit)
	case "deflate":
		return inflate(dst, body, limit)
	}
	return nil, fmt.Errorf("%w: %.100q", ErrEncoding, contentEncoding)
}

// inflater is a decompressor with what it reads from. It is used again: a new
// one costs 40 KB.
type inflater struct {
	source bytes.Reader
	gzip   gzip.Reader
	flate  io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

func (z *inflater) release() {
	z.source.Reset(nil)
	inflaters.Put(z)
}

func gunzip(dst, body []byte, limit int) ([]byte, error) {
	z := inflaters.Get().(*inflater)
	defer z.release()
	z.source.Reset(body)
	if err := z.gzip.Reset(&z.source); err != nil {
		return nil, fmt.Errorf("gzip: %w", unexpected(err))
	}
	// The last four bytes say how much it is, if it is one member and honest.
	guess := 4 * len(body)
	if says := int64(binary.LittleEndian.Uint32(body[len(body)-4:])); says <= int64(16*len(body)) {
		guess = int(says)
	}
	out, err := drain(dst, &z.gzip, guess, limit)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return out, nil
}

// inflate reads the zlib format, which RFC 9110 §8.4.1.2 calls deflate, and the
// raw format, which some send under that name.
func inflate(dst, body []byte, limit int) ([]byte, error) {
	z := inflaters.Get().(*inflater)
	defer z.release()
	z.source.Reset(body)
	var r io.Reader
	if len(body) >= 2 && body[0]&0xf == 8 && binary.BigEndian.Uint16(body)%31 == 0 {
		var err error
		if r, err = zlib.NewReader(&z.source); err != nil {
			return nil, fmt.Errorf("deflate: %w", unexpected(err))
		}
	} else if z.flate == nil {
		z.flate = flate.NewReader(&z.source)
		r = z.flate
	} else if err := z.flate.(flate.Resetter).Reset(&z.source, nil); err != nil {
		return nil, err
	} else {
		r = z.flate
	}
	out, err := drain(dst, r, 4*len(body), limit)
	if err != nil {
		return nil, fmt.Errorf("deflate: %w", err)
	}
	return out, nil
}

// drain appends all of r, at most limit bytes. The buffer never grows beyond
// the limit and one byte more.
func drain(dst []byte, r io.Reader, guess, limit int) ([]byte, error) {
	start := len(dst)
	end := start + limit + 1
	dst = slices.Grow(dst, min(guess, limit)+1)
	for {
		n, err := r.Read(dst[len(dst):min(cap(dst), end)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > limit:
			return dst[:start], ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst[:start], unexpected(err)
		case len(dst) == cap(dst):
			grown := make([]byte, len(dst), min(2*cap(dst)+512, end))
			copy(grown, dst)
			dst = grown
		}
	}
}

// unexpected makes a missing end an error that says so.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
