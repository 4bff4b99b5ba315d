package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/admin"
	"gopura/config"
	"gopura/gateway"
)

// world is a gateway whose configuration a test can change, with its admin
// server.
type world struct {
	t       *testing.T
	gateway *gateway.Gateway
	admin   *admin.Server
	level   *slog.LevelVar

	mu   sync.Mutex
	text string
}

const base = `
listen: 127.0.0.1:0
access_log: off
services:
  users: [http://127.0.0.1:1, http://127.0.0.1:2]
routes:
  - {match: "GET /users/{id}", to: users}
`

func start(t *testing.T, adminConf string) *world {
	t.Helper()
	w := &world{t: t, level: new(slog.LevelVar)}
	w.set(adminConf)
	w.gateway = gateway.New(gateway.Options{
		Load: w.load, LogLevel: w.level,
		Prepare: func(d *config.Document) (func(), func(), error) { return w.admin.Prepare(d) },
	})
	w.admin = admin.New(w.gateway, admin.Options{Level: w.level})
	if err := w.gateway.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.gateway.Shutdown(ctx)
		w.admin.Shutdown(ctx)
	})
	return w
}

func (w *world) set(adminConf string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = base + adminConf + "\n"
}

func (w *world) load() (*config.Document, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := gateway.ConfigOptions()
	o.Env = func(name string) (string, bool) { return "sesame-" + name, true }
	return config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(w.text)}}, o)
}

// answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (a answer) code() string {
	var p struct{ Code string }
	json.Unmarshal([]byte(a.body), &p)
	return p.Code
}

// ask sends a request line, header lines and a body as they are; Host is the
// listener's unless a header says otherwise.
func (w *world) ask(line, body string, headers ...string) answer {
	w.t.Helper()
	c, err := net.Dial("tcp", w.admin.Address())
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return send(w.t, c, bufio.NewReader(c), w.admin.Address(), line, body, headers...)
}

func send(t *testing.T, c net.Conn, in *bufio.Reader, host, line, body string, headers ...string) answer {
	t.Helper()
	head := line + " HTTP/1.1\r\n"
	if !strings.Contains(strings.Join(headers, "\n"), "Host:") {
		head += "Host: " + host + "\r\n"
	}
	for _, h := range headers {
		head += h + "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(c, head+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	r, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return answer{r, string(text)}
}

const (
	jsonType = "Content-Type: application/json"
	act      = "Gopura-Admin: 1"
)

func TestWhatIsServed(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	for _, c := range []struct {
		line, body string
		headers    []string
		status     int
		contains   string
	}{
		{line: "GET /livez", status: 200, contains: "live"},
		{line: "GET /readyz", status: 200, contains: "ready"},
		{line: "HEAD /readyz", status: 200},
		{line: "GET /metrics", status: 200, contains: "gopura_"},
		{line: "GET /api/snapshot", status: 200, contains: `"generation": 1`},
		{line: "GET /api/routes", status: 200, contains: `"gopura.yaml:7:5"`},
		{line: "GET /api/services", status: 200, contains: `"http://127.0.0.1:1"`},
		{line: "GET /api/codes", status: 200, contains: `"code": "no_route"`},
		{line: "GET /api/certificates", status: 200, contains: `[]`},
		{line: "GET /api/log-level", status: 200, contains: `"info"`},
		{line: "PUT /api/log-level", body: `{"level": "debug"}`, headers: []string{jsonType, act}, status: 200, contains: `"debug"`},
		{line: "PUT /api/log-level", body: `{"level": "loud"}`, headers: []string{jsonType, act}, status: 400, contains: "bad_level"},
		{line: "PUT /api/log-level", body: `{"level": "info", "more": 1}`, headers: []string{jsonType, act}, status: 400, contains: "bad_body"},
		{line: "PUT /api/log-level", body: `{"level": "info"} {}`, headers: []string{jsonType, act}, status: 400, contains: "bad_body"},
		{line: "PUT /api/log-level", body: `{"level": "info"}`, headers: []string{act, "Content-Type: text/plain"}, status: 415, contains: "json_required"},
		{line: "PUT /api/log-level", body: `{"level": "` + strings.Repeat("a", 70<<10) + `"}`, headers: []string{jsonType, act}, status: 413, contains: "body_too_large"},
		{line: "POST /api/reload", headers: []string{act, "Content-Length: 0"}, status: 200, contains: `"generation": 1`},
		{line: "POST /api/services/users/targets", body: `{"target": "http://127.0.0.1:1", "action": "drain"}`, headers: []string{jsonType, act}, status: 200, contains: `"drained"`},
		{line: "POST /api/services/users/targets", body: `{"target": "127.0.0.1:1", "action": "enable"}`, headers: []string{jsonType, act}, status: 200, contains: `"up"`},
		{line: "POST /api/services/users/targets", body: `{"target": "127.0.0.1:3", "action": "drain"}`, headers: []string{jsonType, act}, status: 404, contains: "no_target"},
		{line: "POST /api/services/users/targets", body: `{"target": "127.0.0.1:1", "action": "kill"}`, headers: []string{jsonType, act}, status: 400, contains: "bad_action"},
		{line: "POST /api/services/nobody/targets", body: `{"target": "127.0.0.1:1", "action": "drain"}`, headers: []string{jsonType, act}, status: 404, contains: "no_service"},
		{line: "GET /debug/pprof/goroutine?debug=1", status: 200, contains: "goroutine profile"},
		{line: "GET /debug/pprof/trace?seconds=0.01", status: 200},
		{line: "GET /debug/pprof/profile?seconds=900", status: 400, contains: "bad_seconds"},
	} {
		a := w.ask(c.line, c.body, c.headers...)
		if a.StatusCode != c.status || !strings.Contains(a.body, c.contains) {
			t.Errorf("%s %.60s: %d %.300s, want %d with %q", c.line, c.body, a.StatusCode, a.body, c.status, c.contains)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Access-Control-Allow-Origin": "",
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", c.line, name, got, want)
			}
		}
	}
}

func TestPathsAndMethodsAreExact(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	for _, line := range []string{
		"GET /livez/", "GET //livez", "GET /LIVEZ", "GET /live%7a", "GET /api/../livez", "GET /api/services/",
		"GET /api/routes/", "POST /api/services//targets", "POST /api/services/a/b/targets", "GET /debug/pprof", "GET /debug/pprof/cmdline", "GET /debug/vars",
	} {
		if a := w.ask(line, "", act); a.StatusCode != 404 || a.code() != "not_found" {
			t.Errorf("%s: %d %s", line, a.StatusCode, a.body)
		}
	}
	for line, allow := range map[string]string{
		"POST /livez": "GET, HEAD", "DELETE /api/routes": "GET, HEAD", "GET /api/reload": "POST", "OPTIONS /api/reload": "POST",
		"HEAD /api/reload": "POST", "POST /api/log-level": "GET, HEAD, PUT", "TRACE /metrics": "GET, HEAD", "get /livez": "GET, HEAD",
	} {
		if a := w.ask(line, "", act); a.StatusCode != 405 || a.Header.Get("Allow") != allow {
			t.Errorf("%s: %d, Allow %q, want 405 with %q", line, a.StatusCode, a.Header.Get("Allow"), allow)
		}
	}
}

func TestForeignHostsAreRefused(t *testing.T) {
	w := start(t, "admin: {address: 127.0.0.1:0, hosts: [gateway.internal, localhost.corp]}")
	_, port, _ := net.SplitHostPort(w.admin.Address())
	for host, status := range map[string]int{
		"127.0.0.1:" + port:        200,
		"localhost:" + port:        200,
		"LocalHost:" + port:        200,
		"[::1]:" + port:            200,
		"gateway.internal":         200,
		"gateway.internal:443":     200,
		"attacker.example":         421,
		"attacker.example:" + port: 421,
		"localhost.evil:" + port:   421,
		"127.0.0.1":                421,
		"localhost:1":              421,
		"10.0.0.1:" + port:         421,
		"127.0.0.1.nip.io:" + port: 421,
		"xgateway.internal":        421,
		"[gateway.internal":        421,
		"127.0.0.1:" + port + ":1": 421,
	} {
		for _, path := range []string{"/livez", "/api/snapshot"} {
			if a := w.ask("GET "+path, "", "Host: "+host); a.StatusCode != status {
				t.Errorf("%s with Host %s: %d %s, want %d", path, host, a.StatusCode, a.body, status)
			}
		}
	}
	if a := w.ask("GET http://attacker.example/api/snapshot", ""); a.StatusCode != 421 {
		t.Errorf("absolute form: %d", a.StatusCode)
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	host := w.admin.Address()
	for header, status := range map[string]int{
		"Origin: http://" + host:                        200,
		"Sec-Fetch-Site: same-origin":                   200,
		"Sec-Fetch-Site: none":                          200,
		"Origin: http://attacker.example":               403,
		"Origin: http://127.0.0.1:1":                    403,
		"Origin: null":                                  403,
		"Origin: ":                                      403,
		"Origin: file://":                               403,
		"Origin: http://" + host + ".attacker.example":  403,
		"Sec-Fetch-Site: cross-site":                    403,
		"Sec-Fetch-Site: same-site":                     403,
		"Sec-Fetch-Site: same-origin, cross-site":       403,
		"Origin: http://" + host + "\r\nOrigin: null":   403,
		"Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross": 403,
	} {
		if a := w.ask("POST /api/reload", "", header, act, "Content-Length: 0"); a.StatusCode != status {
			t.Errorf("%q: %d %s, want %d", header, a.StatusCode, a.body, status)
		}
		if a := w.ask("GET /livez", "", header); a.StatusCode != status {
			t.Errorf("%q on /livez: %d, want %d", header, a.StatusCode, status)
		}
	}
}

// Without a token, what changes something needs a header that no form can send.
func TestWithoutTokenFormsChangeNothing(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	for _, headers := range [][]string{{}, {"Gopura-Admin: 0"}, {"Gopura-Admin:"}, {act, act}} {
		a := w.ask("POST /api/reload", "", append(headers, "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0")...)
		if a.StatusCode != 403 || a.code() != "header_required" {
			t.Errorf("%q: %d %s", headers, a.StatusCode, a.body)
		}
	}
	if w.gateway.Info().Generation != 1 {
		t.Error("the configuration was reloaded")
	}
	// A proxy in front makes every peer a loopback one.
	if a := w.ask("GET /api/snapshot", "", "X-Forwarded-For: 203.0.113.9"); a.StatusCode != 403 || a.code() != "loopback_only" {
		t.Errorf("through a proxy: %d %s", a.StatusCode, a.body)
	}
}

func TestToken(t *testing.T) {
	w := start(t, `admin: {address: 127.0.0.1:0, token: "${env:TOKEN}"}`)
	for _, path := range []string{"/livez", "/readyz"} {
		if a := w.ask("GET "+path, ""); a.StatusCode != 200 {
			t.Errorf("%s needs a token: %d", path, a.StatusCode)
		}
	}
	for header, status := range map[string]int{
		"Authorization: Bearer sesame-TOKEN":                            200,
		"Authorization: bearer  sesame-TOKEN":                           200,
		"X-None: 1":                                                     401,
		"Gopura-Admin: 1":                                               401,
		"Authorization: Bearer":                                         401,
		"Authorization: Bearer ":                                        401,
		"Authorization: Bearer sesame-TOKE":                             401,
		"Authorization: Bearer sesame-TOKENS":                           401,
		"Authorization: Bearer ***":                                     401,
		"Authorization: Basic sesame-TOKEN":                             401,
		"Authorization: sesame-TOKEN":                                   401,
		"Authorization: Bearer x\r\nAuthorization: Bearer sesame-TOKEN": 401,
	} {
		for _, line := range []string{"GET /api/snapshot", "GET /metrics", "GET /debug/pprof/heap", "GET /nothing", "POST /api/reload"} {
			want := status
			if status == 200 && line == "GET /nothing" {
				want = 404
			}
			a := w.ask(line, "", header, "Content-Length: 0")
			if a.StatusCode != want {
				t.Errorf("%s with %q: %d %.200s, want %d", line, header, a.StatusCode, a.body, want)
			}
			if a.StatusCode == 401 && !strings.HasPrefix(a.Header.Get("Www-Authenticate"), "Bearer") {
				t.Errorf("%s: no challenge", line)
			}
			if strings.Contains(a.body, "sesame") {
				t.Errorf("%s shows the token: %s", line, a.body)
			}
		}
	}
}

func TestAConfigurationWithProblemsIsShownAndChangesNothing(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	w.set("admin: 127.0.0.1:0\nlimits: {feilds: 3}")
	a := w.ask("POST /api/reload", "", act, "Content-Length: 0")
	var p struct {
		Code     string
		Problems []struct {
			File, Path, Message, Hint string
			Line, Column              int
		}
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != 422 || p.Code != "configuration_refused" || len(p.Problems) != 1 || p.Problems[0].Path != "limits.feilds" || p.Problems[0].Line != 9 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := w.ask("GET /api/snapshot", ""); !strings.Contains(a.body, `"generation": 1`) || !strings.Contains(a.body, "last_error") {
		t.Errorf("%s", a.body)
	}
}

func TestDrainingIsNotReadyButAlive(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	w.gateway.Shutdown(t.Context())
	if a := w.ask("GET /readyz", ""); a.StatusCode != 503 || a.code() != "not_ready" {
		t.Errorf("readyz: %d %s", a.StatusCode, a.body)
	}
	if a := w.ask("GET /livez", ""); a.StatusCode != 200 {
		t.Errorf("livez: %d", a.StatusCode)
	}
	if a := w.ask("POST /api/reload", "", act, "Content-Length: 0"); a.StatusCode != 503 {
		t.Errorf("reload: %d %s", a.StatusCode, a.body)
	}
}
