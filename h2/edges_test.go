package h2

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// A header block of several frames may be the first thing after a silence in
// which the connection has given its buffers and its frame reader back.
func TestContinuationAfterSilence(t *testing.T) {
	f := start(t, Config{BodyTimeout: 20 * time.Millisecond}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	w := dial(t, f)
	w.headers(1, true)
	w.outcome(1)
	time.Sleep(100 * time.Millisecond) // it is cold
	block := w.encode()
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:3], EndStream: true})
	w.WriteContinuation(3, true, block[3:])
	if out := w.outcome(3); out != "200 ok" {
		t.Error(out)
	}
}

// What else a client sends does not make it one that takes its answers.
func TestPingsBuyNoTime(t *testing.T) {
	f := start(t, Config{WriteTimeout: 200 * time.Millisecond}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Body = 200, &endless{1 << 20, new(atomic.Int64)}
	})
	w := dial(t, f, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	w.headers(1, true)
	go func() {
		for w.WritePing(false, [8]byte{}) == nil {
			time.Sleep(20 * time.Millisecond)
		}
	}()
	defer w.conn.Close()
	w.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	for {
		fr, err := w.ReadFrame()
		if err != nil {
			t.Fatal("the stream is still held: ", err)
		}
		if fr.Header().Type == http2.FrameRSTStream {
			return
		}
	}
}

// The end of a connection is not that of calls which were not on it any more:
// they are reused.
func TestLostConnectionAndReusedCalls(t *testing.T) {
	for range 20 {
		tr := NewTransport(TransportConfig{})
		a, b := net.Pipe()
		defer b.Close()
		c := newUpConn(tr, a)
		calls := [2]*call{}
		for i := range calls {
			k := tr.call()
			k.c, k.x = c, ask("GET", "/", nil)
			k.in.start(callWindow)
			if !k.open() {
				t.Fatal("no stream")
			}
			calls[i] = k
		}
		stays, leaves := calls[0], calls[1]
		stays.in.mu.Lock() // the end gets stuck here, if it comes here first
		ended, left := make(chan struct{}), make(chan struct{})
		go func() { c.end(errors.New("lost")); close(ended) }()
		time.Sleep(time.Millisecond)
		go func() {
			leaves.done(leaves.x)
			leaves.in.start(callWindow) // serves somebody else
			close(left)
		}()
		time.Sleep(time.Millisecond)
		stays.in.mu.Unlock()
		<-ended
		<-left
		leaves.in.mu.Lock()
		err := leaves.in.err
		leaves.in.mu.Unlock()
		if err != nil {
			t.Fatalf("a call on another connection: %v", err)
		}
	}
}

// A connection that has no stream ids left makes place for another (RFC 9113
// §5.1.1).
func TestStreamIDsRunOut(t *testing.T) {
	tr := transport(t, TransportConfig{Address: front200(t)})
	for i := range 3 {
		x := ask("GET", "/", nil)
		if err := tr.Serve(x); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		finish(x)
		tr.mu.Lock()
		for _, c := range tr.conns {
			c.mu.Lock()
			if i == 0 {
				c.next = maxStreamID
			}
			c.mu.Unlock()
		}
		tr.mu.Unlock()
	}
}

func front200(t *testing.T) string {
	return start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") }).plain
}

// What leaves the two sides with different ideas of the connection ends it, and
// so does what costs too much.
func TestErrorsThatEndTheConnection(t *testing.T) {
	finish := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		<-finish
		answer(x, 200, "ok")
	})
	defer close(finish)
	for name, c := range map[string]struct {
		say  func(w *wire)
		code http2.ErrCode
	}{
		// RFC 9113 §6.2; the block is not decoded, so HPACK has lost its state.
		"HEADERS with too much padding": {func(w *wire) {
			w.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersPadded, 1, append([]byte{200}, w.encode()...))
		}, http2.ErrCodeProtocol},
		// §5.1: only HEADERS and PRIORITY come on idle streams.
		"WINDOW_UPDATE of 0 on an idle stream": {func(w *wire) { w.WriteWindowUpdate(5, 0) }, http2.ErrCodeProtocol},
		// Each setting may change the windows of all streams.
		"thousands of settings in few frames": {func(w *wire) {
			for range 3 {
				w.WriteSettings(slices.Repeat([]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1}, {ID: http2.SettingInitialWindowSize, Val: 2}}, 1000)...)
			}
		}, http2.ErrCodeEnhanceYourCalm},
		// Padding takes window and brings nothing, like DATA that is empty.
		"hundreds of frames of padding": {func(w *wire) {
			w.headers(1, false, ":method: POST")
			for range 300 {
				w.WriteDataPadded(1, false, nil, make([]byte, 1))
			}
		}, http2.ErrCodeEnhanceYourCalm},
	} {
		w := dial(t, f)
		w.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		c.say(w)
		if out := w.outcome(1); out != "GOAWAY "+c.code.String() {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// A connection is idle since its last stream has ended, not since that began.
func TestIdleAfterALongStream(t *testing.T) {
	f := start(t, Config{IdleTimeout: 200 * time.Millisecond}, func(x *exchange.Exchange) {
		if string(x.Request.Path) == "/long" {
			x.Response.Status, x.Response.Body = 200, &pieces{list: []any{"a", after(300 * time.Millisecond), "b"}, n: -1}
			return
		}
		answer(x, 200, "ok")
	})
	w := dial(t, f)
	w.headers(1, true, ":path: /long")
	if out := w.outcome(1); out != "200 ab" {
		t.Fatal(out)
	}
	time.Sleep(100 * time.Millisecond)
	w.headers(3, true)
	for {
		fr, err := w.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if fr.Header().Type == http2.FrameGoAway {
			t.Fatal("the connection is given up too early")
		}
		if h, ok := fr.(*http2.MetaHeadersFrame); ok && h.StreamID == 3 {
			return
		}
	}
}

// after returns a channel that is closed after d.
func after(d time.Duration) chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

// Trailers may meet the reset of their stream on their way, and be late by any
// number of other streams.
func TestVeryLateTrailers(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	w := dial(t, f)
	w.headers(1, false, ":method: POST")
	if out := w.outcome(1); out != "200 ok" && out != "RST NO_ERROR" {
		t.Fatal(out)
	}
	for i := range uint32(100) {
		w.headers(2*i+3, true)
		w.outcome(2*i + 3)
	}
	w.headers(1, true, "-:method", "-:path", "-:scheme", "-:authority", "a: b")
	w.headers(1001, true)
	if out := w.outcome(1001); out != "200 ok" {
		t.Error(out)
	}
}

// A client that always has as many streams as it may is not refused any: the end
// of a stream is the end of its being counted.
func TestStreamsAtTheLimit(t *testing.T) {
	f := start(t, Config{MaxStreams: 8}, func(x *exchange.Exchange) { answer(x, 200, "ok") })
	w := dial(t, f)
	next := uint32(1)
	for ; next < 16; next += 2 {
		w.headers(next, true)
	}
	for ended := 0; ended < 5000; {
		fr, err := w.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if fr.Header().Type == http2.FrameRSTStream {
			t.Fatalf("after %d: %v", ended, fr)
		}
		if d, ok := fr.(*http2.DataFrame); ok && d.StreamEnded() {
			ended++
			w.headers(next, true)
			next += 2
		}
	}
}

// An exchange that is cancelled loses its tunnel, also while the client or the
// target takes nothing.
func TestTunnelThatIsCancelled(t *testing.T) {
	cut := make(chan *exchange.Exchange, 1)
	over := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		a, b := net.Pipe()
		t.Cleanup(func() { b.Close() })
		go func() {
			for err := error(nil); err == nil; {
				_, err = b.Write(make([]byte, 10000))
			}
		}()
		x.Response.Status, x.Response.Tunnel = 101, &pipeTunnel{Conn: a, half: make(chan struct{})}
		x.OnDone(func(*exchange.Exchange) { close(over) })
		cut <- x
	})
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: other")
	w.WriteData(1, false, []byte("nobody reads this"))
	for n := 0; n < protocolWindow; {
		n += len(w.await(t, http2.FrameData).(*http2.DataFrame).Data())
	}
	(<-cut).Cancel(errors.New("its time is over"))
	select {
	case <-over:
	case <-time.After(3 * time.Second):
		t.Error("the exchange is still held")
	}
}

// A tunnel whose one direction breaks is over, though the target does not take
// what comes in the other.
func TestTunnelThatBreaks(t *testing.T) {
	over := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Tunnel = 101, &brokenTunnel{closed: make(chan struct{})}
		x.OnDone(func(*exchange.Exchange) { close(over) })
	})
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: other")
	w.await(t, http2.FrameHeaders)
	w.WriteData(1, false, []byte("nobody reads this"))
	select {
	case <-over:
	case <-time.After(3 * time.Second):
		t.Error("the exchange is still held")
	}
}

// brokenTunnel fails reads, a moment after writes began to hang.
type brokenTunnel struct{ closed chan struct{} }

func (b *brokenTunnel) Read([]byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return 0, fmt.Errorf("broken")
}
func (b *brokenTunnel) Write([]byte) (int, error) { <-b.closed; return 0, net.ErrClosed }
func (b *brokenTunnel) CloseWrite() error         { return nil }
func (b *brokenTunnel) Close() error {
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	return nil
}

// A connection whose closing takes long (TLS says goodbye to a client that does
// not read) holds up nobody else.
func TestConnectionThatClosesSlowly(t *testing.T) {
	s := New(Config{Root: root(func(x *exchange.Exchange) { answer(x, 200, "ok") })})
	a, b := net.Pipe()
	defer b.Close()
	slow := &slowlyClosed{a, make(chan struct{})}
	s.ServeConn(slow, &exchange.Client{})
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	time.Sleep(10 * time.Millisecond)
	counted := make(chan struct{})
	go func() { s.Open(); s.Drain(); close(counted) }()
	select {
	case <-counted:
	case <-time.After(2 * time.Second):
		t.Error("the server waits for the connection")
	}
	close(slow.may)
	<-closed
	<-counted
}

type slowlyClosed struct {
	net.Conn
	may chan struct{}
}

func (c *slowlyClosed) Close() error { <-c.may; return c.Conn.Close() }

// A body that panics when it is closed takes the stream along, and nothing else:
// what the exchange holds is given back.
func TestPanicWhileABodyIsClosed(t *testing.T) {
	over := make(chan struct{})
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.OnDone(func(*exchange.Exchange) { close(over) })
		x.Response.Status, x.Response.Body = 200, panicky{}
	})
	w := dial(t, f)
	w.headers(1, true)
	w.outcome(1)
	select {
	case <-over:
	case <-time.After(2 * time.Second):
		t.Error("the exchange is not over")
	}
}

type panicky struct{ exchange.Body }

func (panicky) Next() ([]byte, error)     { return nil, io.EOF }
func (panicky) Len() int64                { return 0 }
func (panicky) Trailer() *exchange.Header { return nil }
func (panicky) Close() error              { panic("close") }
