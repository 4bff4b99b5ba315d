package store

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"gopura/internal/freeport"
)

// server is a real redis-server of a test, on a free loopback port.
type server struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server (Debian: apt-get install redis-server)")
	}
	s := &server{t: t, dir: t.TempDir(), port: freeport.Port(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// spawn starts the process and does not wait until it answers.
func (s *server) spawn() {
	s.t.Helper()
	args := s.args
	if len(args) == 0 || !strings.HasSuffix(args[0], ".conf") {
		args = append([]string{"--save", "", "--appendonly", "no"}, args...)
	}
	args = append(args, "--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"))
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) start() {
	s.t.Helper()
	s.spawn()
	for range 400 {
		if s.alive() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.t.Fatalf("redis-server does not answer:\n%s", log)
}

func (s *server) alive() bool {
	c, err := net.DialTimeout("tcp", s.addr(), time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(c, "PING\r\n")
	b := make([]byte, 64)
	n, _ := c.Read(b)
	return strings.HasPrefix(string(b[:n]), "+PONG") || strings.HasPrefix(string(b[:n]), "-NOAUTH")
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// kill is kill -9. It may be called twice.
func (s *server) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// client talks to the server beside the store.
func (s *server) client() rueidis.Client {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr()}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// do runs one command, as words.
func (s *server) do(words ...string) rueidis.RedisResult {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr()}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	return c.Do(s.t.Context(), c.B().Arbitrary(words...).Build())
}

func (s *server) must(words ...string) {
	s.t.Helper()
	if err := s.do(words...).Error(); err != nil {
		s.t.Fatalf("%v: %v", words, err)
	}
}

// open opens a store on the server; generous in time where a test is not about it.
func (s *server) open(o RedisOptions) *Redis {
	s.t.Helper()
	o.Addresses = []string{s.addr()}
	return openRedis(s.t, o)
}

func openRedis(t testing.TB, o RedisOptions) *Redis {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 200 * time.Millisecond
	}
	if o.Wait == 0 {
		o.Wait = 3 * time.Second
	}
	s, err := OpenRedis(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func rate(t testing.TB, s Store, name string, r Rate) Limiter {
	t.Helper()
	l, err := s.Rate(name, r, LimiterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func window(t testing.TB, s Store, name string, w Window) Limiter {
	t.Helper()
	l, err := s.Window(name, w, LimiterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// eventually waits until f is true, for at most a while.
func eventually(t testing.TB, within time.Duration, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}
