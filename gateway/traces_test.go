package gateway_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// collector receives OTLP by the service of the protocol itself, over gRPC and
// over HTTP.
type collector struct {
	coltracepb.UnimplementedTraceServiceServer
	t testing.TB

	mu       sync.Mutex
	spans    []*tracepb.Span
	resource map[string]string
	header   map[string][]string
}

func (c *collector) Export(ctx context.Context, q *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		c.header = md
	}
	for _, r := range q.ResourceSpans {
		c.resource = attributesOf(r.Resource.Attributes)
		for _, s := range r.ScopeSpans {
			c.spans = append(c.spans, s.Spans...)
		}
	}
	return &coltracepb.ExportTraceServiceResponse{}, nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not OTLP", http.StatusNotFound)
		return
	}
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		in, _ = gzip.NewReader(r.Body)
	}
	text, err := io.ReadAll(in)
	var q coltracepb.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(text, &q) != nil {
		http.Error(w, "malformed", http.StatusBadRequest)
		return
	}
	_, _ = c.Export(r.Context(), &q)
	c.mu.Lock()
	c.header = r.Header
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// overHTTP starts a collector, and returns its address.
func overHTTP(t testing.TB) (*collector, string) {
	c := &collector{t: t}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return c, s.URL
}

// await returns the spans once there are n of them. The first is the one whose
// parent is not among them.
func (c *collector) await(n int) []*tracepb.Span {
	c.t.Helper()
	for range 2000 {
		c.mu.Lock()
		got := slices.DeleteFunc(slices.Clone(c.spans), passedBy)
		c.mu.Unlock()
		if len(got) == n {
			return got
		}
		if len(got) > n {
			c.t.Fatalf("%d spans, want %d:\n%s", len(got), n, tree(got))
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatalf("%d spans, want %d:\n%s", len(c.spans), n, tree(c.spans))
	return nil
}

// passedBy says that a span is that of a policy which let a request pass: where the
// machine is busy, one that took no time otherwise is told, too.
func passedBy(s *tracepb.Span) bool {
	return strings.HasPrefix(s.Name, "policy ") && s.Status.GetCode() == tracepb.Status_STATUS_CODE_UNSET && attributesOf(s.Attributes)["gopura.code"] == ""
}

func (c *collector) none() {
	c.t.Helper()
	time.Sleep(50 * time.Millisecond)
	c.await(0)
}

func attributesOf(list []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		if s, ok := kv.Value.Value.(*commonpb.AnyValue_StringValue); ok {
			m[kv.Key] = s.StringValue
		} else {
			m[kv.Key] = fmt.Sprint(kv.Value.GetIntValue())
		}
	}
	return m
}

// tree draws spans by who the parent of whom is: one line each, the shape of it
// in front, what went wrong behind.
func tree(list []*tracepb.Span) string {
	var b strings.Builder
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *tracepb.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	known := map[string]bool{}
	for _, s := range list {
		known[string(s.SpanId)] = true
	}
	var draw func(s *tracepb.Span, indent string)
	draw = func(s *tracepb.Span, indent string) {
		fmt.Fprintf(&b, "%s%s", indent, s.Name)
		if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			fmt.Fprintf(&b, " !%s", attributesOf(s.Attributes)["error.type"])
		}
		b.WriteByte('\n')
		for _, c := range list {
			if string(c.ParentSpanId) == string(s.SpanId) {
				draw(c, indent+"  ")
			}
		}
	}
	for _, s := range list {
		if !known[string(s.ParentSpanId)] {
			draw(s, "")
		}
	}
	return b.String()
}

func named(t testing.TB, list []*tracepb.Span, name string) (*tracepb.Span, map[string]string) {
	t.Helper()
	for _, s := range list {
		if s.Name == name {
			return s, attributesOf(s.Attributes)
		}
	}
	t.Fatalf("no span %q in\n%s", name, tree(list))
	return nil, nil
}

// seen is a service that remembers what it was told about the trace.
type seen struct {
	*httptest.Server
	mu   sync.Mutex
	told []http.Header
}

func service(t testing.TB, answer http.HandlerFunc) *seen {
	s := &seen{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		h := r.Header.Clone()
		h[":path"], h[":method"] = []string{r.URL.Path}, []string{r.Method}
		s.told = append(s.told, h)
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *seen) last() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told[len(s.told)-1]
}

func fine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"id": 7}`)
}

// ask sends a request with header fields, "name: value".
func (g *gate) ask(method, path string, fields ...string) *http.Response {
	g.t.Helper()
	q, _ := http.NewRequest(method, g.url(path), nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		q.Header.Add(name, value)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		g.t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return r
}

const (
	traced   = "listen: {main: '127.0.0.1:0'}\naccess_log: off\n"
	clientID = "0af7651916cd43dd8448eb211c80319c"
	parent   = "traceparent: 00-" + clientID + "-b7ad6b7169203331-01"
)

// A trace is continued: the span of the exchange is below the client's, each
// attempt below the exchange, and the service is told of the attempt.
func TestTraceOfARetry(t *testing.T) {
	c, to := overHTTP(t)
	var calls atomic.Int32
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(503)
		}
	})
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, trust: everybody, period: 10ms }
services: { users: { targets: %s, retries: { attempts: 1, budget: 100%%, on: [503] } } }
routes: [{ match: "GET /users/{id}", to: users }]
`, to, up.URL))
	g.ask("GET", "/users/7?token=secret&x=1", parent, "tracestate: a=1, b=2", "User-Agent: test")
	list := c.await(3)
	retry := 0
	for i, s := range list {
		if hex.EncodeToString(s.TraceId) != clientID {
			t.Errorf("%s is in the trace %x", s.Name, s.TraceId)
		}
		if a := attributesOf(s.Attributes); a["http.request.resend_count"] == "1" {
			retry = i
		}
	}
	if want := "GET /users/{id}\n  GET users !503\n  GET users\n"; tree(list) != want {
		t.Errorf("got\n%swant\n%s", tree(list), want)
	}
	server, a := named(t, list, "GET /users/{id}")
	if hex.EncodeToString(server.ParentSpanId) != "b7ad6b7169203331" || server.Kind != tracepb.Span_SPAN_KIND_SERVER || server.TraceState != "a=1, b=2" || server.Flags&0x301 != 0x301 {
		t.Errorf("%v", server)
	}
	for k, want := range map[string]string{
		"http.request.method": "GET", "http.route": "/users/{id}", "url.path": "/users/7", "url.query": "token=***&x=1", "url.scheme": "http",
		"server.address": "127.0.0.1", "http.response.status_code": "200", "user_agent.original": "test", "network.protocol.version": "1.1",
		"client.address": "127.0.0.1", "gopura.service": "users", "error.type": "",
	} {
		if a[k] != want {
			t.Errorf("%s is %q, want %q", k, a[k], want)
		}
	}
	a = attributesOf(list[retry].Attributes)
	if list[retry].Kind != tracepb.Span_SPAN_KIND_CLIENT || a["url.full"] != up.URL+"/users/7?token=***&x=1" || a["http.response.status_code"] != "200" {
		t.Errorf("%v", list[retry])
	}
	var ids []string
	for _, s := range list {
		ids = append(ids, hex.EncodeToString(s.SpanId))
	}
	for _, h := range up.told {
		told := h.Get("Traceparent")
		if len(told) != 55 || told[3:35] != clientID || !slices.Contains(ids, told[36:52]) || h.Get("Tracestate") != "a=1, b=2" || !strings.HasSuffix(told, "-01") {
			t.Errorf("the service was told %q, %q", told, h.Get("Tracestate"))
		}
		if s, _ := named(t, list, "GET /users/{id}"); told[36:52] == hex.EncodeToString(s.SpanId) {
			t.Error("the service was told of the exchange, not of the attempt")
		}
	}
	if c.resource["service.name"] != "gopura" || c.resource["service.instance.id"] == "" {
		t.Errorf("resource %v", c.resource)
	}
}

// The calls of a composed answer are children of the exchange, and the attempts
// children of their calls.
func TestTraceOfAComposedAnswer(t *testing.T) {
	c, to := overHTTP(t)
	users := service(t, fine)
	orders := service(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) })
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, period: 10ms }
services: { users: %s, orders: %s }
routes:
  - match: GET /profile/{id}
    compose:
      user: GET users/users/{id}
      orders: { call: "GET orders/of/{user.id}", optional: true }
`, to, users.URL, orders.URL))
	if r := g.ask("GET", "/profile/7"); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	list := c.await(5)
	want := "GET /profile/{id}\n  call user\n    GET users\n  call orders !part_failed\n    GET orders !500\n"
	if got := tree(list); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for service, up := range map[string]*seen{"users": users, "orders": orders} {
		s, _ := named(t, list, "GET "+service)
		if told := up.last().Get("Traceparent"); told != fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId) {
			t.Errorf("%s was told %s, its span is %x", service, told, s.SpanId)
		}
	}
}

// Two gateways make one trace; over gRPC as well.
func TestTraceThroughTwoGateways(t *testing.T) {
	c := &collector{t: t}
	to := grpcServer(t, func(s *grpc.Server) { coltracepb.RegisterTraceServiceServer(s, c) })
	up := service(t, fine)
	inner := start(t, traced+fmt.Sprintf(`
trusted_proxies: 127.0.0.1
traces: { to: "grpc://%s", sample: 0%%, errors: false, slow: off, period: 10ms, service: inner }
services: { users: %s }
routes: [{ match: /*, to: users }]
`, to, up.URL))
	outer := start(t, traced+fmt.Sprintf(`
traces: { to: "grpc://%s", period: 10ms, service: outer, headers: { x-tenant: shop } }
services: { inner: http://%s }
routes: [{ match: /*, to: inner }]
`, to, inner.Address("main")))
	outer.ask("GET", "/x")
	list := c.await(4)
	if want := "GET /*\n  GET inner\n    GET /*\n      GET users\n"; tree(list) != want {
		t.Errorf("got\n%swant\n%s", tree(list), want)
	}
	for _, s := range list {
		if string(s.TraceId) != string(list[0].TraceId) {
			t.Error("there are two traces")
		}
	}
}

// What is not sampled is told so, and recorded only when it fails or is slow.
func TestErrorsAndSlowOnesAreRecorded(t *testing.T) {
	c, to := overHTTP(t)
	up := service(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			http.Error(w, "bad", 500)
		case "/slow":
			time.Sleep(time.Second)
		}
	})
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, sample: 0%%, slow: 900ms, period: 10ms }
services: { users: %s }
routes:
  - { match: /*, to: users }
  - { match: /secret, to: users, ip: { deny: 127.0.0.1/32 } }
`, to, up.URL))
	g.ask("GET", "/fine")
	if told := up.last().Get("Traceparent"); len(told) != 55 || !strings.HasSuffix(told, "-00") {
		t.Errorf("the service was told %q", told)
	}
	g.ask("GET", "/secret") // the client's fault
	g.ask("GET", "/fine", parent)
	c.none()
	g.ask("GET", "/bad")
	g.ask("GET", "/slow")
	list := c.await(4)
	if want := "GET /* !500\n  GET users !500\nGET /*\n  GET users\n"; tree(list) != want {
		t.Errorf("got\n%swant\n%s", tree(list), want)
	}
}

// A refusal is recorded with the policy and the code of it.
func TestTraceOfARefusal(t *testing.T) {
	c, to := overHTTP(t)
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, errors: false, slow: off, period: 10ms, rules: [{ when: 'header["x-first"] != ""', sample: 0%% }] }
services: { users: "http://ORIGIN" }
routes: [{ match: GET /1k, to: users, limit: { rate: 1/h, burst: 1 } }]
`, to))
	g.ask("GET", "/1k", "x-first: yes")
	g.ask("GET", "/1k")
	g.ask("GET", "/nowhere")
	list := c.await(3)
	if want := "GET /1k\n  policy limit\nGET\n"; tree(list) != want {
		t.Errorf("got\n%swant\n%s", tree(list), want)
	}
	_, a := named(t, list, "policy limit")
	if a["gopura.code"] != "rate_limited" {
		t.Errorf("%v", a)
	}
	if _, a = named(t, list, "GET"); a["gopura.code"] != "no_route" || a["gopura.side"] != "client" || a["http.response.status_code"] != "404" {
		t.Errorf("%v", a)
	}
}

// Rules decide first, then trusted callers, then the ratio.
func TestWhatIsSampled(t *testing.T) {
	for _, k := range []struct {
		name, conf, path string
		fields           []string
		want             bool
	}{
		{"all, when nothing is said", "", "/x", nil, true},
		{"an untrusted caller's yes", "sample: 0%", "/x", []string{parent}, false},
		{"anybody's yes", "sample: 0%, trust: everybody", "/x", []string{parent}, true},
		{"anybody's no", "trust: everybody", "/x", []string{parent[:len(parent)-1] + "0"}, false},
		{"an untrusted caller's no", "", "/x", []string{parent[:len(parent)-1] + "0"}, true},
		{"a rule for a path", "rules: [{ when: 'request.path == \"/healthz\"', sample: 0% }]", "/healthz", nil, false},
		{"no rule for a path", "rules: [{ when: 'request.path == \"/healthz\"', sample: 0% }]", "/x", nil, true},
		{"a rule for a route", "sample: 0%, rules: [{ when: 'route == \"all\"', sample: 100% }]", "/x", nil, true},
		{"a rule before a caller", "trust: everybody, rules: [{ when: 'true', sample: 0% }]", "/x", []string{parent}, false},
	} {
		t.Run(k.name, func(t *testing.T) {
			c, to := overHTTP(t)
			g := start(t, traced+fmt.Sprintf("traces: { to: %s, errors: false, slow: off, period: 10ms, %s }\nroutes: [{ name: all, match: /*, answer: 204 }]", to, k.conf))
			g.ask("GET", k.path, k.fields...)
			if k.want {
				c.await(1)
			} else {
				c.none()
			}
		})
	}
}

// Traces of those who are not trusted can begin anew here, and malformed ones do.
func TestTracesBeginAnew(t *testing.T) {
	c, to := overHTTP(t)
	up := service(t, fine)
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, continue: proxies, period: 10ms }
services: { users: %s }
routes: [{ match: /*, to: users }]
`, to, up.URL))
	g.ask("GET", "/x", parent, "tracestate: a=1")
	list := c.await(2)
	s, _ := named(t, list, "GET /*")
	if len(s.ParentSpanId) != 0 || hex.EncodeToString(s.TraceId) == clientID || len(s.Links) != 1 || hex.EncodeToString(s.Links[0].TraceId) != clientID {
		t.Errorf("%v", s)
	}
	if h := up.last(); h.Get("Tracestate") != "" || strings.Contains(h.Get("Traceparent"), clientID) {
		t.Errorf("the service was told %v", h)
	}
	g.text = strings.Replace(g.text, "continue: proxies", "continue: everybody", 1)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.ask("GET", "/x", parent, parent)
	if h := up.last(); strings.Contains(h.Get("Traceparent"), clientID) || len(h.Values("Traceparent")) != 1 {
		t.Errorf("two contradicting fields became %q", h.Values("Traceparent"))
	}
	g.ask("GET", "/x", parent, "tracestate: a=1,B")
	if h := up.last(); !strings.Contains(h.Get("Traceparent"), clientID) || h.Get("Tracestate") != "" {
		t.Errorf("a malformed state: the service was told %v", h)
	}
}

// Without traces, what clients say about theirs passes as it is.
func TestNoTraces(t *testing.T) {
	up := service(t, fine)
	g := start(t, traced+fmt.Sprintf("traces: off\nservices: { users: %s }\nroutes: [{ match: /*, to: users }]", up.URL))
	g.ask("GET", "/x", parent)
	if got := "traceparent: " + up.last().Get("Traceparent"); got != parent {
		t.Errorf("the service was told %q", got)
	}
	g.ask("GET", "/x")
	if got := up.last().Get("Traceparent"); got != "" {
		t.Errorf("the service was told %q", got)
	}
	g.text = strings.Replace(g.text, "traces: off", "traces: none", 1)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.ask("GET", "/x")
	if got := up.last().Get("Traceparent"); len(got) != 55 {
		t.Errorf("traces that nobody records: the service was told %q", got)
	}
}

// A collector that hangs, or is not there, costs spans and no request's time;
// the gateway ends within its grace.
func TestCollectorThatHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // it is never accepted from
	g := start(t, traced+fmt.Sprintf(`
traces: { to: "http://%s", queue: 20, batch: 5, period: 5ms }
routes: [{ match: /*, answer: 204 }]
`, ln.Addr()))
	begin := time.Now()
	for range 100 {
		g.ask("GET", "/x")
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("100 requests took %v", took)
	}
	// The span of an exchange ends after its answer, so that of the last may be on its way.
	dropped := regexp.MustCompile(`gopura_trace_spans_total\{outcome="dropped"\} (7[5-9]|80)\n`)
	waitFor(t, "all but the 20 that may wait, and the batch that is being sent, to be dropped", func() bool {
		var b strings.Builder
		g.Metrics().Write(&b, "")
		return dropped.MatchString(b.String())
	})
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	begin = time.Now()
	g.Shutdown(ctx)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
}

// A reload that changes the collector sends what was recorded to the old one.
// What is left at the shutdown is sent then.
func TestTracesAcrossReloads(t *testing.T) {
	a, first := overHTTP(t)
	b, second := overHTTP(t)
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, period: 1m, compression: gzip, attributes: { team: shop } }
routes: [{ match: /*, answer: 204 }]
`, first))
	g.ask("GET", "/x")
	g.text = strings.Replace(g.text, first, second, 1)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.await(1)
	if a.resource["team"] != "shop" {
		t.Errorf("resource %v", a.resource)
	}
	g.ask("GET", "/x")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	b.await(1)
	a.await(1)
}

// Metrics point to traces that were recorded.
func TestExemplars(t *testing.T) {
	c, to := overHTTP(t)
	g := start(t, traced+fmt.Sprintf(`
traces: { to: %s, period: 10ms }
services: { users: "http://ORIGIN" }
routes: [{ match: /*, to: users }]
`, to))
	g.ask("GET", "/1k")
	id := hex.EncodeToString(c.await(2)[0].TraceId)
	var b strings.Builder
	g.Metrics().Write(&b, "application/openmetrics-text;version=1.0.0")
	for _, metric := range []string{"gopura_request_duration_seconds_bucket", "gopura_upstream_duration_seconds_bucket"} {
		found := false
		for line := range strings.Lines(b.String()) {
			found = found || strings.HasPrefix(line, metric) && strings.Contains(line, `# {trace_id="`+id+`"}`)
		}
		if !found {
			t.Errorf("%s has no exemplar", metric)
		}
	}
}

// The variables of OpenTelemetry do as well as the file.
func TestTracesByEnvironment(t *testing.T) {
	c, to := overHTTP(t)
	for k, v := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": to, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=abc", "OTEL_SERVICE_NAME": "edge",
		"OTEL_RESOURCE_ATTRIBUTES": "team=shop,deployment.environment.name=test", "OTEL_BSP_SCHEDULE_DELAY": "10",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1",
	} {
		t.Setenv(k, v)
	}
	g := start(t, traced+"routes: [{ match: /*, answer: 204 }]")
	g.ask("GET", "/x")
	c.await(1)
	if c.resource["service.name"] != "edge" || c.resource["team"] != "shop" || http.Header(c.header).Get("X-Key") != "abc" {
		t.Errorf("%v %v", c.resource, c.header)
	}
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	if err := g.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "OTEL_TRACES_SAMPLER") {
		t.Errorf("an unknown sampler: %v", err)
	}
}
