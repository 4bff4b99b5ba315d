package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gopura/internal/freeport"
)

// gateway is the process under test, or rather those that follow one another.
type gateway struct {
	dir, program, config string
	web, secure, admin   string // addresses
	services             *services
	patience             time.Duration // with the frail service
	token                string        // that it accepts
	first                *exec.Cmd
	pid                  atomic.Int64 // of the process that serves
	http                 http.Client  // for the admin listener
}

// launch starts the first process and waits until it serves.
func launch(dir, binary string, behind *services, patience time.Duration) (*gateway, error) {
	g := &gateway{dir: dir, patience: patience, program: filepath.Join(dir, "gopura"), config: filepath.Join(dir, "gopura.yaml"), services: behind}
	g.http = http.Client{Timeout: 70 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, at := range []*string{&g.web, &g.secure, &g.admin} {
		port, err := freeport.Find()
		if err != nil {
			return nil, err
		}
		*at = fmt.Sprintf("127.0.0.1:%d", port)
	}
	var err error
	if g.token, err = writeSecrets(dir); err != nil {
		return nil, err
	}
	if err := g.install(binary); err != nil {
		return nil, err
	}
	if err := g.write(0); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g.first = exec.Command(g.program, "run", "-c", g.config)
	g.first.Stdout, g.first.Stderr = log, log
	if err := g.first.Start(); err != nil {
		return nil, err
	}
	go g.first.Wait()
	g.pid.Store(int64(g.first.Process.Pid))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := g.http.Get("http://" + g.admin + "/readyz")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return g, nil
			}
		}
		if time.Now().After(end) {
			g.kill()
			return nil, fmt.Errorf("the gateway doesn't serve: %v\n%s", err, g.lastWords())
		}
	}
}

// install lays a copy of the binary where the one that runs lay, as an upgrade does.
func (g *gateway) install(binary string) error {
	body, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	if err := os.WriteFile(g.program+".new", body, 0o755); err != nil {
		return err
	}
	return os.Rename(g.program+".new", g.program)
}

// write writes a generation of the configuration, as a whole.
func (g *gateway) write(n int) error {
	if err := os.WriteFile(g.config+".new", []byte(g.text(n)), 0o600); err != nil {
		return err
	}
	return os.Rename(g.config+".new", g.config)
}

// reload puts a generation in force, one in ten by a signal and with a new access log, and waits
// until it is.
func (g *gateway) reload(n int) error {
	if err := g.write(n); err != nil {
		return err
	}
	var fault error
	if n%10 == 0 {
		if err := os.Rename(g.accessLog(), g.accessLog()+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		syscall.Kill(int(g.pid.Load()), syscall.SIGHUP)
	} else {
		// An answer may be missing: one that shuts down has a successor, which reads the files by itself.
		_, fault = g.ask("POST", "/api/reload")
	}
	seen := ""
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r, err := g.http.Get("http://" + g.web + "/generation")
		if err != nil {
			return err
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if seen = string(b); seen == strconv.Itoa(n) {
			return nil
		}
	}
	return fmt.Errorf("generation %q is in force a minute later: %v", seen, fault)
}

// upgrade hands over to a new process, and returns when the old one is gone.
func (g *gateway) upgrade() error {
	old := int(g.pid.Load())
	if err := g.install(g.program); err != nil {
		return err
	}
	if _, err := g.ask("POST", "/api/upgrade"); err != nil {
		return err
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		now, err := g.serving()
		if err == nil && now != old {
			g.pid.Store(int64(now))
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d serves as before: %v", old, err)
		}
	}
	for end := time.Now().Add(90 * time.Second); alive(old); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("the old process %d goes on", old)
		}
	}
	return nil
}

// serving is the process that answers the admin listener.
func (g *gateway) serving() (int, error) {
	text, err := g.ask("GET", "/api/snapshot")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, `"pid":`)
	number, _, _ := strings.Cut(strings.TrimSpace(rest), ",")
	return strconv.Atoi(strings.Trim(number, " \n}"))
}

// ask asks the admin listener.
func (g *gateway) ask(method, path string) (string, error) {
	req, err := http.NewRequest(method, "http://"+g.admin+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Gopura-Admin", "1")
	r, err := g.http.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, r.Status, b)
	}
	return string(b), err
}

// kill ends whichever process serves.
func (g *gateway) kill() {
	if now, err := g.serving(); err == nil && now > 1 {
		syscall.Kill(now, syscall.SIGKILL)
	}
	g.first.Process.Kill()
}

func (g *gateway) accessLog() string { return filepath.Join(g.dir, "access.log") }

// lastWords is the end of the gateway's own log.
func (g *gateway) lastWords() string {
	text, _ := os.ReadFile(filepath.Join(g.dir, "log"))
	return string(text[max(0, len(text)-3000):])
}

// alive reports whether a process has not ended; one that nobody has waited for has.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := bytes.TrimSpace(text[bytes.LastIndexByte(text, ')')+1:])
	return len(rest) > 0 && rest[0] != 'Z'
}
