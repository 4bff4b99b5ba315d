package gateway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
)

const regretConfig = `
listen: {main: "127.0.0.1:0"}
access_log: off
reload: {rollback: {errors_above: 20%, within: 10s, of_at_least: 20}}
services: {o: "http://ORIGIN"}
routes:
  - {match: GET /1k, to: o}
`

func (g *gate) eventually(what string, ok func() bool) {
	g.t.Helper()
	for until := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			g.t.Fatalf("never: %s", what)
		}
	}
}

// A configuration that breaks what worked is taken back, and says why.
func TestErrorsAfterAReloadTakeItBack(t *testing.T) {
	g := start(t, regretConfig)
	for range 30 {
		g.get("/1k")
	}
	time.Sleep(600 * time.Millisecond) // a look at what is usual
	good := g.text
	g.text = strings.ReplaceAll(good, "GET /1k", "GET /2k")
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.eventually("a rollback", func() bool { g.get("/1k"); return g.Info().RolledBack != nil })
	if status, _, _ := g.get("/1k"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
	b := g.Info().RolledBack
	if b.From != 2 || b.To != 1 || !strings.Contains(b.Reason, "errors rose from 0.0 %") || g.Info().Generation != 3 {
		t.Errorf("%+v", b)
	}
	// What failed before is no fault of the next one.
	g.text = strings.ReplaceAll(good, "GET /1k, to: o", "GET /3k, to: o")
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.Info().RolledBack != nil {
		t.Error("a reload by hand puts the file in force")
	}
}

// The state after a rollback is kept until the text of the files changes.
func TestFilesAfterARollback(t *testing.T) {
	folder := t.TempDir()
	file, secret := filepath.Join(folder, "gopura.yaml"), filepath.Join(folder, "secret")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := func(body string) string {
		return "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: GET /, answer: {body: " + body + "}, headers: {response: {set: {X-Secret: '${file:secret}'}}}}]\n"
	}
	write(secret, "one")
	write(file, text("first"))
	g := &gate{t: t}
	g.Gateway = gateway.New(gateway.Options{Load: func() (*config.Document, error) { return config.Load(file, gateway.ConfigOptions()) }})
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Shutdown(t.Context()) })
	go g.Watch(t.Context(), func() []string { return append(g.Files(), file) })
	body := func() string { _, body, h := g.get("/"); return body + " " + h.Get("X-Secret") }

	write(file, text("second"))
	g.eventually("the second", func() bool { return body() == "second one" })
	if err := g.Rollback(t.Context(), 0, "by hand"); err != nil {
		t.Fatal(err)
	}
	if got := body(); got != "first one" {
		t.Fatal(got)
	}
	// A secret that is rotated is taken up, and does not end the rollback.
	write(secret, "two")
	g.eventually("the new secret", func() bool { return body() == "first two" })
	if g.Info().RolledBack == nil {
		t.Error("the rollback is over")
	}
	// A text that can't be used changes nothing.
	write(file, "listen: [")
	g.eventually("a refusal", func() bool { return g.Info().LastError != "" })
	if got := body(); got != "first two" || g.Info().RolledBack == nil {
		t.Error(got)
	}
	write(file, text("third"))
	g.eventually("the third", func() bool { return body() == "third two" })
	if g.Info().RolledBack != nil {
		t.Error("still rolled back")
	}
}
