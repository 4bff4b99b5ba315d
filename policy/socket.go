package policy

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gopura/exchange"
	"gopura/websocket"
)

// socketTerms bound a WebSocket.
type socketTerms struct {
	idle, lifetime, ping time.Duration
	message              int64
}

// socket is a tunnel that knows that it is a WebSocket. One goroutine of its own
// reads from the target, so that something can be said to the client meanwhile.
type socket struct {
	exchange.Tunnel // the target's
	terms           *socketTerms

	arrived chan arrival  // from the target
	taken   chan struct{} // and it may read again
	pumped  chan struct{} // it reads no more
	closed  chan struct{} // Close was called
	leaving chan ending   // somebody wants it to end; has room for one
	once    sync.Once

	// Of the goroutine that reads for the client.
	down  frames
	out   []byte // for the client
	at    int    // bytes of out that it has
	timer *time.Timer
	asked time.Time // a ping is not answered
	said  time.Time // the last frame to the client
	over  bool

	// Of the goroutine that writes for the client.
	up   frames
	in   []byte
	mute bool // nothing more is passed on to the target

	watch socketWatch
	why   atomic.Pointer[exchange.Error] // the gateway has ended it

	upMu     sync.Mutex // orders our close frame among what the client sends
	begun    time.Time
	messages atomic.Int64 // when the last one has begun, either way, since begun
	answered atomic.Bool  // something has come from the client since our ping
}

type arrival struct {
	b   []byte
	err error
}

type ending struct {
	code   uint16
	reason string
}

// pingMark is the payload of the gateway's own pings; their answers are not for
// the target.
var pingMark = []byte("gopura")

// socketBuffer is read into from the target.
const socketBuffer = 8 << 10

func openSocket(t exchange.Tunnel, terms *socketTerms, cut func(cause error)) *socket {
	s := &socket{
		Tunnel: t, terms: terms, arrived: make(chan arrival), taken: make(chan struct{}, 1), closed: make(chan struct{}),
		leaving: make(chan ending, 1), pumped: make(chan struct{}), begun: time.Now(),
	}
	s.said = s.begun
	s.down.limit, s.up.limit, s.up.masked = terms.message, terms.message, true
	s.up.control = func(op byte, payload []byte) bool { return op != websocket.Pong || !bytes.Equal(payload, pingMark) }
	s.watch.start(s, cut)
	go s.pump()
	return s
}

func (s *socket) pump() {
	defer close(s.pumped)
	b := make([]byte, socketBuffer)
	for {
		n, err := s.Tunnel.Read(b)
		select {
		case s.arrived <- arrival{b[:n], err}:
		case <-s.closed:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-s.taken:
		case <-s.closed:
			return
		}
	}
}

// leave ends the WebSocket with a close code. Any goroutine may call it.
func (s *socket) leave(code uint16, reason string) {
	select {
	case s.leaving <- ending{code, reason}:
		s.watch.expect(time.Now())
	default: // it is ending already
	}
}

// Read implements exchange.Tunnel: what the client is to get.
func (s *socket) Read(p []byte) (int, error) {
	for s.at == len(s.out) {
		if s.over {
			return 0, io.EOF
		}
		s.out, s.at = s.out[:0], 0
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out[s.at:])
	s.at += n
	return n, nil
}

// fill waits for something to say to the client.
func (s *socket) fill() error {
	var clock <-chan time.Time
	if next, ok := s.next(); ok {
		if s.timer == nil {
			s.timer = time.NewTimer(next)
		} else {
			s.timer.Reset(next)
		}
		clock = s.timer.C
	}
	select {
	case a := <-s.arrived:
		before := s.down.messages
		var code uint16
		s.out, code = s.down.feed(s.out, a.b)
		now := time.Now()
		if s.said = now; s.down.messages != before {
			s.messages.Store(int64(now.Sub(s.begun)))
		}
		switch {
		case code != 0:
			s.blame(code, reasonOf(code), exchange.ByUpstream)
			s.end(code, reasonOf(code))
		case a.err == io.EOF:
			s.over = true
		case a.err != nil:
			return a.err
		default:
			s.taken <- struct{}{}
		}
	case e := <-s.leaving:
		s.blame(e.code, e.reason, exchange.ByClient)
		s.end(e.code, e.reason)
	case now := <-clock:
		s.tick(now)
	case <-s.closed:
		return io.ErrClosedPipe
	}
	return nil
}

// next returns how long there is nothing to do for sure.
func (s *socket) next() (time.Duration, bool) {
	t, now := s.terms, time.Now()
	soonest := time.Duration(-1)
	due := func(at time.Time) {
		if d := max(at.Sub(now), 0); soonest < 0 || d < soonest {
			soonest = d
		}
	}
	if t.lifetime > 0 {
		due(s.begun.Add(t.lifetime))
	}
	if t.idle > 0 {
		due(s.lastMessage().Add(t.idle))
	}
	if t.ping > 0 {
		due(s.said.Add(t.ping))
	}
	return soonest, soonest >= 0
}

func (s *socket) lastMessage() time.Time { return s.begun.Add(time.Duration(s.messages.Load())) }

func (s *socket) tick(now time.Time) {
	t := s.terms
	switch {
	case t.lifetime > 0 && now.Sub(s.begun) >= t.lifetime:
		s.blame(websocket.GoingAway, "its time is over", exchange.ByGateway)
		s.end(websocket.GoingAway, "its time is over")
	case t.idle > 0 && now.Sub(s.lastMessage()) >= t.idle:
		s.blame(websocket.GoingAway, "there was no message for too long", exchange.ByGateway)
		s.end(websocket.GoingAway, "there was no message for too long")
	case t.ping > 0 && now.Sub(s.said) >= t.ping:
		if !s.asked.IsZero() && !s.answered.Load() {
			s.blame(websocket.GoingAway, "the client answers no ping", exchange.ByClient)
			s.over = true // nobody is there to be told
			return
		}
		s.said = now
		if s.down.boundary() && !s.down.ended {
			s.answered.Store(false)
			s.asked = now
			s.out = websocket.AppendControl(s.out, websocket.Ping, false, pingMark)
		}
	}
}

// end says a close frame to both sides, where they are between two frames, and
// nothing after it.
func (s *socket) end(code uint16, reason string) {
	s.over = true
	payload := websocket.ClosePayload(code, reason)
	// What is held back has not been said: a frame may begin here.
	if s.down.left == 0 && !s.down.ended {
		s.out = websocket.AppendControl(s.out, websocket.Close, false, payload)
	}
	if !s.upMu.TryLock() {
		return // a target that takes nothing is not waited for; Close ends it
	}
	defer s.upMu.Unlock()
	if !s.mute && s.up.left == 0 && !s.up.ended {
		s.Tunnel.Write(websocket.AppendControl(nil, websocket.Close, true, payload))
	}
	s.mute = true
	s.Tunnel.CloseWrite()
}

// blame notes, for the record, why the gateway ends it. The first reason counts.
func (s *socket) blame(code uint16, reason string, side exchange.Side) {
	kind := exchange.TunnelEnded
	switch code {
	case websocket.TooBig:
		kind = exchange.MessageTooLarge
	case websocket.Protocol:
		kind = exchange.TunnelInvalid
	default:
		side = kind.Side
	}
	e := kind.Because(errors.New(reason))
	e.Side = side
	s.why.CompareAndSwap(nil, e)
}

// Watched reports whether the policy itself ends what is silent: then no other
// limit on silence holds.
func (s *socket) Watched() bool { return s.terms.idle > 0 }

func reasonOf(code uint16) string {
	if code == websocket.TooBig {
		return "the message is larger than allowed"
	}
	return "the frames are not valid"
}

// Write implements exchange.Tunnel: what the client sends. After the end it goes
// nowhere.
func (s *socket) Write(p []byte) (int, error) {
	s.answered.Store(true)
	s.upMu.Lock()
	defer s.upMu.Unlock()
	if s.mute {
		return len(p), nil
	}
	before := s.up.messages
	var code uint16
	s.in, code = s.up.feed(s.in[:0], p)
	if s.up.messages != before {
		s.messages.Store(int64(time.Since(s.begun)))
	}
	if len(s.in) > 0 {
		if _, err := s.Tunnel.Write(s.in); err != nil {
			return 0, err
		}
	}
	if code != 0 {
		s.blame(code, reasonOf(code), exchange.ByClient)
		s.leave(code, reasonOf(code))
		// The head that is held back was not said: a close frame may take its place.
		s.Tunnel.Write(websocket.AppendControl(nil, websocket.Close, true, websocket.ClosePayload(code, reasonOf(code))))
		s.mute = true
	}
	return len(p), nil
}

// CloseWrite implements exchange.Tunnel.
func (s *socket) CloseWrite() error {
	s.upMu.Lock()
	defer s.upMu.Unlock()
	if s.mute {
		return nil
	}
	return s.Tunnel.CloseWrite()
}

// retire ends everything that s does by itself: when the exchange is done, the
// target's tunnel belongs to others.
func (s *socket) retire() {
	s.watch.stop()
	s.Close()
	<-s.pumped
}

// Close implements exchange.Tunnel.
func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Tunnel.Close()
}
