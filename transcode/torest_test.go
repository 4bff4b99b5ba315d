package transcode

import (
	"io"
	"testing"

	"gopura/exchange"
)

// FuzzToREST gives calls any bytes as messages, and any JSON as answers: each
// ends in a request and an answer, or in an error.
func FuzzToREST(f *testing.F) {
	s := testSchema(f, "shop.proto")
	question, err := NewCodec(s, JSONOptions{}, Limits{}).AppendWire(nil, messageOf(f, s, "shop.v1.Question"), []byte(`{"name":"messages/1","id":"2","sub":{"text":"t"},"numbers":[1,2],"at":"2025-01-31T12:00:00Z","maybe":"","labels":{"a":"b"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Mirror/Get", question, 200, []byte(`{"question":{"id":"1"}}`))
	f.Add("Mirror/Update", question, 404, []byte(`{"detail":"gone","code":"x"}`))
	f.Add("Mirror/Part", question, 200, []byte(`null`))
	f.Add("Catalog/ListProducts", []byte{8, 1}, 200, []byte(`[{"id":"1"},{}]`))
	f.Add("Catalog/Upload", []byte("\x0a\x03a/b\x12\x04\x0a\x02aa"), 200, []byte(`{}`))
	f.Add("Catalog/Download", []byte("\x0a\x03a/b"), 200, []byte("bytes"))
	f.Fuzz(func(t *testing.T, method string, message []byte, status int, answer []byte) {
		h := NewToREST(RESTOptions{Source: Fixed(s), Service: exchange.HandlerFunc(func(x *exchange.Exchange) error {
			q := &x.Request
			if len(q.Path) == 0 || q.Path[0] != '/' {
				t.Errorf("the path is %q", q.Path)
			}
			for _, part := range [][]byte{q.Path, q.Query} {
				for _, c := range part {
					if c <= ' ' || c >= 0x7f || c == '#' {
						t.Errorf("%q?%q is no target", q.Path, q.Query)
					}
				}
			}
			x.Response.Status, x.Response.Body = status, exchange.BytesBody(answer)
			x.Response.Header.Add("content-type", "application/json")
			return nil
		})})
		x := &exchange.Exchange{}
		x.Reset()
		x.Client = &exchange.Client{}
		x.Request.Method, x.Request.Path, x.Request.Body = "POST", []byte("/shop.v1."+method), exchange.BytesBody(AppendFrame(nil, message))
		x.Request.Header.Add("content-type", "application/grpc")
		defer x.Done()
		if h.Serve(x) != nil {
			return
		}
		for {
			if _, err := x.Response.Body.Next(); err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
		}
		tail := x.Response.Body.Trailer()
		if tail == nil {
			tail = &x.Response.Header
		}
		if _, ok := readStatus(tail); !ok {
			t.Error("no status")
		}
	})
}
