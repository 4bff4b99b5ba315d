package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// Requests that are not kept allocate nothing: without spans, and with those
// that are recorded because it is not known yet how they end.
func TestTracesAllocate0(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, more := range map[string]string{"not sampled": "errors: false, slow: off", "not kept": "errors: true, slow: 10s"} {
		for sent, field := range map[string]string{"": "", " and the client's trace": "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"} {
			t.Run(name+sent, func(t *testing.T) {
				g := start(t, fmt.Sprintf("%straces: { to: 'http://127.0.0.1:1', sample: 0%%, %s }\n", plainConfig, more))
				if n := g.allocations(field); n > 0.05 {
					t.Errorf("%.2f allocations a request, want 0", n)
				}
			})
		}
	}
}

// allocations of a plain proxied request, from socket to socket.
func (g *gate) allocations(field string) float64 {
	c := dial(g.t, g)
	request := []byte("GET /1k HTTP/1.1\r\nHost: bench.example\r\n" + field + "Accept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	one := func() {
		if _, err := c.Write(request); err != nil {
			g.t.Fatal(err)
		}
		n, want := 0, -1
		for want < 0 || n < want {
			m, err := c.Read(buf[n:])
			if err != nil {
				g.t.Fatal(err)
			}
			n += m
			if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); want < 0 && i >= 0 {
				want = i + 4 + 1024
			}
		}
	}
	for range 500 {
		one()
	}
	const rounds = 3000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range rounds {
		one()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / rounds
}

// What traces cost: off, a request that is not sampled, one that is recorded and
// not kept, one that is kept (and its spans dropped, where nobody takes them).
func BenchmarkTraces(b *testing.B) {
	for _, k := range []struct{ name, conf string }{
		{"off", "traces: off"},
		{"unsampled", "traces: { to: 'http://127.0.0.1:1', sample: 0%, errors: false, slow: off }"},
		{"recorded", "traces: { to: 'http://127.0.0.1:1', sample: 0% }"},
		{"kept", "traces: { to: 'http://127.0.0.1:1' }"},
	} {
		b.Run(k.name, func(b *testing.B) {
			g := start(b, plainConfig+k.conf+"\n")
			c := dial(b, g)
			request := []byte("GET /1k HTTP/1.1\r\nHost: bench.example\r\nAccept: */*\r\n\r\n")
			buf := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(request)
				for n := 0; n < 1024; {
					m, err := c.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					n += m
				}
			}
		})
	}
}

// A gRPC call is told as one: the exchange and the attempt by the method, with
// the status of gRPC.
func TestTraceOfAGRPCCall(t *testing.T) {
	c, to := overHTTP(t)
	told := make(chan string, 1)
	s := &shop{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		told <- md.Get("traceparent")[0]
		return &testpb.SimpleResponse{}, nil
	}}
	_, client := calls(t, "traces: { to: %s, period: 10ms }"+toShop, to, s.serve(t))
	if _, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	list := c.await(2)
	const method = "grpc.testing.TestService/UnaryCall"
	if want := method + "\n  " + method + "\n"; tree(list) != want {
		t.Fatalf("got\n%swant\n%s", tree(list), want)
	}
	parent := <-told
	for _, s := range list {
		a := attributesOf(s.Attributes)
		if a["rpc.system.name"] != "grpc" || a["rpc.method"] != method || a["rpc.response.status_code"] != "OK" {
			t.Errorf("%v", a)
		}
		if len(s.ParentSpanId) > 0 && parent != fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId) {
			t.Errorf("the service was told %s", parent)
		}
	}
}
