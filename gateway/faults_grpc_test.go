package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	grpcstatus "google.golang.org/grpc/status"
)

// TestFaultsOfGRPC: what breaks is a status to a gRPC client, with the reason in
// its details, and in time.
func TestFaultsOfGRPC(t *testing.T) {
	s := &shop{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return &testpb.SimpleResponse{Payload: payload(1000)}, nil
		},
	}
	service := s.serve(t)
	var all sync.WaitGroup
	for _, f := range []struct {
		what, toxics string
		deadline     time.Duration // of the client
		code         codes.Code
		reason       string
		within       time.Duration
	}{
		{"a good link", "", time.Minute, codes.OK, "", 0},
		{"slices", "slicer downstream average_size=20 size_variation=10 delay=10", time.Minute, codes.OK, "", 200},
		{"nobody listens", "off", time.Minute, codes.Unavailable, "upstream_connect_failed", 0},
		{"reset", "reset_peer downstream timeout=0", time.Minute, codes.Unavailable, "upstream_reset", 0},
		{"cut off", "limit_data downstream bytes=300", time.Minute, codes.Unavailable, "", 0},
		{"answers vanish", "timeout downstream timeout=0", time.Minute, codes.DeadlineExceeded, "upstream_timeout", 1000},
		{"requests vanish", "timeout upstream timeout=0", time.Minute, codes.DeadlineExceeded, "upstream_timeout", 1000},
		{"answers vanish, a client in a hurry", "timeout downstream timeout=0", 400 * time.Millisecond, codes.DeadlineExceeded, "", 400},
	} {
		link := badLinkTo(t, service)
		link.set(f.toxics)
		_, client := calls(t, "services: { shop: { targets: 'grpc://%s', retries: off, timeouts: { response: %v } } }\nroutes: [{ match: POST /*, to: shop, timeout: 10s }]", link.address, calm*time.Second)
		all.Go(func() {
			call := func(d time.Duration) (*grpcstatus.Status, time.Duration) {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				begun := time.Now()
				_, err := client.UnaryCall(ctx, &testpb.SimpleRequest{})
				return grpcstatus.Convert(err), time.Since(begun)
			}
			st, took := call(f.deadline)
			reason := ""
			for _, d := range st.Details() {
				if info, ok := d.(*errdetails.ErrorInfo); ok {
					reason = info.Reason
				}
			}
			if st.Code() != f.code || f.reason != "" && reason != f.reason || took > calm*f.within*time.Millisecond+slowMachine {
				t.Errorf("%s: %v (%s) after %v", f.what, st, reason, took)
			}
			link.set("")
			if !comesTrue(10*time.Second, func() bool { st, _ := call(time.Second); return st.Code() == codes.OK }) {
				t.Errorf("after %s: no calls", f.what)
			}
		})
	}
	all.Wait()
}

// TestFaultsOfGRPCStreams: what has come of a stream reaches the client, in order
// and unchanged; then the call ends, and never with OK.
func TestFaultsOfGRPCStreams(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		what, toxics string
		timeout      time.Duration // of the route
		code         codes.Code
	}{
		{"a good link", "", time.Minute, codes.OK},
		{"slices", "slicer downstream average_size=20 size_variation=10 delay=10", time.Minute, codes.OK},
		{"late", "latency downstream latency=50 jitter=20", time.Minute, codes.OK},
		{"reset", "reset_peer downstream timeout=0", time.Minute, codes.Unavailable},
		{"cut off", "limit_data downstream bytes=3000", time.Minute, codes.Unavailable},
		{"silence", "timeout downstream timeout=0", 3 * time.Second, codes.DeadlineExceeded},
	} {
		for _, kind := range []string{"server", "both"} {
			t.Run(f.what+", "+kind, func(t *testing.T) {
				t.Parallel()
				faultOfStream(t, kind, f.toxics, f.timeout, f.code)
			})
		}
	}
}

// faultOfStream has the link broken between the first message of a stream and
// the others.
func faultOfStream(t *testing.T, kind, toxics string, timeout time.Duration, want codes.Code) {
	const messages = 20
	broken := make(chan struct{})
	pour := func(send func(*testpb.StreamingOutputCallResponse) error) error {
		for i := range messages {
			if i == 1 {
				<-broken
			}
			if err := send(&testpb.StreamingOutputCallResponse{Payload: numbered(i)}); err != nil {
				return err
			}
		}
		return nil
	}
	s := &shop{
		output: func(_ *testpb.StreamingOutputCallRequest, st testpb.TestService_StreamingOutputCallServer) error {
			return pour(st.Send)
		},
		stream: func(st testpb.TestService_FullDuplexCallServer) error {
			if _, err := st.Recv(); err != nil {
				return err
			}
			return pour(st.Send)
		},
	}
	link := badLinkTo(t, s.serve(t))
	var once sync.Once
	breaks := func() {
		once.Do(func() {
			link.set(toxics)
			close(broken)
		})
	}
	t.Cleanup(breaks) // before the server is stopped, which waits for its calls
	_, client := calls(t, "services: { shop: { targets: 'grpc://%s', retries: off } }\nroutes: [{ match: POST /*, to: shop, timeout: %v }]", link.address, timeout)
	next, err := opened(t.Context(), client, kind)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for ; ; got++ {
		var m *testpb.StreamingOutputCallResponse
		if m, err = next(); err != nil {
			break
		}
		if !bytes.Equal(m.Payload.Body, numbered(got).Body) {
			t.Fatalf("message %d is another one", got)
		}
		breaks()
	}
	code := codes.OK
	if err != io.EOF {
		code = grpcstatus.Code(err)
	}
	if code != want || got == 0 || (got == messages) != (code == codes.OK) {
		t.Errorf("%d messages, then %v", got, err)
	}
}

// numbered is a payload that is like no other.
func numbered(i int) *testpb.Payload {
	return &testpb.Payload{Body: bytes.Repeat([]byte{byte(i)}, 1000+i)}
}

// opened begins a stream of that kind, and returns what reads its next message.
func opened(ctx context.Context, client testpb.TestServiceClient, kind string) (func() (*testpb.StreamingOutputCallResponse, error), error) {
	if kind == "server" {
		st, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{})
		if err != nil {
			return nil, err
		}
		return st.Recv, nil
	}
	st, err := client.FullDuplexCall(ctx)
	if err != nil {
		return nil, err
	}
	return st.Recv, st.Send(&testpb.StreamingOutputCallRequest{})
}

// An answer without a grpc-status, or one that ends before its trailers, is no
// success to a client.
func TestServicesWithoutGRPCStatus(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		switch r.Header.Get("How") {
		case "a message and no trailers":
			w.Write([]byte{0, 0, 0, 0, 0})
		case "half a message":
			w.Header().Set("Trailer", "Grpc-Status")
			w.Write([]byte{0, 0, 0, 0, 9, 1})
			w.Header().Set("Grpc-Status", "0")
		case "a reset":
			w.Write([]byte{0, 0, 0, 0, 0})
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "HTML":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<p>It works</p>")
		}
	})}
	service.Protocols.SetUnencryptedHTTP2(true)
	go service.Serve(l)
	defer service.Close()
	for _, how := range []string{"nothing at all", "a message and no trailers", "half a message", "a reset", "HTML"} {
		_, client := calls(t, "services: { shop: grpc://%s }\nroutes: [{ match: POST /*, to: shop, timeout: 5s, headers: { request: { set: { How: %q } } } }]", l.Addr(), how)
		if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); grpcstatus.Code(err) == codes.OK || grpcstatus.Code(err) == codes.DeadlineExceeded {
			t.Errorf("%s: %v", how, err)
		} else {
			t.Logf("%s: %v", how, err)
		}
	}
}
