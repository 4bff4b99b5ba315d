package gateway_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	grpcstatus "google.golang.org/grpc/status"
)

// clock says how much time a call has left.
type clock struct{ testService }

func (clock) UnaryCall(ctx context.Context, q *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if q.ResponseSize == 404 {
		return nil, grpcstatus.Error(codes.NotFound, "there is none")
	}
	by, ok := ctx.Deadline()
	if !ok {
		return &testpb.SimpleResponse{Hostname: "none"}, nil
	}
	return &testpb.SimpleResponse{Hostname: fmt.Sprint(time.Until(by).Milliseconds())}, nil
}

// A part of an answer may be a call of gRPC: it has its share of the time, and a
// stream is a list.
func TestPartsAreCallsOfGRPC(t *testing.T) {
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, clock{})
		reflection.Register(s)
	})
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {t: {targets: "grpc://%s", grpc: reflection}}
routes:
  - match: GET /both
    timeout: 10s
    compose:
      whole: "t grpc.testing.TestService/UnaryCall"
      short: {call: "t grpc.testing.TestService/UnaryCall", timeout: 500ms}
      nothing: {call: "t grpc.testing.TestService/UnaryCall {responseSize: 404}", absent: 404}
      stream: "t grpc.testing.TestService/StreamingOutputCall {response_parameters: [{size: 1}, {size: 2}]}"
`, address))
	code, body, _ := askJSON(t, "GET", g.url("/both"), "")
	if code != 200 || !strings.Contains(body, `"nothing":null`) || !strings.Contains(body, `"stream":[{"payload":{"body":"AA=="}},{"payload":{"body":"AAA="}}]`) && !strings.Contains(body, `"stream":[{"payload":{"body":"AA=="}},`+"\n"+`{"payload":{"body":"AAA="}}]`) {
		t.Fatalf("%d %s", code, body)
	}
	left := func(part string) int {
		_, rest, _ := strings.Cut(body, `"`+part+`":{"hostname":"`)
		text, _, _ := strings.Cut(rest, `"`)
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Errorf("%s: %v in %s", part, err, body)
		}
		return n
	}
	if n := left("whole"); n < 5000 || n > 10_000 {
		t.Errorf("the whole has %d ms", n)
	}
	if n := left("short"); n < 1 || n > 500 {
		t.Errorf("the short one has %d ms", n)
	}
}
