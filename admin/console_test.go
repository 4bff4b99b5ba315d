package admin_test

import (
	"strings"
	"testing"
)

// The files of the console are for everybody who may reach the listener, since
// they ask for the token; nothing else is.
func TestConsole(t *testing.T) {
	w := start(t, "admin: {address: 127.0.0.1:0, token: \"${env:TOKEN}\"}")
	page := w.ask("GET /console/", "")
	if page.StatusCode != 200 || !strings.Contains(page.body, "<title>Gopura console</title>") {
		t.Fatalf("%s\n%s", page.Status, page.body)
	}
	csp := page.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(csp, "unsafe") {
		t.Errorf("CSP %s", csp)
	}
	if c := page.Header.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("Cache-Control %s", c)
	}
	tag := page.Header.Get("ETag")
	if again := w.ask("GET /console/", "", "If-None-Match: "+tag); again.StatusCode != 304 || again.body != "" {
		t.Errorf("with its ETag: %s", again.Status)
	}
	for _, c := range []struct {
		line    string
		headers []string
		status  int
	}{
		{"HEAD /console/main.js", nil, 200},
		{"GET /console/vendor/preact.js", nil, 200},
		{"GET /", nil, 303},
		{"GET /console", nil, 303},
		{"GET /console/nothing.js", nil, 404},
		{"GET /console/../api/snapshot", nil, 404},
		{"GET /console/%2e%2e/api/snapshot", nil, 404},
		{"GET /consoles", nil, 401},
		{"POST /console/", nil, 405},
		{"GET /api/snapshot", nil, 401},
		{"GET /console/", []string{"Host: rebound.example"}, 421},
		// From a link on another site one gets to the page; its scripts can't
		// be taken by one, nor can it be framed.
		{"GET /console/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200},
		{"GET /console/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403},
		{"GET /console/main.js", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}, 403},
		{"GET /api/snapshot", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Authorization: Bearer sesame-TOKEN"}, 403},
	} {
		if got := w.ask(c.line, "", c.headers...); got.StatusCode != c.status {
			t.Errorf("%s %v: %s, want %d", c.line, c.headers, got.Status, c.status)
		}
	}
}

// Without a token the console is for this machine, as the rest is.
func TestConsoleBehindAProxy(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	if got := w.ask("GET /console/", ""); got.StatusCode != 200 {
		t.Error(got.Status)
	}
	if got := w.ask("GET /console/", "", "X-Forwarded-For: 203.0.113.7"); got.code() != "loopback_only" {
		t.Error(got.Status, got.code())
	}
}

func TestConsoleOff(t *testing.T) {
	w := start(t, "admin: {address: 127.0.0.1:0, console: false}")
	for _, path := range []string{"/console/", "/console/main.js", "/"} {
		if got := w.ask("GET "+path, ""); got.StatusCode != 404 {
			t.Errorf("%s: %s", path, got.Status)
		}
	}
}
