package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	grpcstatus "google.golang.org/grpc/status"
)

// testService is grpc-go's own test service, for those who ask in JSON.
type testService struct {
	testpb.UnimplementedTestServiceServer
}

func (testService) UnaryCall(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if s := r.ResponseStatus; s != nil {
		return nil, grpcstatus.Error(codes.Code(s.Code), s.Message)
	}
	return &testpb.SimpleResponse{Username: string(r.Payload.GetBody()), Hostname: fmt.Sprint(r.ResponseSize)}, nil
}

func (testService) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
	for _, p := range r.ResponseParameters {
		if err := s.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
		if p.IntervalUs > 0 {
			select {
			case <-time.After(time.Duration(p.IntervalUs) * time.Microsecond):
			case <-s.Context().Done():
				return s.Context().Err()
			}
		}
	}
	return nil
}

func askJSON(t *testing.T, method, url, body string, fields ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// A route is enough: the service itself says what its methods are.
func TestRESTByReflection(t *testing.T) {
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, testService{})
		reflection.Register(s)
	})
	text := fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services:
  t: {targets: "grpc://%s", grpc: {reflection: on, refresh: 1s}}
routes:
  - {match: "POST /call/{response_size}", to: t, grpc: grpc.testing.TestService/UnaryCall}
  - {match: "GET /call", to: t, grpc: {call: grpc.testing.TestService/UnaryCall, fields: {payload.body: '{request.method}'}}}
  - {match: "POST /stream", to: t, grpc: grpc.testing.TestService/StreamingOutputCall}
  - {match: "POST /none", to: t, grpc: grpc.testing.TestService/Nothing}
  - match: GET /both/{id}
    compose:
      first: "t grpc.testing.TestService/UnaryCall {response_size: int(path.id)}"
      second: "t grpc.testing.TestService/UnaryCall {response_size: int(first.hostname) + 1}"
  - {match: "/api/*", to: t, strip_prefix: /api, grpc: grpc.testing.TestService}
`, address)
	g := start(t, text)
	within(t, func() bool {
		status, _, _ := askJSON(t, "POST", g.url("/call/5"), `{}`)
		return status == 200
	})
	if code, body, _ := askJSON(t, "POST", g.url("/call/5"), `{"payload":{"body":"aGk="}}`); code != 200 || body != `{"username":"hi","hostname":"5"}` {
		t.Errorf("%d %s", code, body)
	}
	code, body, h := askJSON(t, "POST", g.url("/call/5"), `{"responseStatus":{"code":5,"message":"no such tea"}}`)
	if code != 404 || !strings.Contains(body, `"code":"grpc_not_found"`) || !strings.Contains(body, `"detail":"no such tea"`) || h.Get("Gopura-Answer") != "" {
		t.Errorf("%d %s %v", code, body, h)
	}
	code, body, h = askJSON(t, "POST", g.url("/call/5"), `{"payload":{"body":7}}`)
	if code != 400 || !strings.Contains(body, `"detail":"payload.body: a string is expected"`) || h.Get("Gopura-Answer") != "request_invalid" {
		t.Errorf("%d %s %v", code, body, h)
	}
	if code, body, _ := askJSON(t, "POST", g.url("/none"), `{}`); code != 501 || !strings.Contains(body, "grpc_method_unknown") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := askJSON(t, "POST", g.url("/api/grpc.testing.TestService/UnaryCall"), `{}`); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := askJSON(t, "POST", g.url("/stream"), `{"responseParameters":[{"size":1},{"size":2}]}`, "Accept: application/json"); code != 200 || body != "[{\"payload\":{\"body\":\"AA==\"}},\n{\"payload\":{\"body\":\"AAA=\"}}]\n" {
		t.Errorf("%d %q", code, body)
	}
	if code, body, _ := askJSON(t, "GET", g.url("/both/4"), ""); code != 200 || body != `{"first":{"hostname":"4"},"second":{"hostname":"5"}}` {
		t.Errorf("composed: %d %s", code, body)
	}
	// A reload that changes nothing of the service knows its methods at once.
	g.text = strings.Replace(text, "refresh: 1s", "refresh: 2s", 1)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, body, _ := askJSON(t, "POST", g.url("/call/5"), `{}`); code != 200 {
		t.Errorf("after a reload: %d %s", code, body)
	}
}

func within(t *testing.T, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}

// A stream goes out as it comes, over HTTP/1.1.
func TestRESTStreamFlows(t *testing.T) {
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, testService{})
		reflection.Register(s)
	})
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {t: "grpc://%s"}
routes: [{match: "POST /stream", to: t, grpc: grpc.testing.TestService/StreamingOutputCall}]
`, address))
	within(t, func() bool {
		status, _, _ := askJSON(t, "POST", g.url("/stream"), `{}`)
		return status == 200
	})
	resp, err := http.Post(g.url("/stream"), "application/json", strings.NewReader(`{"responseParameters":[{"size":1,"intervalUs":30000000},{"size":2}]}`))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if line != "{\"payload\":{\"body\":\"AA==\"}}\n" || err != nil {
		t.Errorf("%q %v", line, err)
	}
	resp.Body.Close()
}

const teaProto = `syntax = "proto3";
package tea.v1;
import "google/api/annotations.proto";
service Teas { rpc Get(Tea) returns (Tea) { option (google.api.http) = { get: "/teas/{%s}" }; } }
message Tea { string name = 1; string kind = 2; }
`

// Descriptors from files are known when the configuration is loaded: what is
// wrong with a route is said then, and a file that changes is loaded again.
func TestRESTByFiles(t *testing.T) {
	address := grpcServer(t, func(s *grpc.Server) {})
	dir := t.TempDir()
	file := filepath.Join(dir, "tea.proto")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf(teaProto, "name"))
	text := fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {t: {targets: "grpc://%s", grpc: {proto: %s}}}
routes: [{match: "/*", to: t, grpc: tea.v1.Teas}]
`, address, file)
	g := start(t, text)
	if code, body, _ := askJSON(t, "GET", g.url("/teas/assam?colour=1"), ""); code != 400 || !strings.Contains(body, "query colour: there is no such parameter") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := askJSON(t, "GET", g.url("/teas/assam"), ""); code != 501 || !strings.Contains(body, "grpc_unimplemented") {
		t.Errorf("%d %s", code, body)
	}
	if got := strings.Join(g.Files(), " "); !strings.Contains(got, file) {
		t.Errorf("not watched: %s", got)
	}
	for what, change := range map[string]func(){
		"gopura.yaml:5:37: routes[0].grpc.call: there is no service tea.v2.Teas; there are tea.v1.Teas": func() { g.text = strings.Replace(text, "tea.v1", "tea.v2", 1) },
		"tea.proto:1:1": func() { g.text = text; write("nonsense") },
		"needs":         func() { g.text = strings.Replace(text, "grpc://", "http://", 1); write(fmt.Sprintf(teaProto, "name")) },
	} {
		change()
		if err := g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	g.text = text
	write(fmt.Sprintf(teaProto, "leaf"))
	if err := g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "no methods that a request could mean") {
		t.Errorf("a template of a field that is not there: %v", err)
	}
}
