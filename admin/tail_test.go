package admin_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// follow opens a tail and returns what it says, line by line.
func (w *world) follow(query string, headers ...string) (lines chan string, c net.Conn) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.admin.Address())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET /api/exchanges/live"+query+" HTTP/1.1\r\nHost: "+w.admin.Address()+"\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%v %+v", err, r)
	}
	lines = make(chan string, 1000)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	if first := <-lines; first != ": follows" {
		w.t.Fatal(first)
	}
	return lines, c
}

// event waits for one of that name and returns its data.
func event(t *testing.T, lines chan string, name string) string {
	t.Helper()
	for line := range lines {
		if line == "event: "+name {
			return strings.TrimPrefix(<-lines, "data: ")
		}
	}
	t.Fatalf("the tail has ended without the event %s", name)
	return ""
}

// await asks until the answer is as wanted.
func (w *world) await(what string, wanted func(body string) bool) string {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a := w.ask(what, "")
		if wanted(a.body) {
			return a.body
		}
		if time.Now().After(end) {
			w.t.Fatalf("%s: %s", what, a.body)
		}
	}
}

func (w *world) try(path string) answer {
	w.t.Helper()
	a := w.ask("POST /api/try", `{"path": "`+path+`", "host": "shop.example"}`, jsonType, act)
	if a.StatusCode != 200 {
		w.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return a
}

func TestLiveTail(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	lines, _ := w.follow("?status=404&path=/nowhere&when=request.method+%3D%3D+%22GET%22")
	w.try("/users/42") // 502: nobody is there
	a := w.try("/nowhere?access_token=hush")
	var tried struct{ ID string }
	json.Unmarshal([]byte(a.body), &tried)
	record := event(t, lines, "exchange")
	var r struct {
		ID, Path, Code string
		Status         int
	}
	if err := json.Unmarshal([]byte(record), &r); err != nil || r.ID != tried.ID || r.Status != 404 || r.Code != "no_route" || strings.Contains(record, "hush") {
		t.Errorf("%s of %s", record, a.body)
	}
	// An exchange is counted when it has ended, which is after its answer is there.
	list := w.await("GET /api/exchanges?limit=10", func(body string) bool { return strings.Count(body, `"route"`) == 2 })
	if !strings.Contains(list, tried.ID) {
		t.Error(list)
	}
	w.await("GET /api/clients", func(body string) bool {
		return strings.Contains(body, `"client": "127.0.0.1"`) && strings.Contains(body, `"requests": 2`)
	})
	for _, bad := range []string{"?status=x", "?when=1+%2B", "?when=nobody.knows", "?slower=fast", "?client=x", "?sample=2", "?a=%zz"} {
		if a := w.ask("GET /api/exchanges/live"+bad, ""); a.StatusCode != 400 {
			t.Errorf("%s: %d", bad, a.StatusCode)
		}
	}
}

func TestTailsEnd(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	for range 8 {
		w.follow("")
	}
	if a := w.ask("GET /api/exchanges/live", ""); a.StatusCode != 429 {
		t.Errorf("the ninth: %d", a.StatusCode)
	}
}

// Who may look is asked again while a tail is open.
func TestTailsEndWithTheToken(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	lines, _ := w.follow("")
	w.set(`admin: {address: 127.0.0.1:0, token: "${env:TOKEN}"}`)
	if err := w.gateway.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if data := event(t, lines, "end"); !strings.Contains(data, "who may look") {
		t.Error(data)
	}
	lines, _ = w.follow("", "Authorization: Bearer sesame-TOKEN")
	w.set("admin: off")
	if err := w.gateway.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	event(t, lines, "end")
}

func TestTryGoesNowhereElse(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	for _, body := range []string{
		`{"path": "http://169.254.169.254/latest/meta-data"}`, `{"path": "//x", "method": "CONNECT"}`, `{"path": "/", "headers": {"Transfer-Encoding": "chunked"}}`,
		`{"path": "/", "headers": [["Host", "x"]]}`, `{"path": "/", "host": "a b"}`, `{"path": "/", "listener": "other"}`, `{"path": ""}`,
	} {
		if a := w.ask("POST /api/try", body, jsonType, act); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	a := w.ask("POST /api/try", `{"path": "/users/42", "explain": true}`, jsonType, act)
	var tried struct {
		Status      int
		Explanation string
	}
	json.Unmarshal([]byte(a.body), &tried)
	if tried.Status != 502 || tried.Explanation == "" {
		t.Fatal(a.body)
	}
	e := w.ask("GET /api/explanations/"+tried.Explanation, "")
	if !strings.Contains(e.body, `"upstream_connect_failed"`) || !strings.Contains(e.body, `"attempts"`) {
		t.Error(e.body)
	}
	if list := w.ask("GET /api/explanations", ""); !strings.Contains(list.body, tried.Explanation) {
		t.Error(list.body)
	}
}

func TestDebugTokens(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	a := w.ask("POST /api/debug-tokens", `{"for": "5m", "path": "/users/"}`, jsonType, act)
	if a.StatusCode != 200 || !strings.Contains(a.body, `"Gopura-Debug"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, bad := range []string{`{"for": "2h"}`, `{"for": "x"}`, `{"path": "users"}`, `{"host": "a/b"}`} {
		if a := w.ask("POST /api/debug-tokens", bad, jsonType, act); a.StatusCode != 400 {
			t.Errorf("%s: %d", bad, a.StatusCode)
		}
	}
}

func TestTrafficAndSeries(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	s := w.gateway.Series()
	now := time.Now()
	s.Look(now)
	for range 10 {
		w.try("/users/42")
	}
	time.Sleep(20 * time.Millisecond) // the last one is counted after its answer
	s.Look(now.Add(2500 * time.Millisecond))
	s.Look(now.Add(5 * time.Second))
	s.Look(now.Add(7500 * time.Millisecond))
	a := w.ask("GET /api/series?id=route:GET+/users/%7Bid%7D&id=total&minutes=1", "")
	var series struct {
		Step   float64 `json:"step_seconds"`
		Series []struct {
			ID           string
			Rate, Errors []float64
		}
	}
	if err := json.Unmarshal([]byte(a.body), &series); err != nil || len(series.Series) != 2 || len(series.Series[0].Rate) != 12 {
		t.Fatal(a.body)
	}
	sum := 0.0
	for _, v := range series.Series[0].Errors {
		sum += v * series.Step
	}
	if sum <= 0 { // how much exactly is shown where time stands still: package telemetry
		t.Errorf("%v errors in %s", sum, a.body)
	}
	for line, contains := range map[string]string{
		"GET /api/series":                            `"listener:default"`,
		"GET /api/series?kind=service&top=5":         `"service:users"`,
		"GET /api/series?kind=route&top=1&by=errors": `"route:GET /users/{id}"`,
		"GET /api/traffic":                           `"step_seconds":2.5`,
	} {
		if a := w.ask(line, ""); a.StatusCode != 200 || !strings.Contains(a.body, contains) {
			t.Errorf("%s: %d %s", line, a.StatusCode, a.body)
		}
	}
	for line, status := range map[string]int{
		"GET /api/series?id=route:none": 404, "GET /api/series?top=5&by=x": 400, "GET /api/series?top=0": 400, "GET /api/series?minutes=16&id=total": 400,
		"GET /api/clients?by=x": 400, "GET /api/clients?top=1000": 400, "GET /api/exchanges?when=true": 400,
	} {
		if a := w.ask(line, ""); a.StatusCode != status {
			t.Errorf("%s: %d", line, a.StatusCode)
		}
	}
}
