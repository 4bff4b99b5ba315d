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
// after how many milliseconds. Services have timeouts {connect: 1s, response: 1500ms},
// the routes timeout: 2500ms; docs/security/faults.md is this table in words.
var faults = []struct {
	what          string
	toxics        string // between gateway and service
	kept          bool   // it hits a connection that there is already
	request       string
	want          string // status and code, or "broken" and the code of the record
	after, within time.Duration
}{
	{"late answers", "latency downstream latency=150 jitter=50", false, "GET /1k", "200", 100, 250},
	{"late answers on a kept connection", "latency downstream latency=150 jitter=50", true, "GET /1k", "200", 100, 250},
	{"answers that come too late", "latency downstream latency=6000", false, "GET /1k", "504 upstream_timeout", 1500, 1550},
	{"too late on a kept connection", "latency downstream latency=6000", true, "GET /1k", "504 upstream_timeout", 1500, 1550},
	{"answers in slices", "slicer downstream average_size=20 size_variation=10 delay=10", false, "GET /1k", "200", 0, 300},
	{"uploads in slices", "slicer upstream average_size=500 size_variation=100 delay=10", false, "POST /echo 20000", "200", 0, 300},
	{"little bandwidth", "bandwidth downstream rate=20", false, "GET /10k", "200", 300, 800},
	{"nobody listens", "off", false, "GET /1k", "502 upstream_connect_failed", 0, 100},
	{"reset instead of an answer", "reset_peer downstream timeout=0", false, "GET /1k", "502 upstream_reset", 0, 100},
	{"reset a while after the request", "reset_peer downstream timeout=200", false, "POST /echo 100", "502 upstream_reset", 200, 300},
	{"cut off in the head", "limit_data downstream bytes=30", false, "GET /1k", "502 upstream_reset", 0, 100},
	{"cut off in the body", "limit_data downstream bytes=700", false, "GET /1k", "broken upstream_broken_body", 0, 100},
	{"cut off in the upload", "limit_data upstream bytes=700", false, "POST /echo 100000", "502 upstream_reset", 0, 100},
	{"answers vanish", "timeout downstream timeout=0", false, "GET /1k", "504 upstream_timeout", 1500, 1550},
	{"answers vanish on a kept connection", "timeout downstream timeout=0", true, "GET /1k", "504 upstream_timeout", 1500, 1550},
	{"requests vanish", "timeout upstream timeout=0", false, "POST /echo 100", "504 upstream_timeout", 1500, 1550},
	{"requests vanish on a kept connection", "timeout upstream timeout=0", true, "GET /1k", "504 upstream_timeout", 1500, 1550},
	{"silence in the body", "", false, "GET /stall", "broken upstream_broken_body", 1500, 1550},
	{"drops without an end", "", false, "GET /drip", "broken exchange_timeout", 2500, 2600},
}

// TestFaults has every fault at once, with services and clients of HTTP/1.1 and
// HTTP/2. Each exchange ends as the table says and in its time; when the links
// are good again, so are the answers; and nothing is left behind.
func TestFaults(t *testing.T) {
	const quiet = "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: 200}]"
	g := start(t, quiet)
	newClient(false).end(t.Context(), g.url("/"), "GET /")
	goroutines, files := goroutinesOfOurs(), openFiles(t)
	origin := faultyOrigin(t)

	type subject struct {
		link         *badLink
		scheme, path string
	}
	var subjects []subject
	var services, routes strings.Builder
	for i := range faults {
		for _, scheme := range []string{"http", "h2c"} {
			s := subject{badLinkTo(t, origin.Addr), scheme, fmt.Sprintf("/%s%d", scheme, i)}
			subjects = append(subjects, s)
			fmt.Fprintf(&services, "  %s: {targets: '%s://%s', retries: off, timeouts: {connect: %v, response: %v}}\n", s.path[1:], scheme, s.link.address, calm*time.Second, calm*1500*time.Millisecond)
			fmt.Fprintf(&routes, "  - {match: %s/*, to: %s, strip_prefix: %s, timeout: %v}\n", s.path, s.path[1:], s.path, calm*2500*time.Millisecond)
		}
	}
	records := filepath.Join(t.TempDir(), "access.log")
	g.text = fmt.Sprintf("listen: {main: '127.0.0.1:0'}\naccess_log: %s\nservices:\n%sroutes:\n%s", records, &services, &routes)
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	codes := map[string]string{} // by path: what the record of a broken answer must have
	for i, s := range subjects {
		f := faults[i/2]
		if code, ok := strings.CutPrefix(f.want, "broken "); ok {
			codes[s.path+strings.Fields(f.request)[1]] = code
		}
		time.Sleep(20 * time.Millisecond) // not all at once: a machine can be busy enough to be a fault
		all.Go(func() {
			if f.kept {
				if got, _ := newClient(false).end(t.Context(), g.url(s.path), "GET /well"); got != "200" {
					t.Errorf("%s: before: %s", f.what, got)
				}
			}
			s.link.set(f.toxics)
			got, took := newClient(i/2%2 == 1).end(t.Context(), g.url(s.path), f.request)
			if want, _, _ := strings.Cut(f.want, " upstream_broken"); got != f.want && (got != "broken" || !strings.HasPrefix(want, got)) {
				t.Errorf("%s, %s: %s, want %s", f.what, s.scheme, got, f.want)
			}
			after, within := f.after*time.Millisecond, f.within*time.Millisecond
			if after >= time.Second { // one of the configured times
				after, within = calm*after, calm*within
			}
			if took < after || took > within+slowMachine {
				t.Errorf("%s, %s: after %v, want %v to %v", f.what, s.scheme, took, after, within)
			}
		})
	}
	all.Wait()

	for _, s := range subjects { // good links again: good answers
		s.link.set("")
	}
	for i, s := range subjects {
		all.Go(func() {
			for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				got, _ := newClient(false).end(t.Context(), g.url(s.path), "GET /well")
				if got == "200" {
					return
				}
				if time.Now().After(end) {
					t.Errorf("after %s, %s: %s", faults[i/2].what, s.scheme, got)
					return
				}
			}
		})
	}
	all.Wait()
	g.text = quiet
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	hasCodes(t, records, codes)
	for _, s := range subjects {
		s.link.proxy.Stop()
	}
	origin.Close()
	settles(t, "goroutines", goroutines, goroutinesOfOurs)
	settles(t, "descriptors", files, func() int { return openFiles(t) })
}

// goroutinesOfOurs counts those that do something: neither Toxiproxy's, which
// leaves some behind, nor workers of HTTP/2 that wait for a stream.
func goroutinesOfOurs() (n int) {
	buf := make([]byte, 8<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		_, frames, _ := strings.Cut(stack, "\n")
		if !strings.Contains(stack, "Shopify/toxiproxy") && !strings.HasPrefix(frames, "gopura/h2.(*worker).loop") {
			n++
		}
	}
	return n
}

// slowMachine is what a machine that does other things may add, and calm by how
// much longer the configured times are with the race detector.
const slowMachine = 2 * time.Second

var calm = map[bool]time.Duration{false: 1, true: 2}[raceEnabled]

// oneClient makes one exchange over a connection of its own.
type oneClient struct{ http.Client }

// newClient is a client of HTTP/2 or HTTP/1.1.
func newClient(http2 bool) *oneClient {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetUnencryptedHTTP2(http2)
	return &oneClient{http.Client{Transport: tr, Timeout: 20 * time.Second}}
}

// end makes "METHOD PATH [bytes of body]" and says how it ended: with a status,
// and the code when the gateway has answered; or that the answer broke off, or
// did not come.
func (c *oneClient) end(ctx context.Context, base, request string) (got string, took time.Duration) {
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
func faultyOrigin(t *testing.T) *http.Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Addr: l.Addr().String(), Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	return s
}

// hasCodes looks for the codes in the access log, by path.
func hasCodes(t *testing.T, file string, want map[string]string) {
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
