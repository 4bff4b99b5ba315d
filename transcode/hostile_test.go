package transcode

import (
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"gopura/exchange"
	"gopura/expr"
)

// A route that offers one service offers no other to those who speak gRPC.
func TestOtherServicesStayOut(t *testing.T) {
	reached := 0
	o := Options{
		Name: "catalog", Source: Fixed(testSchema(t, "shop.proto")), Services: []string{"shop.v1.Catalog"},
		Service: exchange.HandlerFunc(func(x *exchange.Exchange) error {
			reached++
			x.Response.Status, x.Response.Body = 200, exchange.NoBody
			return nil
		}),
	}
	h := New(o)
	for path, want := range map[string]int{
		"/shop.v1.Catalog/GetProduct": 1, "/shop.v1.Mirror/Plain": 0, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": 0,
		"/shop.v1.Catalog": 0, "/shop.v1.CatalogX/GetProduct": 0, "/shop.v1.Catalog/../shop.v1.Mirror/Plain": 0,
		"/shop.v1.Catalog/Nothing": 0,
	} {
		reached = 0
		if ask(t, h, "POST "+path, "", "Content-Type: application/grpc"); reached != want {
			t.Errorf("%s: reached %d times, want %d", path, reached, want)
		}
	}
	// By annotations, all of its methods; but not what the target has beside them.
	o.Services = nil
	h = New(o)
	for path, want := range map[string]int{
		"/shop.v1.Catalog/GetProduct": 1, "/shop.v1.Mirror/Plain": 1, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": 0,
		"/grpc.health.v1.Health/Check": 0, "/shop.v1.Catalog/Nothing": 0,
	} {
		reached = 0
		if a := ask(t, h, "POST "+path, "", "Content-Type: application/grpc"); reached != want || want == 0 && a.Err.GRPC() != exchange.GRPCUnimplemented {
			t.Errorf("annotations, %s: reached %d times, want %d: %+v", path, reached, want, a)
		}
	}
	// Until it is known what there is, nothing is let through.
	o.Source = &Source{}
	reached = 0
	if a := ask(t, New(o), "POST /shop.v1.Catalog/GetProduct", "", "Content-Type: application/grpc"); reached != 0 || a.Err == nil || a.Err.Code != "grpc_schema_unavailable" {
		t.Errorf("unknown: %+v", a.Err)
	}
}

// What fields: says, the client can't say otherwise: of what is repeated it could.
func TestFieldsAreNotAddedTo(t *testing.T) {
	env, err := expr.New(expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := testSchema(t, "shop.proto", "kinds.proto")
	option := func(call, field, value string) *Handler {
		tmpl, err := env.Template(value)
		if err != nil {
			t.Fatal(err)
		}
		return New(Options{Name: "c", Source: Fixed(s), Call: call, Fields: []FieldValue{{field, tmpl}}, Service: exchange.HandlerFunc(func(x *exchange.Exchange) error {
			return exchange.UpstreamBroken.Errorf("never mind")
		})})
	}
	for _, field := range []string{"texts", "numbers", "mask"} {
		if _, err := option("shop.v1.Mirror/Plain", field, "1").Check(); err == nil || !strings.Contains(err.Error(), "could add to it") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := option("shop.v1.Mirror/Plain", "name", "1").Check(); err != nil {
		t.Error(err)
	}
}

// A text that sets a time leaves nothing of the one that the body has.
func TestTimeIsSetAsAWhole(t *testing.T) {
	s := testSchema(t, "kinds.proto")
	c := NewCodec(s, JSONOptions{}, Limits{})
	m := messageOf(t, s, "kinds.v1.Kinds")
	for field, c2 := range map[string][3]string{
		"at":   {`{"at":"2024-02-29T12:34:56.789Z"}`, "1970-01-01T00:00:00Z", `{"at":"1970-01-01T00:00:00Z"}`},
		"took": {`{"took":"7.5s"}`, "0s", `{"took":"0s"}`},
	} {
		d := c.newDecoder(nil, []byte(c2[0]))
		if err := d.whole(func() *FieldError { return d.message(m.shape) }); err != nil {
			t.Fatal(err)
		}
		p, err := resolve(m.shape, field)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.set(p, []byte(c2[1])); err != nil {
			t.Fatal(err)
		}
		if got, err := c.AppendJSON(nil, m, d.out); err != nil || string(got) != c2[2] {
			t.Errorf("%s %v, want %s", got, err, c2[2])
		}
		d.release()
	}
}

// A few bytes on the wire may be many in JSON: two for each message, of which
// all defaults are to be shown. That has an end.
func TestJSONIsBounded(t *testing.T) {
	s := testSchema(t, "kinds.proto")
	m := messageOf(t, s, "kinds.v1.Kinds")
	p, err := resolve(m.shape, "selves")
	if err != nil {
		t.Fatal(err)
	}
	one := append(append([]byte(nil), p[0].one...), 0)
	wire := []byte(strings.Repeat(string(one), 20_000))
	c := NewCodec(s, JSONOptions{Defaults: true}, Limits{Message: 64 << 10})
	if b, err := c.AppendJSON(nil, m, wire); err == nil {
		t.Errorf("%d bytes on the wire became %d", len(wire), len(b))
	}
}

// A service that says that it imports without end is not asked without end.
func TestReflectionOfManyImports(t *testing.T) {
	calls := 0
	many := &descriptorpb.FileDescriptorProto{Name: proto.String("a.proto")}
	for i := range 20 * maxFiles {
		many.Dependency = append(many.Dependency, strconv.Itoa(i))
	}
	file, err := proto.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	services := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), []byte("\x0a\x03\x0a\x01x"))
	files := protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), file))
	service := exchange.HandlerFunc(func(x *exchange.Exchange) error {
		answer := files
		if calls++; calls == 1 {
			answer = services
		}
		x.Response.Status = 200
		x.Response.Header.Add("content-type", "application/grpc")
		trailer := new(exchange.Header)
		trailer.Add("grpc-status", "0")
		x.Response.Body = &trailedBody{Body: exchange.BytesBody(AppendFrame(nil, answer)), trailer: trailer}
		return nil
	})
	if _, err := Reflect(t.Context(), service, "x"); err == nil || calls > 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

type trailedBody struct {
	exchange.Body
	trailer *exchange.Header
}

func (b *trailedBody) Trailer() *exchange.Header { return b.trailer }
