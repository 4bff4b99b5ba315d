package gateway_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	grpcstatus "google.golang.org/grpc/status"
)

// market does in each kind of call what the metadata say: x-outcome.
type market struct {
	testpb.UnimplementedTestServiceServer
}

func outcome(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", "begin", "x-head-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "end", "x-tail", "and more", "x-tail-bin", "\xff\x00"))
	if len(md.Get("x-gzip")) > 0 {
		_ = grpc.SetSendCompressor(ctx, "gzip")
	}
	switch strings.Join(md.Get("x-outcome"), "") {
	case "error":
		st, _ := grpcstatus.New(codes.FailedPrecondition, "no tea ☕ today").WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "tea"}}})
		return st.Err()
	case "deadline", "cancel":
		<-ctx.Done()
		return grpcstatus.FromContextError(ctx.Err()).Err()
	}
	return nil
}

func (market) UnaryCall(ctx context.Context, q *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: q.Payload}, outcome(ctx)
}

func (market) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func (market) StreamingOutputCall(q *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
	if err := outcome(st.Context()); err != nil {
		return err
	}
	for _, p := range q.ResponseParameters {
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: payload(int(p.Size))}); err != nil {
			return err
		}
	}
	return nil
}

func (market) StreamingInputCall(st testpb.TestService_StreamingInputCallServer) error {
	if err := outcome(st.Context()); err != nil {
		return err
	}
	sum := 0
	for {
		q, err := st.Recv()
		if err == io.EOF {
			return st.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(q.GetPayload().GetBody())
	}
}

func (market) FullDuplexCall(st testpb.TestService_FullDuplexCallServer) error {
	for n := 0; ; n++ {
		q, err := st.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n == 0 {
			if err := outcome(st.Context()); err != nil {
				return err
			}
		}
		if err := st.Send(&testpb.StreamingOutputCallResponse{Payload: q.Payload}); err != nil {
			return err
		}
	}
}

func marketGate(t *testing.T, more string) *gate {
	t.Helper()
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, market{})
		reflection.Register(s)
	})
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {market: {targets: "grpc://%s", grpc: reflection}}
routes:
  - {match: /grpc.testing.TestService/*, to: market, max_message: 1MiB%s}
`, address, more))
	return g
}

// http2Client speaks HTTP/2 in cleartext.
func http2Client(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

const testMethods = "/grpc.testing.TestService/"

type caller struct {
	ctx     context.Context
	url     string
	client  *http.Client
	options []connect.ClientOption
	header  http.Header
	extra   int // bytes that a first message has beside
}

// first is the payload of a message that n bytes are enough for.
func (c *caller) first(n int) *testpb.Payload {
	return &testpb.Payload{Body: append(noise()[:c.extra:c.extra], payload(n).Body...)}
}

// noise can't be compressed away.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 128<<10)
	rand.Read(b)
	return b
})

func checkMetadata(t *testing.T, head, tail http.Header) {
	t.Helper()
	if head.Get("X-Head") != "begin" || fmt.Sprint(tail.Values("X-Tail")) != "[end and more]" {
		t.Errorf("head %v, trailers %v", head, tail)
	}
	if b, err := connect.DecodeBinaryHeader(tail.Get("X-Tail-Bin")); string(b) != "\xff\x00" || err != nil {
		t.Errorf("trailers %v: %v", tail, err)
	}
}

func callUnary(t *testing.T, c *caller) error {
	client := connect.NewClient[testpb.SimpleRequest, testpb.SimpleResponse](c.client, c.url+"UnaryCall", c.options...)
	q := connect.NewRequest(&testpb.SimpleRequest{Payload: c.first(5000)})
	copyHeader(q.Header(), c.header)
	a, err := client.CallUnary(c.ctx, q)
	if err != nil {
		return err
	}
	if n := len(a.Msg.GetPayload().GetBody()); n != 5000 {
		t.Errorf("%d bytes", n)
	}
	checkMetadata(t, a.Header(), a.Trailer())
	return nil
}

func callServer(t *testing.T, c *caller) error {
	client := connect.NewClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse](c.client, c.url+"StreamingOutputCall", c.options...)
	q := connect.NewRequest(&testpb.StreamingOutputCallRequest{Payload: c.first(0), ResponseParameters: []*testpb.ResponseParameters{{Size: 1}, {Size: 100_000}, {Size: 0}}})
	copyHeader(q.Header(), c.header)
	st, err := client.CallServerStream(c.ctx, q)
	if err != nil {
		return err
	}
	defer st.Close()
	var sizes []int
	for st.Receive() {
		sizes = append(sizes, len(st.Msg().GetPayload().GetBody()))
	}
	if st.Err() == nil {
		if fmt.Sprint(sizes) != "[1 100000 0]" {
			t.Error(sizes)
		}
		checkMetadata(t, st.ResponseHeader(), st.ResponseTrailer())
	}
	return st.Err()
}

func callClient(t *testing.T, c *caller) error {
	client := connect.NewClient[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse](c.client, c.url+"StreamingInputCall", c.options...)
	st := client.CallClientStream(c.ctx)
	copyHeader(st.RequestHeader(), c.header)
	for _, n := range []int{3, 0, 70_000} {
		if err := st.Send(&testpb.StreamingInputCallRequest{Payload: c.first(n)}); err != nil && err != io.EOF {
			break // CloseAndReceive says why
		}
	}
	a, err := st.CloseAndReceive()
	if err != nil {
		return err
	}
	if a.Msg.AggregatedPayloadSize != 70_003 {
		t.Error(a.Msg)
	}
	checkMetadata(t, a.Header(), a.Trailer())
	return nil
}

// callBidi sends the next message only when the last one has come back.
func callBidi(t *testing.T, c *caller) error {
	client := connect.NewClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse](c.client, c.url+"FullDuplexCall", c.options...)
	st := client.CallBidiStream(c.ctx)
	copyHeader(st.RequestHeader(), c.header)
	for i := range 3 {
		if err := st.Send(&testpb.StreamingOutputCallRequest{Payload: c.first(i * 1000)}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		a, err := st.Receive()
		if err != nil {
			return err
		}
		if n := len(a.GetPayload().GetBody()); n != i*1000 {
			t.Errorf("%d bytes", n)
		}
	}
	if err := st.CloseRequest(); err != nil {
		return err
	}
	if _, err := st.Receive(); !errors.Is(err, io.EOF) {
		return err
	}
	checkMetadata(t, st.ResponseHeader(), st.ResponseTrailer())
	return st.CloseResponse()
}

func copyHeader(dst, src http.Header) {
	for k, v := range src {
		dst[k] = v
	}
}
