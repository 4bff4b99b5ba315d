package gateway_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// shop is a gRPC service whose calls a test decides about.
type shop struct {
	testpb.UnimplementedTestServiceServer
	unary  func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
	stream func(testpb.TestService_FullDuplexCallServer) error
	output func(*testpb.StreamingOutputCallRequest, testpb.TestService_StreamingOutputCallServer) error
}

func (s *shop) UnaryCall(ctx context.Context, q *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return s.unary(ctx, q)
}
func (s *shop) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error { return s.stream(st) }
func (s *shop) StreamingOutputCall(q *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
	return s.output(q, st)
}

func (s *shop) serve(t testing.TB, o ...grpc.ServerOption) string {
	return grpcServer(t, func(g *grpc.Server) { testpb.RegisterTestServiceServer(g, s) }, o...)
}

// calls is a gateway in front of services, and a client.
func calls(t testing.TB, text string, args ...any) (*gate, testpb.TestServiceClient) {
	t.Helper()
	g := start(t, "listen: {main: '127.0.0.1:0'}\naccess_log: off\n"+fmt.Sprintf(text, args...))
	cc := grpcClient(t, g.Address("main"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	return g, testpb.NewTestServiceClient(cc)
}

const toShop = `
services: { shop: grpc://%s }
routes: [{ match: POST /grpc.testing.TestService/*, to: shop }]
`

func payload(n int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, n)} }

// What the gateway refuses reaches a gRPC client as a status with details.
func TestGRPCErrorsAreStatuses(t *testing.T) {
	s := &shop{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{}, nil
	}}
	for name, c := range map[string]struct {
		config string
		code   codes.Code
		reason string
	}{
		"no route":     {"services: { shop: grpc://%s }\nroutes: [{ match: POST /other/*, to: shop }]", codes.Unimplemented, "no_route"},
		"an address":   {"services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, ip: { deny: 127.0.0.1/32 } }]", codes.PermissionDenied, "ip_forbidden"},
		"a limit":      {"services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, limit: { rate: 1/h, burst: 1 } }]", codes.ResourceExhausted, "rate_limited"},
		"a message":    {"services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, max_message: 100 }]", codes.ResourceExhausted, "message_too_large"},
		"nobody there": {"services: { shop: grpc://127.0.0.1:1, other: grpc://%s }\nroutes: [{ match: POST /*, to: shop }]", codes.Unavailable, "upstream_connect_failed"},
		"not in time":  {"services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, timeout: 1ns }]", codes.DeadlineExceeded, "exchange_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := calls(t, c.config, s.serve(t))
			_, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(200)})
			if name == "a limit" {
				_, err = client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(200)})
			}
			st := grpcstatus.Convert(err)
			if st.Code() != c.code {
				t.Fatalf("%v, want %v", err, c.code)
			}
			info, ok := st.Details()[0].(*errdetails.ErrorInfo)
			if !ok || info.Reason != c.reason || info.Domain != "gopura" || info.Metadata["request_id"] == "" {
				t.Errorf("details %v, want %s", st.Details(), c.reason)
			}
			if st.Message() == "" {
				t.Error("no message")
			}
		})
	}
}

// The target is given what is left of the client's deadline, or of the route's
// when that is shorter; both end the call in time.
func TestGRPCDeadlines(t *testing.T) {
	seen := make(chan time.Duration, 1)
	s := &shop{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		by, ok := ctx.Deadline()
		if !ok {
			seen <- 0
		} else {
			seen <- time.Until(by)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	addr := s.serve(t)
	for _, c := range []struct{ route, client, most time.Duration }{
		{time.Minute, 200 * time.Millisecond, 200 * time.Millisecond},
		{200 * time.Millisecond, time.Minute, 200 * time.Millisecond},
		{200 * time.Millisecond, 0, 200 * time.Millisecond},
	} {
		_, client := calls(t, "services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, timeout: %v }]", addr, c.route)
		ctx, cancel := t.Context(), func() {}
		if c.client > 0 {
			ctx, cancel = context.WithTimeout(ctx, c.client)
		}
		start := time.Now()
		_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
		cancel()
		if grpcstatus.Code(err) != codes.DeadlineExceeded || time.Since(start) > 5*time.Second {
			t.Errorf("route %v, client %v: %v after %v", c.route, c.client, err, time.Since(start))
		}
		if got := <-seen; got <= 0 || got > c.most {
			t.Errorf("route %v, client %v: the target has %v", c.route, c.client, got)
		}
	}
}

// Cancelling goes through, and so does the end of the target's interest.
func TestGRPCCancellation(t *testing.T) {
	gone := make(chan error, 1)
	s := &shop{stream: func(st testpb.TestService_FullDuplexCallServer) error {
		q, err := st.Recv()
		if err != nil {
			return err
		}
		if q.ResponseStatus != nil { // the server has had enough
			return grpcstatus.Error(codes.FailedPrecondition, "enough")
		}
		st.Send(&testpb.StreamingOutputCallResponse{})
		<-st.Context().Done()
		gone <- st.Context().Err()
		return nil
	}}
	_, client := calls(t, toShop, s.serve(t))
	ctx, cancel := context.WithCancel(t.Context())
	st, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	st.Send(&testpb.StreamingOutputCallRequest{})
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-gone:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the target was not told")
	}
	st, err = client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{}})
	if _, err := st.Recv(); grpcstatus.Code(err) != codes.FailedPrecondition || grpcstatus.Convert(err).Message() != "enough" {
		t.Error(err)
	}
}

// Metadata goes both ways, binary and repeated, in headers and trailers.
func TestGRPCMetadata(t *testing.T) {
	s := &shop{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		in, _ := metadata.FromIncomingContext(ctx)
		grpc.SetHeader(ctx, metadata.Pairs("saw", strings.Join(in.Get("many"), "+"), "raw-bin", in.Get("raw-bin")[0]))
		grpc.SetTrailer(ctx, metadata.Pairs("tail", "t", "tail-bin", "\x00\xff"))
		return &testpb.SimpleResponse{}, nil
	}}
	_, client := calls(t, toShop, s.serve(t))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "many", "a", "many", "b", "raw-bin", "\x01\x02\xfe")
	var head, tail metadata.MD
	if _, err := client.UnaryCall(ctx, &testpb.SimpleRequest{}, grpc.Header(&head), grpc.Trailer(&tail)); err != nil {
		t.Fatal(err)
	}
	if head.Get("saw")[0] != "a+b" || head.Get("raw-bin")[0] != "\x01\x02\xfe" || tail.Get("tail")[0] != "t" || tail.Get("tail-bin")[0] != "\x00\xff" {
		t.Error(head, tail)
	}
}

// Calls of one client connection are spread over the targets.
func TestGRPCBalancesPerCall(t *testing.T) {
	var counts [2]atomic.Int32
	var addr [2]any
	for i := range addr {
		s := &shop{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			counts[i].Add(1)
			return &testpb.SimpleResponse{}, nil
		}}
		addr[i] = s.serve(t)
	}
	_, client := calls(t, "services: { shop: [grpc://%s, grpc://%s] }\nroutes: [{ match: POST /*, to: shop }]", addr[:]...)
	for range 100 {
		if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := counts[0].Load(), counts[1].Load(); a != 50 || b != 50 {
		t.Errorf("%d and %d calls", a, b)
	}
}

// A slow reader holds its own stream up, end to end, and nobody else.
func TestGRPCFlowControl(t *testing.T) {
	var sent atomic.Int64
	s := &shop{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return &testpb.SimpleResponse{}, nil
		},
		output: func(_ *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
			for range 300 {
				if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: payload(32 << 10)}); err != nil {
					return err
				}
				sent.Add(32 << 10)
			}
			return nil
		},
	}
	_, client := calls(t, toShop, s.serve(t))
	st, err := client.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 { // meanwhile others are served
		if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if n := sent.Load(); n > 1<<20 {
		t.Errorf("the service could send %d bytes to a client that reads none", n)
	}
	n := 0
	for {
		if _, err := st.Recv(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 300 {
		t.Errorf("%d of 300 messages", n)
	}
}

func TestGRPCLargeMessages(t *testing.T) {
	s := &shop{unary: func(_ context.Context, q *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{Payload: q.Payload}, nil
	}}
	_, client := calls(t, toShop, s.serve(t, grpc.MaxRecvMsgSize(32<<20)))
	r, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(20 << 20)}, grpc.MaxCallRecvMsgSize(32<<20))
	if err != nil || len(r.Payload.Body) != 20<<20 {
		t.Fatal(err)
	}
}

// A target that stops gracefully under load, again and again, costs no call.
func TestGRPCGoAwayUnderLoad(t *testing.T) {
	s := &shop{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{}, nil
	}}
	// grpc-go says GOAWAY on each connection when it is that old.
	addr := s.serve(t, grpc.KeepaliveParams(aged(30*time.Millisecond)))
	_, client := calls(t, toShop, addr)
	var wg sync.WaitGroup
	stop := time.Now().Add(700 * time.Millisecond)
	var n atomic.Int32
	for range 8 {
		wg.Go(func() {
			for time.Now().Before(stop) {
				if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
					t.Errorf("after %d calls: %v", n.Load(), err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls", n.Load())
}

// A target that dies in the middle of its answer does not look like one that has
// ended.
func TestGRPCBrokenStreams(t *testing.T) {
	first := make(chan struct{})
	var server *grpc.Server
	s := &shop{output: func(_ *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
		st.Send(&testpb.StreamingOutputCallResponse{Payload: payload(10)})
		<-first
		go server.Stop()
		<-st.Context().Done()
		return nil
	}}
	addr := grpcServer(t, func(g *grpc.Server) { server = g; testpb.RegisterTestServiceServer(g, s) })
	_, client := calls(t, toShop, addr)
	st, err := client.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	close(first)
	_, err = st.Recv()
	if grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("%v, want UNAVAILABLE", err)
	}
	if d := grpcstatus.Convert(err).Details(); len(d) != 1 || d[0].(*errdetails.ErrorInfo).Reason != "upstream_broken_body" {
		t.Error(d)
	}
}

// Retries follow gRPC's rules: a status without a message may be retried where
// the configuration says so, pushback is obeyed, and the target hears of it.
func TestGRPCRetries(t *testing.T) {
	var seen []string
	var fail func(n int, ctx context.Context) error
	s := &shop{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		in, _ := metadata.FromIncomingContext(ctx)
		seen = append(seen, strings.Join(in.Get("grpc-previous-rpc-attempts"), ","))
		if err := fail(len(seen), ctx); err != nil {
			return nil, err
		}
		return &testpb.SimpleResponse{}, nil
	}}
	addr := s.serve(t)
	for name, c := range map[string]struct {
		fail func(n int, ctx context.Context) error
		code codes.Code
		seen string
	}{
		"twice": {func(n int, _ context.Context) error {
			if n < 3 {
				return grpcstatus.Error(codes.Unavailable, "later")
			}
			return nil
		}, codes.OK, "|1|2"},
		"for ever":     {func(int, context.Context) error { return grpcstatus.Error(codes.Unavailable, "later") }, codes.Unavailable, "|1|2"},
		"another code": {func(int, context.Context) error { return grpcstatus.Error(codes.Aborted, "no") }, codes.Aborted, ""},
		"pushed back": {func(_ int, ctx context.Context) error {
			grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "-1"))
			return grpcstatus.Error(codes.Unavailable, "don't")
		}, codes.Unavailable, ""},
		"after a header": {func(_ int, ctx context.Context) error {
			grpc.SendHeader(ctx, metadata.Pairs("a", "b"))
			return grpcstatus.Error(codes.Unavailable, "committed")
		}, codes.Unavailable, ""},
		"asked to wait": {func(n int, ctx context.Context) error {
			if n == 1 {
				grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "30"))
				return grpcstatus.Error(codes.Unavailable, "in a moment")
			}
			return nil
		}, codes.OK, "|1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, client := calls(t, `
services: { shop: { targets: grpc://%s, outliers: off, retries: { attempts: 2, budget: 100%%, on: [connect, unavailable] } } }
routes: [{ match: POST /*, to: shop }]
`, addr)
			seen, fail = nil, c.fail
			start := time.Now()
			var tail metadata.MD
			_, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(10)}, grpc.Trailer(&tail))
			if grpcstatus.Code(err) != c.code || strings.Join(seen, "|") != c.seen {
				t.Errorf("%v; the targets heard of %q", err, seen)
			}
			if name == "asked to wait" && time.Since(start) < 30*time.Millisecond {
				t.Error("did not wait")
			}
			if name == "for ever" && len(tail.Get("grpc-retry-pushback-ms")) == 0 {
				t.Error("the client is not told that the gateway has tried")
			}
		})
	}
}

// Health is asked by grpc.health.v1, of a service or of the server.
func TestGRPCHealth(t *testing.T) {
	h := health.NewServer()
	h.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
	s := &shop{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{}, nil
	}}
	addr := grpcServer(t, func(g *grpc.Server) {
		testpb.RegisterTestServiceServer(g, s)
		healthpb.RegisterHealthServer(g, h)
	})
	_, client := calls(t, `
services: { shop: { targets: grpc://%s, health: { grpc: true, service: shop, interval: 100ms, timeout: 100ms, healthy: 1, unhealthy: 1 } } }
routes: [{ match: POST /*, to: shop }]
`, addr)
	code := func() codes.Code {
		_, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{})
		return grpcstatus.Code(err)
	}
	eventually(t, func() bool { return code() == codes.OK })
	h.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
	eventually(t, func() bool { return code() == codes.Unavailable })
	h.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
	eventually(t, func() bool { return code() == codes.OK })
}

// A message of the service that is too large ends the call, after those before it.
func TestGRPCMaxMessageOfTheService(t *testing.T) {
	s := &shop{output: func(_ *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
		st.Send(&testpb.StreamingOutputCallResponse{Payload: payload(10)})
		time.Sleep(20 * time.Millisecond)
		st.Send(&testpb.StreamingOutputCallResponse{Payload: payload(1000)})
		return nil
	}}
	_, client := calls(t, "services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, max_message: { request: 1MiB, response: 500 } }]", s.serve(t))
	st, err := client.StreamingOutputCall(t.Context(), &testpb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); grpcstatus.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}
