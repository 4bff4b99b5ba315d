package h3

import (
	"errors"
	"fmt"
	"io"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// Types of frames and unidirectional streams (RFC 9114 §11.2, RFC 9204 §4.2).
const (
	frameData        = 0x0
	frameHeaders     = 0x1
	frameCancelPush  = 0x3
	frameSettings    = 0x4
	framePushPromise = 0x5
	frameGoAway      = 0x7
	frameMaxPushID   = 0xd

	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
)

// Codes with which streams are reset and connections closed (RFC 9114 §8.1).
const (
	codeNo                = 0x100
	codeInternal          = 0x102
	codeStreamCreation    = 0x103
	codeClosedCritical    = 0x104
	codeFrameUnexpected   = 0x105
	codeFrame             = 0x106
	codeExcessiveLoad     = 0x107
	codeID                = 0x108
	codeSettings          = 0x109
	codeMissingSettings   = 0x10a
	codeRequestRejected   = 0x10b
	codeRequestCancelled  = 0x10c
	codeRequestIncomplete = 0x10d
	codeMessage           = 0x10e
	codeDecompression     = 0x200 // RFC 9204 §6
	codeEncoderStream     = 0x201
)

// connError is a breach of the protocol that the connection does not survive.
type connError struct {
	code quic.ApplicationErrorCode
	why  string
}

func (e *connError) Error() string { return fmt.Sprintf("HTTP/3 error %#x: %s", uint64(e.code), e.why) }

var (
	errUnexpectedFrame = &connError{codeFrameUnexpected, "a frame that has no place there"}
	errFlood           = &connError{codeExcessiveLoad, "too much that brings nothing"}
	errTruncatedFrame  = &connError{codeFrame, "the stream ends inside a frame"}
	errBadFrame        = &connError{codeFrame, "a frame is not as long as it says"}
)

// reader reads what a stream brings through a buffer.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int
	any  bool  // something came
	err  error // of src, when all that it gave has been taken
}

func (r *reader) start(src io.Reader, buf []byte) { *r = reader{src: src, buf: buf} }

// fill waits until something is in the buffer.
func (r *reader) fill() error {
	for r.r == r.w {
		if r.err != nil {
			return r.err
		}
		var n int
		n, r.err = r.src.Read(r.buf)
		r.r, r.w, r.any = 0, n, r.any || n > 0
	}
	return nil
}

// ended reports whether the stream has ended, as far as is known without waiting.
func (r *reader) ended() bool { return r.r == r.w && r.err == io.EOF }

// chunk returns what has arrived, at most max bytes, and waits for one. It is
// valid until the next call.
func (r *reader) chunk(max uint64) ([]byte, error) {
	if err := r.fill(); err != nil {
		return nil, err
	}
	n := int(min(uint64(r.w-r.r), max))
	p := r.buf[r.r : r.r+n : r.r+n]
	r.r += n
	return p, nil
}

func (r *reader) skip(n uint64) error {
	for n > 0 {
		p, err := r.chunk(n)
		if err != nil {
			return unexpected(err)
		}
		n -= uint64(len(p))
	}
	return nil
}

// varint reads an integer (RFC 9000 §16): io.EOF when none begins.
func (r *reader) varint() (uint64, error) {
	p, err := r.chunk(1)
	if err != nil {
		return 0, err
	}
	v := uint64(p[0] & 0x3f)
	for n := 1<<(p[0]>>6) - 1; n > 0; n-- {
		if p, err = r.chunk(1); err != nil {
			return 0, unexpected(err)
		}
		v = v<<8 | uint64(p[0])
	}
	return v, nil
}

// frame reads the head of a frame: io.EOF when the stream has ended before it.
func (r *reader) frame() (kind, length uint64, err error) {
	if kind, err = r.varint(); err != nil {
		return 0, 0, err
	}
	length, err = r.varint()
	return kind, length, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// placed reports whether a frame of that type has its place, so that elsewhere it
// is an error; others are skipped (RFC 9114 §9).
func placed(kind uint64) bool {
	switch kind {
	case frameData, frameHeaders, frameCancelPush, frameSettings, framePushPromise, frameGoAway, frameMaxPushID:
		return true
	}
	return reserved(kind)
}

// reserved are the types that HTTP/2 has and HTTP/3 must not (RFC 9114 §7.2.8).
func reserved(kind uint64) bool { return kind == 0x2 || kind == 0x6 || kind == 0x8 || kind == 0x9 }

// appendFrame appends the head of a frame.
func appendFrame(b []byte, kind, length uint64) []byte {
	return quicvarint.Append(quicvarint.Append(b, kind), length)
}

// byClient reports whether err says that the client has reset the stream, or that
// the connection is gone.
func byClient(err error) bool {
	var se *quic.StreamError
	return errors.As(err, &se) && se.Remote
}
