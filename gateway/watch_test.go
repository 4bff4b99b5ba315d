package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
)

// A folder in which something else changes all the time, a log perhaps, must not
// keep a change of the configuration from being seen.
func TestWatchInABusyFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gopura.yaml")
	write := func(n int) {
		text := fmt.Sprintf("listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: {body: \"%d\"}}]\n", n)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(1)
	g := gateway.New(gateway.Options{
		Log:  slog.New(slog.DiscardHandler),
		Load: func() (*config.Document, error) { return config.Load(file, gateway.ConfigOptions()) },
	})
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Watch(ctx, func() []string { return []string{file} })
	}()
	defer func() {
		stop()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		g.Shutdown(ctx)
	}()
	noise := filepath.Join(dir, "access.log")
	time.Sleep(100 * time.Millisecond) // the watch has begun
	write(2)
	for until := time.Now().Add(6 * time.Second); g.Info().Generation < 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the change was not seen")
		}
		os.WriteFile(noise, []byte(time.Now().String()), 0o600)
	}
}
