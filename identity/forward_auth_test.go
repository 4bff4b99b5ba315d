package identity

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
)

func forwardTo(url string) *ForwardAuth {
	return &ForwardAuth{
		URL: url, Method: "GET", Send: []string{"Authorization", "Cookie"}, Copy: []string{"X-User-Id", "X-Groups"}, Sub: "X-User-Id",
		Claims: []config.Pair{{Name: "groups", Value: "X-Groups"}}, Return: []string{"WWW-Authenticate", "Location", "Set-Cookie", "Content-Type", "Cache-Control"},
		Timeout: 300 * time.Millisecond,
	}
}

func serve(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func fieldsOf(h *exchange.Header) string {
	var lines []string
	for _, f := range h.Fields() {
		lines = append(lines, fmt.Sprintf("%s: %s", f.Name, f.Value))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// What the service hears is the gateway's word; what it says replaces what the
// client said, under whatever spelling.
func TestForwardAuthPasses(t *testing.T) {
	var heard http.Header
	url := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		heard = r.Header.Clone()
		heard.Set("Method", r.Method)
		heard.Set("Host", r.Host)
		rw.Header().Set("X-User-Id", "ada")
		rw.Header()["X-Groups"] = []string{"a", "b"}
		rw.Header().Set("X-Other", "no")
		rw.Header().Set("Set-Cookie", "s=1")
	})
	w := newWorld(t)
	s := w.compile(forwardTo(url))
	x := request("DELETE", "/orders/7?x=%20", "Authorization: Bearer t", "X-User-Id: root", "x_user_id: root", "X_Groups: admin", "X-Other: mine", "Accept: */*")
	id, _ := expect(t, s, x, "ada")
	if id == nil || id.Claims["groups"] != "a, b" || id.Claims["sub"] != "ada" {
		t.Errorf("identity %+v", id)
	}
	want := "Accept: */*\nAuthorization: Bearer t\nX-Groups: a\nX-Groups: b\nX-Other: mine\nX-User-Id: ada"
	if got := fieldsOf(&x.Request.Header); got != want {
		t.Errorf("the upstream gets\n%s\nwant\n%s", got, want)
	}
	if x.Response.Header.Len() != 0 {
		t.Errorf("the client gets %s", fieldsOf(&x.Response.Header))
	}
	for name, value := range map[string]string{
		"X-Forwarded-Method": "DELETE", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example.com", "X-Forwarded-Uri": "/orders/7?x=%20",
		"X-Forwarded-For": "192.0.2.7", "X-Request-Id": "id-1", "Authorization": "Bearer t", "Method": "GET", "Host": strings.TrimPrefix(url, "http://"),
	} {
		if got := heard.Get(name); got != value {
			t.Errorf("the service hears %s: %q, want %q", name, got, value)
		}
	}
	for _, name := range []string{"X-User-Id", "X-Other", "Accept", "Accept-Encoding"} {
		if heard.Get(name) != "" {
			t.Errorf("the service hears %s: %s", name, heard.Get(name))
		}
	}
	if !slices.Equal(w.asserted, []string{"X-User-Id", "X-Groups"}) {
		t.Errorf("asserted %v", w.asserted)
	}
	spec := forwardTo(url)
	spec.Cookies = true
	x = request("GET", "/")
	expect(t, w.compile(spec), x, "ada")
	if got := fieldsOf(&x.Response.Header); got != "Set-Cookie: s=1" {
		t.Errorf("the client gets %s", got)
	}
}

// A 2xx that leaves a field out: the client's own must not take its place.
func TestForwardAuthSaysLess(t *testing.T) {
	url := serve(t, func(rw http.ResponseWriter, r *http.Request) { rw.Header().Set("X-User-Id", "ada") })
	w := newWorld(t)
	x := request("GET", "/", "X-Groups: admin", "X-User-Id: root")
	id, _ := expect(t, w.compile(forwardTo(url)), x, "ada")
	if got := fieldsOf(&x.Request.Header); got != "X-User-Id: ada" {
		t.Errorf("the upstream gets %s", got)
	}
	if id != nil && id.Claims["groups"] != nil {
		t.Errorf("claims %v", id.Claims)
	}
	silent := serve(t, func(rw http.ResponseWriter, r *http.Request) {})
	expect(t, w.compile(forwardTo(silent)), request("GET", "/", "X-User-Id: root"), away)
}

func TestForwardAuthAnswers(t *testing.T) {
	w := newWorld(t)
	for _, status := range []int{302, 303, 307, 400, 401, 403, 404, 429} {
		url := serve(t, func(rw http.ResponseWriter, r *http.Request) {
			h := rw.Header()
			h.Set("Location", "https://login.example.com/?a=b")
			h.Set("WWW-Authenticate", `Basic realm="x"`)
			h.Add("Set-Cookie", "a=1")
			h.Add("Set-Cookie", "b=2")
			h.Set("X-Internal", "host-7")
			h.Set("Content-Type", "text/html")
			rw.WriteHeader(status)
			fmt.Fprint(rw, "who are you?")
		})
		x := request("GET", "/private")
		expect(t, w.compile(forwardTo(url)), x, "answered")
		body, err := exchange.ReadAll(x.Response.Body, 1000)
		if x.Response.Status != status || string(body) != "who are you?" || err != nil || !x.Response.Made {
			t.Errorf("%d: the client gets %d %q, %v", status, x.Response.Status, body, err)
		}
		want := "Cache-Control: no-store\nContent-Type: text/html\nGopura-Answer: identity\nLocation: https://login.example.com/?a=b\n" +
			"Set-Cookie: a=1\nSet-Cookie: b=2\nWWW-Authenticate: Basic realm=\"x\""
		if got := fieldsOf(&x.Response.Header); got != want {
			t.Errorf("%d: the client gets\n%s\nwant\n%s", status, got, want)
		}
		if refused := status >= 400; refused != (x.Err != nil) {
			t.Errorf("%d: recorded as %v", status, x.Err)
		}
	}
}

// Everything else fails closed.
func TestForwardAuthFaults(t *testing.T) {
	asked := false
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	faults := map[string]http.HandlerFunc{
		"500":      func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(500) },
		"503":      func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(503) },
		"600":      func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(600) },
		"hangs":    func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"cut":      func(rw http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"huge 401": func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(401); rw.Write(make([]byte, 65<<10)) },
		"huge head": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-User-Id", strings.Repeat("a", 100<<10))
		},
		"slow 401": func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(401)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	}
	for _, what := range slices.Sorted(maps.Keys(faults)) {
		w := newWorld(t)
		s := w.compile(forwardTo(serve(t, faults[what])))
		start := time.Now()
		x := request("GET", "/", "Authorization: Bearer planted-token")
		_, err := expect(t, s, x, away)
		if time.Since(start) > 2*time.Second {
			t.Errorf("%s took %v", what, time.Since(start))
		}
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: the error shows a credential: %v", what, err)
		}
	}
	// A redirect is the client's to follow, never ours.
	w := newWorld(t)
	url := serve(t, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, elsewhere, 302) })
	expect(t, w.compile(forwardTo(url)), request("GET", "/"), "answered")
	if asked {
		t.Error("the redirect was followed")
	}
	// An endless 2xx passes after its head: nobody reads on.
	url = serve(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-User-Id", "ada")
		for r.Context().Err() == nil {
			if _, err := rw.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	expect(t, w.compile(forwardTo(url)), request("GET", "/"), "ada")
}

func TestForwardAuthSettings(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		change func(*ForwardAuth)
		want   string
	}{
		{func(s *ForwardAuth) { s.URL = "unix:/x" }, "http"},
		{func(s *ForwardAuth) { s.Send = []string{"X-Forwarded-For"} }, "the gateway's own"},
		{func(s *ForwardAuth) { s.Send = []string{"x_forwarded_uri"} }, "the gateway's own"},
		{func(s *ForwardAuth) { s.Copy = []string{"Host"} }, "can't be copied"},
		{func(s *ForwardAuth) { s.Copy = []string{"Transfer_Encoding"} }, "can't be copied"},
		{func(s *ForwardAuth) { s.Return = []string{"Content-Length"} }, "can't be copied"},
		{func(s *ForwardAuth) { s.Return = []string{"a b"} }, "field name"},
		{func(s *ForwardAuth) { s.Claims = []config.Pair{{Name: "x", Value: ""}} }, "field name"},
		{func(s *ForwardAuth) { s.CA = "absent.pem" }, "no such file"},
	} {
		spec := forwardTo("http://127.0.0.1:1/")
		c.change(spec)
		w.refuses(spec, c.want)
	}
}
