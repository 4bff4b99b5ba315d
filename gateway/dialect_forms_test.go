package gateway_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A call by Connect is a POST like any other: curl makes it, also over HTTP/1.1.
func TestConnectByHand(t *testing.T) {
	g := marketGate(t, ", limit: {rate: 1/h, burst: 8}")
	post := func(method, body string, fields ...string) (int, string, http.Header) {
		return askJSON(t, "POST", g.url(testMethods+method), body, fields...)
	}
	code, body, h := post("UnaryCall", `{"payload":{"body":"aGk="},"nobodyKnows":1}`)
	if code != 200 || body != `{"payload":{"body":"aGk="}}` || h.Get("Content-Type") != "application/json" || h.Get("Trailer-X-Tail") == "" || h.Get("X-Head") != "begin" {
		t.Errorf("%d %s %v", code, body, h)
	}
	code, body, h = post("UnaryCall", `{}`, "X-Outcome: error")
	if code != 400 || !strings.HasPrefix(body, `{"code":"failed_precondition","message":"no tea ☕ today","details":[{"type":"google.rpc.BadRequest","value":"`) || h.Get("Gopura-Answer") != "" {
		t.Errorf("%d %s %v", code, body, h)
	}
	for name, c := range map[string]struct {
		body   string
		fields []string
		status int
		want   string
	}{
		"a flaw":      {`{"payload":{"body":7}}`, nil, 400, `{"code":"invalid_argument","message":"payload.body: a string is expected","details":[{"type":"google.rpc.ErrorInfo"`},
		"a version":   {`{}`, []string{"Connect-Protocol-Version: 2"}, 400, `{"code":"invalid_argument","message":"Connect-Protocol-Version must be 1."`},
		"a timeout":   {`{}`, []string{"Connect-Timeout-Ms: soon"}, 400, `{"code":"invalid_argument"`},
		"an encoding": {`{}`, []string{"Content-Encoding: br"}, 501, `{"code":"unimplemented"`},
		"late":        {`{}`, []string{"Connect-Timeout-Ms: 0"}, 504, `{"code":"deadline_exceeded"`},
		"no route":    {`{}`, []string{"Connect-Protocol-Version: 1", "No-Route: yes"}, 501, `{"code":"unimplemented","message":"No route matches the request."`},
	} {
		path := g.url(testMethods + "UnaryCall")
		if name == "no route" {
			path = g.url("/elsewhere")
		}
		if code, body, h := askJSON(t, "POST", path, c.body, c.fields...); code != c.status || !strings.HasPrefix(body, c.want) || h.Get("Gopura-Answer") == "" {
			t.Errorf("%s: %d %s %v", name, code, body, h)
		}
	}
	for range 12 {
		code, body, h = post("UnaryCall", `{}`)
	}
	if code != 429 || !strings.HasPrefix(body, `{"code":"resource_exhausted"`) || h.Get("Retry-After") == "" {
		t.Errorf("limited: %d %s %v", code, body, h)
	}
}

// GET is for methods that say that they have no side effects: any page may make
// a browser send one.
func TestConnectGet(t *testing.T) {
	g := marketGate(t, "")
	get := func(method, query string) (int, string) {
		code, body, _ := askJSON(t, "GET", g.url(testMethods+method+"?"+query), "")
		return code, body
	}
	if code, body := get("UnaryCall", "connect=v1&encoding=json&message=%7B%7D"); code != 501 || !strings.Contains(body, "no side effects") {
		t.Errorf("%d %s", code, body)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/market.proto", []byte(`syntax = "proto3";
package grpc.testing;
service TestService { rpc UnaryCall(SimpleRequest) returns (SimpleResponse) { option idempotency_level = NO_SIDE_EFFECTS; } }
message Payload { bytes body = 2; }
message SimpleRequest { Payload payload = 3; }
message SimpleResponse { Payload payload = 1; }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	address := grpcServer(t, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, market{}) })
	g = start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {market: {targets: "grpc://%s", grpc: {proto: %s/market.proto}}}
routes: [{match: /grpc.testing.TestService/*, to: market}]
`, address, dir))
	message := `{"payload":{"body":"aGk="}}`
	for name, query := range map[string]string{
		"plain":      "encoding=json&message=" + url.QueryEscape(message),
		"base64":     "connect=v1&base64=1&encoding=json&message=" + base64.RawURLEncoding.EncodeToString([]byte(message)),
		"padded":     "base64=1&encoding=json&message=" + url.QueryEscape(base64.URLEncoding.EncodeToString([]byte(message))),
		"compressed": "base64=1&compression=gzip&encoding=json&message=" + base64.RawURLEncoding.EncodeToString(zipped(t, message)),
	} {
		if code, body := get("UnaryCall", query); code != 200 || body != message {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	for _, query := range []string{"encoding=json&message=%ZZ", "base64=1&encoding=json&message=!", "encoding=xml&message=", "connect=v1&encoding=json", "encoding=json&compression=br&message=%7B%7D"} {
		if code, body := get("UnaryCall", query); code != 400 && code != 501 || !strings.HasPrefix(body, `{"code":`) {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	client := connect.NewClient[testpb.SimpleRequest, testpb.SimpleResponse](http.DefaultClient, g.url(testMethods+"UnaryCall"), connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects))
	a, err := client.CallUnary(t.Context(), connect.NewRequest(&testpb.SimpleRequest{Payload: payload(3)}))
	if err != nil || len(a.Msg.GetPayload().GetBody()) != 3 {
		t.Errorf("%v %v", a, err)
	}
}

// gRPC-Web as browsers speak it: frames, and the trailers in the last of them, as
// bytes or as base64. The gateway's own errors come the same way.
func TestGRPCWebByHand(t *testing.T) {
	g := marketGate(t, ", cors: {origins: 'https://shop.example', headers: [content-type, x-grpc-web]}")
	q, _ := proto.Marshal(&testpb.SimpleRequest{Payload: payload(4)})
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(q))), q...)
	encode := base64.StdEncoding.EncodeToString
	for _, c := range []struct{ name, kind, accept, body, path, want string }{
		{"binary", "application/grpc-web+proto", "", string(frame), "UnaryCall", "grpc-status: 0\r\n"},
		{"text", "application/grpc-web-text", "application/grpc-web-text", encode(frame), "UnaryCall", "grpc-status: 0\r\n"},
		{"text in pieces", "application/grpc-web-text+proto", "", encode(frame[:4]) + encode(frame[4:]), "UnaryCall", "grpc-status: 0\r\n"},
		{"asks for bytes", "application/grpc-web-text", "application/grpc-web", encode(frame), "UnaryCall", "grpc-status: 0\r\n"},
		{"no base64", "application/grpc-web-text", "", "!!!!", "UnaryCall", "grpc-status: 3\r\n"},
		{"no method", "application/grpc-web", "", string(frame), "Nothing", "grpc-status: 12\r\n"},
		{"no route", "application/grpc-web", "", string(frame), "../../../elsewhere/x", "grpc-status: 3\r\n"},
	} {
		r, _ := http.NewRequest("POST", g.url(testMethods+c.path), strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Origin", "https://shop.example")
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); strings.HasPrefix(kind, "application/grpc-web-text") {
			var out []byte
			for len(b) > 0 { // each piece is padded for itself
				n := bytes.IndexByte(b, '=')
				if n < 0 {
					n = len(b) - 1
				}
				n = min(n|3+1, len(b))
				p, err := base64.StdEncoding.DecodeString(string(b[:n&^3]))
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				out, b = append(out, p...), b[n&^3:]
			}
			b = out
		} else if kind != c.kind && c.name != "asks for bytes" {
			t.Errorf("%s: %s", c.name, kind)
		}
		if resp.StatusCode != 200 || !strings.Contains(string(b), c.want) || resp.Header.Get("Grpc-Status") != "" || resp.Header.Get("Access-Control-Allow-Origin") == "" && c.name != "no route" {
			t.Errorf("%s: %d %q %v", c.name, resp.StatusCode, b, resp.Header)
		}
	}
}

// A route that does not speak a protocol leaves its requests as they are, and one
// to a service that may speak it itself does so unasked.
func TestSpeaks(t *testing.T) {
	address := grpcServer(t, func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, market{}) })
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {market: "grpc://%[1]s", other: "h2c://%[1]s"}
routes:
  - {match: /grpc.testing.TestService/*, to: market, speaks: [grpc, grpc-web]}
  - {match: localhost/grpc.testing.TestService/*, to: other}
  - {match: 127.0.0.1/grpc.testing.TestService/UnaryCall, to: other, speaks: connect}
  - {match: 127.0.0.1/grpc.testing.TestService/EmptyCall, to: market}
`, address))
	ask := func(method, kind string) int {
		code, _, _ := askJSON(t, "POST", g.url(testMethods+method), "\x00", "Content-Type: "+kind)
		return code
	}
	if code := ask("StreamingInputCall", "application/proto"); code != 415 {
		t.Errorf("not spoken: %d", code)
	}
	if code := ask("StreamingInputCall", "application/grpc-web"); code != 200 {
		t.Errorf("spoken: %d", code)
	}
	if code := ask("UnaryCall", "application/grpc-web"); code != 415 {
		t.Errorf("not spoken: %d", code)
	}
	// Without a schema there is no JSON.
	if code, body, _ := askJSON(t, "POST", g.url(testMethods+"EmptyCall"), "{}"); code != 501 || !strings.Contains(body, "application/proto") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := askJSON(t, "POST", g.url(testMethods+"EmptyCall"), "", "Content-Type: application/proto"); code != 200 || body != "" {
		t.Errorf("%d %s", code, body)
	}
}

// Reflection tells of what the client reaches, in both versions, and has the
// policies of its route.
func TestReflectionOfTheGateway(t *testing.T) {
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, market{})
		reflection.Register(s)
	})
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {market: {targets: "grpc://%s", grpc: reflection}}
routes:
  - {match: POST /grpc.testing.TestService/UnaryCall, to: market}
  - {match: POST /grpc.testing.TestService/FullDuplexCall, to: market}
  - {match: "POST /{version}/ServerReflectionInfo", reflection: market, ip: {deny: 10.0.0.0/8}}
`, address))
	for _, version := range []string{"v1", "v1alpha"} {
		for _, dialect := range [][]connect.ClientOption{{connect.WithGRPC()}, nil} {
			client := connect.NewClient[reflectpb.ServerReflectionRequest, reflectpb.ServerReflectionResponse](http2Client(t), g.url("/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo"), dialect...)
			st := client.CallBidiStream(t.Context())
			ask := func(q *reflectpb.ServerReflectionRequest) *reflectpb.ServerReflectionResponse {
				if err := st.Send(q); err != nil {
					t.Fatal(err)
				}
				a, err := st.Receive()
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
			list := ask(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}}).GetListServicesResponse().GetService()
			if len(list) != 1 || list[0].Name != "grpc.testing.TestService" {
				t.Errorf("%v", list)
			}
			symbol := func(name string) *reflectpb.ServerReflectionResponse {
				return ask(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}})
			}
			files := symbol("grpc.testing.TestService").GetFileDescriptorResponse().GetFileDescriptorProto()
			f := new(descriptorpb.FileDescriptorProto)
			if err := proto.Unmarshal(files[0], f); err != nil || len(f.Service) != 1 || len(f.Service[0].Method) != 2 {
				t.Errorf("%v: %v", err, f.Service)
			}
			if e := symbol("grpc.testing.UnimplementedService").GetErrorResponse(); e.GetErrorCode() != 5 {
				t.Errorf("%v", e)
			}
			if err := st.CloseRequest(); err != nil {
				t.Error(err)
			}
			if _, err := st.Receive(); err == nil || !strings.Contains(err.Error(), "EOF") {
				t.Error(err)
			}
		}
	}
	client := connect.NewClient[reflectpb.ServerReflectionRequest, reflectpb.ServerReflectionResponse](http2Client(t), g.url("/other.Service/ServerReflectionInfo"), connect.WithGRPC())
	st := client.CallBidiStream(t.Context())
	if err := st.CloseRequest(); err != nil { // nothing is sent before that
		t.Error(err)
	}
	if _, err := st.Receive(); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Error(err)
	}
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
