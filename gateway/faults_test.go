package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// What breaks between the gateway and a service, what the client is told, and
// after how long. Services have timeouts {connect: 400ms, response: 500ms}, the
// routes timeout: 2s; docs/security/faults.md is this table in words.
var faults = []struct {
	what    string
	toxics  string // between gateway and service
	kept    bool   // they come over a connection that there is already
	request string
	want    string        // status and code, or "broken" and the code of the record
	after   time.Duration // at the earliest
	within  time.Duration // at the latest, on a machine with nothing else to do
}{
	{"late answers", "latency downstream latency=150 jitter=50", false, "GET /1k", "200", 100, 250},
	{"late answers on a kept connection", "latency downstream latency=150 jitter=50", true, "GET /1k", "200", 100, 250},
	{"answers that come too late", "latency downstream latency=1500", false, "GET /1k", "504 upstream_timeout", 500, 550},
	{"too late on a kept connection", "latency downstream latency=1500", true, "GET /1k", "504 upstream_timeout", 500, 550},
	{"answers in slices", "slicer downstream average_size=20 size_variation=10 delay=10; slicer upstream average_size=20 size_variation=10 delay=10", false, "GET /1k", "200", 0, 300},
	{"uploads in slices", "slicer upstream average_size=500 size_variation=100 delay=10", false, "POST /echo 20000", "200", 0, 300},
	{"little bandwidth", "bandwidth downstream rate=20", false, "GET /10k", "200", 300, 800},
	{"too little bandwidth", "bandwidth downstream rate=2", false, "GET /10k", "broken exchange_timeout", 2000, 2100},
	{"nobody listens", "off", false, "GET /1k", "502 upstream_connect_failed", 0, 100},
	{"reset instead of an answer", "reset_peer downstream timeout=0", false, "GET /1k", "502 upstream_reset", 0, 100},
	{"reset a while after the request", "reset_peer downstream timeout=200", false, "POST /echo 100", "502 upstream_reset", 200, 300},
	{"cut off in the head", "limit_data downstream bytes=30", false, "GET /1k", "502 upstream_reset", 0, 100},
	{"cut off in the body", "limit_data downstream bytes=700", false, "GET /1k", "broken upstream_broken_body", 0, 100},
	{"cut off in the upload", "limit_data upstream bytes=700", false, "POST /echo 100000", "502 upstream_reset", 0, 100},
	{"answers vanish", "timeout downstream timeout=0", false, "GET /1k", "504 upstream_timeout", 500, 550},
	{"answers vanish on a kept connection", "timeout downstream timeout=0", true, "GET /1k", "504 upstream_timeout", 500, 550},
	{"requests vanish", "timeout upstream timeout=0", false, "POST /echo 100", "504 upstream_timeout", 500, 550},
	{"requests vanish on a kept connection", "timeout upstream timeout=0", true, "GET /1k", "504 upstream_timeout", 500, 550},
	{"silence in the body", "", false, "GET /stall", "broken upstream_broken_body", 500, 550},
	{"drops without an end", "", false, "GET /drip", "broken exchange_timeout", 2000, 2100},
}

// TestFaults has every fault at once, over HTTP/1.1 and HTTP/2 on both sides,
// four requests each. Each ends as the table says and in its time; when the
// links are good again, so are the answers; and nothing is left behind.
func TestFaults(t *testing.T) {
	origin := faultyOrigin(t)
	records := filepath.Join(t.TempDir(), "access.log")
	quiet := "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: 200}]"
	g := start(t, quiet)
	g.get("/")
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(50 * time.Millisecond)
	goroutines, files := goroutinesOfOurs(), openFiles(t)

	var links []*badLink
	var services, routes strings.Builder
	for i := range faults {
		for _, scheme := range []string{"http", "h2c"} {
			l := badLinkTo(t, origin)
			links = append(links, l)
			fmt.Fprintf(&services, "  %s%d: {targets: '%s://%s', retries: off, timeouts: {connect: 400ms, response: 500ms}}\n", scheme, i, scheme, l.address)
			fmt.Fprintf(&routes, "  - {match: /%s%d/*, to: %s%d, strip_prefix: /%s%d, timeout: 2s}\n", scheme, i, scheme, i, scheme, i)
		}
	}
	g.text = fmt.Sprintf("listen: {main: '127.0.0.1:0'}\naccess_log: %s\nservices:\n%sroutes:\n%s", records, &services, &routes)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	broken := map[string]string{} // by path: the code that its record must have
	for i, f := range faults {
		for j, scheme := range []string{"http", "h2c"} {
			l, prefix := links[2*i+j], fmt.Sprintf("/%s%d", scheme, i)
			all.Go(func() {
				if f.kept {
					if got, _ := exchangeFault(t.Context(), newClient(t, false), g.url(prefix), "GET /1k"); got != "200" {
						t.Errorf("%s: before: %s", f.what, got)
					}
				}
				l.set(f.toxics)
				for n := range 4 {
					client := newClient(t, n%2 == 1)
					all.Go(func() {
						path := fmt.Sprintf("%s?%d", f.request, n)
						if method, rest, ok := strings.Cut(f.request, " /echo "); ok {
							path = fmt.Sprintf("%s /echo?%d %s", method, n, rest)
						}
						got, took := exchangeFault(t.Context(), client, g.url(prefix), path)
						name := fmt.Sprintf("%s, over %s", f.what, scheme)
						if code, ok := strings.CutPrefix(f.want, "broken "); ok && got == "broken" {
							mu.Lock()
							broken[prefix+strings.Fields(f.request)[1]] = code
							mu.Unlock()
						} else if got != f.want {
							t.Errorf("%s: %s, want %s", name, got, f.want)
						}
						if took < f.after*time.Millisecond || took > f.within*time.Millisecond+slowMachine {
							t.Errorf("%s: after %v, want %d to %d ms", name, took, f.after, f.within)
						}
					})
				}
			})
		}
	}
	all.Wait()

	// Good links again: each service is well at once.
	for _, l := range links {
		l.set("")
	}
	for i, f := range faults {
		for _, scheme := range []string{"http", "h2c"} {
			eventually(t, func() bool {
				got, _ := exchangeFault(t.Context(), newClient(t, false), g.url(fmt.Sprintf("/%s%d", scheme, i)), "GET /1k")
				if got != "200" {
					t.Logf("%s, over %s: %s after the fault", f.what, scheme, got)
				}
				return got == "200"
			})
		}
	}
	g.text = quiet
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		l.proxy.Stop()
	}
	hasRecords(t, records, broken)
	settles(t, "goroutines", goroutines, goroutinesOfOurs)
	settles(t, "descriptors", files, func() int { return openFiles(t) })
}

// goroutinesOfOurs counts those that are not Toxiproxy's, which leaves some behind.
func goroutinesOfOurs() int {
	buf := make([]byte, 8<<20)
	n := 0
	for stack := range bytes.SplitSeq(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if !bytes.Contains(stack, []byte("Shopify/toxiproxy")) && !bytes.Contains(stack, []byte("!shopify/toxiproxy")) {
			n++
		}
	}
	return n
}

// slowMachine is what a machine that does other things may add.
const slowMachine = 1500 * time.Millisecond

// newClient is a client with a connection of its own, over HTTP/2 or HTTP/1.1.
func newClient(t *testing.T, http2 bool) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// exchangeFault makes "METHOD PATH [bytes of body]" and says what came of it:
// the status, and the code when the gateway has answered; or that the answer
// broke off, or did not come.
func exchangeFault(ctx context.Context, c *http.Client, base, request string) (got string, took time.Duration) {
	defer c.CloseIdleConnections()
	words := strings.Fields(request)
	var body io.Reader
	if len(words) == 3 {
		var n int
		fmt.Sscan(words[2], &n)
		body = bytes.NewReader(make([]byte, n))
	}
	r, err := http.NewRequestWithContext(ctx, words[0], base+words[1], body)
	if err != nil {
		return err.Error(), 0
	}
	r.GetBody = nil
	begun := time.Now()
	resp, err := c.Do(r)
	if err != nil {
		return "no answer: " + err.Error(), time.Since(begun)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			return "hangs", time.Since(begun)
		}
		return "broken", time.Since(begun)
	}
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Gopura-Answer"))), time.Since(begun)
}

// faultyOrigin speaks HTTP/1.1 and HTTP/2.
func faultyOrigin(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/1k":
			w.Write(bytes.Repeat([]byte("x"), 1<<10))
		case "/10k":
			w.Write(bytes.Repeat([]byte("x"), 10<<10))
		case "/echo":
			io.Copy(w, r.Body)
		case "/stall", "/drip":
			for n := 0; r.Context().Err() == nil; n++ {
				if n == 0 || r.URL.Path == "/drip" {
					io.WriteString(w, "drop")
					w.(http.Flusher).Flush()
				}
				select {
				case <-time.After(50 * time.Millisecond):
				case <-r.Context().Done():
				}
			}
		}
	})}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// hasRecords looks for the codes in the access log, by path.
func hasRecords(t *testing.T, file string, want map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var r struct {
			Path, Code, Side string
			Status           int
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if code, ok := want[r.Path]; ok && r.Code != code {
			t.Errorf("the record of %s has %q, want %s: %s", r.Path, r.Code, code, line)
		}
	}
}
