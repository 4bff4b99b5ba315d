package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// A body takes the time that its bandwidth gives it, both ways and over each
// protocol, and a client that goes away ends the wait.
func TestBandwidth(t *testing.T) {
	for name, c := range clients() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, `
listen: {main: "127.0.0.1:0"}
access_log: off
services: {o: "http://ORIGIN"}
routes:
  - {match: GET /*, to: o, bandwidth: {download: 1MiB/s, burst: 512KiB}}
  - {match: GET /slow/*, to: o, bandwidth: 1KiB/s, concurrency: 1}
  - {match: POST /*, to: o, bandwidth: {upload: 1MiB/s, burst: 512KiB}}
`)
			began := time.Now()
			r, err := ask(t, c, t.Context(), g.url("/1m"))
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if took := time.Since(began); err != nil || n != 1<<20 || r.ContentLength != n || took < 480*time.Millisecond || took > 5*time.Second {
				t.Errorf("1 MiB: %d bytes in %v, %v", n, took, err)
			}

			began = time.Now()
			r, err = c.Post(g.url("/1k"), "text/plain", bytes.NewReader(make([]byte, 1<<20)))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if took := time.Since(began); r.StatusCode != 200 || took < 300*time.Millisecond {
				t.Errorf("the upload: %d after %v", r.StatusCode, took)
			}

			// The answer of 1 MB would take a quarter of an hour. Its slot is free
			// as soon as the client has gone.
			ctx, leave := context.WithCancel(t.Context())
			if r, err = ask(t, c, ctx, g.url("/slow/1m")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r.Body, make([]byte, 1024)); err != nil {
				t.Fatal(err)
			}
			if code := status(t, c, g.url("/slow/1k")); code != 503 {
				t.Errorf("the slot is free: %d", code)
			}
			leave()
			r.Body.Close()
			eventually(t, func() bool { return status(t, c, g.url("/slow/1k")) == 200 })
		})
	}
}

func status(t *testing.T, c *http.Client, url string) int {
	t.Helper()
	r, err := ask(t, c, t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}
