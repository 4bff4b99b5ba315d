package policy

import "gopura/websocket"

// frames follows one direction of a WebSocket: it passes bytes on and reads the
// heads of the frames among them. It holds back the beginning of a head and a
// control frame that is not complete, nothing else.
type frames struct {
	masked  bool  // the direction's frames have to be: from the client
	limit   int64 // bytes of a message, 0: none
	control func(op byte, payload []byte) (keep bool)

	held    [websocket.MaxHead + websocket.MaxControl]byte
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
		head, size, code := websocket.ParseHead(f.held[:f.n], f.masked)
		if code != 0 {
			return out, code
		}
		if size == 0 {
			continue
		}
		if head.IsControl() { // whole
			if whole := size + int(head.Length); f.n < whole {
				n := copy(f.held[f.n:whole], in)
				f.n += n
				in = in[n:]
				if f.n < whole {
					continue
				}
			}
			if f.controlFrame(&head, f.held[size:f.n]) {
				out = append(out, f.held[:f.n]...)
			}
			f.n = 0
			continue
		}
		if code := f.data(&head); code != 0 {
			return out, code
		}
		out = append(out, f.held[:f.n]...)
		f.n, f.left = 0, head.Length
	}
	return out, 0
}

// data judges a frame of a message before any of it passes.
func (f *frames) data(h *websocket.Head) uint16 {
	if (h.Op == websocket.Continuation) != f.open { // RFC 6455 §5.4
		return websocket.Protocol
	}
	if f.open = !h.Final; h.Op != websocket.Continuation {
		f.message = 0
	}
	if f.message += h.Length; f.limit > 0 && (f.message > f.limit || f.message < 0) {
		return websocket.TooBig
	}
	f.messages++
	return 0
}

func (f *frames) controlFrame(h *websocket.Head, payload []byte) (keep bool) {
	f.ended = f.ended || h.Op == websocket.Close
	if f.control == nil {
		return true
	}
	var plain [websocket.MaxControl]byte
	n := copy(plain[:], payload)
	h.Unmask(plain[:n], 0)
	return f.control(h.Op, plain[:n])
}
