//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// TestDNSGoes runs TestDNSGoesInside where 127.0.0.1:53 is its own name server:
// in namespaces for mounts and the network.
func TestDNSGoes(t *testing.T) {
	if out, err := exec.Command("unshare", "-rmn", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("no namespaces, or no ip: %v %s", err, out)
	}
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := exec.Command("unshare", "-rmn", "/bin/sh", "-c", `ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"`,
		resolv, os.Args[0], "-test.run=^TestDNSGoesInside$", "-test.v", "-test.timeout=60s")
	inside.Env = append(os.Environ(), "GOPURA_TEST_INSIDE=1", "GODEBUG=netdns=go")
	if out, err := inside.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestDNSGoesInside") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDNSGoesInside: what a name server does while the gateway runs takes nothing
// away; what it says is followed when it speaks again; and a name that was never
// known is a clear 503, at once.
func TestDNSGoesInside(t *testing.T) {
	if os.Getenv("GOPURA_TEST_INSIDE") == "" {
		t.Skip("TestDNSGoes runs it")
	}
	dns := startNames(t)
	dns.is("127.0.0.1")
	for i, address := range []string{"127.0.0.1:8081", "127.0.0.2:8081"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, i) })}
		go s.Serve(l)
		defer s.Close()
	}
	path := file(t, `
listen: 127.0.0.1:8080
access_log: off
services:
  users: { targets: "http://users.test:8081", resolve: 300ms }
  never: { targets: "http://never.test:8081", resolve: 300ms }
routes: [{ match: /users, to: users }, { match: /never, to: never }]
`)
	c := launch(t, "run", "-c", path)
	eventually(t, "in force", func() bool { return strings.Contains(c.stderr.String(), "in force") })
	ask := func(path string) string {
		begun := time.Now()
		r, err := http.Get("http://127.0.0.1:8080" + path)
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		if code := r.Header.Get("Gopura-Answer"); code != "" {
			body = []byte(code)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%s took %v", path, took)
		}
		return fmt.Sprint(r.StatusCode, " ", string(body))
	}
	if got := ask("/users"); got != "200 0" {
		t.Fatalf("%s\n%s", got, c.stderr)
	}
	for _, fault := range []string{"NXDOMAIN", "SERVFAIL", "empty", "garbage", "silent", "slow"} {
		dns.is(fault)
		asked := dns.asked.Load()
		eventually(t, "the name is asked for", func() bool { return dns.asked.Load() > asked })
		for range 4 {
			if got := ask("/users"); got != "200 0" {
				t.Errorf("%s: %s", fault, got)
			}
			if got := ask("/never"); got != "503 no_healthy_target" {
				t.Errorf("%s: a name that is not known: %s", fault, got)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if log := c.stderr.String(); !strings.Contains(log, "resolve_failed") && !strings.Contains(log, "users.test") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
	dns.is("127.0.0.2")
	eventually(t, "the new address", func() bool { return ask("/users") == "200 1" })
}

// names is a name server for users.test.
type names struct {
	how   atomic.Value // an address, or what is wrong with it
	asked atomic.Int64
}

func (n *names) is(how string) { n.how.Store(how) }

func startNames(t *testing.T) *names {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	n := new(names)
	go func() {
		b := make([]byte, 1500)
		for {
			size, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:size]) != nil || len(m.Questions) == 0 {
				continue
			}
			if answer, after := n.answer(&m); answer != nil {
				time.AfterFunc(after, func() { pc.WriteTo(answer, from) })
			}
		}
	}()
	return n
}

// answer is what is said to a question, nil for nothing, and how much later.
func (n *names) answer(m *dnsmessage.Message) ([]byte, time.Duration) {
	q := m.Questions[0]
	known := q.Name.String() == "users.test."
	if known {
		n.asked.Add(1)
	}
	how := n.how.Load().(string)
	var after time.Duration
	m.Response, m.Additionals = true, nil
	switch {
	case how == "silent":
		return nil, 0
	case how == "garbage":
		return []byte("no DNS at all"), 0
	case how == "SERVFAIL":
		m.RCode = dnsmessage.RCodeServerFailure
	case how == "NXDOMAIN" || !known:
		m.RCode = dnsmessage.RCodeNameError
	case how == "slow":
		after = 700 * time.Millisecond
		how = "127.0.0.1"
		fallthrough
	default:
		if ip := net.ParseIP(how).To4(); ip != nil && q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte(ip)},
			}}
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil, 0
	}
	return b, after
}
