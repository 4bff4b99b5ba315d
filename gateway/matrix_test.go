package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

// A cell of the matrix: how a client speaks, which call it makes, and how that
// ends.
type cell struct{ protocol, codec, compression, kind, outcome string }

var (
	protocols    = []string{"grpc", "grpc-web", "grpc-web-text", "connect", "rest"}
	codecs       = []string{"proto", "json"}
	compressions = []string{"identity", "gzip"}
	kinds        = []string{"unary", "server", "client", "bidi"}
	outcomes     = []string{"ok", "error", "deadline", "cancel", "large", "gone"}
)

// absent says why a cell can't be; "" for those that are.
func (c cell) absent() string {
	switch {
	case c.protocol == "rest" && c.codec == "proto":
		return "REST is JSON"
	case strings.HasPrefix(c.protocol, "grpc") && c.codec == "json":
		return "JSON within gRPC passes as it is: whether it is understood is the service's matter"
	case c.protocol == "rest" && c.compression == "gzip" && c.outcome == "large":
		return "a request of REST is not compressed"
	}
	return ""
}

// Clients of each protocol get the same from the same service, and say the same
// to it: whatever the codec, the compression and the kind of call, and however
// the call ends. With REST, gzip is what the service does.
func TestMatrix(t *testing.T) {
	g := matrixGate(t, func(*grpc.Server) {})
	var server *grpc.Server
	gone := matrixGate(t, func(s *grpc.Server) { server = s })
	server.Stop()
	absent := map[string]int{}
	ran := new(atomic.Int32)
	t.Run("cells", func(t *testing.T) {
		for _, protocol := range protocols {
			for _, codec := range codecs {
				for _, compression := range compressions {
					for _, kind := range kinds {
						for _, outcome := range outcomes {
							c := cell{protocol, codec, compression, kind, outcome}
							if why := c.absent(); why != "" {
								absent[why]++
								continue
							}
							t.Run(strings.Join([]string{protocol, codec, compression, kind, outcome}, "/"), func(t *testing.T) {
								t.Parallel()
								at := g
								if outcome == "gone" {
									at = gone
								}
								c.run(t, at)
								ran.Add(1)
							})
						}
					}
				}
			}
		}
	})
	n := int(ran.Load())
	for why, cells := range absent {
		t.Logf("%d cells are not there: %s", cells, why)
		n += cells
	}
	if all := len(protocols) * len(codecs) * len(compressions) * len(kinds) * len(outcomes); n != all && !t.Failed() {
		t.Logf("%d of %d cells", n, all)
	}
}

func matrixGate(t *testing.T, took func(*grpc.Server)) *gate {
	t.Helper()
	address := grpcServer(t, func(s *grpc.Server) {
		testpb.RegisterTestServiceServer(s, market{})
		reflection.Register(s)
		took(s)
	})
	routes := ""
	for kind, method := range map[string]string{"unary": "UnaryCall", "server": "StreamingOutputCall", "client": "StreamingInputCall", "bidi": "FullDuplexCall"} {
		for _, more := range []string{"rest", "fast"} {
			timeout := map[string]string{"rest": "1m", "fast": "100ms"}[more]
			routes += fmt.Sprintf("  - {match: POST /%s/%s, to: market, timeout: %s, grpc: {call: grpc.testing.TestService/%s, max_message: 128KiB}}\n", more, kind, timeout, method)
		}
	}
	return start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {market: {targets: "grpc://%s", grpc: reflection, retries: off}}
routes:
  - {match: /grpc.testing.TestService/*, to: market, max_message: 128KiB}
%s`, address, routes))
}

func (c cell) run(t *testing.T, g *gate) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	header := http.Header{"X-Outcome": {c.outcome}}
	extra := 0
	switch c.outcome {
	case "deadline":
		if c.protocol != "rest" { // it has none of its own: the route's
			ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
		}
	case "cancel":
		ctx, cancel = context.WithCancel(ctx)
		time.AfterFunc(100*time.Millisecond, cancel)
	case "large":
		extra = 128 << 10
	}
	if c.compression == "gzip" {
		header.Set("X-Gzip", "yes")
	}
	if c.protocol == "rest" {
		c.runREST(t, ctx, g, header, extra)
		return
	}
	k := &caller{ctx: ctx, url: g.url(testMethods), client: http2Client(t), header: header, extra: extra}
	switch c.protocol {
	case "grpc":
		k.options = append(k.options, connect.WithGRPC())
	case "grpc-web-text":
		k.client.Transport = textTransport{k.client.Transport}
		fallthrough
	case "grpc-web":
		k.options = append(k.options, connect.WithGRPCWeb())
	}
	if c.codec == "json" {
		k.options = append(k.options, connect.WithProtoJSON())
	}
	if c.compression == "gzip" {
		k.options = append(k.options, connect.WithSendGzip())
	} else {
		k.options = append(k.options, connect.WithAcceptCompression("gzip", nil, nil))
	}
	c.check(t, map[string]func(*testing.T, *caller) error{"unary": callUnary, "server": callServer, "client": callClient, "bidi": callBidi}[c.kind](t, k))
}

// check expects the code of the outcome, and of an error what the service says.
func (c cell) check(t *testing.T, err error) {
	t.Helper()
	want := map[string]connect.Code{
		"error": connect.CodeFailedPrecondition, "deadline": connect.CodeDeadlineExceeded, "cancel": connect.CodeCanceled,
		"large": connect.CodeResourceExhausted, "gone": connect.CodeUnavailable,
	}[c.outcome]
	if c.outcome == "ok" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if connect.CodeOf(err) != want || err == nil {
		t.Fatalf("%v, want %v", err, want)
	}
	var e *connect.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	switch c.outcome {
	case "error":
		if e.Message() != "no tea ☕ today" || len(e.Details()) != 1 || e.Meta().Get("X-Tail") != "end" {
			t.Errorf("%q %v %v", e.Message(), e.Details(), e.Meta())
			return
		}
		v, err := e.Details()[0].Value()
		if bad, ok := v.(*errdetails.BadRequest); err != nil || !ok || bad.FieldViolations[0].Field != "tea" {
			t.Errorf("detail %v %v", v, err)
		}
	case "large", "gone": // the gateway's own
		want := map[string]string{"large": "message_too_large", "gone": "upstream_connect_failed"}[c.outcome]
		if len(e.Details()) == 0 {
			t.Fatalf("no details: %v", e)
		}
		v, err := e.Details()[0].Value()
		if info, ok := v.(*errdetails.ErrorInfo); err != nil || !ok || info.Reason != want || info.Domain != "gopura" {
			t.Errorf("detail %v %v, want %s", v, err, want)
		}
	}
}

// runREST makes the call in JSON, streams as lines.
func (c cell) runREST(t *testing.T, ctx context.Context, g *gate, header http.Header, extra int) {
	text := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n+extra)) }
	body, want := "", ""
	switch c.kind {
	case "unary":
		body = fmt.Sprintf(`{"payload":{"body":%q}}`, text(5))
		want = body
	case "server":
		body = fmt.Sprintf(`{"payload":{"body":%q},"responseParameters":[{"size":1},{"size":2}]}`, text(0))
		want = `{"payload":{"body":"AA=="}}` + "\n" + `{"payload":{"body":"AAA="}}` + "\n"
	case "client":
		body = fmt.Sprintf(`{"payload":{"body":%q}}`+"\n"+`{"payload":{"body":%q}}`, text(3), text(4))
		want = `{"aggregatedPayloadSize":7}`
	case "bidi":
		body = fmt.Sprintf(`{"payload":{"body":%q}}`+"\n"+`{"payload":{"body":%q}}`, text(3), text(4))
		want = body + "\n"
	}
	path := "/rest/"
	if c.outcome == "deadline" {
		path = "/fast/"
	}
	r, _ := http.NewRequestWithContext(ctx, "POST", g.url(path+c.kind), strings.NewReader(body))
	r.Header = header
	if c.kind == "client" || c.kind == "bidi" {
		r.Header.Set("Content-Type", "application/x-ndjson")
	}
	a, err := http2Client(t).Do(r)
	if c.outcome == "cancel" {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v %v", a, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	got, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]int{"ok": 200, "error": 400, "deadline": 504, "large": 413, "gone": 502}[c.outcome]
	if a.StatusCode != status || c.outcome == "ok" && string(got) != want || a.Header.Get("X-Head") == "" && (c.outcome == "ok" || c.outcome == "error") {
		t.Fatalf("%d %.300s %v", a.StatusCode, got, a.Header)
	}
	if single := c.kind == "unary" || c.kind == "client"; a.Header.Get("X-Tail") != "end" && (single && c.outcome == "ok" || c.outcome == "error") {
		t.Errorf("trailers: %v", a.Header)
	}
	var problem struct {
		Code, Detail string
		Details      []struct{ FieldViolations []struct{ Field string } }
	}
	if status == 200 {
		return
	}
	if err := json.Unmarshal(got, &problem); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	code := map[string][]string{"error": {"grpc_failed_precondition"}, "deadline": {"exchange_timeout", "grpc_deadline_exceeded"}, "large": {"body_too_large"}, "gone": {"upstream_connect_failed"}}[c.outcome]
	if !slices.Contains(code, problem.Code) {
		t.Errorf("%s, want %v", got, code)
	}
	if c.outcome == "error" && (problem.Detail != "no tea ☕ today" || len(problem.Details) != 1 || problem.Details[0].FieldViolations[0].Field != "tea") {
		t.Errorf("%s", got)
	}
}

// textTransport makes gRPC-Web in text of gRPC-Web in bytes.
type textTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t textTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for _, name := range []string{"Content-Type", "Accept"} {
		r.Header.Set(name, strings.Replace(r.Header.Get("Content-Type"), "grpc-web+", "grpc-web-text+", 1))
	}
	body, pieces := r.Body, make([]byte, 3000)
	pr, pw := io.Pipe()
	r.Body, r.ContentLength = pr, -1
	go func() {
		for {
			n, err := body.Read(pieces)
			if n > 0 {
				if _, werr := io.WriteString(pw, base64.StdEncoding.EncodeToString(pieces[:n])); werr != nil {
					break
				}
			}
			if err == io.EOF {
				err = nil
				pw.Close()
				break
			}
			if err != nil {
				pw.CloseWithError(err)
				break
			}
		}
		body.Close()
	}()
	a, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	kind := a.Header.Get("Content-Type")
	a.Header.Set("Content-Type", strings.Replace(kind, "grpc-web-text", "grpc-web", 1))
	if kind != a.Header.Get("Content-Type") {
		a.Body = &quads{in: bufio.NewReader(a.Body), Closer: a.Body}
	}
	return a, nil
}

// quads decodes base64 in which padding may stand anywhere.
type quads struct {
	in *bufio.Reader
	io.Closer
	out []byte
}

// Read implements io.Reader.
func (q *quads) Read(p []byte) (int, error) {
	for len(q.out) == 0 {
		var four [4]byte
		if _, err := io.ReadFull(q.in, four[:]); err != nil {
			return 0, err
		}
		out, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(four[:]))
		if err != nil {
			return 0, err
		}
		q.out = out
	}
	n := copy(p, q.out)
	q.out = q.out[n:]
	return n, nil
}
