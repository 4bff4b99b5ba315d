package transcode

import (
	"errors"
	"io"
	"sync"

	"gopura/exchange"
	"gopura/websocket"
)

// socket is the gateway's end of a WebSocket whose messages are those of a call.
// The front end writes into it what the client sends, and reads from it what the
// client is to get; a goroutine makes the call.
type socket struct {
	c    *call
	x    exchange.Exchange // of the call
	form socketForm

	// Of the goroutine that writes for the client.
	reader websocket.Reader
	deaf   bool // nothing that still comes matters

	messages chan websocket.Message // to the call
	taken    chan struct{}          // and it has been understood; has room for one
	finished chan struct{}          // the client's last message has been taken
	gone     chan struct{}          // the client wants no more, or the tunnel is cut

	answers chan []byte   // frames for the client, borrowed until read is told
	read    chan struct{} // and they were copied; has room for one
	over    chan struct{} // the call has ended, and last is set
	last    []byte        // the frames that end the WebSocket

	mu      sync.Mutex
	calling bool          // x may be cancelled
	hungUp  bool          // gone is closed
	pong    []byte        // the answer to a ping
	reply   []byte        // the answer to the client's close frame
	poked   chan struct{} // one of them is there; has room for one
	closed  chan struct{} // Close was called
	shut    sync.Once

	// Of the goroutine that reads for the client.
	out   []byte
	at    int
	ended bool

	body socketBody
	err  *exchange.Error // why the call failed; set before over
	grpc exchange.GRPCOutcome
}

func newSocket(c *call, form socketForm) *socket {
	s := &socket{
		c: c, form: form, messages: make(chan websocket.Message), taken: make(chan struct{}, 1), finished: make(chan struct{}),
		gone: make(chan struct{}), answers: make(chan []byte), read: make(chan struct{}, 1), over: make(chan struct{}),
		poked: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	s.reader.Limit = c.t.codec.limits.line()
	s.body = socketBody{s: s, closed: make(chan struct{})}
	if form == protoMessages {
		s.reader.Limit = c.t.codec.limits.Message
	}
	return s
}

// Write implements exchange.Tunnel: what the client sends. A message is waited
// for until the call takes it, so the client is no faster than the service.
func (s *socket) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !s.deaf {
		var m websocket.Message
		var code uint16
		if m, p, code = s.reader.Next(p); code != 0 {
			s.refuse(code)
			break
		}
		switch m.Op {
		case websocket.Text, websocket.Binary:
			s.message(m)
		case websocket.Ping: // RFC 6455 §5.5.2
			s.say(&s.pong, websocket.AppendControl(nil, websocket.Pong, false, m.Payload))
		case websocket.Close:
			s.leave(websocket.CloseCode(m.Payload))
		}
	}
	return n, nil
}

// message hands a message to the call. An empty text ends the client's stream: a
// WebSocket itself has no end of one direction.
func (s *socket) message(m websocket.Message) {
	select {
	case <-s.finished:
		s.c.flaw.CompareAndSwap(nil, exchange.RequestInvalid.Saying("There is a message after the last one."))
		s.hangUp()
		return
	default:
	}
	if m.Op == websocket.Text && len(m.Payload) == 0 {
		close(s.finished)
		return
	}
	select {
	case s.messages <- m:
	case <-s.over:
		s.deaf = true
		return
	case <-s.gone:
		s.deaf = true
		return
	}
	select {
	case <-s.taken:
		if !s.c.b.method.ClientStreaming {
			close(s.finished)
		}
	case <-s.over:
	case <-s.gone:
	}
}

// refuse ends a WebSocket whose frames can't be accepted.
func (s *socket) refuse(code uint16) {
	flaw := exchange.RequestInvalid.Errorf("the client's frames are not valid (%d)", code)
	if code == websocket.TooBig {
		flaw = exchange.MessageTooLarge.Because(nil)
	}
	s.c.flaw.CompareAndSwap(nil, flaw)
	s.leave(code)
}

// leave answers a close frame, or what can't be accepted, and waits for nothing.
func (s *socket) leave(code uint16) {
	var payload []byte
	if code != 0 {
		payload = websocket.ClosePayload(code, "")
	}
	s.deaf = true
	s.say(&s.reply, websocket.AppendControl(nil, websocket.Close, false, payload))
	s.hangUp()
}

// hangUp ends the call.
func (s *socket) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hungUp {
		return
	}
	s.hungUp = true
	close(s.gone)
	if s.calling {
		s.x.Cancel(exchange.ClientGone.Because(errHungUp))
	}
}

var errHungUp = errors.New("the client has closed the WebSocket")

// say leaves a frame for the goroutine that reads. A later one takes its place:
// of several pings the last is answered (RFC 6455 §5.5.3).
func (s *socket) say(place *[]byte, frame []byte) {
	s.mu.Lock()
	*place = frame
	s.mu.Unlock()
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// Read implements exchange.Tunnel: what the client is to get.
func (s *socket) Read(p []byte) (int, error) {
	for s.at == len(s.out) {
		if s.ended {
			return 0, io.EOF
		}
		if s.out, s.at = s.out[:0], 0; cap(s.out) > keepMemory {
			s.out = nil
		}
		select {
		case frame := <-s.answers:
			s.out = append(s.out, frame...)
			s.read <- struct{}{}
		case <-s.poked:
			s.heed()
		case <-s.over:
			if s.heed(); !s.ended {
				s.out, s.ended = append(s.out, s.last...), true
			}
		case <-s.closed:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, s.out[s.at:])
	s.at += n
	return n, nil
}

// heed says what was left to be said.
func (s *socket) heed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, s.pong...)
	s.pong = nil
	if s.reply != nil {
		s.out, s.ended = append(s.out, s.reply...), true
	}
}

// give says a message to the client, and reports whether it is still there.
func (s *socket) give(frame []byte) bool {
	select {
	case s.answers <- frame:
		<-s.read
		return true
	case <-s.gone:
		return false
	}
}

// CloseWrite implements exchange.Tunnel: nothing more comes from the client. One
// that has not said so in a frame is gone.
func (s *socket) CloseWrite() error {
	s.deaf = true
	s.hangUp()
	return nil
}

// Close implements exchange.Tunnel.
func (s *socket) Close() error {
	s.shut.Do(func() { close(s.closed) })
	s.hangUp()
	return nil
}

// socketBody is the client's messages as those of the call.
type socketBody struct {
	s      *socket
	given  bool // the one message of a method that takes one
	ended  bool
	closed chan struct{}
	once   sync.Once
}

// Next implements exchange.Body.
func (b *socketBody) Next() ([]byte, error) {
	s := b.s
	if b.ended || b.given && !s.c.b.method.ClientStreaming {
		return nil, io.EOF
	}
	select {
	case m := <-s.messages:
		b.given = true
		frame, err := s.c.frameOf(m, s.form)
		s.taken <- struct{}{}
		return frame, err
	case <-s.finished:
		b.ended = true
		if !s.c.b.method.ClientStreaming && !b.given {
			return s.c.lines.frame(nil) // nothing is an empty message
		}
		return nil, io.EOF
	case <-s.gone:
		return nil, exchange.ClientGone.Because(errHungUp)
	case <-b.closed:
		return nil, io.ErrClosedPipe
	}
}

// Len implements exchange.Body.
func (b *socketBody) Len() int64 { return -1 }

// Trailer implements exchange.Body.
func (b *socketBody) Trailer() *exchange.Header { return nil }

// Close implements exchange.Body.
func (b *socketBody) Close() error { b.once.Do(func() { close(b.closed) }); return nil }
