package admin_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// twoGenerations is a gateway that was reloaded once, with a secret in its file.
func twoGenerations(t *testing.T) *world {
	t.Helper()
	w := start(t, "admin: 127.0.0.1:0")
	w.set("admin: 127.0.0.1:0\ndefaults:\n  headers: {request: {set: {Authorization: \"Bearer hush\"}}}\n")
	if a := w.ask("POST /api/reload", "", act, "Content-Length: 0"); a.StatusCode != 200 {
		t.Fatalf("reload: %d %s", a.StatusCode, a.body)
	}
	return w
}

func TestHistoryKeepsWhatWasInForce(t *testing.T) {
	w := twoGenerations(t)
	for range 3 { // the same content again is no generation of its own
		w.ask("POST /api/reload", "", act, "Content-Length: 0")
	}
	for _, c := range []struct {
		line     string
		status   int
		contains []string
	}{
		{"GET /api/history", 200, []string{`"in_force": 2`, `"how": "start"`, `"how": "reload"`, `"gopura.yaml"`}},
		{"GET /api/history/1", 200, []string{`"generation": 1`, "users: [http://127.0.0.1:1"}},
		{"GET /api/history/2", 200, []string{`Authorization: *************}`}},
		{"GET /api/history/3", 404, []string{"no_generation"}},
		{"GET /api/history/01", 404, []string{"not_found"}},
		{"GET /api/history/-1", 404, []string{"not_found"}},
		{"GET /api/history/2/diff", 200, []string{`"from": 1`, `"kind": "changed"`, `headers`}},
		{"GET /api/history/1/diff?from=2", 200, []string{`"from": 2`, `"to": 1`}},
		{"GET /api/history/1/diff", 404, []string{"no_generation"}}, // nothing before it
		{"GET /api/history/2/diff?from=x", 400, []string{"bad_generation"}},
		{"GET /api/configuration", 200, []string{`"generation": 2`, `Authorization: *************}`}},
	} {
		a := w.ask(c.line, "")
		if a.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.line, a.StatusCode, a.body)
		}
		for _, text := range c.contains {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: no %s in\n%s", c.line, text, a.body)
			}
		}
		if strings.Contains(a.body, "hush") {
			t.Errorf("%s shows a secret", c.line)
		}
	}
}

func TestRollback(t *testing.T) {
	w := twoGenerations(t)
	if a := w.ask("POST /api/rollback", `{"generation": 1}`, jsonType); a.code() != "header_required" {
		t.Fatalf("without the header: %d %s", a.StatusCode, a.body)
	}
	if a := w.ask("POST /api/rollback", `{"generation": 9}`, jsonType, act); a.StatusCode != 404 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if a := w.ask("POST /api/rollback", `{"generation": 2}`, jsonType, act); a.code() != "in_force" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	a := w.ask("POST /api/rollback", `{}`, jsonType, act)
	if a.StatusCode != 200 || !strings.Contains(a.body, `"generation": 3`) || !strings.Contains(a.body, `"rolled_back": {`) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	a = w.ask("GET /api/history", "")
	if !strings.Contains(a.body, `"how": "rollback"`) || !strings.Contains(a.body, `"rolled_back_to": 1`) || !strings.Contains(a.body, `"by hand"`) {
		t.Error(a.body)
	}
	// Once more goes further back, where there is nothing, not forth again.
	if a := w.ask("POST /api/rollback", `{}`, jsonType, act); a.code() != "no_generation" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	// What the files say is in force as they say it.
	if a := w.ask("POST /api/rollback", `{"generation": 2}`, jsonType, act); !strings.Contains(a.body, `"generation": 4`) || strings.Contains(a.body, "rolled_back") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	w.ask("POST /api/rollback", `{"generation": 1}`, jsonType, act)
	// Who asks for a reload gets what the files say.
	a = w.ask("POST /api/reload", "", act, "Content-Length: 0")
	if !strings.Contains(a.body, `"generation": 6`) || strings.Contains(a.body, "rolled_back") {
		t.Error(a.body)
	}
}

func TestCheckOpensNothing(t *testing.T) {
	w := start(t, "admin: {address: 127.0.0.1:0, token: \"${env:TOKEN}\"}")
	token := "Authorization: Bearer sesame-TOKEN"
	for _, c := range []struct {
		text     string
		contains []string
	}{
		{base, []string{`"ok": true`, `"changes"`}},
		{strings.Replace(base, "to: users", "to: usrs", 1), []string{`"ok": false`, `did you mean`, `"line": 7`}},
		{base + "admin: {token: \"${env:OTHER}\"}\n", []string{`"not_looked_up"`, `env:OTHER`}},
		{base + "log: ${file:/etc/hostname}\n", []string{`"not_looked_up"`, `file:/etc/hostname`}},
		{base + "admin: {token: \"${env:TOKEN}\"}\n", []string{`"ok": true`}},
		{strings.Replace(base, "127.0.0.1:0", "{x: {address: \":1\", tls: {certificates: {cert: /etc/passwd, key: /etc/shadow}}}}", 1), []string{`"not_read"`, "/etc/passwd"}},
	} {
		body := `{"texts": [{"name": "../../etc/x.yaml", "text": ` + quoted(c.text) + `}]}`
		a := w.ask("POST /api/check", body, jsonType, token)
		if a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		for _, text := range c.contains {
			if !strings.Contains(a.body, text) {
				t.Errorf("no %s in\n%s\nfor%s", text, a.body, c.text)
			}
		}
		if strings.Contains(a.body, "sesame") || strings.Contains(a.body, "root:") {
			t.Errorf("a secret is shown:\n%s", a.body)
		}
	}
	if a := w.ask("POST /api/check", `{"texts": []}`, jsonType, token); a.code() != "bad_texts" {
		t.Error(a.body)
	}
	if a := w.ask("POST /api/check", `{"texts": [{"text":"`+strings.Repeat("a", 1<<20)+`"}]}`, jsonType, token); a.StatusCode != 413 {
		t.Error(a.StatusCode)
	}
}

func TestExplainOnPaper(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	a := w.ask("POST /api/explain", `{"url": "/users/42", "headers": {"Authorization": "Bearer hush"}, "services": {"users": {"status": 404}}}`, jsonType, act)
	for _, text := range []string{`"route": "GET /users/{id}"`, `"path.id = 42"`, `"status": 404`, `"played": "as given"`} {
		if !strings.Contains(a.body, text) {
			t.Errorf("no %s in\n%s", text, a.body)
		}
	}
	if strings.Contains(a.body, "hush") {
		t.Error("a secret is shown")
	}
	for _, bad := range []string{`{"url": "ftp://x/"}`, `{"url": "/", "client": "x"}`, `{"url": "/", "services": {"a": {"status": 99}}}`, `{"url": "/", "headers": [["a b", "c"]]}`, `{"url": "/", "headers": {"a": "b\nc"}}`} {
		if a := w.ask("POST /api/explain", bad, jsonType, act); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", bad, a.StatusCode, a.body)
		}
	}
}

func TestTopologyHasStableIDs(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	a := w.ask("GET /api/topology", "")
	for _, text := range []string{`"id":"client"`, `"id":"listener:default"`, `"id":"route:GET /users/{id}"`, `"id":"service:users"`, `"id":"target:users/127.0.0.1:1"`,
		`"id":"route:GET /users/{id}\u003eservice:users"`, `"id":"service:users\u003etarget:users/127.0.0.1:2"`, `"origin":"gopura.yaml:7:5"`} {
		if !strings.Contains(a.body, text) {
			t.Errorf("no %s in\n%s", text, a.body)
		}
	}
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}
