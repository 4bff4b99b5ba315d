package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"gopura/transcode"
)

const oldShop = `syntax = "proto3";
package old.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
service Shop {
  rpc Get(Key) returns (Thing) { option (google.api.http) = { get: "/shelves/{shelf}/things/{id}" additional_bindings { get: "/things/{id}" } }; }
  rpc Named(Key) returns (Thing) { option (google.api.http) = { get: "/v1/{name=shelves/*/things/**}:show" }; }
  rpc Find(Filter) returns (stream Thing) { option (google.api.http) = { get: "/things" }; }
  rpc Put(Thing) returns (Thing) { option (google.api.http) = { put: "/things/{id}" body: "*" }; }
  rpc Price(Thing) returns (Thing) { option (google.api.http) = { patch: "/things/{id}" body: "price" response_body: "price" }; }
  rpc File(Key) returns (google.api.HttpBody) { option (google.api.http) = { get: "/files/{id}" }; }
  rpc Plain(Key) returns (Thing);
  rpc Many(stream Thing) returns (Thing);
  rpc Talk(stream Thing) returns (stream Thing) { option (google.api.http) = { post: "/talk" body: "*" }; }
  rpc Move(stream Thing) returns (Thing) { option (google.api.http) = { post: "/things/{id}" body: "*" }; }
}
message Key { string id = 1; string shelf = 2; string name = 3; }
message Thing { string id = 1; string title = 2; Money price = 3; int64 stock = 4; repeated string seen = 5; }
message Money { string currency = 1; int64 units = 2; }
enum Color { NONE = 0; RED = 1; }
message Filter {
  repeated string tags = 1; Money price = 2; Color color = 3; bytes key = 4; google.protobuf.Timestamp since = 5;
  google.protobuf.StringValue maybe = 6; repeated int32 sizes = 7; map<string, string> labels = 8; bool in_stock = 9;
}
`

// oldClient calls methods of oldShop through a gateway, with messages in JSON.
type oldClient struct {
	cc     *grpc.ClientConn
	schema *transcode.Schema
}

// startOld starts a REST service, and a gateway that gives it a gRPC face.
func startOld(t *testing.T, options string, serve http.HandlerFunc) *oldClient {
	t.Helper()
	file := filepath.Join(t.TempDir(), "old.proto")
	if err := os.WriteFile(file, []byte(oldShop), 0o644); err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(serve)
	t.Cleanup(up.Close)
	g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {old: {targets: "%s", retries: off, grpc: {proto: %s}}}
routes: [{match: "POST /old.v1.Shop/*", to: old, grpc: {to_rest: old.v1.Shop%s}}]
`, up.URL, file, options))
	schema, _, err := transcode.CompileSchema(t.Context(), []string{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &oldClient{grpcClient(t, g.Address("main")), schema}
}

func (c *oldClient) call(ctx context.Context, method, in string, o ...grpc.CallOption) (string, error) {
	m, err := c.schema.Method("old.v1.Shop/" + method)
	if err != nil {
		return "", err
	}
	q, r := dynamicpb.NewMessage(m.Desc.Input()), dynamicpb.NewMessage(m.Desc.Output())
	if err := protojson.Unmarshal([]byte(in), q); err != nil {
		return "", err
	}
	if m.ServerStreams {
		return c.stream(ctx, m, q, o...)
	}
	if err := c.cc.Invoke(ctx, m.Path, q, r, o...); err != nil {
		return "", err
	}
	return jsonOf(r), nil
}

func (c *oldClient) stream(ctx context.Context, m *transcode.Method, q *dynamicpb.Message, o ...grpc.CallOption) (string, error) {
	st, err := c.cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, m.Path, o...)
	if err != nil {
		return "", err
	}
	if err := st.SendMsg(q); err != nil {
		return "", err
	}
	st.CloseSend()
	var all []string
	for {
		r := dynamicpb.NewMessage(m.Desc.Output())
		if err := st.RecvMsg(r); err != nil {
			if err == io.EOF {
				err = nil
			}
			return strings.Join(all, " "), err
		}
		all = append(all, jsonOf(r))
	}
}

func jsonOf(m protoreflect.ProtoMessage) string {
	b, _ := protojson.Marshal(m)
	return strings.ReplaceAll(string(b), " ", "") // protojson spaces at random
}

// A call becomes the request of its annotation, and the answer its message.
func TestGRPCToREST(t *testing.T) {
	c := startOld(t, "", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said := r.Method + " " + r.RequestURI + " " + r.Header.Get("Content-Type") + " " + string(body)
		switch {
		case r.URL.Path == "/files/logo":
			w.Header().Set("Content-Type", "image/png")
			w.Write([]byte("PNG"))
		case r.URL.Path == "/things/gone":
			w.WriteHeader(http.StatusNoContent)
		case r.Method == "PATCH":
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			fmt.Fprintf(w, `{"currency": %q, "units": 7}`, said)
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"title": %q, "stock": 12, "an old member": 1}`, said)
		}
	})
	for _, k := range []struct{ method, in, want string }{
		{"Get", `{"shelf":"a b","id":"x/y"}`, `GET /shelves/a%20b/things/x%2Fy  `},
		{"Get", `{"id":"ä"}`, `GET /things/%C3%A4  `},
		{"Get", `{"shelf":"..","id":"7","name":"n"}`, `GET /things/7?shelf=..&name=n  `},
		{"Named", `{"name":"shelves/1/things/a/b"}`, `GET /v1/shelves/1/things/a/b:show  `},
		{"Put", `{"id":"7","title":"t","stock":"5"}`, `PUT /things/7 application/json {"title":"t","stock":"5"}`},
		{"Plain", `{"id":"7"}`, `POST /old.v1.Shop/Plain application/json {"id":"7"}`},
		{
			"Find", `{"tags":["a&b","c"],"price":{"units":"3"},"color":"RED","key":"+/8=","since":"2025-01-31T12:00:00Z","maybe":"","sizes":[1,-2],"inStock":true}`,
			`GET /things?tags=a%26b&tags=c&price.units=3&color=RED&key=%2B%2F8%3D&since=2025-01-31T12%3A00%3A00Z&maybe=&sizes=1&sizes=-2&inStock=true  `,
		},
	} {
		for _, o := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
			got, err := c.call(t.Context(), k.method, k.in, o...)
			want := jsonWith(k.want)
			if err != nil || got != want {
				t.Errorf("%s %s: %s %v, want %s", k.method, k.in, got, err, want)
			}
		}
	}
	if got, err := c.call(t.Context(), "Price", `{"id":"7","price":{"units":"3"},"title":"t"}`); err != nil || !strings.Contains(got, `"units":"7"`) || !strings.Contains(got, `PATCH/things/7?title=tapplication/json{\"units\":\"3\"}`) {
		t.Errorf("%s %v", got, err)
	}
	if got, err := c.call(t.Context(), "File", `{"id":"logo"}`); got != `{"contentType":"image/png","data":"UE5H"}` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := c.call(t.Context(), "Put", `{"id":"gone"}`); got != `{}` {
		t.Errorf("%s %v", got, err)
	}
	for _, k := range []struct {
		method, in string
		code       codes.Code
		say        string
	}{
		{"Get", `{}`, codes.InvalidArgument, "shelf: is part of the path and must be set"},
		{"Named", `{"name":"shelves/../things/x"}`, codes.InvalidArgument, "name: does not have the form"},
		{"Named", `{"name":"boxes/1/things/x"}`, codes.InvalidArgument, "name: does not have the form"},
		{"Find", `{"labels":{"a":"b"}}`, codes.InvalidArgument, "labels: can't be said in a query"},
		{"Move", `{"id":"1"}`, codes.Unimplemented, ""},
	} {
		if _, err := c.call(t.Context(), k.method, k.in); grpcstatus.Code(err) != k.code || !strings.Contains(err.Error(), k.say) {
			t.Errorf("%s %s: %v", k.method, k.in, err)
		}
	}
}

// jsonWith is the answer of the service that says what it was asked.
func jsonWith(said string) string {
	return strings.ReplaceAll(fmt.Sprintf(`{"title":%q,"stock":"12"}`, said), " ", "")
}

// What the service says of an error, the client gets.
func TestGRPCToRESTErrors(t *testing.T) {
	var status int
	var kind, body, after string
	c := startOld(t, ", max_message: 1KiB", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	const problem, plain = "application/problem+json", "application/json"
	for _, k := range []struct {
		status          int
		kind, body      string
		code            codes.Code
		message, reason string
	}{
		{404, problem, `{"type":"https://shop.test/gone","title":"Gone away","detail":"no tea 7","instance":"/things/7"}`, codes.NotFound, "no tea 7", "gone"},
		{409, problem, `{"code":"stale","title":"Stale"}`, codes.Aborted, "Stale", "stale"},
		{400, problem, `{"status":400,"grpc_code":9,"code":"grpc_failed_precondition","detail":"not now"}`, codes.FailedPrecondition, "not now", "grpc_failed_precondition"},
		{403, plain, `{"error":{"code":403,"message":"not yours","status":"PERMISSION_DENIED"}}`, codes.PermissionDenied, "not yours", ""},
		{409, plain, `{"error":{"code":409,"message":"there already","status":"ALREADY_EXISTS"}}`, codes.AlreadyExists, "there already", ""},
		{422, plain, `{"error":"bad tea"}`, codes.InvalidArgument, "bad tea", ""},
		{500, "text/html", `<h1>Oops</h1>`, codes.Internal, "500 Internal Server Error", ""},
		{503, plain, `not json`, codes.Unavailable, "503 Service Unavailable", ""},
		{302, plain, ``, codes.Unknown, "302 Found", ""},
		{418, plain, ``, codes.FailedPrecondition, "418 I'm a teapot", ""},
		{200, "text/html", `<h1>Hello</h1>`, codes.Internal, "", "upstream_malformed"},
		{200, plain, `{"title": 7}`, codes.Internal, "", "upstream_malformed"},
		{200, plain, `{"title": "` + strings.Repeat("x", 1100) + `"}`, codes.ResourceExhausted, "", "message_too_large"},
		{200, plain, `{"title": "` + strings.Repeat("x", 3100) + `"}`, codes.ResourceExhausted, "", "message_too_large"},
	} {
		status, kind, body = k.status, k.kind, k.body
		_, err := c.call(t.Context(), "Plain", `{}`)
		s := grpcstatus.Convert(err)
		reason := ""
		for _, d := range s.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok {
				reason = info.Reason
			}
		}
		if s.Code() != k.code || k.message != "" && s.Message() != k.message || reason != k.reason {
			t.Errorf("%d %s: %v %q", k.status, k.body, err, reason)
		}
	}
	status, kind, body, after = 429, plain, `{}`, "17"
	_, err := c.call(t.Context(), "Plain", `{}`)
	if d := grpcstatus.Convert(err).Details(); len(d) != 1 || d[0].(*errdetails.RetryInfo).RetryDelay.Seconds != 17 {
		t.Errorf("%v %v", err, d)
	}
	if _, err := c.call(t.Context(), "Plain", `{"id":"`+strings.Repeat("x", 2000)+`"}`); grpcstatus.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}

// Lines become messages as they come; an array becomes messages, too.
// A client's stream is lines of JSON for the service.
func TestGRPCToRESTClientStreams(t *testing.T) {
	c := startOld(t, "", func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		w.Header().Set("Content-Type", "application/x-ndjson")
		if r.URL.Path == "/talk" { // a line back for each
			http.NewResponseController(w).EnableFullDuplex()
			for lines.Scan() {
				io.WriteString(w, lines.Text()+"\n")
				w.(http.Flusher).Flush()
			}
			return
		}
		var all []string
		for lines.Scan() {
			all = append(all, lines.Text())
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"title": %q, "seen": [%q]}`, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"), strings.Join(all, "|"))
	})
	open := func(method string) (*transcode.Method, grpc.ClientStream) {
		m, _ := c.schema.Method("old.v1.Shop/" + method)
		st, err := c.cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: m.ServerStreams, ClientStreams: true}, m.Path)
		if err != nil {
			t.Fatal(err)
		}
		return m, st
	}
	thing := func(m *transcode.Method, text string) *dynamicpb.Message {
		q := dynamicpb.NewMessage(m.Desc.Input())
		if err := protojson.Unmarshal([]byte(text), q); err != nil {
			t.Fatal(err)
		}
		return q
	}
	m, st := open("Many")
	st.SendMsg(thing(m, `{"id":"1","stock":"7"}`))
	st.SendMsg(thing(m, `{}`))
	st.CloseSend()
	r := dynamicpb.NewMessage(m.Desc.Output())
	if err := st.RecvMsg(r); err != nil || jsonOf(r) != `{"title":"POST/old.v1.Shop/Manyapplication/x-ndjson","seen":["{\"id\":\"1\",\"stock\":\"7\"}|{}"]}` {
		t.Errorf("%s %v", jsonOf(r), err)
	}
	m, st = open("Talk")
	for i := range 3 {
		text := fmt.Sprintf(`{"id":"%d"}`, i+1)
		st.SendMsg(thing(m, text))
		r := dynamicpb.NewMessage(m.Desc.Output())
		if err := st.RecvMsg(r); err != nil || jsonOf(r) != text {
			t.Fatalf("%s %v", jsonOf(r), err)
		}
	}
	st.CloseSend()
	if err := st.RecvMsg(dynamicpb.NewMessage(m.Desc.Output())); err != io.EOF {
		t.Error(err)
	}
	// A message that is none ends the call.
	_, st = open("Many")
	st.SendMsg(&testpb.Payload{Body: []byte("\xff\xff")}) // field 2 of Thing is text
	st.CloseSend()
	if err := st.RecvMsg(r); grpcstatus.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
}

func TestGRPCToRESTStreams(t *testing.T) {
	more := make(chan bool, 1)
	kind, end := "application/x-ndjson", ""
	c := startOld(t, "", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		if kind == "application/json" {
			io.WriteString(w, `[{"id": "1"}, {"id": "2"}]`)
			return
		}
		io.WriteString(w, "{\"id\": \"1\"}\n\n")
		w.(http.Flusher).Flush()
		<-more
		io.WriteString(w, "{\"id\": \"2\"}\n"+end)
		if end == "break" {
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
			panic(http.ErrAbortHandler)
		}
	})
	m, _ := c.schema.Method("old.v1.Shop/Find")
	st, err := c.cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, m.Path)
	if err != nil {
		t.Fatal(err)
	}
	st.SendMsg(dynamicpb.NewMessage(m.Desc.Input()))
	st.CloseSend()
	for i := range 2 {
		r := dynamicpb.NewMessage(m.Desc.Output())
		if err := st.RecvMsg(r); err != nil || jsonOf(r) != fmt.Sprintf(`{"id":"%d"}`, i+1) {
			t.Fatalf("%v %v", r, err)
		}
		if i == 0 {
			more <- true
		}
	}
	if err := st.RecvMsg(dynamicpb.NewMessage(m.Desc.Output())); err != io.EOF {
		t.Error(err)
	}
	for _, k := range []struct {
		kind, end string
		code      codes.Code
		say       string
	}{
		{"application/json", "", codes.OK, ""},
		{"application/x-ndjson", `{"error":{"status":404,"detail":"out of tea"}}`, codes.NotFound, "out of tea"},
		{"application/x-ndjson", `{"id":7}`, codes.Internal, ""},
		{"application/x-ndjson", "break", codes.Unavailable, ""},
	} {
		kind, end = k.kind, k.end
		if kind != "application/json" {
			more <- true
		}
		got, err := c.call(t.Context(), "Find", `{}`)
		if got != `{"id":"1"} {"id":"2"}` || grpcstatus.Code(err) != k.code || err != nil && !strings.Contains(err.Error(), k.say) {
			t.Errorf("%s %s: %s %v", k.kind, k.end, got, err)
		}
	}
}

// Metadata are header fields, either way, and the deadline is the exchange's.
func TestGRPCToRESTMetadata(t *testing.T) {
	c := startOld(t, "", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old.v1.Shop/Plain" {
			w.Header().Set("Etag", `"7"`)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"title": %q}`, strings.Join([]string{r.Header.Get("X-Tenant"), r.Header.Get("Authorization"), r.Header.Get("Te"), r.Header.Get("Grpc-Accept-Encoding"), r.Header.Get("Accept")}, "|"))
			return
		}
		io.Copy(io.Discard, r.Body) // or the server does not see that the client has gone
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", "t", "authorization", "Bearer b")
	var head metadata.MD
	got, err := c.call(ctx, "Plain", `{}`, grpc.Header(&head))
	if err != nil || got != `{"title":"t|Bearerb|||application/json"}` || strings.Join(head.Get("etag"), "") != `"7"` {
		t.Errorf("%s %v %v", got, err, head)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.call(ctx, "Put", `{"id":"1"}`); grpcstatus.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

// What can't be is said when the configuration is loaded.
func TestGRPCToRESTIsChecked(t *testing.T) {
	g := start(t, "listen: {main: '127.0.0.1:0'}\naccess_log: off\nservices: {old: http://127.0.0.1:1}\nroutes: [{match: /*, to: old}]")
	g.text = strings.Replace(g.text, "to: old", "to: old, grpc: {to_rest: old.v1.Shop}", 1)
	if err := g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), `routes[0].grpc.to_rest: it is not known what the methods of "old" are`) {
		t.Error(err)
	}
	g.text = strings.Replace(g.text, "to_rest:", "call: a.B/C, to_rest:", 1)
	if err := g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "is about requests in REST; with to_rest, calls are gRPC") {
		t.Error(err)
	}
}
