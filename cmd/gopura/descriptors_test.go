//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// TestDescriptorsRunOut gives the gateway 64 descriptors and 200 clients. It
// must not spin, serve those whom it has, and recover when the others leave.
func TestDescriptorsRunOut(t *testing.T) {
	up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go up.Serve(ln)
	defer up.Close()
	web := freeport.Address(t)
	path := file(t, fmt.Sprintf("listen: %s\naccess_log: off\nservices: {up: \"http://%s\"}\nroutes:\n  - {match: /up, to: up}\n  - {match: /*, answer: {body: hello}}\n", web, ln.Addr()))
	c := launchAs(t, exec.Command("/bin/sh", "-c", `ulimit -n 64 && exec "$0" "$@"`, os.Args[0], "run", "-c", path))
	eventually(t, "in force", func() bool { return strings.Contains(c.stderr.String(), "in force") })

	// One client has a connection to the service, kept.
	first := client(t, web)
	if got := first.ask("/up"); got != "hello" {
		t.Fatal(got)
	}
	var all []*kept
	for range 200 {
		all = append(all, client(t, web))
	}
	eventually(t, "out of descriptors", func() bool { return strings.Contains(c.stderr.String(), "too many open files") })
	before, begun := cpuTime(t, c.Cmd), time.Now()
	time.Sleep(2 * time.Second)
	if used := cpuTime(t, c.Cmd) - before; used > time.Since(begun)/10 {
		t.Errorf("it takes %v of processor in %v while it waits", used, time.Since(begun))
	}
	if n := strings.Count(c.stderr.String(), "too many open files"); n > 40 {
		t.Errorf("%d lines about it in the log", n)
	}
	if got := first.ask("/up"); got != "hello" {
		t.Errorf("a client that was there: %s", got)
	}
	if got := all[0].ask("/"); got != "hello" {
		t.Errorf("a client that came early: %s", got)
	}
	for _, k := range all {
		k.Close()
	}
	late := client(t, web)
	for _, path := range []string{"/", "/up"} {
		if got := late.ask(path); got != "hello" {
			t.Errorf("after the recovery, %s: %s", path, got)
		}
	}
}

// kept is a client's connection.
type kept struct {
	net.Conn
	r *bufio.Reader
}

func client(t *testing.T, address string) *kept {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(15 * time.Second))
	return &kept{nc, bufio.NewReader(nc)}
}

func (k *kept) ask(path string) string {
	fmt.Fprintf(k, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
	r, err := http.ReadResponse(k.r, nil)
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// cpuTime is what a process has used so far, user and system.
func cpuTime(t *testing.T, c *exec.Cmd) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] {
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
