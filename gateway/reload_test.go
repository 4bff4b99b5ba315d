package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// generation is a configuration that says its number in two places, the body
// and a header, so that a mix of two would show.
func generation(n int, echo string) string {
	return fmt.Sprintf(`
listen: {main: "127.0.0.1:0"}
access_log: off
services:
  o: "http://ORIGIN"
  echo: "http://%s"
  spare: {targets: ["http://ORIGIN"], timeouts: {response: %dms}}
routes:
  - {match: GET /gen, answer: {body: "%d"}, headers: {response: {set: {X-Gen: "%d"}}}}
  - {match: GET /1k, to: o, headers: {response: {set: {X-Gen: "%d"}}}}
  - {match: "POST /echo", to: o}
  - {match: GET /ws, to: echo}
  - {match: GET /spare/1k, to: spare}
`, echo, 5000+n, n, n, n)
}

// TestReloadUnderLoad changes the configuration 200 times under keep-alive
// load, slow request bodies and open tunnels: nothing is lost, no answer mixes
// two configurations, and nothing is left behind.
func TestReloadUnderLoad(t *testing.T) {
	reloads, clients := 200, 8
	if testing.Short() {
		reloads = 20
	}
	echo := upgradeServer(t)
	const quiet = "listen: {main: '127.0.0.1:0'}\naccess_log: off\nroutes: [{match: /*, answer: 200}] # ORIGIN"
	g := start(t, quiet)
	up := g.text[strings.Index(g.text, "# ")+2:]
	g.get("/")
	http.DefaultClient.CloseIdleConnections()
	time.Sleep(50 * time.Millisecond)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	var requests, failures atomic.Int64
	fail := func(format string, args ...any) {
		if failures.Add(1) <= 5 {
			t.Errorf(format, args...)
		}
	}
	g.text = strings.ReplaceAll(generation(0, echo), "ORIGIN", up)
	if err := g.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	url := g.url("")
	for i := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				requests.Add(1)
				var err error
				switch i % 4 {
				case 0, 1:
					err = wholeGeneration(client, url+"/gen")
				case 2:
					err = proxied(client, url+"/1k")
				case 3:
					err = slowEcho(client, url+"/echo")
				}
				if err != nil {
					fail("client %d: %v", i, err)
				}
			}
		})
	}
	tunnels := make([]net.Conn, 4)
	for i := range tunnels {
		tunnels[i] = openTunnel(t, g.Address("main"))
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := pingTunnel(tunnels[i], n); err != nil {
					fail("tunnel %d: %v", i, err)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		g.text = strings.ReplaceAll(generation(n, echo), "ORIGIN", up)
		if err := g.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		if code, body, _ := g.get("/gen"); code != 200 || body != fmt.Sprint(n) {
			t.Fatalf("after reload %d: %d %q", n, code, body)
		}
	}
	stop()
	all.Wait()
	g.text = quiet // no service: no kept connection to one
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	for _, c := range tunnels {
		c.Close()
	}
	t.Logf("%d requests, %d reloads, %d failures", requests.Load(), reloads, failures.Load())
	settles(t, "goroutines", goroutines, runtime.NumGoroutine)
	settles(t, "descriptors", files, func() int { return openFiles(t) })
}

// settles waits until a count is back where it was; a few may be in between.
func settles(t *testing.T, what string, before int, now func() int) {
	t.Helper()
	for range 200 {
		if now() <= before+2 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d %s before, %d after\n%s\n%s", before, what, now(), describeFiles(), buf[:runtime.Stack(buf, true)])
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(list)
}

func describeFiles() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		list = append(list, e.Name()+" "+target)
	}
	return list
}

func wholeGeneration(c *http.Client, url string) error {
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != 200 || r.Header.Get("X-Gen") != string(b) {
		return fmt.Errorf("status %d, header %q, body %q", r.StatusCode, r.Header.Get("X-Gen"), b)
	}
	return nil
}

func proxied(c *http.Client, url string) error {
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && (r.StatusCode != 200 || len(b) != 1024) {
		err = fmt.Errorf("status %d, %d bytes: %s", r.StatusCode, len(b), b)
	}
	return err
}

// slowEcho sends a body in pieces with pauses, so that reloads happen within.
func slowEcho(c *http.Client, url string) error {
	pr, pw := io.Pipe()
	piece := bytes.Repeat([]byte("x"), 20000)
	go func() {
		for range 5 {
			pw.Write(piece)
			time.Sleep(3 * time.Millisecond)
		}
		pw.Close()
	}()
	r, err := c.Post(url, "application/octet-stream", pr)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && (r.StatusCode != 200 || len(b) != 5*len(piece)) {
		err = fmt.Errorf("status %d, %d bytes", r.StatusCode, len(b))
	}
	return err
}

// upgradeServer accepts every upgrade and echoes what comes through it.
func upgradeServer(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				if _, err := http.ReadRequest(br); err != nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				io.Copy(struct{ io.Writer }{c}, br) // without splice, whose pipes outlive it
			}()
		}
	}()
	return ln.Addr().String()
}

func openTunnel(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReaderSize(c, 1), nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatal(r, err)
	}
	return c
}

func pingTunnel(c net.Conn, n int) error {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	ping := fmt.Appendf(nil, "ping %08d", n)
	if _, err := c.Write(ping); err != nil {
		return err
	}
	pong := make([]byte, len(ping))
	if _, err := io.ReadFull(c, pong); err != nil {
		return err
	}
	if !bytes.Equal(ping, pong) {
		return fmt.Errorf("%q came back as %q", ping, pong)
	}
	return nil
}
