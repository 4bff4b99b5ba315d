package h3

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"gopura/exchange"
)

// pipe is a tunnel to somebody in the test.
type pipe struct{ net.Conn }

func (p pipe) CloseWrite() error { return p.Close() }

// A WebSocket over HTTP/3 (RFC 9220) is to routes and targets what it is over
// HTTP/1.1, and the client sees no handshake of HTTP/1.1.
func TestWebSocket(t *testing.T) {
	far := make(chan net.Conn, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		q := &x.Request
		if q.Method != "GET" || string(q.Upgrade) != "websocket" {
			t.Errorf("%s %s", q.Method, q.Upgrade)
		}
		near, other := net.Pipe()
		far <- other
		x.Response.Status, x.Response.Tunnel = 101, pipe{near}
		x.Response.Header.Add("Sec-WebSocket-Accept", acceptKey(q.Header.Get("sec-websocket-key")))
	})
	w := dial(t, f, nil)
	s := w.request(fields(":method: CONNECT", ":protocol: websocket", "sec-websocket-version: 13"), frame(frameData, []byte("hello")))
	up := <-far
	var b [5]byte
	if _, err := io.ReadFull(up, b[:]); err != nil || string(b[:]) != "hello" {
		t.Fatal(string(b[:]), err)
	}
	up.Write([]byte("world"))
	up.Close()
	s.Close()
	if got := w.outcome(s); got != "200 world" {
		t.Error(got)
	}
	f.recorded("GET ok")
}

// A target that did not mean this handshake is no tunnel.
func TestWebSocketOfAnotherHandshake(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		near, other := net.Pipe()
		other.Close()
		x.Response.Status, x.Response.Tunnel = 101, pipe{near}
		x.Response.Header.Add("Sec-WebSocket-Accept", "something")
	})
	w := dial(t, f, nil)
	s := w.request(fields(":method: CONNECT", ":protocol: websocket"))
	if got := w.outcome(s); got != "502 upstream_malformed" {
		t.Error(got)
	}
	end := w.request(fields(":method: CONNECT", ":protocol: websocket", "content-length: 5"))
	if got := w.outcome(end); got != "400 bad_request" {
		t.Error(got)
	}
}

// A tunnel whose one direction breaks is over, though the target does not take
// what the client sends.
func TestTunnelThatBreaks(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Tunnel = 101, &stuckTunnel{closed: make(chan struct{}), breaks: true}
		x.Response.Header.Add("Sec-WebSocket-Accept", acceptKey(x.Request.Header.Get("sec-websocket-key")))
	})
	w := dial(t, f, nil)
	w.request(fields(":method: CONNECT", ":protocol: websocket"), frame(frameData, []byte("hello")))
	f.recorded("GET upstream_broken_body")
}

// An exchange that is cancelled loses its tunnel, also while the client takes
// nothing.
func TestTunnelThatIsCancelled(t *testing.T) {
	cancel := make(chan *exchange.Exchange, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		x.Response.Status, x.Response.Tunnel = 101, &stuckTunnel{closed: make(chan struct{})}
		x.Response.Header.Add("Sec-WebSocket-Accept", acceptKey(x.Request.Header.Get("sec-websocket-key")))
		cancel <- x
	})
	w := dial(t, f, nil)
	w.request(fields(":method: CONNECT", ":protocol: websocket"), frame(frameData, []byte("hello")))
	x := <-cancel
	time.Sleep(100 * time.Millisecond) // until the window of the client, who does not read, is full
	x.Cancel(exchange.Draining.Because(nil))
	f.recorded("GET draining")
}

// stuckTunnel takes nothing, and gives more than anybody reads, or breaks a
// moment after writes began to hang.
type stuckTunnel struct {
	closed chan struct{}
	once   sync.Once
	breaks bool
}

func (s *stuckTunnel) Read(p []byte) (int, error) {
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	if s.breaks {
		time.Sleep(50 * time.Millisecond)
		return 0, io.ErrUnexpectedEOF
	}
	return len(p), nil
}
func (s *stuckTunnel) Write([]byte) (int, error) { <-s.closed; return 0, net.ErrClosed }
func (s *stuckTunnel) CloseWrite() error         { return nil }
func (s *stuckTunnel) Close() error              { s.once.Do(func() { close(s.closed) }); return nil }
