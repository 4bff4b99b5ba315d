package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
)

const root = "../.."

func TestDashboardIsFresh(t *testing.T) {
	want, err := dashboard()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join(root, dashboardFile))
	if err != nil || !bytes.Equal(have, want) {
		t.Errorf("%s is stale: go run ./internal/monitoring", dashboardFile)
	}
}

// TestMetricsExist compares the names in rules and panels with the page of all
// metrics.
func TestMetricsExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/reference/metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(filepath.Join(root, "packaging/monitoring/gopura.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := dashboard()
	for _, name := range regexp.MustCompile(`gopura_\w+`).FindAllString(string(rules)+string(text), -1) {
		base := strings.TrimSuffix(name, "_bucket")
		if !strings.Contains(string(page), "`"+base+"`") {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func promtool(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("no promtool")
	}
}

func TestRules(t *testing.T) {
	promtool(t)
	for _, args := range [][]string{{"check", "rules", "gopura.rules.yaml"}, {"test", "rules", "gopura.rules.test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = filepath.Join(root, "packaging/monitoring")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestDashboardShowsAGateway asks every panel of a Prometheus that scrapes a
// gateway with traffic.
func TestDashboardShowsAGateway(t *testing.T) {
	promtool(t)
	dir := t.TempDir()
	web, admin := startGateway(t, dir)
	prometheus := startPrometheus(t, dir, admin)

	end := time.Now().Add(60 * time.Second)
	missing := []string{"nothing asked yet"}
	for len(missing) > 0 && time.Now().Before(end) {
		for range 20 {
			for _, path := range []string{"/plain", "/composed", "/bad", "/none"} {
				if resp, err := http.Get("http://" + web + path); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		}
		time.Sleep(500 * time.Millisecond)
		missing = nil
		for _, r := range rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					n, err := ask(prometheus, q.expr)
					if err != nil {
						t.Fatalf("%s: %s: %v", p.title, q.expr, err)
					}
					if n == 0 && !p.rare {
						missing = append(missing, p.title+": "+q.expr)
					}
				}
			}
		}
	}
	for _, m := range missing {
		t.Error("nothing to see of", m)
	}
	rulesAreWell(t, prometheus)
}

// ask returns how many lines a query gives.
func ask(prometheus, expr string) (int, error) {
	expr = strings.ReplaceAll(expr, "$__rate_interval", "10s")
	expr = regexp.MustCompile(`\$(job|instance|route|service)`).ReplaceAllString(expr, ".*")
	resp, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return len(answer.Data.Result), nil
}

func rulesAreWell(t *testing.T, prometheus string) {
	t.Helper()
	resp, err := http.Get(prometheus + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			if n++; r.Health == "err" {
				t.Errorf("rule %s: %s", r.Name, r.LastError)
			}
		}
	}
	if n == 0 {
		t.Error("no rules are loaded")
	}
}

func startGateway(t *testing.T, dir string) (web, admin string) {
	t.Helper()
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
		}
		io.WriteString(w, `{"id":1}`)
	}))
	t.Cleanup(shop.Close)
	web, admin = freeport.Address(t), freeport.Address(t)
	file := filepath.Join(dir, "gopura.yaml")
	text := fmt.Sprintf(`listen: %s
admin: %s
access_log: off
services: { shop: %q }
routes:
  - { match: /plain, to: shop, limit: 1000/s per client.ip }
  - { match: /bad, to: shop }
  - { match: GET /composed, compose: { a: GET shop/a, b: GET shop/b } }
`, web, admin, shop.URL)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "gopura")
	build := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", binary, "./cmd/gopura")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	start(t, exec.Command(binary, "run", "-c", file), "http://"+admin+"/readyz")
	return web, admin
}

func startPrometheus(t *testing.T, dir, admin string) string {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join(root, "packaging/monitoring/gopura.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yaml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - {job_name: gopura, static_configs: [{targets: [%q]}]}\n", rules, admin)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	at := freeport.Address(t)
	start(t, exec.Command("prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at, "--log.level=error"), "http://"+at+"/-/ready")
	return "http://" + at
}

// start runs a process until the test ends, and waits until a URL says 200.
func start(t *testing.T, cmd *exec.Cmd, ready string) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 600 {
		if resp, err := http.Get(ready); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s is not ready", cmd.Path)
}
