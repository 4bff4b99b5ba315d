package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"
)

// socketGate is a gateway whose routes take WebSockets for the calls of market.
func socketGate(t *testing.T) (g *gate, log string) {
	t.Helper()
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, market{})
		reflection.Register(s)
	})
	log = filepath.Join(t.TempDir(), "access.log")
	g = start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: {to: %s}
services: {market: {targets: "grpc://%s", grpc: reflection}, away: {targets: "grpc://127.0.0.1:1", grpc: {proto: %s}}}
policies: {live: {websocket: {max_message: 64KiB, idle: 1m}}}
routes:
  - {name: chat, match: /chat, to: market, use: live, grpc: {call: grpc.testing.TestService/FullDuplexCall, max_message: 16KiB}}
  - {name: sum, match: /sum, to: market, use: live, grpc: grpc.testing.TestService/StreamingInputCall}
  - {name: watch, match: /watch, to: market, use: live, grpc: {call: grpc.testing.TestService/StreamingOutputCall, body: "*"}}
  - {name: one, match: /one, to: market, use: live, grpc: grpc.testing.TestService/UnaryCall}
  - {name: gone, match: /gone, to: away, use: live, grpc: shop.v1.Catalog/ListProducts}
  - {name: dry, match: /dry, to: market, grpc: grpc.testing.TestService/FullDuplexCall}
  - {name: all, match: /grpc.testing.TestService/*, to: market, use: live, grpc: annotations}
`, log, address, filepath.Join("..", "transcode", "testdata", "shop.proto")))
	return g, log
}

type socketClient struct {
	t *testing.T
	*websocket.Conn
	ctx context.Context
}

func dialCall(t *testing.T, g *gate, path string, header http.Header, protocols ...string) *socketClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	c, _, err := websocket.Dial(ctx, "ws://"+g.Address("main")+path, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return &socketClient{t, c, ctx}
}

func (c *socketClient) say(text string) {
	c.t.Helper()
	if err := c.Write(c.ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *socketClient) hear(want string) {
	c.t.Helper()
	kind, b, err := c.Read(c.ctx)
	if err != nil || kind != websocket.MessageText || string(b) != want {
		c.t.Fatalf("%v %s %v, want %s", kind, b, err, want)
	}
}

// ends expects the close code, and before it what an error says of itself.
func (c *socketClient) ends(code int, problem string) string {
	c.t.Helper()
	if problem != "" {
		_, b, err := c.Read(c.ctx)
		var last struct{ Error struct{ Code string } }
		if err != nil || json.Unmarshal(b, &last) != nil || last.Error.Code != problem {
			c.t.Fatalf("%s %v, want %s", b, err, problem)
		}
		defer func(b string) { c.t.Log(b) }(string(b))
	}
	_, b, err := c.Read(c.ctx)
	if int(websocket.CloseStatus(err)) != code {
		c.t.Fatalf("%s %v, want %d", b, err, code)
	}
	return err.Error()
}

// Each message of a WebSocket is one of the call, both ways; an empty one ends
// what the client has to say.
func TestWebSocketIsACall(t *testing.T) {
	g, log := socketGate(t)
	message := `{"payload":{"body":"dGVh"}}`

	c := dialCall(t, g, "/chat", nil)
	for range 3 {
		c.say(message)
		c.hear(message)
	}
	c.say("")
	c.ends(1000, "")

	c = dialCall(t, g, "/sum", nil, "json")
	if c.Subprotocol() != "json" {
		t.Error(c.Subprotocol())
	}
	c.say(message)
	c.say(message)
	c.say("")
	c.hear(`{"aggregatedPayloadSize":6}`)
	c.ends(1000, "")

	// A method that takes one message takes the first.
	c = dialCall(t, g, "/watch", nil)
	c.say(`{"responseParameters":[{"size":1},{"size":2}]}`)
	c.hear(`{"payload":{"body":"AA=="}}`)
	c.hear(`{"payload":{"body":"AAA="}}`)
	c.ends(1000, "")

	c = dialCall(t, g, "/grpc.testing.TestService/FullDuplexCall", nil)
	c.say(message)
	c.hear(message)
	c.Close(websocket.StatusNormalClosure, "enough")

	// As protobuf.
	c = dialCall(t, g, "/chat", nil, "soap", "proto")
	b, _ := proto.Marshal(&testpb.StreamingOutputCallRequest{Payload: payload(3)})
	c.Write(c.ctx, websocket.MessageBinary, b)
	kind, b, err := c.Read(c.ctx)
	var a testpb.StreamingOutputCallResponse
	if err != nil || kind != websocket.MessageBinary || proto.Unmarshal(b, &a) != nil || len(a.GetPayload().GetBody()) != 3 {
		t.Errorf("%v %q %v", kind, b, err)
	}
	c.say("")
	c.ends(1000, "")

	within(t, func() bool {
		b, _ := os.ReadFile(log)
		return strings.Count(string(b), `"status":101`) == 5
	})
	records, _ := os.ReadFile(log)
	for _, want := range []string{`"route":"chat","service":"market"`, `"grpc_status":"OK"`, `"grpc_status":"CANCELLED"`} {
		if !strings.Contains(string(records), want) {
			t.Errorf("no %s in\n%s", want, records)
		}
	}
}

// How a call ends, the last message and the close code say.
func TestWebSocketCallErrors(t *testing.T) {
	g, log := socketGate(t)
	c := dialCall(t, g, "/chat", http.Header{"X-Outcome": {"error"}})
	c.say(`{}`)
	if reason := c.ends(4009, "grpc_failed_precondition"); !strings.Contains(reason, "no tea ☕ today") {
		t.Error(reason)
	}
	c = dialCall(t, g, "/chat", nil)
	c.say(`{"payload":{"body":7}}`)
	if reason := c.ends(4003, "grpc_invalid_argument"); !strings.Contains(reason, "payload.body: a string is expected") {
		t.Error(reason)
	}
	c = dialCall(t, g, "/chat", http.Header{"X-Outcome": {"cancel"}})
	c.say(`{}`)
	c.say("")
	c.say(`{}`)
	c.ends(4003, "grpc_invalid_argument")
	c = dialCall(t, g, "/chat", nil)
	c.Write(c.ctx, websocket.MessageBinary, []byte("\x0a\x00"))
	c.ends(4003, "grpc_invalid_argument")
	c = dialCall(t, g, "/chat", nil)
	c.say(`{"payload":{"body":"` + strings.Repeat("A", 40<<10) + `"}}`)
	c.ends(1009, "")
	c = dialCall(t, g, "/gone", nil)
	c.ends(4014, "grpc_unavailable")
	within(t, func() bool {
		b, _ := os.ReadFile(log)
		return strings.Count(string(b), `"status":101`) == 6
	})
	records, _ := os.ReadFile(log)
	for _, want := range []string{`"code":"request_invalid"`, `"code":"message_too_large"`, `"code":"upstream_connect_failed"`, `"grpc_status":"FAILED_PRECONDITION"`} {
		if !strings.Contains(string(records), want) {
			t.Errorf("no %s in\n%s", want, records)
		}
	}
}

// What is wrong with the handshake has an ordinary answer.
func TestWebSocketCallRefused(t *testing.T) {
	g, _ := socketGate(t)
	handshake := []string{"Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	for _, c := range []struct {
		path   string
		fields []string
		status int
		detail string
	}{
		{"/one", nil, 400, "does not stream"},
		{"/dry", nil, 400, "takes no WebSocket"},
		{"/chat", []string{"Sec-WebSocket-Version: 8"}, 426, "must be 13"},
		{"/chat", []string{"Sec-WebSocket-Key: short"}, 400, "16 bytes"},
		{"/chat", []string{"Sec-WebSocket-Protocol: soap"}, 400, "json, proto"},
		{"/chat?nothing=1", nil, 400, "nothing"},
		{"/grpc.testing.TestService/Nothing", nil, 404, ""},
	} {
		status, body, _ := askJSON(t, "GET", g.url(c.path), "", append(handshake, c.fields...)...)
		if status != c.status || !strings.Contains(body, c.detail) {
			t.Errorf("%s %v: %d %s", c.path, c.fields, status, body)
		}
	}
}

// Over HTTP/2 it is the same.
func TestWebSocketIsACallOverHTTP2(t *testing.T) {
	g, _ := socketGate(t)
	c := http2Socket(t, g.Address("main"), "/chat")
	c.say(t, 1, `{"payload":{"body":"dGVh"}}`)
	c.hear(t, "\x81\x1b"+`{"payload":{"body":"dGVh"}}`)
	c.say(t, 9, "there?")
	c.hear(t, "\x8a\x06there?")
	c.say(t, 1, "")
	c.hear(t, "\x88\x02\x03\xe8")
}
