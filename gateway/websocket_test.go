package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// echo is a service that says back what it is told over a WebSocket. It reports
// how each of them has ended.
func echo(t *testing.T) (url string, ended chan error) {
	ended = make(chan error, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, b, err := c.Read(context.Background())
			if err != nil {
				ended <- err
				return
			}
			c.Write(context.Background(), kind, b)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, ended
}

const socketConfig = `
listen: {main: "127.0.0.1:0"}
access_log: off
services: {echo: "SERVICE"}
routes:
  - {name: ws, match: /ws, to: echo, websocket: {origins: ["https://shop.example"], max_message: 64KiB, ping: 30s, idle: 5m, lifetime: 24h}}
`

func startSockets(t *testing.T) (*gate, chan error) {
	service, ended := echo(t)
	return start(t, strings.ReplaceAll(socketConfig, "SERVICE", service)), ended
}

func TestWebSocketOverHTTP1(t *testing.T) {
	g, ended := startSockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	dial := func(origin string) (*websocket.Conn, *http.Response, error) {
		h := http.Header{}
		if origin != "" {
			h.Set("Origin", origin)
		}
		return websocket.Dial(ctx, "ws://"+g.Address("main")+"/ws", &websocket.DialOptions{HTTPHeader: h})
	}
	if _, resp, err := dial("https://evil.example"); err == nil || resp == nil || resp.StatusCode != 403 || resp.Header.Get("Gopura-Answer") != "cors_refused" {
		t.Errorf("a page of another site: %v, %v", resp, err)
	}
	c, _, err := dial("https://shop.example")
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	for _, s := range []string{"hello", "", strings.Repeat("x", 60_000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(ctx); err != nil || string(b) != s {
			t.Fatalf("%d bytes came back, %v", len(b), err)
		}
	}
	c.Write(ctx, websocket.MessageBinary, make([]byte, 64<<10+1))
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a message that is too large: %v", err)
	}
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("the service: %v", err)
	}
}

// A reload that removes the route ends its WebSockets, any other leaves them.
func TestWebSocketsAndReloads(t *testing.T) {
	g, ended := startSockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+g.Address("main")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	text := g.text
	g.text = strings.ReplaceAll(text, "idle: 5m", "idle: 6m")
	if err := g.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	c.Write(ctx, websocket.MessageText, []byte("still here"))
	if _, b, err := c.Read(ctx); err != nil || string(b) != "still here" {
		t.Fatal(string(b), err)
	}
	g.text = strings.ReplaceAll(text, "name: ws, match: /ws", "name: other, match: /other")
	if err := g.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client: %v", err)
	}
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the service: %v", err)
	}
}

// A shutdown tells clients that they had better connect elsewhere.
func TestWebSocketsAndShutdown(t *testing.T) {
	g, _ := startSockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+g.Address("main")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	over := http2Socket(t, g.Address("main"), "/ws")
	over.say(t, 1, "hello")
	over.hear(t, "\x81\x05hello")
	down := make(chan error, 1)
	go func() { down <- g.Shutdown(ctx) }()
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Error(err)
	}
	over.hear(t, "\x88\x2c\x03\xe9the gateway does not serve this any longer")
	over.say(t, 8, "\x03\xe9")
	over.framer.WriteData(1, true, nil)
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// The service knows HTTP/1.1 only; the client speaks RFC 8441.
func TestWebSocketOverHTTP2(t *testing.T) {
	g, ended := startSockets(t)
	c := http2Socket(t, g.Address("main"), "/ws")
	c.say(t, 1, "hello")
	c.hear(t, "\x81\x05hello")
	large := strings.Repeat("x", 40_000)
	c.say(t, 2, large)
	c.hear(t, "\x82\x7e\x9c\x40"+large)
	c.say(t, 8, "\x03\xe8")
	c.hear(t, "\x88\x02\x03\xe8")
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the service: %v", err)
	}
}

// socketStream is a WebSocket over a stream of its own HTTP/2 connection.
type socketStream struct {
	framer *http2.Framer
	heard  bytes.Buffer
}

func http2Socket(t *testing.T, address, path string) *socketStream {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, http2.ClientPreface)
	c := &socketStream{framer: http2.NewFramer(nc, nc)}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.WriteSettings()
	c.framer.WriteSettingsAck()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", path}, {":authority", address}, {"sec-websocket-version", "13"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	offered := false
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			v, _ := f.Value(http2.SettingEnableConnectProtocol)
			offered = offered || v == 1
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "200" || !offered {
				t.Fatalf("status %s, offered: %v", s, offered)
			}
			return c
		}
	}
}

// say sends a frame of a message.
func (c *socketStream) say(t *testing.T, op byte, payload string) {
	t.Helper()
	head := []byte{0x80 | op, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	if len(payload) > 125 {
		head = []byte{0x80 | op, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	}
	b := append(head, payload...)
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		if err := c.framer.WriteData(1, false, b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
}

func (c *socketStream) hear(t *testing.T, want string) {
	t.Helper()
	for c.heard.Len() < len(want) {
		f, err := c.framer.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %q", err, c.heard.String())
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			c.heard.Write(f.Data())
			if n := uint32(len(f.Data())); n > 0 {
				err = errors.Join(c.framer.WriteWindowUpdate(0, n), c.framer.WriteWindowUpdate(1, n))
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.framer.WritePing(true, f.Data)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := string(c.heard.Next(len(want))); got != want {
		t.Errorf("heard %.60q, want %.60q", got, want)
	}
}
