package handover

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// give returns sockets of which one was given under a name.
func give(t *testing.T, name string) (*Sockets, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &Sockets{given: []given{{name, ln.(*net.TCPListener)}}}, ln.Addr().String()
}

func TestWhatWasGivenIsTaken(t *testing.T) {
	for _, c := range []struct{ given, name, address, want string }{
		{"web", "web", ":1", "taken"},                   // by the name, whatever the address
		{"", "web", "AT", "taken"},                      // by the address
		{"tcp localhost:7", "", "localhost:7", "taken"}, // by the address as it was asked for before
		{"web", "api", "127.0.0.1:0", "opened"},         // somebody else's
		{"tcp AT", "", "127.0.0.1:0", "opened"},
	} {
		s, at := give(t, c.given)
		s.given[0].name = strings.Replace(c.given, "AT", at, 1)
		ln, err := s.Listen(c.name, strings.Replace(c.address, "AT", at, 1))
		if err != nil {
			t.Fatal(err)
		}
		if taken := ln.Addr().String() == at; taken != (c.want == "taken") {
			t.Errorf("given %q, asked for %q %s: got %s, want it %s", c.given, c.name, c.address, ln.Addr(), c.want)
		}
		ln.Close()
	}
}

func TestUnusedSocketsAreClosed(t *testing.T) {
	s, at := give(t, "metrics")
	if got := s.Unused(); len(got) != 1 || got[0] != at+" (metrics)" {
		t.Errorf("unused: %q", got)
	}
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("an unused socket goes on listening")
	}
	if got := s.Unused(); got != nil {
		t.Errorf("again: %q", got)
	}
}

// TestANewProcessThatDoesNotServe is every way in which an upgrade fails: what
// was open stays open, and nobody is left behind.
func TestANewProcessThatDoesNotServe(t *testing.T) {
	script := func(text string) string {
		file := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	s := new(Sockets)
	ln, err := s.Listen("", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, c := range []struct{ what, program, want string }{
		{"no such program", "/nonexistent/gopura", "no such file"},
		{"no program", script("exit 3"), "exit status 3"},
		{"ends without a word", script("exit 0"), "exit status 0"},
		{"hangs", script("exec sleep 60"), "not ready"},
		{"closes the pipe and hangs", script(`eval "exec ${GOPURA_HANDOVER_PIPES%% *}>&-"; exec sleep 60`), "does not take over"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		next, err := s.Start(ctx, c.program)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v %v, want %q", c.what, next, err, c.want)
		}
	}
	go func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			c.Close()
		}
	}()
	if c, err := ln.Accept(); err != nil {
		t.Error("after upgrades that failed:", err)
	} else {
		c.Close()
	}
}

// TestInheritIsForTheRightProcess: what the environment says is meant for one
// process, and is taken out of it.
func TestInheritIsForTheRightProcess(t *testing.T) {
	for _, env := range [][2]string{
		{"LISTEN_PID", strconv.Itoa(os.Getpid() + 1)},
		{envPID, strconv.Itoa(os.Getppid() + 1)},
	} {
		t.Setenv(env[0], env[1])
		t.Setenv("LISTEN_FDS", "5")
		t.Setenv(envNames, "tcp :80")
		t.Setenv(envPipes, "7 8")
		taken, err := Inherit()
		if err != nil || len(taken.given) > 0 || taken.Follows() {
			t.Errorf("%v: %v, %v", env, taken, err)
		}
		for _, name := range []string{"LISTEN_FDS", envNames, envPipes} {
			if v, ok := os.LookupEnv(name); ok {
				t.Errorf("%s=%s is still there", name, v)
			}
		}
	}
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	for _, n := range []string{"", "x", "-1", "99999"} {
		t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
		t.Setenv("LISTEN_FDS", n)
		if _, err := Inherit(); err == nil {
			t.Errorf("LISTEN_FDS=%q is taken", n)
		}
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Error("without a manager:", err)
	}
	path := filepath.Join(t.TempDir(), "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Notify("READY=1", "STATUS=fine"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	if string(b[:n]) != "READY=1\nSTATUS=fine" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// TestSocketsStayNonBlocking: to hand a socket over must not make it block, for
// whom it belongs to.
func TestSocketsStayNonBlocking(t *testing.T) {
	s := new(Sockets)
	ln, err := s.Listen("", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	program, err := exec.LookPath("false")
	if err != nil {
		t.Skip("no program that fails")
	}
	s.Start(ctx, program)
	accepted := make(chan error, 1)
	go func() { _, err := ln.Accept(); accepted <- err }()
	time.Sleep(20 * time.Millisecond)
	ln.Close()
	select {
	case <-accepted:
	case <-ctx.Done():
		t.Error("accepting does not end with the socket")
	}
}

// TestSecretGoesOn: the process that follows has the secret of the one before, once that is gone; a
// version that left none is no obstacle.
func TestSecretGoesOn(t *testing.T) {
	before := new(Sockets)
	secret, shared := before.Secret("one"), before.shared()
	if secret == before.Secret("another") {
		t.Error("two purposes have the same secret")
	}
	if secret == [32]byte{} || secret != before.Secret("one") {
		t.Errorf("secret %x, then %x", secret, before.Secret("one"))
	}
	for _, left := range [][]byte{shared[:], nil} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		next := &Taken{Sockets: &Sockets{followed: true}, gone: r}
		w.Write(left)
		gone := make(chan bool)
		go func() { next.Gone(); close(gone) }()
		select {
		case <-gone:
			t.Error("it does not wait for the end")
		case <-time.After(20 * time.Millisecond):
		}
		w.Close()
		<-gone
		if same := next.Secret("one") == secret; same != (left != nil) || next.UDPTaken() {
			t.Errorf("left %x: the same %v, UDP taken %v", left, same, next.UDPTaken())
		}
	}
}
