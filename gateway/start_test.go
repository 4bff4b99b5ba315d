package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
	"gopura/internal/origin"
)

// gate is a gateway under test, with a configuration that can be replaced.
type gate struct {
	*gateway.Gateway
	t    testing.TB
	text string
}

// start runs a gateway with one listener "main" on a free port. In the text,
// ORIGIN stands for the address of an upstream server that is started with it.
func start(t testing.TB, text string) *gate {
	t.Helper()
	up, err := origin.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	g := &gate{t: t, text: strings.ReplaceAll(text, "ORIGIN", up.Address())}
	g.Gateway = gateway.New(gateway.Options{
		Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		Load: func() (*config.Document, error) {
			return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(g.text)}}, gateway.ConfigOptions())
		},
	})
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		g.Shutdown(ctx)
	})
	return g
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	defer func() { recover() }() // a record after the test has ended is lost
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (g *gate) url(path string) string { return "http://" + g.Address("main") + path }

func (g *gate) get(path string) (int, string, http.Header) {
	g.t.Helper()
	r, err := http.Get(g.url(path))
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return r.StatusCode, string(b), r.Header
}

func TestSmoke(t *testing.T) {
	g := start(t, `
listen: {main: "127.0.0.1:0"}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - {match: GET /1k, to: o}
  - {match: GET /headers, to: o}
  - {match: GET /old, redirect: /new}
  - {match: GET /hello, answer: {body: hi}}
`)
	code, body, h := g.get("/1k")
	t.Log(code, len(body), h)
	if code != 200 || len(body) != 1024 {
		t.Fatal(code, body)
	}
	code, body, _ = g.get("/headers")
	t.Log(code, body)
	code, body, h = g.get("/nope")
	t.Log(code, body, h)
	code, body, h = g.get("/hello")
	t.Log(code, body, h)
}
