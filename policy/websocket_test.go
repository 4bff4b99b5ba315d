package policy

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
	"gopura/websocket"
)

// frame is a frame as the ends say it.
func frame(op byte, fin, masked bool, payload string) []byte {
	b := []byte{op, 0}
	if fin {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}

// However the bytes are cut, they pass as they are.
func TestFramesPassUnchanged(t *testing.T) {
	var in []byte
	for _, f := range [][]byte{
		frame(websocket.Text, true, true, "hello"), frame(websocket.Binary, false, true, string(make([]byte, 300))), frame(websocket.Ping, true, true, "p"),
		frame(websocket.Continuation, true, true, string(make([]byte, 70000))), frame(websocket.Pong, true, true, ""), frame(websocket.Text, true, true, ""), frame(websocket.Close, true, true, "\x03\xe8bye"),
	} {
		in = append(in, f...)
	}
	for _, size := range []int{1, 2, 3, 7, 100, 4096, len(in)} {
		f := frames{masked: true, limit: 70300}
		var out []byte
		for rest := in; len(rest) > 0; {
			n := min(size, len(rest))
			var code uint16
			if out, code = f.feed(out, rest[:n]); code != 0 {
				t.Fatalf("pieces of %d: %d", size, code)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(out, in) || f.messages != 4 || !f.ended || !f.boundary() {
			t.Errorf("pieces of %d: %d of %d bytes, %d messages", size, len(out), len(in), f.messages)
		}
	}
}

func TestFramesThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		code uint16
	}{
		"not masked":                {frame(websocket.Text, true, false, "x"), websocket.Protocol},
		"reserved opcode":           {frame(3, true, true, "x"), websocket.Protocol},
		"fragmented ping":           {frame(websocket.Ping, false, true, "x"), websocket.Protocol},
		"long close":                {frame(websocket.Close, true, true, string(make([]byte, 126))), websocket.Protocol},
		"continuation of nothing":   {frame(websocket.Continuation, true, true, "x"), websocket.Protocol},
		"message within a message":  {append(frame(websocket.Text, false, true, "x"), frame(websocket.Text, true, true, "x")...), websocket.Protocol},
		"negative length":           {append([]byte{0x82, 0xff}, bytes.Repeat([]byte{0xff}, 12)...), websocket.Protocol},
		"too large":                 {frame(websocket.Text, true, true, string(make([]byte, 101))), websocket.TooBig},
		"too large in several":      {append(frame(websocket.Text, false, true, string(make([]byte, 60))), frame(websocket.Continuation, true, true, string(make([]byte, 60)))...), websocket.TooBig},
		"as large as it may be":     {frame(websocket.Text, true, true, string(make([]byte, 100))), 0},
		"two that are large enough": {append(frame(websocket.Text, true, true, string(make([]byte, 100))), frame(websocket.Text, true, true, string(make([]byte, 100)))...), 0},
	} {
		f := frames{masked: true, limit: 100}
		if _, code := f.feed(nil, c.in); code != c.code {
			t.Errorf("%s: %d, want %d", name, code, c.code)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(websocket.Text, true, true, "hello"), 3)
	f.Add(append(frame(websocket.Text, false, true, "a"), frame(websocket.Continuation, true, true, "b")...), 1)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		whole, parts := frames{masked: true, limit: 1000}, frames{masked: true, limit: 1000}
		a, code := whole.feed(nil, in)
		n := min(max(cut, 0), len(in))
		b, first := parts.feed(nil, in[:n])
		if first == 0 {
			b, first = parts.feed(b, in[n:])
		}
		if code != first || !bytes.Equal(a, b) || !bytes.HasPrefix(in, a) {
			t.Errorf("%d and %d: %q and %q of %q", code, first, a, b, in)
		}
	})
}

// end is the target's end of a tunnel over a pipe.
type end struct{ net.Conn }

func (e end) CloseWrite() error { return nil }

// open returns a WebSocket under these terms, and the target's end of it.
func openPipe(t *testing.T, terms socketTerms) (*socket, net.Conn) {
	a, b := net.Pipe()
	s := openSocket(end{a}, &terms, func(error) { t.Error("it is cut") })
	t.Cleanup(func() { s.retire(); b.Close() })
	return s, b
}

func hear(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("heard %q, %v; want %q", got, err, want)
	}
}

func closing(code uint16, masked bool, reason string) []byte {
	return frame(websocket.Close, true, masked, string(websocket.ClosePayload(code, reason)))
}

func TestWebSocketThatIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, target := openPipe(t, socketTerms{idle: time.Minute})
		begin := time.Now()
		go func() {
			time.Sleep(50 * time.Second)
			target.Write(frame(websocket.Text, true, false, "hi"))
			hear(t, target, closing(websocket.GoingAway, true, "there was no message for too long"))
		}()
		hear(t, s, frame(websocket.Text, true, false, "hi"))
		hear(t, s, closing(websocket.GoingAway, false, "there was no message for too long"))
		if d := time.Since(begin); d != 110*time.Second {
			t.Errorf("after %v", d)
		}
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	})
}

// Pings keep an idle WebSocket alive; their answers are not the target's.
func TestWebSocketIsPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, target := openPipe(t, socketTerms{ping: 30 * time.Second})
		for range 3 {
			hear(t, s, frame(websocket.Ping, true, false, "gopura"))
			s.Write(frame(websocket.Pong, true, true, "gopura"))
		}
		go s.Write(frame(websocket.Text, true, true, "hi"))
		hear(t, target, frame(websocket.Text, true, true, "hi"))
		hear(t, s, frame(websocket.Ping, true, false, "gopura"))
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a client that does not answer: %v", err)
		}
	})
}

func TestWebSocketWithALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, target := openPipe(t, socketTerms{lifetime: time.Hour})
		go io.Copy(io.Discard, target)
		begin := time.Now()
		hear(t, s, closing(websocket.GoingAway, false, "its time is over"))
		if d := time.Since(begin); d != time.Hour {
			t.Error(d)
		}
	})
}

func TestWebSocketMessageThatIsTooLarge(t *testing.T) {
	for name, say := range map[string]func(s *socket, target net.Conn){
		"of the client": func(s *socket, target net.Conn) { s.Write(frame(websocket.Text, true, true, "12345678901")) },
		"of the target": func(s *socket, target net.Conn) { target.Write(frame(websocket.Text, true, false, "12345678901")) },
	} {
		t.Run(name, func(t *testing.T) {
			s, target := openPipe(t, socketTerms{message: 10})
			go say(s, target)
			done := make(chan struct{})
			go func() {
				hear(t, target, closing(websocket.TooBig, true, reasonOf(websocket.TooBig)))
				close(done)
			}()
			hear(t, s, closing(websocket.TooBig, false, reasonOf(websocket.TooBig)))
			<-done
		})
	}
}

// A route that is gone takes its WebSockets along, and no others.
func TestWebSocketsOfARouteThatIsGone(t *testing.T) {
	var all Sockets
	stays, _ := openPipe(t, socketTerms{})
	goes, target := openPipe(t, socketTerms{})
	go io.Copy(io.Discard, target)
	all.add(stays, "a")
	all.add(goes, "b")
	all.Keep(func(route string) bool { return route == "a" })
	hear(t, goes, closing(websocket.GoingAway, false, "the gateway does not serve this any longer"))
	if len(stays.leaving) != 0 {
		t.Error("the other is ended too")
	}
	all.remove(goes)
	if all.Open() != 1 {
		t.Error(all.Open())
	}
}

// A client that takes nothing keeps no WebSocket beyond its time: it is cut.
func TestWebSocketOfAClientThatTakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		terms socketTerms
		after time.Duration
	}{
		"lifetime": {socketTerms{lifetime: time.Hour}, time.Hour},
		"idle":     {socketTerms{idle: time.Minute}, time.Minute},
		"reload":   {socketTerms{}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, target := net.Pipe()
				cut := make(chan error, 1)
				s := openSocket(end{a}, &c.terms, func(cause error) { cut <- cause })
				defer s.Close()
				go target.Write(frame(websocket.Text, true, false, "nobody reads this"))
				begin := time.Now()
				if name == "reload" {
					time.AfterFunc(c.after, func() { s.leave(websocket.GoingAway, "") })
				}
				<-cut
				if d := time.Since(begin); d != c.after+cutAfter {
					t.Errorf("after %v", d)
				}
				target.Close()
			})
		})
	}
}

// Nothing reads from the target any more when the exchange is done.
func TestWebSocketThatIsDone(t *testing.T) {
	spec := &WebSocket{}
	wrap, err := spec.Compile(&Env{})
	if err != nil {
		t.Fatal(err)
	}
	tunnel := &lingering{closed: make(chan struct{})}
	x := &exchange.Exchange{}
	x.Reset()
	x.Request.Upgrade = []byte("websocket")
	err = wrap(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		x.Response.Status, x.Response.Tunnel = 101, tunnel
		return nil
	})).Serve(x)
	if err != nil {
		t.Fatal(err)
	}
	x.Response.Tunnel.Close()
	x.Done()
	if !tunnel.read.Load() {
		t.Error("somebody still reads")
	}
}

// lingering is a tunnel whose Read ends a moment after Close.
type lingering struct {
	exchange.Tunnel
	once   sync.Once
	closed chan struct{}
	read   atomic.Bool
}

func (l *lingering) Read([]byte) (int, error) {
	<-l.closed
	time.Sleep(20 * time.Millisecond)
	l.read.Store(true)
	return 0, io.EOF
}

func (l *lingering) Close() error { l.once.Do(func() { close(l.closed) }); return nil }
