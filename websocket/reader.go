package websocket

import "unicode/utf8"

// Message is a message, or a control frame. Op is 0 for none.
type Message struct {
	Op      byte
	Payload []byte // valid until the next call of Next
}

// Reader puts messages together out of the bytes of a client, who was offered no
// extension.
type Reader struct {
	Limit int // bytes of a message

	held    [MaxHead]byte // of a head
	n       int
	head    Head
	within  bool  // a frame, whose head is known
	left    int64 // of its payload
	at      int
	op      byte // of the message that is being put together; 0: none
	message []byte
	control [MaxControl]byte
}

// keep is how much memory stays for the next message.
const keep = 64 << 10

// Next takes bytes of in until a message or a control frame is whole, or until
// there are no more. A code is why the WebSocket has to end.
func (r *Reader) Next(in []byte) (m Message, rest []byte, code uint16) {
	for {
		for !r.within {
			if len(in) == 0 {
				return m, nil, 0
			}
			r.held[r.n] = in[0]
			r.n, in = r.n+1, in[1:]
			h, size, code := ParseHead(r.held[:r.n], true)
			if code == 0 && size > 0 {
				r.head, r.left, r.at, r.n = h, h.Length, 0, 0
				code = r.begin()
			}
			if code != 0 {
				return m, nil, code
			}
			r.within = size > 0
		}
		n := int(min(r.left, int64(len(in))))
		r.take(in[:n])
		in, r.left, r.at = in[n:], r.left-int64(n), r.at+n
		if r.left > 0 {
			return m, nil, 0
		}
		r.within = false
		switch {
		case r.head.IsControl():
			return Message{r.head.Op, r.control[:r.at]}, in, 0
		case r.head.Final:
			m = Message{r.op, r.message}
			r.op = 0
			if m.Op == Text && !utf8.Valid(m.Payload) { // §8.1
				return Message{}, nil, NotUTF8
			}
			return m, in, 0
		}
	}
}

// begin judges a frame before any of its payload is kept.
func (r *Reader) begin() uint16 {
	h := &r.head
	switch {
	case h.Reserved != 0: // §5.2: no extension gives them a meaning
		return Protocol
	case h.IsControl():
		return 0
	case (h.Op == Continuation) != (r.op != 0): // §5.4
		return Protocol
	case h.Op != Continuation:
		if r.op, r.message = h.Op, r.message[:0]; cap(r.message) > keep {
			r.message = nil
		}
	}
	if h.Length > int64(r.Limit-len(r.message)) {
		return TooBig
	}
	return 0
}

func (r *Reader) take(b []byte) {
	if r.head.IsControl() {
		copy(r.control[r.at:], b)
		r.head.Unmask(r.control[r.at:r.at+len(b)], r.at)
		return
	}
	from := len(r.message)
	r.message = append(r.message, b...)
	r.head.Unmask(r.message[from:], r.at)
}
