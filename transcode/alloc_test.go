package transcode

import (
	"io"
	"testing"

	"gopura/exchange"
)

// answering is a gRPC service in memory: it takes the request and has an answer.
type answering struct {
	frame   []byte
	body    answerBody
	trailer exchange.Header
}

type answerBody struct {
	a    *answering
	sent bool
}

func (b *answerBody) Next() ([]byte, error) {
	if b.sent {
		return nil, io.EOF
	}
	b.sent = true
	return b.a.frame, nil
}
func (b *answerBody) Len() int64                { return -1 }
func (b *answerBody) Trailer() *exchange.Header { return &b.a.trailer }
func (b *answerBody) Close() error              { return nil }

func (a *answering) Serve(x *exchange.Exchange) error {
	for {
		if _, err := x.Request.Body.Next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	a.body = answerBody{a: a}
	x.Response.Status, x.Response.Body = 200, &a.body
	x.Response.Header.Add("content-type", "application/grpc")
	return nil
}

func newAnswering(t testing.TB, s *Schema) (*answering, *Handler) {
	c := NewCodec(s, JSONOptions{}, Limits{})
	wire, err := c.AppendWire(nil, messageOf(t, s, "shop.v1.Product"), []byte(benchProduct))
	if err != nil {
		t.Fatal(err)
	}
	a := &answering{frame: AppendFrame(nil, wire)}
	a.trailer.Add("grpc-status", "0")
	return a, New(Options{Source: Fixed(s), Service: a})
}

// once serves one request with x, which is used again and again.
func once(t testing.TB, h exchange.Handler, x *exchange.Exchange, client *exchange.Client) {
	x.Reset()
	x.Client = client
	x.Request.Method, x.Request.Path, x.Request.Query = "GET", bytesOf("/v1/products/tea-01"), nil
	x.Request.Header.Add("User-Agent", "curl/8")
	x.Request.Header.Add("Accept", "*/*")
	if err := h.Serve(x); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := x.Response.Body.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	x.Done()
}

// A unary call costs no memory beyond what is kept for the next.
func TestUnaryAllocates(t *testing.T) {
	_, h := newAnswering(t, testSchema(t, "shop.proto"))
	x, client := new(exchange.Exchange), new(exchange.Client)
	once(t, h, x, client)
	if n := testing.AllocsPerRun(200, func() { once(t, h, x, client) }); n > allowedAllocs {
		t.Errorf("%.1f allocations for each call", n)
	}
}

func BenchmarkUnary(b *testing.B) {
	_, h := newAnswering(b, testSchema(b, "shop.proto"))
	x, client := new(exchange.Exchange), new(exchange.Client)
	b.ReportAllocs()
	for b.Loop() {
		once(b, h, x, client)
	}
}
