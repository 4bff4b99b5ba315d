//go:build linux

package main

import (
	"context"
	"errors"
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
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// upgrades is how often TestUpgradeUnderLoad hands over; GOPURA_UPGRADES says
// another number.
func upgrades(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("GOPURA_UPGRADES")); err == nil {
		return n
	}
	return 4
}

// TestUpgradeUnderLoad hands the sockets from process to process while clients
// that keep their connections, and clients that make a new one for each request,
// never stop: not one request fails.
func TestUpgradeUnderLoad(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer shop.Close()
	gateway, admin, file := upgradeConfig(t, shop.URL)
	c := launch(t, "run", "-c", file)
	eventually(t, "serving", func() bool { status, _ := get("http://" + gateway + "/"); return status == 200 })
	t.Cleanup(func() { endAll(c, admin) })

	load := startLoad(gateway)
	before := pidOf(t, admin)
	for i := range upgrades(t) {
		var out, errs strings.Builder
		if code := Main([]string{"upgrade", "--admin", admin}, &out, &errs); code != 0 {
			t.Fatalf("upgrade %d: exit code %d: %s\n%s", i, code, errs.String(), c.stderr)
		}
		// The one before may still accept until it has heard that it can go.
		now := before
		eventually(t, "upgrade "+strconv.Itoa(i)+": another process answers", func() bool { now = pidOf(t, admin); return now != before })
		before = now
		time.Sleep(200 * time.Millisecond)
	}
	sent, failed := load.stop()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, such as %v\n%s", len(failed), sent, failed[0], c.stderr)
	}
	if sent < 100 {
		t.Errorf("only %d requests", sent)
	}
	t.Logf("%d requests through %d upgrades", sent, upgrades(t))
	if err := syscall.Kill(before, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	ends(t, gateway)
}

// TestUpgradeThatFails leaves the old process serving.
func TestUpgradeThatFails(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer shop.Close()
	gateway, admin, file := upgradeConfig(t, shop.URL)
	c := launch(t, "run", "-c", file)
	eventually(t, "serving", func() bool { status, _ := get("http://" + gateway + "/"); return status == 200 })
	t.Cleanup(func() { endAll(c, admin) })
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, []byte("nonsense: true\n")...), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	if code := Main([]string{"upgrade", "--admin", admin}, &out, &errs); code != exitProblem || !strings.Contains(errs.String(), "goes on as it was") {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if pid := pidOf(t, admin); pid != c.Process.Pid {
		t.Errorf("the process %d serves, want %d", pid, c.Process.Pid)
	}
	if status, body := get("http://" + gateway + "/"); status != 200 {
		t.Fatalf("after an upgrade that failed: %d %s", status, body)
	}
	c.Process.Signal(syscall.SIGTERM)
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSocketActivation starts the gateway on sockets that somebody else has
// opened, as systemd does.
func TestSocketActivation(t *testing.T) {
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	defer shop.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file := filepath.Join(t.TempDir(), "gopura.yaml")
	// The address in the file is another one: the name tells what the socket is for.
	os.WriteFile(file, []byte("listen:\n  web: 127.0.0.1:1\nservices: {shop: \""+shop.URL+"\"}\nroutes: [{match: /*, to: shop}]\naccess_log: off\n"), 0o644)
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// LISTEN_PID is the process's own, which only a shell that becomes it can know.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web NOTIFY_SOCKET="$2" exec "$0" run -c "$1"`, os.Args[0], file, notify.LocalAddr().String())
	cmd.ExtraFiles = []*os.File{f}
	c := launchAs(t, cmd)
	notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 256)
	n, err := notify.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		t.Fatalf("told the manager %q, %v\n%s", b[:n], err, c.stderr)
	}
	if status, body := get("http://" + ln.Addr().String() + "/"); status != 200 {
		t.Fatal(status, body)
	}
	c.Process.Signal(syscall.SIGTERM)
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.stderr)
	}
	if n, _ = notify.Read(b); string(b[:n]) != "STOPPING=1" {
		t.Errorf("told the manager %q at the end", b[:n])
	}
}

func upgradeConfig(t *testing.T, shop string) (gateway, admin, file string) {
	t.Helper()
	gateway, admin = freeport.Address(t), freeport.Address(t)
	file = filepath.Join(t.TempDir(), "gopura.yaml")
	text := fmt.Sprintf("listen: %s\nadmin: %s\nservices: {shop: %q}\nroutes: [{match: /*, to: shop}]\naccess_log: off\nshutdown: {grace: 10s}\n", gateway, admin, shop)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return gateway, admin, file
}

// endAll ends the process that serves, which may be a later one than the first.
func endAll(c *command, admin string) {
	var now struct{ PID int }
	client := adminClient{address: admin}
	if client.ask(http.MethodGet, "/api/snapshot", &now) == nil && now.PID > 1 {
		syscall.Kill(now.PID, syscall.SIGKILL)
	}
	c.Process.Kill()
}

// pidOf asks who serves the admin listener.
func pidOf(t *testing.T, admin string) int {
	t.Helper()
	var now struct {
		PID int `json:"pid"`
	}
	client := adminClient{address: admin}
	var err error
	for range 100 {
		if err = client.ask(http.MethodGet, "/api/snapshot", &now); err == nil && now.PID > 0 {
			return now.PID
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no pid", err)
	return 0
}

// load is clients that ask for / until they are stopped.
type load struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	sent   atomic.Int64
	mu     sync.Mutex
	failed []error
}

func startLoad(address string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	for i := range 4 {
		client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		l.all.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := fetch(client, "http://"+address+"/"); err != nil {
					l.mu.Lock()
					l.failed = append(l.failed, err)
					l.mu.Unlock()
				}
				l.sent.Add(1)
			}
		})
	}
	return l
}

func fetch(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != 200 || string(body) != "ok") {
		err = errors.New(resp.Status + " " + string(body))
	}
	return err
}

func (l *load) stop() (int64, []error) {
	l.cancel()
	l.all.Wait()
	return l.sent.Load(), l.failed
}

// ends waits until nobody listens on an address.
func ends(t *testing.T, address string) {
	t.Helper()
	for range 500 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("somebody goes on listening on", address)
}
