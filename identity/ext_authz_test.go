package identity

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoy "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"gopura/config"
	"gopura/exchange"
	"gopura/internal/freeport"
	"gopura/internal/testca"
)

// authz is Envoy's service, by grpc-go and Envoy's own types.
type authz struct {
	auth.UnimplementedAuthorizationServer
	check func(ctx context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error)
}

func (a *authz) Check(ctx context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error) {
	return a.check(ctx, q)
}

func serveAuthz(t testing.TB, check func(ctx context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error), o ...grpc.ServerOption) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(o...)
	auth.RegisterAuthorizationServer(s, &authz{check: check})
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

// says is a service that always says the same.
func says(t testing.TB, answer *auth.CheckResponse) string {
	return serveAuthz(t, func(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) { return answer, nil })
}

func authzAt(address string) *ExtAuthz {
	return &ExtAuthz{
		URL: "grpc://" + address, Copy: []string{"X-User-Id", "X-Groups"}, Sub: "user", OnFailure: "refuse", Timeout: 400 * time.Millisecond,
		Claims: []config.Pair{{Name: "user", Value: "X-User-Id"}, {Name: "groups", Value: "X-Groups"}},
	}
}

func field(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
}

func leave(ok *auth.OkHttpResponse) *auth.CheckResponse {
	return &auth.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok}}
}

func refusal(denied *auth.DeniedHttpResponse) *auth.CheckResponse {
	return &auth.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)}, HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: denied}}
}

// The service hears what Envoy would tell it, and all of it is the gateway's word.
func TestExtAuthzHears(t *testing.T) {
	var heard *auth.AttributeContext
	address := serveAuthz(t, func(_ context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error) {
		heard = q.Attributes
		return leave(&auth.OkHttpResponse{Headers: []*core.HeaderValueOption{field("x-user-id", "ada")}}), nil
	})
	spec := authzAt(address)
	spec.Hide = []string{"X-Secret"}
	spec.Extensions = []config.Pair{{Name: "route", Value: "orders"}, {Name: "empty", Value: ""}}
	spec.Body = 100
	w := newWorld(t)
	s := w.compile(spec)
	x := request("POST", "/orders/7?x=%20&y", "Authorization: Bearer t", "X-Secret: planted", "Cookie: a=1", "COOKIE: b=2", "Accept: a", "accept: b", "X-Bad: \xff\xfez",
		"x-envoy-auth-partial-body: true", "x-forwarded-proto: gopher")
	x.Start = time.Unix(1700000000, 42)
	x.Client.Local = netip.MustParseAddrPort("[::ffff:10.0.0.1]:443")
	x.Client.Protocol = "HTTP/2.0"
	x.Client.TLS = &tls.ConnectionState{ServerName: "shop.example.com"}
	x.Request.Body = exchange.BytesBody([]byte("grüße"))
	expect(t, s, x, "ada")
	r := heard.Request.Http
	for what, pair := range map[string][2]any{
		"method": {r.Method, "POST"}, "path": {r.Path, "/orders/7?x=%20&y"}, "host": {r.Host, "shop.example.com"}, "scheme": {r.Scheme, "https"},
		"query": {r.Query, ""}, "protocol": {r.Protocol, "HTTP/2"}, "size": {r.Size, int64(7)}, "body": {r.Body, "grüße"}, "raw": {len(r.RawBody), 0}, "id": {r.Id, "id-1"},
		"time":   {heard.Request.Time.AsTime().UnixNano(), int64(1700000000000000042)},
		"source": {heard.Source.Address.GetSocketAddress().Address, "192.0.2.7"}, "port": {heard.Source.Address.GetSocketAddress().GetPortValue(), uint32(4711)},
		"destination": {heard.Destination.Address.GetSocketAddress().Address, "10.0.0.1"}, "its port": {heard.Destination.Address.GetSocketAddress().GetPortValue(), uint32(443)},
		"principal": {heard.Source.Principal, ""}, "sni": {heard.TlsSession.Sni, "shop.example.com"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	if !maps.Equal(heard.ContextExtensions, map[string]string{"route": "orders", "empty": ""}) {
		t.Errorf("extensions %v", heard.ContextExtensions)
	}
	want := map[string]string{
		":method": "POST", ":path": "/orders/7?x=%20&y", ":authority": "shop.example.com", ":scheme": "https", "x-request-id": "id-1", "x-forwarded-for": "192.0.2.7",
		"x-forwarded-proto": "https", "authorization": "Bearer t", "cookie": "a=1; b=2", "accept": "a,b", "x-bad": "!!z", "x-envoy-auth-partial-body": "false",
	}
	if !maps.Equal(r.Headers, want) {
		t.Errorf("the service hears\n%v\nwant\n%v", r.Headers, want)
	}
	if body, err := exchange.ReadAll(x.Request.Body, 100); string(body) != "grüße" || err != nil {
		t.Errorf("the upstream gets the body %q, %v", body, err)
	}
	if !slices.Equal(w.asserted, []string{"X-User-Id", "X-Groups"}) {
		t.Errorf("asserted %v", w.asserted)
	}
	// A choice of fields.
	spec.Send, spec.Hide, spec.Body = []string{"Accept"}, nil, 0
	expect(t, w.compile(spec), request("GET", "/caf\xc3\xa9", "Accept: a", "Cookie: c"), "ada")
	r = heard.Request.Http
	if got := slices.Sorted(maps.Keys(r.Headers)); !slices.Equal(got, []string{":authority", ":method", ":path", ":scheme", "accept"}) || r.Path != "/caf%C3%A9" || r.Size != 0 {
		t.Errorf("the service hears %v of %s", got, r.Path)
	}
}

// A client's certificate is the principal, once it is verified.
func TestExtAuthzPrincipal(t *testing.T) {
	var heard *auth.AttributeContext
	address := serveAuthz(t, func(_ context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error) {
		heard = q.Attributes
		return leave(&auth.OkHttpResponse{Headers: []*core.HeaderValueOption{field("x-user-id", "ada")}}), nil
	})
	w := newWorld(t)
	s := w.compile(authzAt(address))
	pair := testca.New(t, "clients").Server("partner.example.com")
	loaded, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	x := request("GET", "/")
	x.Client.TLS = &tls.ConnectionState{}
	x.Client.TLS.PeerCertificates = append(x.Client.TLS.PeerCertificates, loaded.Leaf)
	if expect(t, s, x, "ada"); heard.Source.Principal != "" {
		t.Errorf("an unverified certificate says %q", heard.Source.Principal)
	}
	x.Client.TLS.VerifiedChains = append(x.Client.TLS.VerifiedChains, x.Client.TLS.PeerCertificates)
	if expect(t, s, x, "ada"); heard.Source.Principal != "partner.example.com" {
		t.Errorf("principal %q", heard.Source.Principal)
	}
}

// The service hears all of a body, or the request does not pass.
func TestExtAuthzBody(t *testing.T) {
	var heard *auth.AttributeContext_HttpRequest
	address := serveAuthz(t, func(_ context.Context, q *auth.CheckRequest) (*auth.CheckResponse, error) {
		heard = q.Attributes.Request.Http
		return leave(&auth.OkHttpResponse{Headers: []*core.HeaderValueOption{field("x-user-id", "ada")}}), nil
	})
	w := newWorld(t)
	for _, c := range []struct {
		name, body     string
		partial, bytes bool
		outcome, heard string
		cut            string
	}{
		{"small", "12345678", false, false, "ada", "12345678", "false"},
		{"large", "123456789", false, false, "body_too_large", "", ""},
		{"large, in part", "123456789", true, false, "ada", "12345678", "true"},
		{"cut within a character", "1234567é", true, false, "ada", "1234567", "true"},
		{"no text", "\xff\xfe", false, false, "bad_request", "", ""},
		{"no text, as bytes", "\xff\xfe", false, true, "ada", "\xff\xfe", "false"},
		{"none", "", false, false, "ada", "", "false"},
	} {
		for _, known := range []bool{true, false} {
			heard = nil
			spec := authzAt(address)
			spec.Body, spec.Partial, spec.Bytes = 8, c.partial, c.bytes
			x := request("POST", "/")
			if x.Request.Body = exchange.BytesBody([]byte(c.body)); !known {
				x.Request.Body = &chunked{x.Request.Body}
			}
			expect(t, w.compile(spec), x, c.outcome)
			if c.outcome != "ada" {
				if heard != nil {
					t.Errorf("%s: the service was asked", c.name)
				}
				continue
			}
			got := heard.Body
			if c.bytes {
				got = string(heard.RawBody)
			}
			if got != c.heard || heard.Headers["x-envoy-auth-partial-body"] != c.cut {
				t.Errorf("%s: the service hears %q, %v", c.name, got, heard.Headers)
			}
			if body, err := exchange.ReadAll(x.Request.Body, 100); string(body) != c.body || err != nil {
				t.Errorf("%s: the upstream gets %q, %v", c.name, body, err)
			}
		}
	}
}

// chunked is a body whose length nobody knows.
type chunked struct{ exchange.Body }

func (chunked) Len() int64 { return -1 }

// What the service says replaces what the client said, under whatever spelling;
// what it has no say in stays as it is.
func TestExtAuthzPasses(t *testing.T) {
	yes, no := wrapperspb.Bool(true), wrapperspb.Bool(false)
	metadata, err := structpb.NewStruct(map[string]any{
		"tenant": "acme", "level": 7, "ratio": 0.5, "admin": true, "none": nil, "list": []any{"a", map[string]any{"b": 1}}, "groups": "forged", "sub": "forged"})
	if err != nil {
		t.Fatal(err)
	}
	answer := leave(&auth.OkHttpResponse{
		Headers: []*core.HeaderValueOption{
			field("X-User-ID", "ada"), field("x-groups", "a"), {Header: &core.HeaderValue{Key: "x-groups", RawValue: []byte("b")}, Append: yes},
			{Header: &core.HeaderValue{Key: "x-groups", Value: "no"}, AppendAction: core.HeaderValueOption_ADD_IF_ABSENT},
			field("x-other", "theirs"), field(":path", "/admin"), field("host", "evil.example.com"), field("connection", "x-user-id"), field("content-length", "3"),
			field("transfer-encoding", "chunked"), field("x-forwarded-for", "1.2.3.4"),
		},
		HeadersToRemove: []string{"Authorization", ":method", "host", "x_drop", "x-forwarded-for", "content-length"},
		ResponseHeadersToAdd: []*core.HeaderValueOption{
			field("Set-Cookie", "s=1"), {Header: &core.HeaderValue{Key: "set-cookie", Value: "t=2"}, Append: no}, field("content-length", "1"), field(":status", "500")},
		QueryParametersToSet:    []*core.QueryParameter{{Key: "user", Value: "a&b=c"}, {Key: "x", Value: "2"}},
		QueryParametersToRemove: []string{"token", "absent"},
	})
	answer.DynamicMetadata = metadata
	spec := authzAt(says(t, answer))
	spec.Metadata = true
	x := request("GET", "/?token=planted&x=1&%78=3&keep=%2B", "Authorization: Bearer t", "X-User-Id: root", "x_user_id: root", "X_Groups: admin", "X-Other: mine", "X-Drop: 1", "x-forwarded-for: 9.9.9.9")
	id, _ := expect(t, newWorld(t).compile(spec), x, "ada")
	want := "X-Other: mine\nX-User-ID: ada\nx-forwarded-for: 9.9.9.9\nx-groups: a\nx-groups: b"
	if got := fieldsOf(&x.Request.Header); got != want {
		t.Errorf("the upstream gets\n%s\nwant\n%s", got, want)
	}
	if got := string(x.Request.Query); got != "keep=%2B&user=a%26b%3Dc&x=2" {
		t.Errorf("the upstream gets the query %s", got)
	}
	if got := fieldsOf(&x.Response.Header); got != "Set-Cookie: s=1\nset-cookie: t=2" {
		t.Errorf("the client gets %s", got)
	}
	claims := map[string]any{"user": "ada", "sub": "ada", "groups": "a, b", "tenant": "acme", "level": int64(7), "ratio": 0.5, "admin": true, "none": nil,
		"list": []any{"a", map[string]any{"b": int64(1)}}}
	if id == nil || fmt.Sprint(id.Claims) != fmt.Sprint(claims) {
		t.Errorf("claims %v, want %v", id, claims)
	}
	// Metadata that nobody asked for is nothing, and a field that is left out is not the client's.
	spec.Metadata, spec.Sub = false, ""
	answer.GetOkResponse().Headers = nil
	x = request("GET", "/", "X-User-Id: root", "X-Groups: admin")
	id, _ = expect(t, newWorld(t).compile(spec), x, "")
	if x.Request.Header.Len() != 0 || id == nil || len(id.Claims) != 0 {
		t.Errorf("the upstream gets %s, claims %v", fieldsOf(&x.Request.Header), id)
	}
}

func TestExtAuthzDenies(t *testing.T) {
	w := newWorld(t)
	s := w.compile(authzAt(says(t, refusal(&auth.DeniedHttpResponse{
		Status:  &envoy.HttpStatus{Code: envoy.StatusCode_Found},
		Headers: []*core.HeaderValueOption{field("location", "https://login.example.com/?a=b"), field("content-length", "99"), field(":status", "200"), field("connection", "close")},
		Body:    "this way",
	}))))
	x := request("GET", "/private")
	expect(t, s, x, "answered")
	body, _ := exchange.ReadAll(x.Response.Body, 100)
	want := "Cache-Control: no-store\nGopura-Answer: identity\nlocation: https://login.example.com/?a=b"
	if got := fieldsOf(&x.Response.Header); x.Response.Status != 302 || string(body) != "this way" || got != want || x.Err != nil {
		t.Errorf("the client gets %d %q\n%s\n(%v)", x.Response.Status, body, got, x.Err)
	}
	for name, c := range map[string]struct {
		answer *auth.CheckResponse
		status int
	}{
		"plain":               {&auth.CheckResponse{Status: &rpcstatus.Status{Code: 7}}, 403},
		"no status":           {&auth.CheckResponse{HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{}}}, 403},
		"a word of its own":   {refusal(&auth.DeniedHttpResponse{Status: &envoy.HttpStatus{Code: 429}}), 429},
		"leave, and a denial": {&auth.CheckResponse{Status: &rpcstatus.Status{Code: 16}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}}}, 403},
	} {
		x := request("GET", "/private", "X-User-Id: root")
		expect(t, w.compile(authzAt(says(t, c.answer))), x, "answered")
		if x.Response.Status != c.status || x.Err == nil || x.Err.Status != c.status {
			t.Errorf("%s: status %d, recorded as %v", name, x.Response.Status, x.Err)
		}
	}
	x = request("POST", "/shop.Orders/Get", "Content-Type: application/grpc")
	if _, err := expect(t, s, x, bad); exchange.AsError(err).GRPC() != exchange.GRPCUnauthenticated {
		t.Errorf("a gRPC client gets %v", err)
	}
}

// Everything else fails closed, and in time.
func TestExtAuthzFaults(t *testing.T) {
	gate := func(err error) func(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
		return func(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) { return nil, err }
	}
	ok := func(o *core.HeaderValueOption) string {
		return says(t, leave(&auth.OkHttpResponse{Headers: []*core.HeaderValueOption{o}}))
	}
	no := func(o *core.HeaderValueOption) string {
		return says(t, refusal(&auth.DeniedHttpResponse{Headers: []*core.HeaderValueOption{o}}))
	}
	garbage := func(body string, trailer ...string) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/grpc")
			rw.Header().Set("Trailer", "Grpc-Status")
			fmt.Fprint(rw, body)
			for _, v := range trailer {
				rw.Header().Set("Grpc-Status", v)
			}
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	for name, c := range map[string]struct {
		address string
		away    bool // on_failure: allow lets it pass
	}{
		"hangs": {serveAuthz(t, func(ctx context.Context, _ *auth.CheckRequest) (*auth.CheckResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), true},
		"nobody listens":        {freeport.Address(t), true},
		"UNAVAILABLE":           {serveAuthz(t, gate(status.Error(codes.Unavailable, "later"))), true},
		"PERMISSION_DENIED":     {serveAuthz(t, gate(status.Error(codes.PermissionDenied, "no"))), false},
		"UNIMPLEMENTED":         {serveAuthz(t, gate(status.Error(codes.Unimplemented, "no"))), false},
		"says nothing":          {says(t, &auth.CheckResponse{}), false},
		"both ways":             {says(t, &auth.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{}}}), false},
		"its own error":         {says(t, &auth.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &auth.CheckResponse_ErrorResponse{ErrorResponse: &auth.DeniedHttpResponse{}}}), false},
		"nobody in particular":  {says(t, leave(&auth.OkHttpResponse{})), false},
		"a line feed":           {ok(field("x-user-id", "a\r\nX-Admin: 1")), false},
		"a NUL":                 {ok(field("x-user-id", "a\x00")), false},
		"a name that is none":   {ok(field("x-user-id: a\r\nx-admin", "1")), false},
		"no name":               {ok(field("", "a")), false},
		"a line feed in a no":   {no(field("location", "/\r\nSet-Cookie: a=1")), false},
		"a status that is none": {says(t, refusal(&auth.DeniedHttpResponse{Status: &envoy.HttpStatus{Code: 101}})), false},
		"a huge no":             {says(t, refusal(&auth.DeniedHttpResponse{Body: strings.Repeat("a", 65<<10)})), false},
		"a huge answer":         {ok(field("x-user-id", strings.Repeat("a", 2<<20))), true}, // its bytes are not read: as if there were none
		"garbage":               {garbage("\x00\x00\x00\x00\x03\xff\xff\xff", "0"), false},
		"half a message":        {garbage("\x00\x00\x00\x00\x09\x0a\x00", "0"), false},
		"compressed":            {garbage("\x01\x00\x00\x00\x02\x0a\x00", "0"), false},
		"two messages":          {garbage("\x00\x00\x00\x00\x02\x0a\x00\x00\x00\x00\x00\x02\x0a\x00", "0"), false},
		"no message":            {garbage("", "0"), false},
		"no status":             {garbage("\x00\x00\x00\x00\x02\x0a\x00"), false},
		"status in words":       {garbage("\x00\x00\x00\x00\x02\x0a\x00", "fine"), false},
		"HTTP/1.1":              {strings.TrimPrefix(serve(t, func(rw http.ResponseWriter, r *http.Request) {}), "http://"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			spec := authzAt(c.address)
			start := time.Now()
			if _, err := expect(t, w.compile(spec), request("GET", "/", "X-User-Id: root", "Authorization: Bearer planted"), away); err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("the error shows a credential: %v", err)
			}
			if time.Since(start) > 3*time.Second {
				t.Errorf("it took %v", time.Since(start))
			}
			spec.OnFailure = "allow"
			x := request("GET", "/", "X-User-Id: root")
			id, _ := w.compile(spec).Identify(x)
			if passed := id != nil; passed != c.away || passed && (!id.Anonymous || id.Sub != "" || x.Request.Header.Len() != 0) {
				t.Errorf("with on_failure: allow it is %+v, and the upstream gets %s", id, fieldsOf(&x.Request.Header))
			}
		})
	}
}

// Over TLS the service is verified, and shown a certificate of ours.
func TestExtAuthzTLS(t *testing.T) {
	ca := testca.New(t, "authz")
	pair := ca.Server("localhost", "127.0.0.1")
	loaded, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{loaded}, ClientAuth: tls.RequireAnyClientCert}
	answer := leave(&auth.OkHttpResponse{Headers: []*core.HeaderValueOption{field("x-user-id", "ada")}})
	address := serveAuthz(t, func(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) { return answer, nil }, grpc.Creds(credentials.NewTLS(conf)))
	w := newWorld(t)
	spec := authzAt(address)
	spec.URL = "grpcs://" + address
	expect(t, w.compile(spec), request("GET", "/"), away) // nobody vouches for it
	spec.CA = ca.File
	expect(t, w.compile(spec), request("GET", "/"), away) // and it wants a certificate
	spec.Cert, spec.Key = pair.Cert, pair.Key
	expect(t, w.compile(spec), request("GET", "/"), "ada")
}

func TestExtAuthzSettings(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		change func(*ExtAuthz)
		want   string
	}{
		{func(s *ExtAuthz) { s.URL = "http://127.0.0.1:1" }, "grpc://host:port"},
		{func(s *ExtAuthz) { s.URL = "grpc://127.0.0.1" }, "grpc://host:port"},
		{func(s *ExtAuthz) { s.URL = "grpc://127.0.0.1:1/check" }, "all that a gRPC service has"},
		{func(s *ExtAuthz) { s.URL = "grpc://a:b@127.0.0.1:1" }, "all that a gRPC service has"},
		{func(s *ExtAuthz) { s.CA = "ca.pem" }, "grpcs://"},
		{func(s *ExtAuthz) { s.URL, s.CA = "grpcs://127.0.0.1:1", "absent.pem" }, "no such file"},
		{func(s *ExtAuthz) { s.Copy = append(s.Copy, "Host") }, "can't be copied"},
		{func(s *ExtAuthz) { s.Copy = append(s.Copy, "x_forwarded_for") }, "the gateway's own"},
		{func(s *ExtAuthz) { s.Send = []string{"a b"} }, "field name"},
		{func(s *ExtAuthz) { s.Claims[0].Value = "X-Other" }, "under copy"},
		{func(s *ExtAuthz) { s.Sub = "nobody" }, "no claim"},
		{func(s *ExtAuthz) { s.Partial = true }, "how much of it"},
	} {
		spec := authzAt("127.0.0.1:1")
		c.change(spec)
		w.refuses(spec, c.want)
	}
}

// Whatever bytes come, the reading ends, and agrees with Envoy's own types on
// what is a message and who may pass.
func FuzzRuling(f *testing.F) {
	metadata, _ := structpb.NewStruct(map[string]any{"a": []any{1, "b", nil, true}})
	for _, m := range []*auth.CheckResponse{
		leave(&auth.OkHttpResponse{Headers: []*core.HeaderValueOption{field("a", "b")}, HeadersToRemove: []string{"c"}, QueryParametersToSet: []*core.QueryParameter{{Key: "d", Value: "e"}}}),
		refusal(&auth.DeniedHttpResponse{Status: &envoy.HttpStatus{Code: 401}, Body: "no"}), {DynamicMetadata: metadata},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x0a\x00\x12\x00\x1a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readRuling(b)
		if err != nil {
			return
		}
		m := new(auth.CheckResponse)
		if proto.Unmarshal(b, m) != nil {
			return // a text in a part that we don't read
		}
		allowed := m.GetStatus().GetCode() == 0 && m.GetDeniedResponse() == nil && m.GetErrorResponse() == nil
		if allowed != (v.denied == nil) {
			t.Errorf("%v: denied is %v", m, v.denied)
		}
	})
}
