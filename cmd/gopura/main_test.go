package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be the command, for what needs a process.
func TestMain(m *testing.M) {
	if os.Getenv("GOPURA_AS_COMMAND") != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const shopConfig = `listen: 127.0.0.1:0
access_log: off
services:
  users: http://127.0.0.1:1
  gold: http://127.0.0.1:2
routes:
  - {match: "/users/*", to: users}
  - {match: "GET /users/{id}", to: users, headers: {request: {set: {x-a: b}}}}
  - {name: gold, match: {path: "/users/{id}", headers: {x-plan: gold}}, to: gold, priority: 5}
  - {match: "POST shop.example.com/orders", to: users}
`

// file writes a configuration and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gopura.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gopura runs a command line within the test.
func gopura(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	good, bad := file(t, shopConfig), file(t, "listen: :80\nruotes: []\n")
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string // contained
	}{
		{[]string{"version"}, 0, "gopura 0.1.0-dev", ""},
		{[]string{"--help"}, 0, "Exit codes", ""},
		{[]string{}, 0, "Available Commands", ""},
		{[]string{"completion", "bash"}, 0, "bash completion", ""},
		{[]string{"check", "-c", good}, 0, good + ": 4 routes, 2 services, no problems\n", ""},
		{[]string{"check", "-c", bad}, 1, "", `did you mean "routes"?`},
		{[]string{"check", "-c", bad}, 1, "", bad + ": 1 problem\n"},
		{[]string{"check", "-c", "/nowhere.yaml"}, 1, "", "gopura: there is no configuration at /nowhere.yaml"},
		{[]string{"run", "-c", bad}, 1, "", "ruotes"},
		{[]string{"run", "-c", "/nowhere.yaml"}, 1, "", "there is no configuration at"},
		{[]string{"schema"}, 0, `"$schema": "https://json-schema.org/draft/2020-12/schema"`, ""},
		{[]string{"schema", "--reference"}, 0, "# ", ""},
		{[]string{"demo", "--print"}, 0, "services:", ""},
		{[]string{"demo", "--listen", "nonsense"}, 1, "", `--listen: "nonsense" is no address to listen on`},
		{[]string{"serve"}, 2, "", `unknown command "serve"`},
		{[]string{"serve"}, 2, "", "Did you mean this?\n\trun\n"},
		{[]string{"validate"}, 2, "", "Did you mean this?\n\tcheck\n"},
		{[]string{"--version"}, 0, "gopura version " + version, ""},
		{[]string{"key", "new", "--expires", "90 days"}, 2, "", "expected a duration (300ms, 5s, 12h, 90d)"},
		{[]string{"key", "new", "--expires", "-1h"}, 2, "", "expected a duration"},
		{[]string{"key", "new", "--expires", "90d"}, 0, "expires: ", ""},
		{[]string{"top", "--once", "--admin", "127.0.0.1:1"}, 1, "", "no gateway answers at 127.0.0.1:1"},
		{[]string{"rum"}, 2, "", "run"},
		{[]string{"check", "--confg", good}, 2, "", "unknown flag: --confg"},
		{[]string{"check", "more"}, 2, "", "See 'gopura check --help'."},
		{[]string{"check", good}, 2, "", "gopura check takes no argument \"" + good + "\": a configuration is named with -c"},
		{[]string{"diff", good}, 2, "", "the arguments are not as in: gopura diff OLD NEW"},
		{[]string{"explain"}, 2, "", "something is missing: gopura explain [METHOD] URL"},
		{[]string{"version", "more"}, 2, "", "gopura version takes no argument \"more\"\n"},
		{[]string{"routes", "-c", good, "G ET", "/"}, 2, "", "is no method"},
		{[]string{"routes", "-c", good, "users"}, 2, "", "is no URL"},
		{[]string{"routes", "-c", good, "/", "-H", "x"}, 2, "", "'Name: value'"},
	} {
		code, stdout, stderr := gopura(c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("gopura %q: exit %d, want %d\n%s\n%s", c.args, code, c.code, stdout, stderr)
		}
		if code != 0 && stdout != "" && c.args[0] != "routes" {
			t.Errorf("gopura %q: a failure on stdout: %s", c.args, stdout)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if c.Short == "" || len(c.Long) < 80 || c.Example == "" {
			t.Errorf("%s: needs a sentence, a page and examples", c.Name())
		}
	}
}

func TestProblemsAreShownWithTheirLine(t *testing.T) {
	path := file(t, "listen: 127.0.0.1:0\nroutes:\n  - {match: /a, to: usrs}\nservices: {users: \"http://127.0.0.1:1\"}\n")
	_, _, stderr := gopura("check", "-c", path)
	want := fmt.Sprintf("%s:3:21: error: ", path)
	if !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "\n    3 |   - {match: /a, to: usrs}\n") || !strings.Contains(stderr, `^ did you mean "users"?`) {
		t.Errorf("%s", stderr)
	}
}

func TestWarningsAreNoFailure(t *testing.T) {
	path := file(t, shopConfig+"  - {match: /users/*, to: users, priority: -1}\n")
	code, stdout, stderr := gopura("check", "-c", path)
	if code != 0 || !strings.Contains(stderr, "warning") || !strings.HasSuffix(stdout, "no problems, 1 warning\n") {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestRoutesAreListedMostSpecificFirst(t *testing.T) {
	path := file(t, shopConfig)
	_, stdout, _ := gopura("routes", "--json", "-c", path)
	var list []struct{ Name, Origin string }
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	if got, want := strings.Join(names, ", "), "gold, POST shop.example.com/orders, GET /users/{id}, /users/*"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	_, stdout, _ = gopura("routes", "-c", path)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "MATCH") || !strings.Contains(lines[1], "(priority 5)") || !strings.Contains(lines[3], "headers") {
		t.Errorf("%s", stdout)
	}
}

func TestRoutesExplainARequest(t *testing.T) {
	path := file(t, shopConfig)
	for _, c := range []struct {
		args  []string
		code  int
		lines []string // contained, in any order
	}{
		{[]string{"/users/7"}, 0, []string{
			"* GET /users/{id}", "takes it, to users, path.id = 7",
			"- gold", `header x-plan: is not "gold"`, "comes first: its path is less specific"}},
		{[]string{"POST", "/users/7", "-H", "X-Plan: gold"}, 0, []string{"* gold", "method: POST is not GET"}},
		{[]string{"POST", "http://SHOP.example.com:8080/orders?a=1"}, 0, []string{"* POST shop.example.com/orders"}},
		{[]string{"POST", "/orders", "-H", "Host: shop.example.com"}, 0, []string{"* POST shop"}},
		{[]string{"POST", "/orders"}, 1, []string{"no route takes it: 404 no_route", "host: localhost is not shop.example.com"}},
		{[]string{"GET", "http://shop.example.com/orders"}, 1, []string{"405 method_not_allowed (allowed: POST)"}},
		{[]string{"/users/%2e%2e/%2e%2e/x"}, 1, []string{"400 bad_target"}},
	} {
		code, stdout, stderr := gopura(append([]string{"routes", "-c", path}, c.args...)...)
		if code != c.code || stderr != "" {
			t.Errorf("%q: exit %d, want %d: %s", c.args, code, c.code, stderr)
		}
		for _, line := range c.lines {
			if !strings.Contains(stdout, line) {
				t.Errorf("%q: no %q in\n%s", c.args, line, stdout)
			}
		}
	}
	_, stdout, _ := gopura("routes", "-c", path, "--json", "/users/7")
	var v verdict
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v.Route != "GET /users/{id}" || len(v.Candidates) != 3 || v.Params[0] != (param{"id", "7"}) {
		t.Errorf("%v %s", err, stdout)
	}
}

func TestPortInUseIsOneClearLine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, text := range []string{
		"listen: {web: \"ADDR\"}\nroutes: []\n",
		"listen: 127.0.0.1:0\nadmin: ADDR\nroutes: []\n",
	} {
		path := file(t, strings.ReplaceAll(text, "ADDR", ln.Addr().String()))
		code, _, stderr := gopura("run", "-c", path)
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, ln.Addr().String()) ||
			!strings.Contains(stderr, "gopura.yaml:") || !strings.Contains(stderr, "listener \"") || !strings.Contains(stderr, "another process listens there") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	}
}
