package main

import (
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// A key is added to the store, listed and revoked; what is printed shows it once,
// when it is made.
func TestKeysInTheStore(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server (Debian: apt-get install redis-server)")
	}
	address := freeport.Address(t)
	_, port, _ := net.SplitHostPort(address)
	redis := exec.Command("redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir())
	redis.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	defer redis.Wait()
	defer redis.Process.Kill()
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	path := file(t, fmt.Sprintf(`listen: 127.0.0.1:0
store: redis://%s/0
identity:
  partners: { api_key: { store: partners } }
  files: { api_key: keys.yaml }
routes:
  - { match: /, identity: partners, answer: 204 }
`, address))
	run := func(code int, args ...string) string {
		t.Helper()
		got, stdout, stderr := gopura(append([]string{"key"}, append(args, "-c", path)...)...)
		if got != code {
			t.Fatalf("%q: exit %d\n%s%s", args, got, stdout, stderr)
		}
		return stdout + stderr
	}
	made := regexp.MustCompile(`key: (gopura_\S{43})\n`).FindStringSubmatch(run(0, "add", "partners", "--owner", "acme", "--id", "k1", "--claims", `{"plan":"gold"}`, "--expires", "24h"))
	if made == nil {
		t.Fatal("no key is printed")
	}
	run(0, "add", "partners", "--owner", "beta", "--hash", "sha256:"+strings.Repeat("ab", 32))
	if list := run(0, "list", "partners"); !strings.Contains(list, "acme") || !strings.Contains(list, "k1") || !strings.Contains(list, "beta") || strings.Contains(list, made[1]) {
		t.Error(list)
	}
	if list := run(0, "list", "partners", "--json"); !strings.Contains(list, `"plan": "gold"`) || strings.Contains(list, made[1]) {
		t.Error(list)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"there already", []string{"add", "partners", "--owner", "client", "--hash", "sha256:" + strings.Repeat("ab", 32)}},
		{"never the key itself", []string{"add", "partners", "--owner", "client", "--hash", made[1]}},
		{"is a JSON object", []string{"add", "partners", "--owner", "client", "--claims", "plan=gold"}},
		{`there is no source of identity "files"`, []string{"list", "files"}},
		{"which keys?", []string{"revoke", "partners"}},
		{"no such key", []string{"revoke", "partners", "--owner", "nobody"}},
	} {
		if said := run(1, c.args...); !strings.Contains(said, c.says) || strings.Contains(said, made[1]) {
			t.Errorf("%q: %s", c.args, said)
		}
	}
	run(0, "revoke", "partners", "--owner", "acme", "--id", "k1")
	if list := run(0, "list", "partners"); strings.Contains(list, "acme") || !strings.Contains(list, "beta") {
		t.Error(list)
	}
	redis.Process.Kill()
	if said := run(1, "list", "partners"); !strings.Contains(said, "the keys of identity") {
		t.Error(said)
	}
}
