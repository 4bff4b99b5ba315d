package policy

import "encoding/binary"

// Opcodes and close codes of RFC 6455 §5.2 and §7.4.1.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	closeGoingAway = 1001
	closeProtocol  = 1002
	closeTooBig    = 1009
)

const (
	maxFrameHead = 14
	maxControl   = 125
)

// frames follows one direction of a WebSocket: it passes bytes on and reads the
// heads of the frames among them. It holds back the beginning of a head and a
// control frame that is not complete, nothing else.
type frames struct {
	masked  bool  // the direction's frames have to be: from the client
	limit   int64 // bytes of a message, 0: none
	control func(op byte, payload []byte) (keep bool)

	held    [maxFrameHead + maxControl]byte
	n       int   // bytes in held
	left    int64 // payload of the present frame that is still to come
	message int64 // bytes of the present message, so far
	open    bool  // in the middle of a message of several frames

	messages int64 // frames of data that have begun
	ended    bool  // a close frame has passed
}

// boundary reports whether a frame of another may be put in here.
func (f *frames) boundary() bool { return f.left == 0 && f.n == 0 }

// feed appends to out what of in may pass. A code other than 0 ends the
// WebSocket: what is in out goes before that.
func (f *frames) feed(out, in []byte) ([]byte, uint16) {
	for len(in) > 0 {
		if f.left > 0 {
			n := min(f.left, int64(len(in)))
			out = append(out, in[:n]...)
			in = in[n:]
			f.left -= n
			continue
		}
		f.held[f.n] = in[0]
		f.n++
		in = in[1:]
		size, length, code := f.head()
		if code != 0 {
			return out, code
		}
		if size == 0 || f.n < size {
			continue
		}
		if f.held[0]&8 != 0 { // control: whole
			if f.n < size+int(length) {
				n := copy(f.held[f.n:size+int(length)], in)
				f.n += n
				in = in[n:]
			}
			if f.n < size+int(length) {
				continue
			}
			if f.controlFrame(size) {
				out = append(out, f.held[:f.n]...)
			}
			f.n = 0
			continue
		}
		if code := f.data(length); code != 0 {
			return out, code
		}
		out = append(out, f.held[:f.n]...)
		f.n, f.left = 0, length
	}
	return out, 0
}

// head reads the head in held. A size of 0 means that it is not known yet.
func (f *frames) head() (size int, length int64, code uint16) {
	h := f.held[:f.n]
	if len(h) < 2 {
		return 0, 0, 0
	}
	masked := h[1]&0x80 != 0
	op := h[0] & 15
	switch {
	case masked != f.masked: // RFC 6455 §5.1
		return 0, 0, closeProtocol
	case op > opBinary && op < opClose || op > opPong:
		return 0, 0, closeProtocol
	case op >= opClose && (h[0]&0x80 == 0 || h[1]&0x7f > maxControl): // §5.5
		return 0, 0, closeProtocol
	}
	size, length = 2, int64(h[1]&0x7f)
	switch length {
	case 126:
		size = 4
		if len(h) >= 4 {
			length = int64(binary.BigEndian.Uint16(h[2:]))
		}
	case 127:
		size = 10
		if len(h) >= 10 {
			length = int64(binary.BigEndian.Uint64(h[2:]))
			if length < 0 {
				return 0, 0, closeProtocol
			}
		}
	}
	if masked {
		size += 4
	}
	return size, length, 0
}

// data judges a frame of a message before any of it passes.
func (f *frames) data(length int64) uint16 {
	final, op := f.held[0]&0x80 != 0, f.held[0]&15
	if (op == opContinuation) != f.open { // §5.4
		return closeProtocol
	}
	if f.open = !final; op != opContinuation {
		f.message = 0
	}
	if f.message += length; f.limit > 0 && (f.message > f.limit || f.message < 0) {
		return closeTooBig
	}
	f.messages++
	return 0
}

func (f *frames) controlFrame(size int) (keep bool) {
	op, payload := f.held[0]&15, f.held[size:f.n]
	f.ended = f.ended || op == opClose
	if f.control == nil {
		return true
	}
	if f.masked {
		var plain [maxControl]byte
		for i, b := range payload {
			plain[i] = b ^ f.held[size-4+i%4]
		}
		payload = plain[:len(payload)]
	}
	return f.control(op, payload)
}

// appendControl appends a control frame. A masked one has a key of zeros: the
// key protects browsers' caches from pages, and we are no page.
func appendControl(out []byte, op byte, masked bool, payload []byte) []byte {
	if len(payload) > maxControl {
		payload = payload[:maxControl]
	}
	out = append(out, 0x80|op, byte(len(payload)))
	if masked {
		out[len(out)-1] |= 0x80
		out = append(out, 0, 0, 0, 0)
	}
	return append(out, payload...)
}

func closePayload(code uint16, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), code), reason...)
}
