package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gateway is a process.
type gateway struct {
	web, secure, admin string
	config             string // file
	cmd                *exec.Cmd
	began, ready       time.Time
	settle             time.Duration // after a collection
}

// prepare makes a gateway with some routes ready to be started.
func prepare(o options, dir, routes string) (*gateway, error) {
	g := &gateway{config: filepath.Join(dir, "gopura.yaml"), settle: o.settle}
	for _, at := range []*string{&g.web, &g.secure, &g.admin} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close() // all at once, so that they differ
		*at = ln.Addr().String()
	}
	if err := g.write(routes); err != nil {
		return nil, err
	}
	g.cmd = exec.Command(o.binary, "run", "-c", g.config)
	g.cmd.Stderr = o.progress
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return g, nil
}

// start starts it, and waits until it serves.
func (g *gateway) start() error {
	g.began = time.Now()
	if err := g.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, err := g.ask(context.Background(), "GET", "/readyz")
		if err == nil {
			g.ready = time.Now()
			return nil
		}
		if time.Now().After(end) {
			g.kill()
			return fmt.Errorf("the gateway doesn't serve: %w", err)
		}
	}
}

func (g *gateway) write(routes string) error {
	text := fmt.Sprintf(`listen:
  web: %s
  secure: { address: %s, tls: self_signed }
admin: %s
access_log: off
log: warn
limits: { connections: 0 }
timeouts: { idle: 30m }
%s
`, g.web, g.secure, g.admin, routes)
	return os.WriteFile(g.config, []byte(text), 0o600)
}

// ask asks the admin listener, on a connection of its own.
func (g *gateway) ask(ctx context.Context, method, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.admin+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Gopura-Admin", "1")
	req.Close = true
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, r.Status, b)
	}
	return string(b), err
}

// resident is the memory of the process after a collection, in bytes.
func (g *gateway) resident(ctx context.Context) (int64, error) {
	for range 2 { // what has a finalizer goes at the second
		if _, err := g.ask(ctx, "GET", "/debug/pprof/heap?gc=1"); err != nil {
			return 0, err
		}
		time.Sleep(g.settle)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("no VmRSS in its status")
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}

func (g *gateway) kill() {
	if g.cmd.Process != nil {
		g.cmd.Process.Kill()
		g.cmd.Wait()
	}
}
