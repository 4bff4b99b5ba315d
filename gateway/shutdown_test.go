package gateway_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// Told to stop, a gateway with a delay is no longer ready and still serves;
// then it is gone.
func TestShutdownDelay(t *testing.T) {
	g := start(t, `
listen: {main: "127.0.0.1:0"}
access_log: off
shutdown: {delay: 500ms, grace: 2s}
routes: [{match: /*, answer: {body: hi}}]
`)
	address, begun := g.Address("main"), time.Now()
	done := make(chan error)
	go func() { done <- g.Shutdown(context.Background()) }()
	for g.Ready() {
		time.Sleep(time.Millisecond)
	}
	if code, body, _ := g.get("/"); code != 200 || body != "hi" {
		t.Errorf("during the delay: %d %q", code, body)
	}
	if err := <-done; err != nil || time.Since(begun) < 500*time.Millisecond {
		t.Errorf("ended after %v: %v", time.Since(begun), err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("still accepting")
	}
}

// A process that has handed over reads no more configurations: what it opened would be in the
// way of the one that serves, and it has nothing to refuse.
func TestNoReloadAfterHandingOver(t *testing.T) {
	g := start(t, "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: 200}] # ORIGIN")
	before := g.Info().Generation
	g.HandedOver()
	g.text = strings.Replace(g.text, "answer: 200", "answer: 204", 1)
	if err := g.Reload(t.Context()); err == nil {
		t.Error("a configuration is put in force")
	}
	if now := g.Info(); now.Generation != before || now.LastError != "" {
		t.Errorf("generation %d, last error %q", now.Generation, now.LastError)
	}
}
