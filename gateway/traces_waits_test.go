package gateway_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"gopura/internal/freeport"
)

// waits is a gateway whose requests wait for all that a request can wait for:
// somebody who knows the caller, who judges, the shared store, a turn, services,
// and calls that undo others.
const waits = `
traces: { to: %s, period: 10ms, trust: everybody }
store: { url: "redis://%s", mode: exact, timeout: 1s }
identity:
  door: { forward_auth: { url: "%[3]s/door", claims: { user: X-User }, sub: X-User } }
  desk: { introspection: { url: "%[3]s/desk", client_id: gateway, client_secret: hush, cache: 0s, negative_cache: 0s } }
services: { users: %[3]s }
routes:
  - { match: GET /known, identity: door, to: users }
  - { match: GET /shown, identity: desk, to: users }
  - { match: GET /judged, opa: { url: "%[3]s/judge" }, to: users }
  - { match: GET /counted, limit: 100/s per client.ip, to: users }
  - { match: GET /queued, limit: { rate: 20/s, burst: 1, store: local, queue: { max: 5, wait: 2s } }, to: users }
  - match: POST /orders
    compose:
      order: { call: POST users/orders, compensate: DELETE users/orders }
      mail: { call: POST users/fails, after: order }
`

func waited(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/door":
		w.Header().Set("X-User", "alice")
	case "/desk":
		io.WriteString(w, `{"active": true, "sub": "alice"}`)
	case "/judge":
		io.WriteString(w, `{"result": true}`)
	case "/fails":
		w.WriteHeader(500)
	default:
		io.WriteString(w, `{"id": 7}`)
	}
}

// Whatever a request waits for has a span in its place, and whoever is asked is
// told of that span.
func TestTracesOfWhatARequestWaitsFor(t *testing.T) {
	redis := startRedis(t)
	store := badLinkTo(t, redis.addr)
	store.slow(2 * time.Millisecond)
	c, to := overHTTP(t)
	tracesOfWaits(t, to, store.address, c)
}

func tracesOfWaits(t *testing.T, to, store string, c *collector) {
	up := service(t, waited)
	g := start(t, traced+fmt.Sprintf(waits, to, store, up.URL))
	for _, w := range []struct {
		request string
		tree    string
		asked   string // the span that the path asked is told of
		path    string
	}{
		{"GET /known", "GET /known\n  policy identity\n    ask door\n  GET users\n", "ask door", "/door"},
		{"GET /shown", "GET /shown\n  policy identity\n    ask desk\n  GET users\n", "ask desk", "/desk"},
		{"GET /judged", "GET /judged\n  policy opa\n    ask opa\n  GET users\n", "ask opa", "/judge"},
		{"GET /counted", "GET /counted\n  policy limit\n    store limit\n  GET users\n", "GET users", "/counted"},
		{"GET /queued", "GET /queued\n  policy limit\n    wait limit\n  GET users\n", "GET users", "/queued"},
		{"POST /orders", "POST /orders !part_failed\n  call order\n    POST users\n  call mail !part_failed\n    POST users !500\n  call order.compensate\n    DELETE users\n", "DELETE users", "DELETE /orders"},
	} {
		method, path, _ := strings.Cut(w.request, " ")
		if path == "/queued" {
			g.ask(method, path, "traceparent: 00-1"+clientID[1:]+"-b7ad6b7169203331-01") // takes what is there
		}
		c.mu.Lock()
		c.spans = nil
		c.mu.Unlock()
		g.ask(method, path, parent, "Authorization: Bearer abc", "tracestate: a=1")
		list, ok := c.grown(w.tree)
		if !ok {
			t.Errorf("got\n%swant\n%s", tree(list), w.tree)
			continue
		}
		s, _ := named(t, list, w.asked)
		h := up.asked(w.path)
		if h.Get("Traceparent") != fmt.Sprintf("00-%s-%x-01", clientID, s.SpanId) || h.Get("Tracestate") != "a=1" {
			t.Errorf("%s: %s was told %q, %q; its span is %x", w.request, w.path, h.Get("Traceparent"), h.Get("Tracestate"), s.SpanId)
		}
		if strings.HasPrefix(w.asked, "ask ") && (s.Kind != tracepb.Span_SPAN_KIND_CLIENT || attributesOf(s.Attributes)["server.address"] != "127.0.0.1") {
			t.Errorf("%v", s)
		}
	}
}

// grown waits until the spans of the client's trace are a tree.
func (c *collector) grown(want string) (list []*tracepb.Span, ok bool) {
	for range 2000 {
		c.mu.Lock()
		list = slices.DeleteFunc(slices.Clone(c.spans), func(s *tracepb.Span) bool { return hex.EncodeToString(s.TraceId) != clientID })
		c.mu.Unlock()
		if tree(list) == want {
			return list, true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return list, false
}

// asked returns the fields of the last request for a path, with its method in
// front or without.
func (s *seen) asked(path string) http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.told) - 1; i >= 0; i-- {
		if h := s.told[i]; h[":path"][0] == path || h[":method"][0]+" "+h[":path"][0] == path {
			return h
		}
	}
	return http.Header{}
}

// Of a request that is not recorded those who are asked are told, too, and
// nothing is sent about it.
func TestWhoIsAskedWithoutARecord(t *testing.T) {
	c, to := overHTTP(t)
	up := service(t, waited)
	g := start(t, traced+fmt.Sprintf(strings.ReplaceAll(strings.Replace(waits, "store: { url: \"redis://%s\", mode: exact, timeout: 1s }", "# %s", 1), "trust: everybody", "sample: 0%%, errors: false, slow: off"), to, "", up.URL))
	for path, at := range map[string]string{"/known": "/door", "/shown": "/desk", "/judged": "/judge"} {
		g.ask("GET", path, "Authorization: Bearer abc")
		told := up.asked(at).Get("Traceparent")
		if !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`).MatchString(told) || told[:35] != up.asked(path).Get("Traceparent")[:35] {
			t.Errorf("%s was told %q", at, told)
		}
	}
	c.none()
}

// A real receiver, that of the OpenTelemetry collector, understands what is sent
// over gRPC and over HTTP, and the parents are right in what it makes of it.
// scripts/traces builds it.
func TestARealReceiver(t *testing.T) {
	binary := os.Getenv("GOPURA_OTLP_RECEIVER")
	if binary == "" {
		t.Skip("GOPURA_OTLP_RECEIVER names none; see scripts/traces")
	}
	redis := startRedis(t)
	store := badLinkTo(t, redis.addr)
	store.slow(2 * time.Millisecond)
	overGRPC, overHTTP := receiverAddress(t), freeport.Address(t)
	c := &collector{t: t}
	c.receive(exec.Command(binary, overGRPC, overHTTP))
	for _, to := range []string{"grpc://" + overGRPC, "http://" + overHTTP} {
		t.Run(to[:4], func(t *testing.T) {
			tracesOfWaits(t, to, store.address, c)
		})
	}
}

func receiverAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// receive reads what a receiver prints of each span.
func (c *collector) receive(cmd *exec.Cmd) {
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	ready := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var s struct {
				Trace, ID, Parent, Name, Kind, Service, Error string
				Start                                         uint64
				With                                          map[string]any
			}
			if json.Unmarshal(lines.Bytes(), &s) != nil {
				continue
			}
			if s.ID == "" {
				close(ready)
				continue
			}
			m := &tracepb.Span{Name: s.Name, StartTimeUnixNano: s.Start, Kind: tracepb.Span_SpanKind(tracepb.Span_SpanKind_value["SPAN_KIND_"+strings.ToUpper(s.Kind)])}
			m.TraceId, _ = hex.DecodeString(s.Trace)
			m.SpanId, _ = hex.DecodeString(s.ID)
			m.ParentSpanId, _ = hex.DecodeString(s.Parent)
			if s.Error != "" {
				m.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
			}
			for k, v := range s.With {
				m.Attributes = append(m.Attributes, &commonpb.KeyValue{Key: k, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: fmt.Sprint(v)}}})
			}
			c.mu.Lock()
			c.spans = append(c.spans, m)
			c.mu.Unlock()
		}
	}()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		c.t.Fatal("the receiver does not start")
	}
}
