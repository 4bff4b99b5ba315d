package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gopura/config"
	"gopura/gateway"
)

func pair(name, value string) []config.Pair { return []config.Pair{{Name: name, Value: value}} }

const watchedConfig = `
listen: {main: "127.0.0.1:0"}
admin: 127.0.0.1:0
access_log: off
services: {o: "http://ORIGIN", gone: {targets: ["http://127.0.0.1:1"], retries: 1}}
routes:
  - match: { path: /headers, when: 'header["X-Beta"] == "1"' }
    name: beta
    answer: {body: beta}
  - match: GET /headers
    limit: 100/m per client.ip
    headers: {request: {set: {X-Added: "1", Authorization: "Bearer hush"}}}
    to: o
  - match: GET /gone
    to: gone
  - match: GET /both
    compose:
      a: GET o/1k
      b: GET o/headers
`

// debug sends a request with a debug token, or whatever stands for one.
func (g *gate) debug(path, token string, header ...string) (*http.Response, string) {
	g.t.Helper()
	r, err := http.NewRequest("GET", g.url(path), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set(gateway.DebugHeader, token)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return a, string(body)
}

func (g *gate) token(scope gateway.DebugScope) string {
	g.t.Helper()
	value, _, err := g.DebugToken(time.Minute, scope)
	if err != nil {
		g.t.Fatal(err)
	}
	return value
}

// explanation waits for that of a request: it is complete after the last byte.
func (g *gate) explanation(id string) *gateway.LiveExplanation {
	g.t.Helper()
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		for _, e := range g.Explanations() {
			if e.ID == id {
				return e
			}
		}
	}
	g.t.Fatalf("no explanation of %s", id)
	return nil
}

func TestARealRequestIsExplained(t *testing.T) {
	g := start(t, watchedConfig)
	a, body := g.debug("/headers", g.token(gateway.DebugScope{}))
	if a.StatusCode != 200 || strings.Contains(strings.ToLower(body), "gopura-debug") || !strings.Contains(body, "X-Added") {
		t.Fatalf("%d %s", a.StatusCode, body)
	}
	e := g.explanation(a.Header.Get(gateway.ExplanationHeader))
	if e.Route != "GET /headers" || len(e.Candidates) != 2 || !e.Candidates[1].Won && !e.Candidates[0].Won {
		t.Errorf("%+v", e.Candidates)
	}
	if len(e.Conditions) != 1 || e.Conditions[0].Value != "false" {
		t.Errorf("conditions: %+v", e.Conditions)
	}
	steps := fmt.Sprintf("%+v", e.Steps)
	if !strings.Contains(steps, "limit") || !strings.Contains(steps, "+ X-Added: 1") || strings.Contains(steps, "hush") {
		t.Error(steps)
	}
	if len(e.Sent) != 1 || e.Sent[0].Service != "o" || strings.Contains(fmt.Sprint(e.Sent), "hush") {
		t.Errorf("sent: %+v", e.Sent)
	}
	if len(e.Attempts) != 1 || e.Attempts[0].Status != 200 || e.Attempts[0].Target == "" || e.Duration <= 0 {
		t.Errorf("attempts: %+v in %v ms", e.Attempts, e.Duration)
	}
	if len(e.Services) != 1 || !strings.Contains(fmt.Sprint(e.Services[0].Targets), "up, ") {
		t.Errorf("services: %+v", e.Services)
	}
}

func TestFailuresAndCallsAreExplained(t *testing.T) {
	g := start(t, watchedConfig)
	token := g.token(gateway.DebugScope{})
	a, _ := g.debug("/gone", token)
	e := g.explanation(a.Header.Get(gateway.ExplanationHeader))
	if len(e.Attempts) != 2 || e.Attempts[1].Code != "upstream_connect_failed" || e.Answer.Code == "" {
		t.Errorf("%+v %+v", e.Attempts, e.Answer)
	}
	a, _ = g.debug("/nowhere", token)
	if e := g.explanation(a.Header.Get(gateway.ExplanationHeader)); e.Answer.Code != "no_route" {
		t.Errorf("%+v", e.Answer)
	}
	a, _ = g.debug("/both", token)
	e = g.explanation(a.Header.Get(gateway.ExplanationHeader))
	if len(e.Calls) != 2 || len(e.Sent) != 2 || len(e.Attempts) != 2 {
		t.Errorf("calls: %+v, sent: %+v, attempts: %+v", e.Calls, e.Sent, e.Attempts)
	}
}

// What a request uses up is used up for all: the second chain has the limits of
// the first.
func TestExplainedRequestsCount(t *testing.T) {
	g := start(t, strings.ReplaceAll(watchedConfig, "100/m", "2/h"))
	token := g.token(gateway.DebugScope{})
	status := func(token string) int { a, _ := g.debug("/headers", token); return a.StatusCode }
	if a, b, c, d := status(token), status(""), status(""), status(token); a != 200 || b != 200 || c != 429 || d != 429 {
		t.Error(a, b, c, d)
	}
}

func TestTokensThatAreNotGood(t *testing.T) {
	g := start(t, watchedConfig)
	good := g.token(gateway.DebugScope{})
	parts := strings.Split(good, ".")
	other := start(t, watchedConfig) // another process without a token in common
	for name, token := range map[string]string{
		"nonsense":         "x",
		"dots":             "...",
		"long":             strings.Repeat("a", 4000),
		"another key":      other.token(gateway.DebugScope{}),
		"a later end":      "9999999999." + parts[1] + "." + parts[2],
		"a changed scope":  parts[0] + ".Lwo." + parts[2],
		"no signature":     parts[0] + "." + parts[1] + ".",
		"half a signature": good[:len(good)-8],
		"another host":     g.token(gateway.DebugScope{Host: "other.example"}),
		"another path":     g.token(gateway.DebugScope{Path: "/head"}),
		"a path below":     g.token(gateway.DebugScope{Path: "/headers/more"}),
	} {
		a, body := g.debug("/headers", token)
		if a.Header.Get(gateway.ExplanationHeader) != "" || strings.Contains(strings.ToLower(body), "gopura-debug") || a.StatusCode != 200 {
			t.Errorf("%s: %d, explained as %q", name, a.StatusCode, a.Header.Get(gateway.ExplanationHeader))
		}
	}
	if a, _ := g.debug("/headers", "", "Gopura-Debug: "+good, "Gopura-Debug: "+good); a.Header.Get(gateway.ExplanationHeader) != "" {
		t.Error("two tokens are one")
	}
	if _, body := g.debug("/headers", "", "gopura_debug: "+good, "GOPURA-DEBUG: "+good); strings.Contains(strings.ToLower(body), "gopura") && strings.Contains(body, good) {
		t.Errorf("the header reaches the service: %s", body)
	}
	for _, scope := range []gateway.DebugScope{{Path: "/headers"}, {Path: "/headers/"}, {Path: "/"}, {Host: "127.0.0.1"}} {
		if a, _ := g.debug("/headers", g.token(scope)); a.Header.Get(gateway.ExplanationHeader) == "" {
			t.Errorf("%+v: not explained", scope)
		}
	}
	for _, life := range []time.Duration{0, -time.Second, 2 * time.Hour} {
		if _, _, err := g.DebugToken(life, gateway.DebugScope{}); err == nil {
			t.Errorf("a token for %v", life)
		}
	}
	// Without an admin listener nobody could read an explanation.
	g.text = strings.ReplaceAll(g.text, "admin: 127.0.0.1:0", "")
	if err := g.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, _ := g.debug("/headers", good); a.Header.Get(gateway.ExplanationHeader) != "" {
		t.Error("explained without an admin listener")
	}
}

// Many at once, and reloads meanwhile: each is explained by itself, and what is
// kept is bounded.
func TestExplanationsAtTheSameTime(t *testing.T) {
	g := start(t, watchedConfig)
	token := g.token(gateway.DebugScope{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				g.debug("/both", token)
			}
		})
	}
	for range 3 {
		if err := g.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	list := g.Explanations()
	if len(list) > 64 || len(list) == 0 {
		t.Errorf("%d explanations", len(list))
	}
	for _, e := range list {
		if len(e.Sent) != 2 || len(e.Attempts) != 2 {
			t.Errorf("sent %d, attempts %d", len(e.Sent), len(e.Attempts))
		}
	}
}

func TestTryIsARealRequest(t *testing.T) {
	g := start(t, watchedConfig)
	a, err := g.Try(t.Context(), gateway.Trial{Method: "GET", Target: "/headers?a=1", Host: "shop.example"})
	if err != nil || a.Status != 200 || !strings.Contains(string(a.Body), "X-Added") || !strings.Contains(string(a.Body), "shop.example") {
		t.Fatalf("%+v %v", a, err)
	}
	for _, bad := range []gateway.Trial{
		{Method: "GE T", Target: "/", Host: "a"}, {Method: "CONNECT", Target: "/", Host: "a"}, {Method: "GET", Target: "http://other.example/", Host: "a"},
		{Method: "GET", Target: "/ HTTP/1.1\r\nX: y", Host: "a"}, {Method: "GET", Target: "/", Host: "a\r\nX: y"}, {Method: "GET", Target: "/", Host: "a", Listener: "none"},
		{Method: "GET", Target: "/", Host: "a", Header: pair("Transfer-Encoding", "chunked")}, {Method: "GET", Target: "/", Host: "a", Header: pair("X", "a\r\nb")},
		{Method: "GET", Target: "/", Host: "a", Header: pair("content-length", "5")},
	} {
		if _, err := g.Try(t.Context(), bad); err == nil {
			t.Errorf("%+v is sent", bad)
		}
	}
}
