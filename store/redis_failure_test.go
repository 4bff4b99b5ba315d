package store

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// traffic asks all the time, on a few keys, and keeps the longest wait.
type traffic struct {
	stop                        chan struct{}
	done                        sync.WaitGroup
	slowest, decisions          atomic.Int64
	degraded, unavailable, pass atomic.Int64
}

func startTraffic(l Limiter) *traffic {
	tr := &traffic{stop: make(chan struct{})}
	for i := range 8 {
		tr.done.Go(func() {
			key := fmt.Appendf(nil, "key %d", i%4)
			for {
				select {
				case <-tr.stop:
					return
				default:
				}
				begin := time.Now()
				d := l.Take(key, 1)
				took := int64(time.Since(begin))
				for old := tr.slowest.Load(); took > old && !tr.slowest.CompareAndSwap(old, took); old = tr.slowest.Load() {
				}
				tr.decisions.Add(1)
				if d.Degraded {
					tr.degraded.Add(1)
				}
				if d.Unavailable {
					tr.unavailable.Add(1)
				}
				if d.Allowed {
					tr.pass.Add(1)
				}
				time.Sleep(500 * time.Microsecond)
			}
		})
	}
	return tr
}

func (tr *traffic) end() { close(tr.stop); tr.done.Wait() }

// slack is what a busy machine may add to a wait, and the race detector beside
// the tests of other packages.
var slack = map[bool]time.Duration{false: 150 * time.Millisecond, true: time.Second}[raceEnabled]

// TestFailures breaks a real server in each way that servers break, under
// load, and wants: decisions go on by OnFailure, none waits longer than the
// timeout, and everything heals by itself.
func TestFailures(t *testing.T) {
	failures := []struct {
		name         string
		break_, mend func(*server)
	}{
		{"kill -9", (*server).kill, (*server).start},
		{"hangs", func(s *server) { s.signal(syscall.SIGSTOP) }, func(s *server) { s.signal(syscall.SIGCONT) }},
		{"out of memory", func(s *server) { s.must("CONFIG", "SET", "maxmemory", "1") }, func(s *server) { s.must("CONFIG", "SET", "maxmemory", "0") }},
		{"read only", func(s *server) { s.must("REPLICAOF", "127.0.0.1", "1") }, func(s *server) { s.must("REPLICAOF", "NO", "ONE") }},
		{"the user lost its rights", func(s *server) { s.must("ACL", "SETUSER", "gopura", "-@scripting") }, func(s *server) { s.must("ACL", "SETUSER", "gopura", "+@all") }},
	}
	for _, f := range failures {
		for _, mode := range []Mode{Exact, Leased} {
			for _, on := range []OnFailure{Local, Allow, Refuse} {
				if testing.Short() && on != Local {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %s", f.name, mode, on), func(t *testing.T) {
					t.Parallel()
					srv := startServer(t, "--user", "gopura", "on", ">pass", "~*", "&*", "+@all")
					const timeout = 50 * time.Millisecond
					s := srv.open(RedisOptions{Mode: mode, OnFailure: on, Timeout: timeout, Dial: 300 * time.Millisecond, Username: "gopura", Password: "pass"})
					l := rate(t, s, "l", Rate{Count: 20, Per: time.Second})
					before := runtime.NumGoroutine()
					tr := startTraffic(l)
					defer tr.end()
					time.Sleep(50 * time.Millisecond)
					f.break_(srv)
					eventually(t, 20*time.Second, "the breaker opens", func() bool { return !s.State().Ready })
					from, passed, now := tr.degraded.Load(), tr.pass.Load(), tr.decisions.Load()
					time.Sleep(300 * time.Millisecond)
					if tr.degraded.Load() == from {
						t.Error("no decision says that it was made without the store")
					}
					share := float64(tr.pass.Load()-passed) / float64(tr.decisions.Load()-now)
					switch {
					case on == Allow && mode == Exact && share < 0.95, on == Refuse && share > 0.3, on == Local && (share == 0 || share > 0.9):
						t.Errorf("%.0f%% of the decisions allow", 100*share)
					case on == Refuse && tr.unavailable.Load() == 0:
						t.Error("no decision says why")
					}
					if st := s.State(); st.Detail == "" || st.Redis.Opened == 0 {
						t.Errorf("state: %+v", st)
					}
					if n := runtime.NumGoroutine(); n > before+400 { // all subtests together
						t.Errorf("%d goroutines, %d before", n, before)
					}
					f.mend(srv)
					eventually(t, 20*time.Second, "it heals", func() bool { return s.State().Ready })
					eventually(t, 20*time.Second, "the store decides again", func() bool {
						n := tr.degraded.Load()
						time.Sleep(50 * time.Millisecond)
						return tr.degraded.Load() == n
					})
					limit := timeout + slack
					if mode == Leased {
						limit = slack
					}
					if w := time.Duration(tr.slowest.Load()); w > limit {
						t.Errorf("a decision took %v", w)
					}
				})
			}
		}
	}
}

// TestForgottenScriptsAndKeys: SCRIPT FLUSH and FLUSHALL cost nobody an error.
func TestForgottenScriptsAndKeys(t *testing.T) {
	for _, mode := range []Mode{Exact, Leased} {
		srv := startServer(t)
		s := srv.open(RedisOptions{Mode: mode})
		l := rate(t, s, "l", Rate{Count: 1000, Per: time.Second})
		tr := startTraffic(l)
		for range 10 {
			srv.must("SCRIPT", "FLUSH")
			srv.must("FLUSHALL")
			time.Sleep(20 * time.Millisecond)
		}
		tr.end()
		if r := s.Redis(); tr.degraded.Load() > 0 || r.Failures > 0 || r.Reloads == 0 {
			t.Errorf("%s: %d degraded, %+v", mode, tr.degraded.Load(), r)
		}
	}
}

// TestGarbage: a server that answers anything but Redis is a failure like others.
func TestGarbage(t *testing.T) {
	answers := map[string]string{
		"http":         "HTTP/1.1 400 Bad Request\r\n\r\n",
		"loading":      "-LOADING Redis is loading the dataset in memory\r\n",
		"busy":         "-BUSY Redis is busy running a script\r\n",
		"wrong type":   "+OK\r\n",
		"wrong array":  "*2\r\n:1\r\n:2\r\n",
		"wrong number": "*3\r\n:-5\r\n:9223372036854775807\r\n:1\r\n",
		"huge array":   "*2147483647\r\n",
		"huge bulk":    "$9223372036854775807\r\n",
		"bytes":        "\x00\x01\x02\xff\xfe\r\n\r\n",
		"closed":       "",
	}
	for name, answer := range answers {
		for _, greets := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, greets %v", name, greets), func(t *testing.T) {
				t.Parallel()
				addr := fakeRedis(t, greets, answer)
				s := openRedis(t, RedisOptions{Addresses: []string{addr}, Mode: Exact, Timeout: 30 * time.Millisecond, Dial: 200 * time.Millisecond, Wait: 300 * time.Millisecond})
				l := rate(t, s, "l", Rate{Count: 10, Per: time.Hour})
				for i := range 20 {
					begin := time.Now()
					d := l.Take([]byte("k"), 1)
					if took := time.Since(begin); took > 30*time.Millisecond+slack {
						t.Errorf("decision %d took %v", i, took)
					}
					if !d.Degraded || d.Allowed != (i < 10) {
						t.Errorf("decision %d: %+v", i, d)
					}
				}
				if s.State().Ready {
					t.Error("ready")
				}
			})
		}
	}
}

// fakeRedis answers each command with the same bytes, after a greeting if told so.
func fakeRedis(t *testing.T, greets bool, answer string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { ln.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				r := bufio.NewReader(c)
				for {
					words, err := readCommand(r)
					if err != nil {
						return
					}
					reply := answer
					if greets && words[0] == "HELLO" {
						reply = "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n"
					} else if greets && words[0] != "EVALSHA" && words[0] != "EVAL" {
						reply = "+OK\r\n"
					}
					if reply == "" {
						return
					}
					if _, err := io.WriteString(c, reply); err != nil {
						return
					}
				}
			})
		}
	})
	return ln.Addr().String()
}

func readCommand(r *bufio.Reader) (words []string, err error) {
	var n int
	if _, err = fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	for range n {
		var size int
		if _, err = fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err = io.ReadFull(r, b); err != nil {
			return nil, err
		}
		words = append(words, string(b[:size]))
	}
	return words, nil
}

// TestStartsWithoutRedis: no server is no reason not to start.
func TestStartsWithoutRedis(t *testing.T) {
	srv := startServer(t)
	srv.kill()
	for _, mode := range []Mode{Exact, Leased} {
		begin := time.Now()
		s := srv.open(RedisOptions{Mode: mode, Wait: 300 * time.Millisecond})
		if took := time.Since(begin); took > time.Second {
			t.Errorf("opening took %v", took)
		}
		l := rate(t, s, "l", Rate{Count: 3, Per: time.Hour})
		if d := l.Take([]byte("k"), 1); !d.Allowed || !d.Degraded {
			t.Errorf("%+v", d)
		}
		srv.start()
		eventually(t, 20*time.Second, "it finds the server", func() bool { d := l.Take([]byte("x"), 0); return s.State().Ready && !d.Degraded })
		srv.kill()
	}
}
