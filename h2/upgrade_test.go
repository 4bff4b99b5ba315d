package h2

import (
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"gopura/exchange"
)

// A WebSocket over HTTP/2 (RFC 8441) reaches the pipeline as the upgrade that it
// would be over HTTP/1.1.
func TestExtendedConnect(t *testing.T) {
	seen := make(chan string, 1)
	target := make(chan *pipeTunnel, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		q := &x.Request
		key := q.Header.Get("sec-websocket-key")
		seen <- q.Method + " " + string(q.Path) + " " + string(q.Upgrade) + " " + string(q.Header.Get("sec-websocket-version"))
		a, b := net.Pipe()
		target <- &pipeTunnel{Conn: b, half: make(chan struct{})}
		x.Response.Status = 101
		x.Response.Header.Add("Sec-WebSocket-Accept", acceptKey(key))
		x.Response.Header.Add("Sec-WebSocket-Protocol", "chat")
		x.Response.Tunnel = &pipeTunnel{Conn: a, half: make(chan struct{})}
	})
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: websocket", ":path: /chat", "sec-websocket-version: 13")
	if got := <-seen; got != "GET /chat websocket 13" {
		t.Error(got)
	}
	up := <-target
	head := w.await(t, http2.FrameHeaders).(*http2.MetaHeadersFrame)
	if head.PseudoValue("status") != "200" || head.StreamEnded() {
		t.Error(head)
	}
	for _, h := range head.Fields {
		if h.Name == "sec-websocket-accept" {
			t.Error("the client has said no key") // RFC 8441 §5
		}
	}
	w.WriteData(1, false, []byte("ping"))
	b := make([]byte, 4)
	if _, err := io.ReadFull(up, b); err != nil || string(b) != "ping" {
		t.Errorf("the target heard %q, %v", b, err)
	}
	up.Write([]byte("pong"))
	if d := w.await(t, http2.FrameData).(*http2.DataFrame); string(d.Data()) != "pong" {
		t.Errorf("the client heard %q", d.Data())
	}
	up.Close()
	if d := w.await(t, http2.FrameData).(*http2.DataFrame); !d.StreamEnded() {
		t.Error("the end of the target is not the end of the stream")
	}
	w.WriteData(1, true, nil)
}

// A target that answers another handshake than ours is not believed.
func TestExtendedConnectWithWrongAccept(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) {
		a, _ := net.Pipe()
		x.Response.Status = 101
		x.Response.Header.Add("Sec-WebSocket-Accept", "nonsense")
		x.Response.Tunnel = &pipeTunnel{Conn: a, half: make(chan struct{})}
	})
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: websocket")
	if got := w.outcome(1); got != "502 upstream_malformed" {
		t.Error(got)
	}
}

func TestExtendedConnectThatIsRefused(t *testing.T) {
	f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, 403, "no") })
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: websocket")
	if got := w.outcome(1); got != "403 no" {
		t.Error(got)
	}
}

// An ordinary 2xx is no open tunnel, and must not look like one.
func TestExtendedConnectThatIsAnswered(t *testing.T) {
	for _, status := range []int{200, 204} {
		f := start(t, Config{}, func(x *exchange.Exchange) { answer(x, status, "not a frame") })
		w := dial(t, f)
		w.headers(1, false, ":method: CONNECT", ":protocol: websocket")
		if got := w.outcome(1); got != "502 upstream_malformed" {
			t.Errorf("%d: %s", status, got)
		}
	}
}

// A client that resets the stream ends the tunnel to the target.
func TestTunnelOfAClientThatLeaves(t *testing.T) {
	target := make(chan net.Conn, 1)
	f := start(t, Config{}, func(x *exchange.Exchange) {
		a, b := net.Pipe()
		target <- b
		x.Response.Status, x.Response.Tunnel = 101, &pipeTunnel{Conn: a, half: make(chan struct{})}
	})
	w := dial(t, f)
	w.headers(1, false, ":method: CONNECT", ":protocol: other")
	up := <-target
	w.await(t, http2.FrameHeaders)
	w.WriteRSTStream(1, http2.ErrCodeCancel)
	if _, err := up.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

// await reads until a frame of that type comes.
func (w *wire) await(t *testing.T, kind http2.FrameType) http2.Frame {
	t.Helper()
	for {
		fr, err := w.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if fr.Header().Type == kind {
			return fr
		}
	}
}

// pipeTunnel is the target's end of a tunnel.
type pipeTunnel struct {
	net.Conn
	closed sync.Once
	half   chan struct{}
}

func (p *pipeTunnel) CloseWrite() error {
	p.closed.Do(func() { close(p.half) })
	return nil
}
