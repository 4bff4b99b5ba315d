package identity

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gopura/config"
	"gopura/exchange"
)

const introspectionSecret = "S3cret/with+odd=chars"

// introspector is an authorization server that knows some tokens.
type introspector struct {
	*httptest.Server
	calls  atomic.Int32
	answer atomic.Pointer[http.HandlerFunc]
}

func newIntrospector(t testing.TB) *introspector {
	i := new(introspector)
	i.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		i.calls.Add(1)
		if h := i.answer.Load(); h != nil {
			(*h)(rw, r)
			return
		}
		id, secret, ok := r.BasicAuth()
		if !ok || id != "gateway%3A1" || secret != "S3cret%2Fwith%2Bodd%3Dchars" || r.Method != "POST" {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		switch token := r.PostFormValue("token"); token {
		case "good":
			fmt.Fprintf(rw, `{"active":true,"sub":"ada","scope":"orders.read","exp":%d,"aud":["shop","x"],"n":7}`, time.Now().Add(20*time.Second).Unix())
		case "machine":
			fmt.Fprint(rw, `{"active":true,"client_id":"robot"}`)
		case "expired":
			fmt.Fprint(rw, `{"active":true,"sub":"ada","exp":1}`)
		case "early":
			fmt.Fprintf(rw, `{"active":true,"sub":"ada","nbf":%d}`, time.Now().Add(time.Hour).Unix())
		case "odd-exp":
			fmt.Fprint(rw, `{"active":true,"sub":"ada","exp":"never"}`)
		case "truthy":
			fmt.Fprint(rw, `{"active":"true","sub":"ada"}`)
		default:
			fmt.Fprint(rw, `{"active":false,"sub":"ada"}`)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *introspector) answers(h http.HandlerFunc) { i.answer.Store(&h) }

func (i *introspector) spec() *Introspection {
	return &Introspection{
		URL: i.URL + "/introspect", ClientID: "gateway:1", Secret: config.NewSecret(introspectionSecret), Auth: "basic", Timeout: time.Second,
		Cache: 30 * time.Second, Negative: 10 * time.Second, Entries: 100, Forward: true,
	}
}

func bearer(token string) *exchange.Exchange {
	return request("GET", "/", "Authorization: Bearer "+token)
}

func TestIntrospection(t *testing.T) {
	server := newIntrospector(t)
	w := newWorld(t)
	s := w.compile(server.spec())
	step := func(x *exchange.Exchange, want string, calls int32) *exchange.Identity {
		t.Helper()
		before := server.calls.Load()
		id, _ := expect(t, s, x, want)
		if n := server.calls.Load() - before; n != calls {
			t.Errorf("%d calls, want %d", n, calls)
		}
		return id
	}
	id := step(bearer("good"), "ada", 1)
	if id != nil && (id.Claims["scope"] != "orders.read" || id.Claims["n"] != int64(7)) {
		t.Errorf("claims %v", id.Claims)
	}
	step(bearer("good"), "ada", 0)
	w.pass(25 * time.Second) // the token has expired, though the cache would go on
	step(bearer("good"), bad, 1)
	step(bearer("unknown"), bad, 1)
	step(bearer("unknown"), bad, 0)
	w.pass(11 * time.Second)
	step(bearer("unknown"), bad, 1)
	step(bearer("machine"), "robot", 1)
	for _, token := range []string{"expired", "early", "odd-exp", "truthy"} {
		step(bearer(token), bad, 1)
	}
	step(request("GET", "/"), "none", 0)
	step(request("GET", "/", basicField("a", "b")), "none", 0)
	for _, text := range []string{"", "a b", "a,b", "tök", "=", strings.Repeat("a", 5000)} {
		step(bearer(text), bad, 0)
	}
	if got := s.(Challenger).Challenge(nil, None); got != `Bearer realm="test"` {
		t.Errorf("challenge %s", got)
	}
	if got := s.(Challenger).Challenge(nil, exchange.IdentityInvalid.Because(nil)); got != `Bearer realm="test", error="invalid_token"` {
		t.Errorf("challenge %s", got)
	}
}

func TestIntrospectionRequirements(t *testing.T) {
	server := newIntrospector(t)
	w := newWorld(t)
	for want, change := range map[string]func(*Introspection){
		"ada": func(s *Introspection) { s.Audience, s.Forward = "shop", false },
		bad:   func(s *Introspection) { s.Audience = "sho" },
	} {
		spec := server.spec()
		change(spec)
		x := bearer("good")
		expect(t, w.compile(spec), x, want)
		if want == "ada" && x.Request.Header.Has("Authorization") {
			t.Error("the token goes on")
		}
	}
	spec := server.spec()
	spec.Issuer = "https://idp.example.com"
	expect(t, w.compile(spec), bearer("good"), bad)
	w.refuses(&Introspection{URL: "ftp://x"}, "http")
	w.refuses(&Introspection{URL: "http://user:pw@x/"}, "without user")
	w.refuses(&Introspection{URL: "http://localhost/", CA: "absent.pem"}, "no such file")
	w.refuses(&Introspection{URL: "http://idp.example.com/"}, "https")
}

// Whatever is wrong with the server is a 503 in time, of bounded size, and shows
// neither token nor secret; nothing of it is remembered.
func TestIntrospectionFaults(t *testing.T) {
	server := newIntrospector(t)
	elsewhere := newIntrospector(t)
	w := newWorld(t)
	spec := server.spec()
	spec.Timeout = 200 * time.Millisecond
	s := w.compile(spec)
	const token = "planted-token-4711"
	for what, h := range map[string]http.HandlerFunc{
		"500":         func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(500) },
		"401":         func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(401) },
		"not JSON":    func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "active") },
		"a list":      func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "[]") },
		"null":        func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, "null") },
		"two objects": func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, `{"active":true}{}`) },
		"twice":       func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, `{"active":false,"active":true}`) },
		"huge":        func(rw http.ResponseWriter, r *http.Request) { rw.Write(make([]byte, 200<<10)) },
		"endless": func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := rw.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"hangs":     func(rw http.ResponseWriter, r *http.Request) { r.ParseForm(); <-r.Context().Done() },
		"cut":       func(rw http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"goes away": func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, elsewhere.URL, 307) },
		"goes to files": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Location", "file:///etc/passwd")
			rw.WriteHeader(302)
		},
	} {
		server.answers(h)
		start := time.Now()
		_, err := expect(t, s, bearer(token), away)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", what, took)
		}
		if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "S3cret")) {
			t.Errorf("%s: the error shows a credential: %v", what, err)
		}
	}
	if n := elsewhere.calls.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
	server.answer.Store(nil)
	expect(t, s, bearer("good"), "ada")
	server.Server.Close()
	expect(t, s, bearer("good"), "ada") // known
	expect(t, s, bearer(token), away)
	if log := w.log.String(); strings.Contains(log, token) || strings.Contains(log, "S3cret") {
		t.Errorf("the log shows a credential: %s", log)
	}
}

// Many requests with one token are one call, and a reload forgets nothing.
func TestIntrospectionShares(t *testing.T) {
	server := newIntrospector(t)
	w := newWorld(t)
	s := w.compile(server.spec())
	server.answers(func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		fmt.Fprint(rw, `{"active":true,"sub":"ada"}`)
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { expect(t, s, bearer("shared"), "ada") })
	}
	all.Wait()
	retire := w.reload()
	s = w.compile(server.spec())
	retire()
	expect(t, s, bearer("shared"), "ada")
	if n := server.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	// Other settings are another state: what was accepted for one audience is not
	// accepted for the other.
	other := server.spec()
	other.Audience = "admin"
	expect(t, w.compile(other), bearer("shared"), bad)
}
