//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// confined is a cgroup of our own, with a limit of memory.
type confined struct{ dir, peak string }

// confine makes a cgroup below the one of this process, in either version; ok is false where
// that is not allowed.
func confine(t *testing.T, limit int) (c confined, ok bool) {
	t.Helper()
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		mount, name := "/sys/fs/cgroup", "memory.max"
		if c.peak = "memory.peak"; parts[1] == "memory" {
			mount, name, c.peak = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		c.dir = filepath.Join(mount, parts[2], fmt.Sprintf("gopura-test-%d", os.Getpid()))
		if os.Mkdir(c.dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(c.dir) }) // the process has ended by then
		if os.WriteFile(filepath.Join(c.dir, name), []byte(strconv.Itoa(limit)), 0o644) == nil {
			return c, true
		}
		os.Remove(c.dir)
	}
	return c, false
}

// TestMemoryPressure lets a gateway live in a small cgroup, and has many clients at once that
// send large bodies slowly and read large answers slowly. It finds its limit by itself, stays within it, and
// serves whoever else asks: slow senders keep nobody out, and caches keep within their share.
func TestMemoryPressure(t *testing.T) {
	const limit, many = 96 << 20, 150
	large := bytes.Repeat([]byte("large "), 1<<20)
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		switch {
		case r.URL.Path == "/large":
			w.Write(large)
			return
		case strings.HasPrefix(r.URL.Path, "/kept/"):
			w.Write(large[:1500<<10])
			return
		}
		io.WriteString(w, "ok")
	}))
	defer shop.CloseClientConnections()
	group, ok := confine(t, limit)
	if !ok {
		t.Skip("this test needs a cgroup of its own")
	}
	gateway := freeport.Address(t)
	file := filepath.Join(t.TempDir(), "gopura.yaml")
	text := fmt.Sprintf("listen: %s\nservices: {shop: %q}\nroutes: [{match: /kept/*, to: shop, cache: 1h}, {match: /*, to: shop}]\naccess_log: off\n", gateway, shop.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	c := exec.Command("sh", "-c", `echo $$ >"$2/cgroup.procs" && exec "$0" run -c "$1" 2>"$3"`, binary(t), file, group.dir, log)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { c.Process.Kill(); <-ended })
	said := func() string { b, _ := os.ReadFile(log); return string(b) }
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, _ := fetch("http://" + gateway + "/"); status == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not serve:\n%s", said())
		}
	}
	if want := "90 % of " + group.dir; !strings.Contains(said(), want) {
		t.Errorf("the log does not say %q:\n%s", want, said())
	}

	half := bytes.Repeat([]byte("half of it "), 50_000)
	for i := range 2 * many {
		conn, err := net.Dial("tcp", gateway)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if i%2 == 0 {
			fmt.Fprintf(conn, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
			if _, err := io.ReadFull(conn, make([]byte, 4096)); err != nil {
				t.Fatalf("client %d: %v\n%s", i, err, said())
			}
			continue
		}
		fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 2*len(half))
		go conn.Write(half)
	}
	h2 := &http.Transport{Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	for range 60 { // streams that nobody reads
		r, err := (&http.Client{Transport: h2}).Get("http://" + gateway + "/large")
		if err != nil {
			t.Fatalf("%v\n%s", err, said())
		}
		defer r.Body.Close()
	}
	for i := range 80 { // more than the whole limit to keep
		if status, body := fetch(fmt.Sprintf("http://%s/kept/%d", gateway, i)); status != 200 {
			t.Fatalf("answers to keep: %d %s\n%s", status, body, said())
		}
	}
	for range 50 {
		if status, body := fetch("http://" + gateway + "/"); status != 200 {
			t.Fatalf("others get %d %s\n%s", status, body, said())
		}
	}
	most, err := os.ReadFile(filepath.Join(group.dir, group.peak))
	if err != nil {
		t.Skip(err) // a kernel that does not say
	}
	peak, _ := strconv.Atoi(strings.TrimSpace(string(most)))
	t.Logf("%d slow readers, %d slow senders, 60 streams and 120 MiB to keep, in a cgroup of %d MiB: %d MiB at the most", many, many, limit>>20, peak>>20)
	if peak >= limit {
		t.Errorf("it needed all of its %d bytes", limit)
	}
}

func fetch(url string) (int, string) {
	r, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}
