package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
)

// TestReloadOfHTTP2Limits changes what an HTTP/2 server can't change in place,
// a timeout, while clients connect: none of them finds a closed server.
func TestReloadOfHTTP2Limits(t *testing.T) {
	text := func(n int) string {
		return fmt.Sprintf("listen: {main: '127.0.0.1:0'}\naccess_log: off\ntimeouts: {idle: %ds}\nroutes: [{match: /*, answer: {body: hi}}]\n", 60+n%7)
	}
	g := start(t, text(0))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := overNewHTTP2(g.url("/")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 200 {
		g.text = text(n)
		if err := g.Reload(ctx); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	all.Wait()
}

// overNewHTTP2 makes one request over a connection of its own.
func overNewHTTP2(url string) error {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	q, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return err
	}
	r, err := tr.RoundTrip(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && string(b) != "hi" {
		err = fmt.Errorf("status %d, body %q", r.StatusCode, b)
	}
	return err
}
