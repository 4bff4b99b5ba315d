package compose

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/expr"
)

// service is a handler that stands for a service.
type service = exchange.HandlerFunc

// planOf compiles the first route of a text: what stands below routes[0].
func planOf(t testing.TB, text string, services map[string]exchange.Handler, params ...string) *Plan {
	t.Helper()
	var head strings.Builder
	head.WriteString("listen: ':0'\nservices:\n")
	for name := range services {
		head.WriteString("  " + name + ": http://127.0.0.1:1\n")
	}
	head.WriteString("routes:\n  - match: /x\n")
	for line := range strings.Lines(text) {
		head.WriteString("    " + line)
	}
	doc, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(head.String())}}, config.Options{})
	if err != nil {
		var p *config.Problems
		if errors.As(err, &p) {
			for _, q := range p.List {
				t.Log(q)
			}
		}
		t.Fatal(err)
	}
	env, err := expr.New(expr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, ok := Compile(&doc.Routes[0], "routes[0]", Options{
		Env: env.ForRoute(params), Params: params,
		Service: func(name string) exchange.Handler { return services[name] },
		Problem: func(p Problem) {
			if !p.Warning {
				t.Errorf("%s: %s (%s)", p.Path, p.Message, p.Hint)
			}
		},
	})
	if !ok {
		t.FailNow()
	}
	return plan
}

// clientRequest is a GET of a client.
func clientRequest(timeout time.Duration) *exchange.Exchange {
	x := &exchange.Exchange{Start: time.Now(), ID: []byte("id-1"), Client: &exchange.Client{Addr: netip.MustParseAddrPort("192.0.2.1:4000")}}
	x.Request.Method, x.Request.Scheme, x.Request.Path, x.Request.Body = "GET", "http", []byte("/x"), exchange.NoBody
	x.Request.Authority, x.Request.Host = []byte("shop.example.com"), []byte("shop.example.com")
	if timeout > 0 {
		x.Deadline = x.Start.Add(timeout)
	}
	x.Arm()
	return x
}

// answering is a service that answers with JSON.
func answering(body string) service {
	return func(x *exchange.Exchange) error { return answerWith(x, 200, body) }
}

func answerWith(x *exchange.Exchange, status int, body string) error {
	x.Response.Status = status
	x.Response.Header.Add("Content-Type", "application/json")
	x.Response.Body = exchange.BytesBody([]byte(body))
	return nil
}

// wait waits as a transport does: not longer than the deadline, and not after
// the exchange was cancelled.
func wait(x *exchange.Exchange, d time.Duration) error {
	ctx := x.Context()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		if cause := x.Cancelled(); cause != nil && cause != ctx.Err() {
			return cancelled(cause)
		}
		return exchange.ExchangeTimeout.Because(ctx.Err())
	}
}

// bodyOf reads an answer to its end.
func bodyOf(t testing.TB, x *exchange.Exchange) string {
	t.Helper()
	var b strings.Builder
	for {
		p, err := x.Response.Body.Next()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(p) == 0 {
			t.Fatal("an empty piece")
		}
		b.Write(p)
	}
}
