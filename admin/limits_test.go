package admin_test

import (
	"strings"
	"testing"
)

func TestLimitsAreShownAndReset(t *testing.T) {
	w := start(t, `admin: 127.0.0.1:0
defaults: { limit: [{ rate: 2/h per client.ip, name: per-client }, { rate: "1/h per header[\"x-y\"]" }] }`)
	for _, c := range []struct {
		line     string
		headers  []string
		status   int
		contains string
	}{
		{"GET /api/limits", nil, 200, `"name": "per-client"`},
		{"GET /api/stores", nil, 200, `"kind": "memory"`},
		{"GET /api/limits", nil, 200, `"name": "GET /users/{id} limit #2"`},
		{"GET /api/limits/per-client/10.0.0.1", nil, 200, `"remaining": 2`},
		{"GET /api/limits/per-client/", nil, 200, `"known": false`},
		{"GET /api/limits/GET%20%2Fusers%2F%7Bid%7D%20limit%20%232/a%2Fb", nil, 200, `"key": "a/b"`},
		{"GET /api/limits/nothing/10.0.0.1", nil, 404, "no_limit"},
		{"GET /api/limits/per-client", nil, 404, "not_found"},
		{"GET /api/limits/per-client/a/b", nil, 404, "not_found"},
		{"GET /api/limits//a", nil, 404, "not_found"},
		{"DELETE /api/limits/per-client/10.0.0.1", nil, 403, "header_required"},
		{"DELETE /api/limits/per-client/10.0.0.1", []string{act}, 200, `"remaining": 2`},
		{"POST /api/limits/per-client/10.0.0.1", []string{act}, 405, ""},
	} {
		if a := w.ask(c.line, "", c.headers...); a.StatusCode != c.status || !strings.Contains(a.body, c.contains) {
			t.Errorf("%s: %d %.300s, want %d with %q", c.line, a.StatusCode, a.body, c.status, c.contains)
		}
	}
	l := w.gateway.Limit("per-client")
	for range 3 {
		l.Take([]byte("10.0.0.1"), 1)
	}
	if a := w.ask("GET /api/limits", ""); !strings.Contains(a.body, `"refused": 1`) {
		t.Errorf("the top keys: %s", a.body)
	}
	if a := w.ask("GET /api/limits/per-client/10.0.0.1", ""); !strings.Contains(a.body, `"allowed": false`) || !strings.Contains(a.body, `"retry_after_seconds": 1`) {
		t.Errorf("used up: %s", a.body)
	}
	if a := w.ask("DELETE /api/limits/per-client/10.0.0.1", "", act); !strings.Contains(a.body, `"remaining": 2`) {
		t.Errorf("reset: %s", a.body)
	}
}
