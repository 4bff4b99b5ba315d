package importer_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
	"gopura/importer"
	"gopura/internal/freeport"
)

// A real NGINX with its nginx.conf and Gopura with what was imported of it answer
// alike: the same service is asked for the same path with the same host, or the
// same status, text and Location come back. Paths in normal form only: of others
// NGINX forwards what was sent, and Gopura what was matched.
func TestNGINXAgrees(t *testing.T) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	dir := t.TempDir()
	text, err := os.ReadFile("testdata/nginx/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := string(text)
	for _, port := range []string{"18001", "18002", "18003", "18004"} {
		name := "app"
		if port == "18004" {
			name = "static"
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s got %s %s from %s", name, r.Method, r.RequestURI, strings.ReplaceAll(r.Host, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), "ADDRESS"))
		}))
		t.Cleanup(s.Close)
		conf = strings.ReplaceAll(conf, "127.0.0.1:"+port, strings.TrimPrefix(s.URL, "http://"))
	}
	theirs, ours := fmt.Sprint(freeport.Port(t)), fmt.Sprint(freeport.Port(t))
	// What cannot be read or is forbidden to others on this machine.
	conf = strings.NewReplacer("user www-data;", "daemon off; pid nginx.pid; error_log stderr;", "include mime.types;", "access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;",
		"include sites/*.part.conf;", "").Replace(conf)
	start(t, binary, dir, strings.ReplaceAll(conf, "listen 18080", "listen 127.0.0.1:"+theirs))
	serve(t, dir, strings.ReplaceAll(conf, "listen 18080", "listen 127.0.0.1:"+ours))
	for _, host := range []string{"shop.test", "www.shop.test", "a.shop.test", "pr-7.test", "other.x", "nobody.test"} {
		for _, path := range []string{"/", "/x", "/x?a=b", "/api", "/api/", "/api/x?y=1", "/api/x.png", "/strip/x/y", "/strip", "/plain", "/plain/", "/plain/x.php", "/images/x.png", "/images/", "/images", "/images?x=1",
			"/images/big", "/images/big/x", "/images/big/x.png", "/images/big/x.JPG", "/images/big/x.php", "/images/x.php", "/user/7/photo", "/user/x/photo", "/user/7/photo.png", "/old", "/old/a?b=c", "/gone", "/gone/x", "/gone/x.php",
			"/legacy/a/b?c=d", "/x.css", "/a/x.css", "/healthz", "/healthz/x", "/a%20b/c.png"} {
			want, got := ask(t, theirs, host, path), ask(t, ours, host, path)
			if want != got {
				t.Errorf("%s%s\nNGINX:  %s\nGopura: %s", host, path, want, got)
			}
		}
	}
}

func start(t *testing.T, binary, dir, conf string) {
	path := filepath.Join(dir, "theirs.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "-p", dir, "-c", path, "-e", "stderr", "-g", "master_process off;")
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

func serve(t *testing.T, dir, conf string) {
	path := filepath.Join(dir, "ours.conf")
	r, err := importer.Import(config.Source{Name: path, Data: []byte(conf)}, importer.Options{ReadFile: os.ReadFile, Exists: func(string) bool { return false }, Output: path})
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(gateway.Options{Load: func() (*config.Document, error) {
		return config.Parse([]config.Source{{Name: "gopura.yaml", Data: append(r.Text, "access_log: off\n"...)}}, gateway.ConfigOptions())
	}})
	if err := g.Reload(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, r.Text)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = g.Shutdown(ctx)
	})
}

var client = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ask says what came of a request: what the service saw, or status and Location.
// NGINX's own pages are HTML, so of them only the status counts; a Location
// without a host is the same as one with the host that was asked for.
func ask(t *testing.T, port, host, path string) string {
	t.Helper()
	for try := 0; ; try++ {
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil && try < 100 {
			time.Sleep(20 * time.Millisecond) // it starts
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		text := string(body)
		if resp.StatusCode != 200 {
			text = ""
		}
		location := strings.TrimPrefix(strings.Replace(resp.Header.Get("Location"), ":"+port, "", 1), "http://"+host)
		return fmt.Sprintf("%d %s %s %s", resp.StatusCode, text, location, resp.Header.Get("X-Images"))
	}
}
