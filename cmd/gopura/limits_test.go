package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// limitsOf runs gopura limits against an admin API that answers with a status
// and a text, and returns what was asked for and what was printed.
func limitsOf(t *testing.T, status int, answer string, args ...string) (asked *http.Request, stdout, stderr string, code int) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.WriteHeader(status)
		w.Write([]byte(answer))
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	code = Main(append([]string{"limits", "--admin", strings.TrimPrefix(s.URL, "http://")}, args...), &out, &errs)
	return asked, out.String(), errs.String(), code
}

func TestLimitsTop(t *testing.T) {
	t.Setenv("GOPURA_ADMIN_TOKEN", "a token")
	asked, out, errs, code := limitsOf(t, 200, `[
		{"name": "per-client", "kind": "rate", "limit": "10/s", "store": "memory", "keys": 2, "top": [
			{"key": "10.0.0.1", "allowed": 640, "refused": 7, "remaining": 3}, {"key": "a\nb", "allowed": 64, "refused": 0, "remaining": 10}]},
		{"name": "GET /x quota", "kind": "quota", "limit": "5/day", "store": "redis", "keys": 0, "top": []}]`, "top")
	const want = `per-client: 10/s, in memory, 2 keys
  refused  allowed  remaining  key
        7      640          3  "10.0.0.1"
        0       64         10  "a\nb"

GET /x quota: 5/day, in redis, 0 keys
`
	if out != want || code != 0 {
		t.Errorf("code %d, %s, printed\n%s", code, errs, out)
	}
	if asked.Method != "GET" || asked.URL.Path != "/api/limits" || asked.Header.Get("Authorization") != "Bearer a token" {
		t.Errorf("asked for %s %s", asked.Method, asked.URL)
	}
	if _, out, _, _ := limitsOf(t, 200, "[]", "top"); out != "no limits\n" {
		t.Errorf("without limits: %q", out)
	}
}

// Names and keys may be made of anything, and arrive as they are.
func TestLimitsOfAKey(t *testing.T) {
	const state = `{"known": true, "allowed": false, "limit": 10, "remaining": 0, "retry_after_seconds": 0.5, "reset_after_seconds": 5}`
	asked, out, errs, code := limitsOf(t, 200, state, "show", "GET /orders/* limit", "a/b?c|d")
	if out != "0 of 10 left, the next in 0.5s, all of it in 5s\n" || code != 0 {
		t.Errorf("code %d, %s, printed %s", code, errs, out)
	}
	if asked.Method != "GET" || asked.RequestURI != "/api/limits/GET%20%2Forders%2F%2A%20limit/a%2Fb%3Fc%7Cd" && asked.URL.Path != "/api/limits/GET /orders/* limit/a/b?c|d" {
		t.Errorf("asked for %s %s", asked.Method, asked.RequestURI)
	}
	asked, out, _, code = limitsOf(t, 200, `{"allowed": true, "limit": 10, "remaining": 10}`, "reset", "per-client", "10.0.0.1")
	if out != "10 of 10 left\n" || code != 0 || asked.Method != "DELETE" || asked.URL.Path != "/api/limits/per-client/10.0.0.1" {
		t.Errorf("code %d, printed %s, asked for %s %s", code, out, asked.Method, asked.URL)
	}
	if asked.Header.Get("Gopura-Admin") == "" {
		t.Error("without the field that no page of another site can set")
	}
}

func TestLimitsWithoutAnAnswer(t *testing.T) {
	_, out, errs, code := limitsOf(t, 404, `{"title": "Not found", "detail": "there is no limit of that name"}`, "show", "x", "y")
	if code != exitProblem || out != "" || !strings.Contains(errs, "404") || !strings.Contains(errs, "there is no limit of that name") {
		t.Errorf("code %d: %q %q", code, out, errs)
	}
	if _, _, errs, code = limitsOf(t, 200, "<html>", "top"); code != exitProblem || errs == "" {
		t.Errorf("code %d: %q", code, errs)
	}
	var none bytes.Buffer
	if code := Main([]string{"limits", "--admin", "127.0.0.1:1", "top"}, &none, &none); code != exitProblem {
		t.Errorf("code %d: %s", code, &none)
	}
}
