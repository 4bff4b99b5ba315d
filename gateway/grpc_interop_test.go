package gateway_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"

	"gopura/internal/testca"
)

// grpcServer serves with grpc-go, and returns its address.
func grpcServer(t testing.TB, register func(*grpc.Server), o ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(o...)
	register(s)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// grpcClient is a connection of grpc-go to the gateway.
func grpcClient(t testing.TB, address string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	if len(o) == 0 || o[0] == nil {
		o = append(o, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	cc, err := grpc.NewClient("passthrough:///"+address, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func interopServer(s *grpc.Server) {
	testpb.RegisterTestServiceServer(s, interop.NewTestServer())
}

// The interop suite of gRPC, with grpc-go on both sides and the gateway between
// them. What is not here needs Google's identities or a load report of xDS. Each
// case ends the process when it fails.
func TestGRPCInterop(t *testing.T) {
	ca := testca.New(t, "ca")
	pair := ca.Server("shop.test", "127.0.0.1")
	plain := grpcServer(t, interopServer)
	secure := grpcServer(t, interopServer, grpc.Creds(credentials.NewServerTLSFromCert(&pair.TLS)))
	g := start(t, fmt.Sprintf(`
listen:
  main: 127.0.0.1:0
  tls: { address: 127.0.0.1:0, tls: { certificates: [{ cert: %s, key: %s }] } }
access_log: off
services:
  plain: grpc://%s
  secure: { targets: grpcs://%s, tls: { ca: %s, server_name: shop.test } }
routes:
  - { match: POST plain.test/*, to: plain }
  - { match: POST shop.test/*, to: secure }
`, pair.Cert, pair.Key, plain, secure, ca.File))
	for name, cc := range map[string]*grpc.ClientConn{
		"cleartext": grpcClient(t, g.Address("main"), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("plain.test")),
		"TLS":       grpcClient(t, g.Address("tls"), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "shop.test"}))),
	} {
		tc := testpb.NewTestServiceClient(cc)
		for _, c := range []struct {
			name string
			do   func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)
		}{
			{"empty_unary", interop.DoEmptyUnaryCall},
			{"large_unary", interop.DoLargeUnaryCall},
			{"client_streaming", interop.DoClientStreaming},
			{"server_streaming", interop.DoServerStreaming},
			{"ping_pong", interop.DoPingPong},
			{"empty_stream", interop.DoEmptyStream},
			{"timeout_on_sleeping_server", interop.DoTimeoutOnSleepingServer},
			{"cancel_after_begin", interop.DoCancelAfterBegin},
			{"cancel_after_first_response", interop.DoCancelAfterFirstResponse},
			{"custom_metadata", interop.DoCustomMetadata},
			{"status_code_and_message", interop.DoStatusCodeAndMessage},
			{"special_status_message", interop.DoSpecialStatusMessage},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				c.do(ctx, tc)
			})
		}
		t.Run(name+"/unimplemented", func(t *testing.T) {
			interop.DoUnimplementedService(t.Context(), testpb.NewUnimplementedServiceClient(cc))
			interop.DoUnimplementedMethod(t.Context(), cc)
		})
	}
}

// aged makes grpc-go close connections that are that old.
func aged(d time.Duration) keepalive.ServerParameters {
	return keepalive.ServerParameters{MaxConnectionAge: d, MaxConnectionAgeGrace: 5 * time.Second}
}
