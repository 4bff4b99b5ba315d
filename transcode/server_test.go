package transcode

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"gopura/exchange"
	"gopura/h2"
)

// shop is a real gRPC server of testdata/shop.proto.
type shop struct {
	t        testing.TB
	schema   *Schema
	server   *grpc.Server
	Address  string
	compress bool // answers with gzip

	mu   sync.Mutex
	seen []metadata.MD
	gate chan struct{} // streams wait for it after the first message; nil: they don't
}

// startShop starts the server, with reflection in its old or new version, or none.
func startShop(t testing.TB, reflect string) *shop {
	t.Helper()
	s := &shop{t: t, schema: testSchema(t, "shop.proto")}
	s.server = grpc.NewServer(grpc.UnknownServiceHandler(s.serve))
	if reflect != "" {
		s.reflect(reflect)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = ln.Addr().String()
	go s.server.Serve(ln)
	t.Cleanup(s.server.Stop)
	return s
}

type info map[string]grpc.ServiceInfo

func (i info) GetServiceInfo() map[string]grpc.ServiceInfo { return i }

func (s *shop) reflect(version string) {
	o := reflection.ServerOptions{Services: info{"shop.v1.Catalog": {}, "shop.v1.Mirror": {}}, DescriptorResolver: s.schema.files}
	if version == "v1" {
		grpc_reflection_v1.RegisterServerReflectionServer(s.server, reflection.NewServerV1(o))
	} else {
		grpc_reflection_v1alpha.RegisterServerReflectionServer(s.server, reflection.NewServer(o))
	}
}

// transport reaches the server as the gateway does.
func (s *shop) transport() exchange.Handler {
	tr := h2.NewTransport(h2.TransportConfig{Address: s.Address, ConnectTimeout: 5 * time.Second, ResponseTimeout: 10 * time.Second, IdleTimeout: time.Minute})
	s.t.Cleanup(func() { tr.Close() })
	return tr
}

func (s *shop) handler(o Options) *Handler {
	o.Name, o.Service = "catalog", s.transport()
	if o.Source == nil {
		o.Source = Fixed(s.schema)
	}
	return New(o)
}

func (s *shop) serve(_ any, stream grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(stream)
	m, err := s.schema.Method(name)
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.mu.Lock()
	s.seen = append(s.seen, md)
	s.mu.Unlock()
	if s.compress {
		if err := grpc.SetSendCompressor(stream.Context(), gzip.Name); err != nil {
			return err
		}
	}
	receive := func() (*dynamicpb.Message, error) {
		in := dynamicpb.NewMessage(m.Desc.Input())
		return in, stream.RecvMsg(in)
	}
	send := func(format string, args ...any) error {
		out := dynamicpb.NewMessage(m.Desc.Output())
		if err := protojson.Unmarshal(fmt.Appendf(nil, format, args...), out); err != nil {
			return status.Error(codes.Internal, err.Error())
		}
		return stream.SendMsg(out)
	}
	text := func(in *dynamicpb.Message, field string) string {
		return in.Get(in.Descriptor().Fields().ByName(protoreflect.Name(field))).String()
	}
	switch m.Desc.Name() {
	case "ImportProducts":
		var ids []string
		for {
			in, err := receive()
			if err == io.EOF {
				return send(`{"count":%d,"ids":["%s"]}`, len(ids), strings.Join(ids, `","`))
			}
			if err != nil {
				return err
			}
			ids = append(ids, text(in, "id"))
		}
	case "Price":
		for {
			in, err := receive()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := send(`{"id":%q,"price":{"currency":"INR","units":"5"}}`, text(in, "id")); err != nil {
				return err
			}
		}
	}
	in, err := receive()
	if err != nil {
		return err
	}
	switch m.Desc.Name() {
	case "GetProduct":
		stream.SetHeader(metadata.Pairs("x-shelf", "7", "x-blob-bin", "\x00\x01"))
		stream.SetTrailer(metadata.Pairs("x-cost", "3"))
		return send(`{"id":%q,"name":"Assam","price":{"currency":"INR","units":"9007199254740993"},"stock":"12","tags":["a","b"]}`, text(in, "id"))
	case "ListProducts":
		n := in.Get(in.Descriptor().Fields().ByName("limit")).Int()
		for i := range n {
			if err := send(`{"id":"p%d"}`, i); err != nil {
				return err
			}
			if i == 0 && s.gate != nil {
				select {
				case <-s.gate:
				case <-stream.Context().Done():
					return stream.Context().Err()
				}
			}
		}
		return nil
	case "Fail", "FailLate":
		if m.Desc.Name() == "FailLate" {
			send(`{"id":"first"}`)
		}
		st := status.New(codes.Code(in.Get(in.Descriptor().Fields().ByName("code")).Int()), text(in, "message"))
		if in.Get(in.Descriptor().Fields().ByName("details")).Bool() {
			st, _ = st.WithDetails(
				&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "id", Description: "too short"}}},
				&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
				durationpb.New(time.Second),
			)
		}
		return st.Err()
	case "Download":
		return send(`{"contentType":"text/x-%s","data":"AP8B"}`, text(in, "path"))
	case "Slow":
		<-stream.Context().Done()
		return stream.Context().Err()
	case "Upload":
		b, _ := protojson.Marshal(in)
		return send(`{"method":%q,"data":%q}`, name, base64Of(b))
	}
	b, err := protojson.Marshal(in)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return send(`{"method":%q,"question":%s}`, name, b)
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// answer is what came of a request.
type answer struct {
	Status int
	Header exchange.Header
	Body   string
	Err    *exchange.Error
	Broken error // of the body
}

// ask serves one request by h, as a front end would.
func ask(t testing.TB, h exchange.Handler, line, body string, fields ...string) answer {
	t.Helper()
	x := request(line, body, fields...)
	defer x.Done()
	a := answer{}
	if err := h.Serve(x); err != nil {
		a.Err = exchange.AsError(err)
		a.Status = a.Err.Status
		return a
	}
	a.Status = x.Response.Status
	b, err := exchange.ReadAll(x.Response.Body, 1<<20)
	a.Body, a.Broken = string(b), err
	a.Header.CopyFrom(&x.Response.Header)
	return a
}

// request makes the exchange of "GET /path?query".
func request(line, body string, fields ...string) *exchange.Exchange {
	method, target, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(target, "?")
	x := &exchange.Exchange{Client: &exchange.Client{Addr: netip.MustParseAddrPort("192.0.2.1:1")}, ID: []byte("id-1"), Start: time.Now()}
	x.Arm()
	x.Request = exchange.Request{Method: method, Scheme: "http", Authority: []byte("shop.example.com"), Host: []byte("shop.example.com"), Target: []byte(target), Path: []byte(path), Query: []byte(query), Body: exchange.BytesBody([]byte(body))}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Request.Header.Add(name, value)
	}
	return x
}
