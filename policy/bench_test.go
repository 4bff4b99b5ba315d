package policy

import (
	"testing"

	"gopura/config"
	"gopura/exchange"
)

var nodeOK = exchange.HandlerFunc(func(x *exchange.Exchange) error { x.Response.Status = 200; return nil })

func edited(t testing.TB, value string) (exchange.Handler, *exchange.Exchange) {
	link, faults := Chain(newEnv(t), []config.Policy{
		{Name: "headers", Spec: &Headers{
			Request:  RequestEdits{Set: []config.Pair{{Name: "X-A", Value: value}}, Add: []config.Pair{{Name: "X-B", Value: "b"}}, Remove: []string{"X-C", "X-D-*"}, Host: "b.example"},
			Response: ResponseEdits{Set: []config.Pair{{Name: "Server", Value: "gopura"}}}}},
		{Name: "max_body", Spec: &MaxBody{Size: 100}},
		{Name: "strip_prefix", Spec: &StripPrefix{Prefix: "/api"}},
		{Name: "rewrite", Spec: &Rewrite{To: "/v2{request.path}"}},
	})
	if faults != nil {
		t.Fatal(faults)
	}
	return link(nodeOK), newExchange("/api/users/1?q=1")
}

func run(h exchange.Handler, x *exchange.Exchange, client *exchange.Client, path []byte) error {
	x.Reset()
	x.Client = client
	x.Request.Path, x.Request.Body = path, exchange.NoBody
	x.Request.Header.Add("X-C", "1")
	return h.Serve(x)
}

func TestPoliciesDoNotAllocate(t *testing.T) {
	for _, value := range []string{"constant", `{client.ip} {request.host}`} {
		h, x := edited(t, value)
		client, path := x.Client, []byte("/api/users/1")
		if n := testing.AllocsPerRun(200, func() {
			if err := run(h, x, client, path); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", value, n)
		}
	}
}

func BenchmarkPolicies(b *testing.B) {
	h, x := edited(b, "constant")
	client, path := x.Client, []byte("/api/users/1")
	b.ReportAllocs()
	for b.Loop() {
		run(h, x, client, path)
	}
}
