package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// slowOrigin answers with a head and a first piece at once, and with the rest
// when the test says so.
func slowOrigin(t *testing.T) (address string, finish chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	finish = make(chan struct{})
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			fmt.Fprint(w, "begin")
			w.(http.Flusher).Flush()
			select {
			case <-finish:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, "end")
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), finish
}

func clients() map[string]*http.Client {
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"http/1.1": {Transport: &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}},
		"h2c":      {Transport: &http.Transport{Protocols: h2c}},
	}
}

func ask(t *testing.T, c *http.Client, ctx context.Context, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(r)
}

// A slot is held until the last byte of the answer, not until its head; a
// client that goes away in the middle gives it back.
func TestASlotIsHeldUntilTheLastByte(t *testing.T) {
	for name, c := range clients() {
		t.Run(name, func(t *testing.T) {
			origin, finish := slowOrigin(t)
			g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {slow: "http://%s"}
routes: [{match: /*, to: slow, concurrency: 1 per client.ip}] # ORIGIN
`, origin))
			status := func(ctx context.Context, path string) (*http.Response, int) {
				r, err := ask(t, c, ctx, g.url(path))
				if err != nil {
					t.Fatal(err)
				}
				return r, r.StatusCode
			}
			ctx, leave := context.WithCancel(t.Context())
			slow, code := status(ctx, "/slow")
			if code != 200 {
				t.Fatal(code)
			}
			for range 3 {
				r, code := status(t.Context(), "/fast")
				io.Copy(io.Discard, r.Body)
				if r.Body.Close(); code != 429 {
					t.Fatalf("while the body is on its way: %d", code)
				}
			}
			close(finish)
			io.Copy(io.Discard, slow.Body)
			slow.Body.Close()
			leave()
			eventually(t, func() bool {
				r, code := status(t.Context(), "/fast")
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				return code == 200
			})
		})
		t.Run(name+"/client leaves", func(t *testing.T) {
			origin, _ := slowOrigin(t)
			g := start(t, fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services: {slow: "http://%s"}
routes: [{match: /*, to: slow, concurrency: {max: 1 per client.ip, queue: {max: 1, wait: 10s}}}] # ORIGIN
`, origin))
			first, leave := context.WithCancel(t.Context())
			r, err := ask(t, c, first, g.url("/slow"))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			// The second waits, and leaves the queue when its client does: else
			// there would be no room for the third.
			second, give := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer give()
			if _, err := ask(t, c, second, g.url("/fast")); err == nil {
				t.Fatal("the second did not wait")
			}
			time.AfterFunc(300*time.Millisecond, leave)
			eventually(t, func() bool {
				r, err := ask(t, c, t.Context(), g.url("/fast"))
				if err != nil {
					return false
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				return r.StatusCode == 200
			})
		})
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to be so")
		}
	}
}

// A throttled burst is served in time, none refused, over one connection each.
func TestAThrottledBurstIsServed(t *testing.T) {
	g := start(t, `
listen: {main: "127.0.0.1:0"}
access_log: off
services: {o: "http://ORIGIN"}
routes: [{match: /*, to: o, limit: {rate: 100/s per client.ip, burst: 1, queue: {max: 20, wait: 5s}}}]
`)
	began := time.Now()
	codes := make(chan int, 16)
	for range cap(codes) {
		go func() {
			c, err := net.Dial("tcp", g.Address("main"))
			if err != nil {
				codes <- 0
				return
			}
			defer c.Close()
			fmt.Fprint(c, "GET /1k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				codes <- 0
				return
			}
			codes <- r.StatusCode
		}()
	}
	for range cap(codes) {
		if code := <-codes; code != 200 {
			t.Errorf("%d", code)
		}
	}
	if took := time.Since(began); took < 140*time.Millisecond {
		t.Errorf("16 requests at 100/s took %v", took)
	}
}
