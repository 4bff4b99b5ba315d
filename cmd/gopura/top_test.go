package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTopView(t *testing.T) {
	d := &topData{rows: []topRow{
		{"GET /slow", topValues{Rate: 1, P99: 1500, InFlight: 2}},
		{"GET /fast\x1b[2J", topValues{Rate: 120.4, Errors: 0.25, P50: 0.31, P95: 0.9, P99: 4.2}},
	}}
	d.traffic.Generation, d.traffic.Total = 3, topValues{Rate: 121.4, P99: 12}
	v := &topView{table: "routes", by: "rate"}
	want := strings.Join([]string{
		"gopura  generation 3  121/s  0 errors/s  0 limited/s  0 in flight  p99 12.0ms",
		"   rate/s   errors  refused  limited      p50      p95      p99 in flight  routes",
		"      120     0.25        0        0   0.31ms   0.90ms   4.20ms         0  GET /fast?[2J",
		"     1.00        0        0        0        -        -    1.50s         2  GET /slow",
	}, "\n")
	if got := strings.Join(v.lines(d, 0, 10), "\n"); got != want {
		t.Errorf("\n%s", got)
	}
	v.press('7')
	if got := v.lines(d, 60, 3); v.by != "p99" || len(got) != 3 || len([]rune(got[2])) != 60 || !strings.HasPrefix(got[2], "     1.00") {
		t.Errorf("by %s: %q", v.by, got)
	}
	for _, key := range []byte("c>><p") {
		if !v.press(key) {
			t.Errorf("%c ends it", key)
		}
	}
	if v.table != "clients" || v.by != "name" || !v.paused {
		t.Errorf("%+v", v)
	}
	if v.press('q') || v.press(3) {
		t.Error("q goes on")
	}
}

// What asks a gateway that runs, asked of one that does.
func TestAskingARunningGateway(t *testing.T) {
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	web, adm, path := free(), free(), filepath.Join(t.TempDir(), "gopura.yaml")
	write := func(body string) {
		text := fmt.Sprintf("listen: %s\nadmin: {address: %s, token: '${env:TOP_TOKEN}'}\naccess_log: off\nroutes:\n  - {match: GET /, answer: {body: %s}}\n", web, adm, body)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TOP_TOKEN", "a token")
	write("one")
	launch(t, "run", "-c", path)
	eventually(t, "ready", func() bool { status, _ := get("http://" + adm + "/readyz"); return status == 200 })
	write("two")
	eventually(t, "the second", func() bool { _, body := get("http://" + web + "/"); return body == "two" })

	ask := func(args ...string) (string, int) {
		var out bytes.Buffer
		code := Main(append(args, "--admin", adm), &out, &out)
		return out.String(), code
	}
	if out, code := ask("history"); code != exitProblem || !strings.Contains(out, "401") {
		t.Errorf("without the token: %d %s", code, out)
	}
	t.Setenv("GOPURA_ADMIN_TOKEN", "a token")
	for _, c := range []struct{ line, want string }{
		{"history", "files changed"}, {"history 2", `~ route "GET /"`}, {"history --json", `"in_force": 2`},
		{"rollback", "generation 3 is in force, with the content of 1"}, {"history", "rolled back from 2 to 1 (by hand)"},
		{"top --once", "generation 3"}, {"top --once --show clients", "clients"}, {"top --once --show listeners --sort name", "listeners"},
	} {
		if out, code := ask(strings.Fields(c.line)...); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: %d %s", c.line, code, out)
		}
	}
	if _, body := get("http://" + web + "/"); body != "one" {
		t.Errorf("after the rollback: %s", body)
	}
	token, code := ask("debug-token", "--for", "1m")
	r, _ := http.NewRequest("GET", "http://"+web+"/", nil)
	r.Header.Set("Gopura-Debug", strings.TrimSpace(token))
	a, err := http.DefaultClient.Do(r)
	if err != nil || code != 0 {
		t.Fatal(err, token)
	}
	a.Body.Close()
	if a.Header.Get("Gopura-Explanation") == "" {
		t.Errorf("%s: not explained", token)
	}
	for _, line := range []string{"history x", "rollback 0", "top --show cats", "top --sort tail", "top --every 1ms"} {
		if out, code := ask(strings.Fields(line)...); code != exitUsage {
			t.Errorf("%s: %d %s", line, code, out)
		}
	}
	if out, code := ask("debug-token", "--for", "2h"); code != exitProblem {
		t.Errorf("%d %s", code, out)
	}
}
