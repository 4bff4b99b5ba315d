package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"gopura/internal/testca"
)

// Chromium speaks gRPC-Web and Connect by their published clients, WebSockets
// over both HTTP versions, and listens to event streams. Run by make test-ui:
// BROWSER is what scripts/browser prints.
func TestBrowser(t *testing.T) {
	modules := os.Getenv("BROWSER")
	if modules == "" {
		t.Skip("BROWSER is not set: make test-ui runs this")
	}
	market := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, market{})
		reflection.Register(s)
	})
	echo, _ := echo(t)
	// Two events a connection: EventSource has to come again, and to say where it was.
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		last, _ := strconv.Atoi(r.Header.Get("Last-Event-Id"))
		fmt.Fprintf(w, "retry: 50\nid: %d\ndata: a\n\n", last+1)
		w.(http.Flusher).Flush()
		fmt.Fprintf(w, "id: %d\ndata: b\n\n", last+2)
	}))
	t.Cleanup(events.Close)
	ca := testca.New(t, "ca")
	pair := ca.Server("localhost", "127.0.0.1")
	log := filepath.Join(t.TempDir(), "access.log")
	g := start(t, fmt.Sprintf(`
listen:
  main: 127.0.0.1:0
  tls: { address: 127.0.0.1:0, tls: { certificates: [{ cert: %s, key: %s }] } }
access_log: %s
services:
  market: { targets: "grpc://%s", grpc: reflection }
  echo: %s
  events: %s
routes:
  - { match: GET /page, answer: { body: "<!doctype html><title>page</title>", content_type: text/html } }
  - match: /grpc.testing.TestService/*
    to: market
    cors:
      origins: ["http://127.0.0.1:*"]
      headers: [content-type, x-grpc-web, x-user-agent, grpc-timeout, connect-protocol-version, connect-timeout-ms, x-outcome]
      expose: [x-head, x-tail, trailer-x-tail, grpc-status, grpc-message, grpc-status-details-bin]
  - { match: /ws, to: echo, websocket: { origins: ["https://127.0.0.1:*"], max_message: 64KiB, idle: 1s } }
  - { match: /anyone, to: echo }
  - { match: /chat, to: market, grpc: grpc.testing.TestService/FullDuplexCall, websocket: { origins: ["https://127.0.0.1:*"] } }
  - { match: GET /events, to: events }
`, pair.Cert, pair.Key, log, market, echo, events.URL))
	env, _ := json.Marshal(map[string]string{
		"plain": "http://" + g.Address("main"), "secure": "https://" + g.Address("tls"), "descriptors": testDescriptors(t),
	})
	script, _ := filepath.Abs("../internal/browser/protocols.js")
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "GATE="+string(env))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	within(t, func() bool {
		records, _ := os.ReadFile(log)
		spoken := func(path, protocol string) bool {
			for line := range strings.Lines(string(records)) {
				if strings.Contains(line, `"path":"`+path+`"`) && strings.Contains(line, `"protocol":"`+protocol+`"`) {
					return true
				}
			}
			return false
		}
		return spoken("/ws", "HTTP/2.0") && spoken("/chat", "HTTP/2.0") && spoken("/anyone", "HTTP/1.1") && spoken("/events", "HTTP/2.0")
	})
}

// testDescriptors is the test service as a descriptor set, in base64.
func testDescriptors(t *testing.T) string {
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range []protoreflect.FileDescriptor{testpb.File_grpc_testing_empty_proto, testpb.File_grpc_testing_messages_proto, testpb.File_grpc_testing_test_proto} {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	b, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}
