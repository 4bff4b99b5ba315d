package transcode

import (
	"io"
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

// A stream of messages has the form that Accept asks for.
func TestServerStreams(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	for _, c := range []struct{ accept, kind, body string }{
		{"", "application/x-ndjson", "{\"id\":\"p0\"}\n{\"id\":\"p1\"}\n"},
		{"*/*", "application/x-ndjson", "{\"id\":\"p0\"}\n{\"id\":\"p1\"}\n"},
		{"application/json", "application/json", "[{\"id\":\"p0\"},\n{\"id\":\"p1\"}]\n"},
		{"text/html, application/json;q=0.5, text/event-stream", "text/event-stream", "data: {\"id\":\"p0\"}\n\ndata: {\"id\":\"p1\"}\n\n"},
	} {
		a := ask(t, h, "GET /v1/products?limit=2", "", "Accept: "+c.accept)
		if a.Body != c.body || string(a.Header.Get("Content-Type")) != c.kind {
			t.Errorf("%s: %s %q %v", c.accept, a.Header.Get("Content-Type"), a.Body, a.Err)
		}
	}
	if a := ask(t, h, "GET /v1/products", "", "Accept: application/json"); a.Body != "[]\n" {
		t.Errorf("nothing: %q", a.Body)
	}
	// Before the first message an error has a status of its own.
	if a := ask(t, h, "GET /v1/products?limit=x", ""); a.Status != 400 {
		t.Errorf("refused: %d", a.Status)
	}
}

// Messages go out as they come, and an error after them can't be overlooked.
func TestStreamErrors(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	problem := `{"type":"about:blank","title":"Data loss","status":500,"code":"grpc_data_loss","grpc_code":15,"detail":"oh","request_id":"id-1"}`
	for accept, want := range map[string]string{
		"application/x-ndjson": "{\"id\":\"first\"}\n{\"error\":" + problem + "}\n",
		"text/event-stream":    "data: {\"id\":\"first\"}\n\nevent: error\ndata: " + problem + "\n\n",
	} {
		if a := ask(t, h, "GET /v1/late/15?message=oh", "", "Accept: "+accept); a.Body != want || a.Broken != nil {
			t.Errorf("%s: %q %v", accept, a.Body, a.Broken)
		}
	}
	if a := ask(t, h, "GET /v1/late/15?message=oh", "", "Accept: application/json"); a.Body != `[{"id":"first"}` || a.Broken == nil {
		t.Errorf("array: %q %v", a.Body, a.Broken)
	}
}

func TestStreamFlows(t *testing.T) {
	s := startShop(t, "")
	s.gate = make(chan struct{})
	x := request("GET /v1/products?limit=2", "", "Accept: text/event-stream")
	if err := s.handler(Options{}).Serve(x); err != nil {
		t.Fatal(err)
	}
	piece, err := x.Response.Body.Next()
	if string(piece) != "data: {\"id\":\"p0\"}\n\n" || err != nil {
		t.Fatalf("%q %v", piece, err)
	}
	close(s.gate)
	if piece, err = x.Response.Body.Next(); !strings.Contains(string(piece), "p1") || err != nil {
		t.Fatalf("%q %v", piece, err)
	}
	if _, err = x.Response.Body.Next(); err != io.EOF {
		t.Fatal(err)
	}
	x.Done()
}

// pipe is a request body that a test writes.
type pipe struct {
	pieces chan string
	closed chan struct{}
}

func (p *pipe) Next() ([]byte, error) {
	select {
	case s, ok := <-p.pieces:
		if !ok {
			return nil, io.EOF
		}
		return []byte(s), nil
	case <-p.closed:
		return nil, io.ErrClosedPipe
	}
}
func (p *pipe) Len() int64                { return -1 }
func (p *pipe) Trailer() *exchange.Header { return nil }
func (p *pipe) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

// Lines of JSON are a stream of messages to the service.
func TestClientStreams(t *testing.T) {
	s := startShop(t, "")
	h := s.handler(Options{})
	if a := ask(t, h, "POST /v1/products:import", "{\"id\":\"a\"}\n\n {\"id\":\"b\"}\r\n{\"id\":\"c\"}", "Content-Type: application/x-ndjson"); a.Body != `{"count":3,"ids":["a","b","c"]}` {
		t.Errorf("%q %v", a.Body, a.Err)
	}
	a := ask(t, h, "POST /v1/products:import", "{\"id\":\"a\"}\n{\"id\":7}\n{\"id\":\"c\"}\n")
	if a.Err == nil || a.Err.Code != "request_invalid" || a.Err.Detail != "id: a string is expected" {
		t.Errorf("%d %s %+v", a.Status, a.Body, a.Err)
	}
}

// In a call of streams both ways, answers come while the client still sends.
func TestBothWays(t *testing.T) {
	s := startShop(t, "")
	p := &pipe{pieces: make(chan string, 4), closed: make(chan struct{})}
	x := request("POST /v1/products:price", "")
	x.Request.Body = p
	p.pieces <- "{\"id\":\"1\"}\n{\"id\":"
	if err := s.handler(Options{}).Serve(x); err != nil {
		t.Fatal(err)
	}
	next := func(want string) {
		t.Helper()
		piece, err := x.Response.Body.Next()
		if want == "" && err == io.EOF {
			return
		}
		if !strings.Contains(string(piece), want) || err != nil {
			t.Fatalf("%q %v, want %s", piece, err, want)
		}
	}
	next(`"id":"1"`)
	p.pieces <- "\"2\"}\n"
	next(`"id":"2"`)
	close(p.pieces)
	next("")
	x.Done()
}

// A client that goes away ends the call.
func TestStreamCancelled(t *testing.T) {
	s := startShop(t, "")
	s.gate = make(chan struct{})
	x := request("GET /v1/products?limit=2", "")
	if err := s.handler(Options{}).Serve(x); err != nil {
		t.Fatal(err)
	}
	x.Response.Body.Next()
	time.AfterFunc(10*time.Millisecond, func() { x.Cancel(nil) })
	if _, err := x.Response.Body.Next(); err == nil {
		t.Error("the stream went on")
	}
	x.Done()
}
