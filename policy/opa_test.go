package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
	"gopura/lifetime"
)

// agent is a server with OPA's data API.
type agent struct {
	*httptest.Server
	calls atomic.Int64
	input atomic.Pointer[map[string]any] // of the last question
	auth  atomic.Pointer[string]
}

// newAgentServer starts an agent that answers as decide says: a result, or
// what it writes itself.
func newAgentServer(t testing.TB, decide func(w http.ResponseWriter, input map[string]any) any) *agent {
	a := new(agent)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.calls.Add(1)
		auth := r.Header.Get("Authorization")
		a.auth.Store(&auth)
		var question struct{ Input map[string]any }
		if r.Method != "POST" || r.URL.Path != "/v1/data/gateway/allow" || r.Header.Get("Content-Type") != "application/json" {
			http.Error(w, `{"code": "invalid_parameter"}`, 400)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			http.Error(w, `{"code": "invalid_parameter"}`, 400)
			return
		}
		a.input.Store(&question.Input)
		if result := decide(w, question.Input); result != nil {
			json.NewEncoder(w).Encode(map[string]any{"decision_id": "1", "result": result})
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *agent) url() string { return a.URL + "/v1/data/gateway/allow" }

// opaEnv is an environment that can hold an agent's client.
func opaEnv(t testing.TB) *Env {
	env := identified(t)
	env.Pool, env.Scope = new(lifetime.Pool), new(lifetime.Scope)
	t.Cleanup(env.Scope.Close)
	return env
}

func TestOPADecides(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer string // written as it is
		status int
		result string
		open   bool // on_failure: allow
		want   string
	}{
		{"yes", `{"result": true}`, 200, "", false, ""},
		{"no", `{"result": false}`, 200, "", false, "forbidden"},
		{"undefined", `{}`, 200, "", false, "forbidden"},
		{"undefined, open", `{}`, 200, "", true, "forbidden"},
		{"a text is no yes", `{"result": "true"}`, 200, "", true, "forbidden"},
		{"an object is no yes", `{"result": {"allow": true}}`, 200, "", true, "forbidden"},
		{"a list is no yes", `{"result": [true]}`, 200, "", true, "forbidden"},
		{"a path", `{"result": {"allow": true}}`, 200, "allow", false, ""},
		{"a longer path", `{"result": {"decision": {"allow": true}}}`, 200, "decision.allow", false, ""},
		{"a path that leads nowhere", `{"result": {"alow": true}}`, 200, "allow", true, "forbidden"},
		{"a path into no object", `{"result": true}`, 200, "allow", true, "forbidden"},
		{"two results", `{"result": true, "result": false}`, 200, "", true, "decision_unavailable"},
		{"no JSON", `yes`, 200, "", true, "decision_unavailable"},
		{"no object", `true`, 200, "", true, "decision_unavailable"},
		{"too large", `{"result": true, "x": "` + strings.Repeat("x", maxDecision) + `"}`, 200, "", true, "decision_unavailable"},
		{"it fails", `{}`, 500, "", false, "decision_unavailable"},
		{"it fails, open", `{}`, 500, "", true, ""},
		{"it is busy, open", `{}`, 429, "", true, ""},
		{"our mistake, open", `{"result": true}`, 400, "", true, "decision_unavailable"},
		{"unknown path, open", `{"result": true}`, 404, "", true, "decision_unavailable"},
		{"it wants a token, open", `{"result": true}`, 401, "", true, "decision_unavailable"},
		{"no content, open", ``, 204, "", true, "decision_unavailable"},
	} {
		a := newAgentServer(t, func(w http.ResponseWriter, _ map[string]any) any {
			w.WriteHeader(c.status)
			io.WriteString(w, c.answer)
			return nil
		})
		spec := &OPA{URL: a.url(), Result: c.result, Timeout: 5 * time.Second}
		if c.open {
			spec.OnFailure = "allow"
		}
		if got := code(t, opaEnv(t), spec, somebody(claims{})); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if c.want == "forbidden" {
			if got := code(t, opaEnv(t), spec, somebody(nil)); got != "identity_required" {
				t.Errorf("%s, nobody: %q", c.name, got)
			}
		}
	}
}

func TestOPAIsTold(t *testing.T) {
	a := newAgentServer(t, func(http.ResponseWriter, map[string]any) any { return true })
	x := posting(`{"a": 1.50, "b": [true]}`, "X-Plan: gold", "X-Plan: silver", "Cookie: secret", "Authorization: secret")
	x.Request.Path, x.Request.Query = []byte("/orders/a%2Fb"), []byte("v=1&v=2&w=%20")
	x.Request.Params = []exchange.Param{{Name: "id", Value: []byte("a%2Fb")}}
	x.Client.Listener = "main"
	x.Identity = &exchange.Identity{Name: "idp", Sub: "alice", Claims: claims{"roles": []any{"admin"}}}
	env := opaEnv(t)
	env.Route = "orders"
	saw, err := serve(t, env, &OPA{URL: a.url(), Headers: []string{"X-Plan"}, Body: 1000, Token: config.NewSecret("s3cret")}, x)
	if err != nil || saw == "" {
		t.Fatal(err)
	}
	got, _ := json.Marshal(*a.input.Load())
	want := `{"client":{"ip":"10.1.2.3","listener":"main"},"identity":{"claims":{"roles":["admin"]},"name":"idp","sub":"alice"},"params":{"id":"a/b"},` +
		`"request":{"body":{"a":1.5,"b":[true]},"headers":{"x-plan":["gold","silver"]},"host":"a.example","method":"POST","path":"/orders/a%2Fb","query":{"v":["1","2"],"w":[" "]},"scheme":"https","segments":["orders","a/b"]},"route":"orders"}`
	if string(got) != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if auth := *a.auth.Load(); auth != "Bearer s3cret" {
		t.Error(auth)
	}
	if text, _ := exchange.ReadAll(x.Request.Body, 1000); string(text) != `{"a": 1.50, "b": [true]}` {
		t.Errorf("the service gets %s", text)
	}
}

// A rule about the body can't be dodged by a body that the agent is not shown.
func TestOPASeesTheBodyOrTheRequestDoesNotPass(t *testing.T) {
	a := newAgentServer(t, func(_ http.ResponseWriter, input map[string]any) any {
		body, _ := input["request"].(map[string]any)["body"].(map[string]any)
		return body["admin"] == nil // deny on presence
	})
	evil := `{"admin": true}`
	for name, c := range map[string]struct {
		body   exchange.Body
		fields string
		want   string
	}{
		"harmless":            {exchange.BytesBody([]byte(`{}`)), "Content-Type: application/json", ""},
		"none":                {exchange.NoBody, "", ""},
		"evil":                {exchange.BytesBody([]byte(evil)), "Content-Type: application/json", "forbidden"},
		"in pieces":           {&pieces{list: []string{evil[:5], evil[5:]}}, "Content-Type: application/json", "forbidden"},
		"too long":            {exchange.BytesBody([]byte(evil + strings.Repeat(" ", 100))), "Content-Type: application/json", "body_too_large"},
		"too long, in pieces": {&pieces{list: []string{evil, strings.Repeat(" ", 100)}}, "Content-Type: application/json", "body_too_large"},
		"no type":             {exchange.BytesBody([]byte(evil)), "X-A: 1", "media_type_unsupported"},
		"another type":        {exchange.BytesBody([]byte(evil)), "Content-Type: text/plain", "media_type_unsupported"},
		"compressed":          {exchange.BytesBody([]byte(evil)), "Content-Type: application/json|Content-Encoding: gzip", "media_type_unsupported"},
		"not JSON":            {exchange.BytesBody([]byte(evil + "x")), "Content-Type: application/json", "request_invalid"},
		"member twice":        {exchange.BytesBody([]byte(`{"admin": true, "admin": null}`)), "Content-Type: application/json", "request_invalid"},
	} {
		x := somebody(claims{})
		x.Request.Method, x.Request.Body = "POST", c.body
		for f := range strings.SplitSeq(c.fields, "|") {
			if k, v, ok := strings.Cut(f, ": "); ok {
				x.Request.Header.Add(k, v)
			}
		}
		if got := code(t, opaEnv(t), &OPA{URL: a.url(), Body: 64, Timeout: 5 * time.Second}, x); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOPAFailures(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	slow := newAgentServer(t, func(http.ResponseWriter, map[string]any) any { time.Sleep(300 * time.Millisecond); return true })
	elsewhere := newAgentServer(t, func(http.ResponseWriter, map[string]any) any { return true })
	redirect := newAgentServer(t, func(w http.ResponseWriter, _ map[string]any) any {
		w.Header().Set("Location", elsewhere.url())
		w.WriteHeader(307)
		return nil
	})
	for name, c := range map[string]struct {
		url  string
		open bool
		want string
	}{
		"gone":           {gone.URL, false, "decision_unavailable"},
		"gone, open":     {gone.URL, true, ""},
		"slow":           {slow.url(), false, "decision_unavailable"},
		"slow, open":     {slow.url(), true, ""},
		"redirect":       {redirect.url(), false, "decision_unavailable"},
		"redirect, open": {redirect.url(), true, "decision_unavailable"},
	} {
		env, counted := opaEnv(t), ""
		env.Shadow = func(_ *exchange.Exchange, policy, code string) { counted += policy + " " + code }
		spec := &OPA{URL: c.url, Timeout: 50 * time.Millisecond, OnFailure: map[bool]string{true: "allow", false: "refuse"}[c.open]}
		if got := code(t, env, spec, somebody(claims{})); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if (counted == "opa decision_unavailable") != (c.open && c.want == "") {
			t.Errorf("%s: counted %q: what passes unjudged must be seen", name, counted)
		}
	}
	if elsewhere.calls.Load() != 0 {
		t.Error("a redirect was followed: the input, and the token, went elsewhere")
	}
}

func TestOPARemembers(t *testing.T) {
	a := newAgentServer(t, func(_ http.ResponseWriter, in map[string]any) any {
		return in["identity"].(map[string]any)["sub"] == "alice"
	})
	env := opaEnv(t)
	spec := &OPA{URL: a.url(), Timeout: 5 * time.Second, Cache: &OPACache{TTL: time.Minute, Max: 2}}
	ask := func(sub, path string) string {
		x := newExchange(path)
		x.Identity = &exchange.Identity{Name: "idp", Sub: sub}
		return code(t, env, spec, x)
	}
	for range 3 {
		if got := ask("alice", "/a"); got != "" {
			t.Error(got)
		}
		if got := ask("mallory", "/a"); got != "forbidden" {
			t.Error(got)
		}
	}
	if n := a.calls.Load(); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
	// Whatever the input has in it makes another question.
	ask("alice", "/a?x=1")
	ask("alice", "/b")
	if n := a.calls.Load(); n != 4 {
		t.Errorf("%d questions, want 4", n)
	}
	client, err := lifetime.Hold(env.Pool, env.Scope, agentSettings{URL: a.url(), Timeout: 5 * time.Second, TTL: time.Minute, Max: 2}.key(),
		func() (*agentClient, func(), error) { return nil, nil, fmt.Errorf("the client was not kept") })
	if err != nil {
		t.Fatal(err)
	}
	if n := len(client.known); n != 2 {
		t.Errorf("%d decisions are kept, want 2", n)
	}
}

// Changing what a decision hangs on drops what is remembered.
func TestOPAClientIsAdoptedWhenNothingChanged(t *testing.T) {
	base := agentSettings{URL: "http://a/", Token: "t", Result: []string{"a", "b"}, Timeout: 1, TTL: 2, Max: 3}
	same := base
	same.Result = []string{"a", "b"}
	if base.key() != same.key() || strings.Contains(base.key(), "t ") {
		t.Error("the same settings have another key")
	}
	for name, change := range map[string]func(*agentSettings){
		"url": func(s *agentSettings) { s.URL = "http://b/" }, "token": func(s *agentSettings) { s.Token = "u" }, "result": func(s *agentSettings) { s.Result = []string{"a b"} },
		"timeout": func(s *agentSettings) { s.Timeout = 9 }, "ttl": func(s *agentSettings) { s.TTL = 9 }, "max": func(s *agentSettings) { s.Max = 9 },
	} {
		other := base
		change(&other)
		if other.key() == base.key() {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestOPAFailuresAreNotRemembered(t *testing.T) {
	var fail atomic.Bool
	fail.Store(true)
	a := newAgentServer(t, func(w http.ResponseWriter, _ map[string]any) any {
		if fail.Load() {
			w.WriteHeader(503)
			return nil
		}
		return true
	})
	env, spec := opaEnv(t), &OPA{URL: a.url(), Timeout: 5 * time.Second, Cache: &OPACache{TTL: time.Minute, Max: 10}}
	if got := code(t, env, spec, somebody(claims{})); got != "decision_unavailable" {
		t.Error(got)
	}
	fail.Store(false)
	if got := code(t, env, spec, somebody(claims{})); got != "" {
		t.Error(got)
	}
}

// Many who ask the same at the same time are one question; one who leaves
// takes nobody with him.
func TestOPAAsksOnceForAll(t *testing.T) {
	release := make(chan struct{})
	a := newAgentServer(t, func(http.ResponseWriter, map[string]any) any { <-release; return true })
	env := opaEnv(t)
	link, err := (&OPA{URL: a.url(), Timeout: 10 * time.Second}).Compile(env)
	if err != nil {
		t.Fatal(err)
	}
	first := somebody(claims{})
	first.Arm()
	done := make(chan error)
	go func() { done <- link(nodeOK).Serve(first) }()
	for a.calls.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := link(nodeOK).Serve(somebody(claims{})); err != nil {
				t.Error(err)
			}
		})
	}
	first.Cancel(context.Canceled)
	if err := <-done; !exchange.ClientGone.Is(err) {
		t.Errorf("who left was told %v", err)
	}
	time.Sleep(20 * time.Millisecond)
	close(release)
	wg.Wait()
	if n := a.calls.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
}

// The deadline of the exchange counts while the agent thinks.
func TestOPAKeepsTheDeadline(t *testing.T) {
	a := newAgentServer(t, func(http.ResponseWriter, map[string]any) any { time.Sleep(200 * time.Millisecond); return true })
	link, err := (&OPA{URL: a.url(), Timeout: 10 * time.Second, OnFailure: "allow"}).Compile(opaEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	x := somebody(claims{})
	x.Deadline = time.Now().Add(20 * time.Millisecond)
	if err := link(nodeOK).Serve(x); !exchange.ExchangeTimeout.Is(err) || x.Response.Status != 0 {
		t.Error(err)
	}
}

func TestOPARefusesWhatCanNotBe(t *testing.T) {
	for _, spec := range []*OPA{{}, {URL: "127.0.0.1:8181"}, {URL: "ftp://a/b"}, {URL: "http://u:p@a/"}, {URL: "http://"}, {URL: "http://a/", Headers: []string{"X A"}}, {URL: "http://a/", Result: "a..b"}} {
		if _, err := spec.Compile(opaEnv(t)); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}
