package transcode

import (
	"encoding/binary"
	"fmt"
	"io"

	"gopura/exchange"
)

// A gRPC message travels behind a prefix of five bytes: a flag that says whether
// it is compressed, and its length.
const prefixSize = 5

// AppendFrame appends a message with its prefix.
func AppendFrame(dst, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(dst, 0), uint32(len(message))), message...)
}

// sealFrame writes the prefix of the message that follows it in b.
func sealFrame(b []byte) {
	b[0] = 0
	binary.BigEndian.PutUint32(b[1:prefixSize], uint32(len(b)-prefixSize))
}

// FrameReader takes the messages out of a body.
type FrameReader struct {
	body    exchange.Body
	max     int
	gzip    bool   // what grpc-encoding announced
	rest    []byte // of the last piece
	pending []byte // a frame that came in several pieces
	plain   []byte // the last message, decompressed
}

// Reset makes r read messages of at most max bytes from body. encoding is the
// value of grpc-encoding.
func (r *FrameReader) Reset(body exchange.Body, max int, encoding []byte) error {
	*r = FrameReader{body: body, max: max, pending: r.pending[:0], plain: r.plain[:0]}
	switch string(encoding) {
	case "", "identity":
	case "gzip":
		r.gzip = true
	default:
		return fmt.Errorf("messages are compressed with %.40q, which was not offered", encoding)
	}
	return nil
}

// Next returns the next message, which is valid until the next call, or io.EOF
// after the last. A message that is longer than allowed is errMessageTooLarge;
// a body that ends within one is io.ErrUnexpectedEOF.
func (r *FrameReader) Next() ([]byte, error) {
	frame, err := r.frame()
	if err != nil {
		return nil, err
	}
	return r.open(frame)
}

// open returns the message of a frame, decompressed.
func (r *FrameReader) open(frame []byte) (message []byte, err error) {
	switch frame[0] {
	case 0:
		return frame[prefixSize:], nil
	case 1:
		if !r.gzip {
			return nil, fmt.Errorf("a message is compressed, but no encoding was announced")
		}
		r.plain, err = gunzip(r.plain[:0], frame[prefixSize:], r.max)
		return r.plain, err
	}
	return nil, fmt.Errorf("a message has the unknown flags %#x", frame[0])
}

// frame returns the next frame. One that lies within a piece is not copied.
func (r *FrameReader) frame() ([]byte, error) {
	r.pending = r.pending[:0]
	for {
		have := r.rest
		if len(r.pending) > 0 {
			have = r.pending
		}
		need := prefixSize
		if len(have) >= prefixSize {
			n := binary.BigEndian.Uint32(have[1:prefixSize])
			if uint64(n) > uint64(r.max) {
				return nil, errMessageTooLarge
			}
			need += int(n)
		}
		if len(r.pending) == 0 {
			if len(r.rest) >= need && need > 0 && len(have) >= prefixSize {
				frame := r.rest[:need]
				r.rest = r.rest[need:]
				return frame, nil
			}
			r.pending, r.rest = append(r.pending, r.rest...), nil
		}
		if len(have) >= prefixSize && len(r.pending) >= need {
			return r.pending[:need], nil
		}
		if len(r.rest) == 0 {
			piece, err := r.body.Next()
			if err == io.EOF && len(r.pending) > 0 {
				return nil, io.ErrUnexpectedEOF
			}
			if err != nil {
				return nil, err
			}
			r.rest = piece
		}
		if len(r.pending) > 0 {
			take := min(need-len(r.pending), len(r.rest))
			r.pending, r.rest = append(r.pending, r.rest[:take]...), r.rest[take:]
		}
	}
}

// Ready reports whether Next would return without waiting for the network.
func (r *FrameReader) Ready() bool {
	if len(r.rest) >= prefixSize && uint64(len(r.rest)-prefixSize) >= uint64(binary.BigEndian.Uint32(r.rest[1:prefixSize])) {
		return true
	}
	if len(r.rest) > 0 {
		return false
	}
	ready, ok := r.body.(exchange.Ready)
	return ok && ready.Ready()
}

// Close gives up what is left of the body.
func (r *FrameReader) Close() error { return r.body.Close() }
