//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// command is gopura as a process of its own.
type command struct {
	*exec.Cmd
	stderr *lines
	done   chan struct{} // closed when it has ended
}

// lines is what a process has written, for a test that waits for it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func launch(t *testing.T, args ...string) *command {
	t.Helper()
	return launchAs(t, exec.Command(os.Args[0], args...))
}

// launchAs is launch by another program, which ends in executing ours.
func launchAs(t *testing.T, cmd *exec.Cmd) *command {
	t.Helper()
	c := &command{Cmd: cmd, stderr: new(lines), done: make(chan struct{})}
	c.Env = append(os.Environ(), "GOPURA_AS_COMMAND=1")
	c.Stderr = c.stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		c.Process.Kill()
		<-c.done
	})
	return c
}

func (c *command) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-c.done:
		return c.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end:\n%s", c.stderr)
		return 0
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

func get(url string) (int, string) {
	res, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func TestSignals(t *testing.T) {
	release := make(chan struct{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{}, 8)
	slow := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-release
		io.WriteString(w, "at last")
	})}
	go slow.Serve(ln)
	defer slow.Close()

	web, adm, dir := freeport.Address(t), freeport.Address(t), t.TempDir()
	path, access := filepath.Join(dir, "gopura.yaml"), filepath.Join(dir, "access.log")
	write := func(answer string) {
		text := fmt.Sprintf("listen: %s\nadmin: %s\naccess_log: %s\nservices: {slow: \"http://%s\"}\nroutes:\n  - {match: /slow, to: slow}\n  - {match: /, answer: {body: %s}}\n",
			web, adm, access, ln.Addr(), answer)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	c := launch(t, "run", "-c", path)
	eventually(t, "ready", func() bool { status, _ := get("http://" + adm + "/readyz"); return status == 200 })
	if _, body := get("http://" + web + "/"); body != "one" {
		t.Fatalf("%s\n%s", body, c.stderr)
	}

	// A changed file is picked up by itself.
	write("two")
	eventually(t, "the changed file", func() bool { _, body := get("http://" + web + "/"); return body == "two" })

	// SIGHUP opens the access log anew and reads the configuration again.
	if err := os.Rename(access, access+".1"); err != nil {
		t.Fatal(err)
	}
	c.Process.Signal(syscall.SIGHUP)
	eventually(t, "a new access log", func() bool {
		get("http://" + web + "/")
		_, err := os.Stat(access)
		return err == nil
	})
	if n := strings.Count(c.stderr.String(), "configuration in force"); n < 3 { // the same content: no new generation
		t.Errorf("SIGHUP reloads nothing:\n%s", c.stderr)
	}

	// A broken file changes nothing.
	os.WriteFile(path, []byte("listen: ["), 0o600)
	c.Process.Signal(syscall.SIGHUP)
	eventually(t, "the refusal", func() bool { return strings.Contains(c.stderr.String(), "configuration refused") })
	if _, body := get("http://" + web + "/"); body != "two" {
		t.Errorf("after a broken file: %s", body)
	}

	// SIGTERM lets the request in flight end; probes say so meanwhile.
	result := make(chan string, 1)
	go func() { _, body := get("http://" + web + "/slow"); result <- body }()
	<-started
	c.Process.Signal(syscall.SIGTERM)
	eventually(t, "not ready", func() bool { status, _ := get("http://" + adm + "/readyz"); return status == 503 })
	eventually(t, "closed to new clients", func() bool { status, _ := get("http://" + web + "/"); return status == 0 })
	close(release)
	if body := <-result; body != "at last" {
		t.Errorf("the request in flight got %q", body)
	}
	if code := c.exit(t); code != 0 {
		t.Errorf("exit %d\n%s", code, c.stderr)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // accepts in the system's queue, never answers
	web := freeport.Address(t)
	path := file(t, fmt.Sprintf("listen: %s\naccess_log: off\nshutdown: {grace: 60s}\nservices: {mute: \"http://%s\"}\nroutes:\n  - {match: /*, to: mute}\n", web, ln.Addr()))
	c := launch(t, "run", "-c", path)
	eventually(t, "in force", func() bool { return strings.Contains(c.stderr.String(), "in force") })
	go get("http://" + web + "/")
	if conn, err := ln.Accept(); err != nil {
		t.Fatal(err)
	} else {
		defer conn.Close()
	}
	c.Process.Signal(syscall.SIGINT)
	eventually(t, "stopping", func() bool { return strings.Contains(c.stderr.String(), "stopping") })
	c.Process.Signal(syscall.SIGINT)
	begun := time.Now()
	if code := c.exit(t); code != 1 || time.Since(begun) > 10*time.Second {
		t.Errorf("exit %d after %v\n%s", code, time.Since(begun), c.stderr)
	}
}
