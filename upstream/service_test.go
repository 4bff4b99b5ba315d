package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gopura/exchange"
)

// origin is a real server on loopback.
func origin(t testing.TB, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func overHTTP(method string, body exchange.Body) *exchange.Exchange {
	x := request(method, body)
	x.Start = time.Now()
	x.Request.Authority = []byte("shop.example.com")
	x.Request.Host = x.Request.Authority
	x.Request.Path, x.Request.Target = []byte("/a"), []byte("/a")
	return x
}

func TestOverHTTP(t *testing.T) {
	srv := origin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, body)
	})
	s := mustOpen(t, Settings{Name: "shop", Targets: named(srv.URL), Retries: Retries{Attempts: 1, Budget: 1, Body: 1 << 10}}, Options{})
	for range 3 {
		x := overHTTP("POST", exchange.BytesBody([]byte("hello")))
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, x.Response.Body); got != "POST shop.example.com /a hello" {
			t.Errorf("got %q", got)
		}
		if x.Service != "shop" || "http://"+x.Target != srv.URL || x.Attempts != 1 || x.Upstream <= 0 {
			t.Errorf("service %q, target %q, %d attempts, %v", x.Service, x.Target, x.Attempts, x.Upstream)
		}
		if n := s.State().InFlight; n != 1 {
			t.Errorf("%d in flight while the response is open", n)
		}
		x.Done()
	}
	st := s.State()
	if st.InFlight != 0 || st.Targets[0].InFlight != 0 || st.Targets[0].Open != 1 || st.Targets[0].Idle != 1 {
		t.Errorf("at the end: %+v", st)
	}
	if _, err := json.Marshal(st); err != nil {
		t.Error(err)
	}
}

func TestUnixSocketAndHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })}
	go srv.Serve(l)
	defer srv.Close()
	for host, want := range map[string]string{"": "shop.example.com", "target": "localhost", "internal.example": "internal.example"} {
		s := mustOpen(t, Settings{Targets: named("unix:" + path), Host: host}, Options{})
		x := overHTTP("GET", nil)
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, x.Response.Body); got != want {
			t.Errorf("host %q: sent %q, want %q", host, got, want)
		}
		x.Done()
	}
}

// A real target that resets: a GET goes to the other one, a POST doesn't
// arrive twice anywhere.
func TestResetOverHTTP(t *testing.T) {
	var sick, well atomic.Int64
	a := origin(t, func(w http.ResponseWriter, r *http.Request) {
		sick.Add(1)
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})
	b := origin(t, func(w http.ResponseWriter, r *http.Request) {
		well.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	s := mustOpen(t, Settings{
		Targets:  []TargetSpec{{URL: a.URL}, {URL: b.URL}},
		Outliers: Outliers{Off: true}, Retries: Retries{Attempts: 1, Budget: 1, Body: 64 << 10},
	}, Options{})
	big := strings.Repeat("x", 40000)
	for range 20 {
		x := overHTTP("PUT", &pieces{list: []string{big[:30000], big[30000:]}, sized: true})
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, x.Response.Body); got != big {
			t.Errorf("the second attempt sent %d bytes of %d", len(got), len(big))
		}
		x.Done()
	}
	sick.Store(0)
	well.Store(0)
	failed := 0
	for range 20 {
		x := overHTTP("POST", exchange.BytesBody([]byte("order")))
		if s.Serve(x) != nil {
			failed++
		}
		x.Done()
	}
	if n := sick.Load() + well.Load(); n != 20 || failed != 10 {
		t.Errorf("20 POSTs: %d arrived, %d failed; want 20 and 10", n, failed)
	}
}

// Requests, health changes, drains and DNS changes all at once: every request
// gets an answer, and nothing is left behind. (With -race, the race test.)
func TestChaos(t *testing.T) {
	f, dns := newFleet(), &fakeDNS{}
	for _, kind := range kinds {
		dns.set("users", "10.1.0.1", "10.1.0.2", "10.1.0.3")
		s, err := Open(Settings{
			Name: "users", Targets: append(named("http://users"), urls(3)...), Balance: Balance{Kind: kind},
			Health: &Health{Path: "/", Interval: time.Millisecond}, Resolve: time.Millisecond, SlowStart: 5 * time.Millisecond,
			Outliers: Outliers{Failures: 2, Eject: time.Millisecond}, Breaker: &Breaker{FailureRate: 1},
			Retries: Retries{Attempts: 1, Budget: 1, Body: 1 << 10, On: []string{"connect", "503"}},
		}, Options{Open: f.open, Resolver: dns, Hash: clientKey})
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var control, clients sync.WaitGroup
		control.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				dns.set("users", "10.1.0.1", fmt.Sprintf("10.1.0.%d", 2+i%9))
				s.Drain(addr(i % 3))
				s.State()
				s.Enable(addr(i % 3))
				if i%2 == 0 {
					f.at(addr(2)).answers(status(503))
				} else {
					f.at(addr(2)).answers(status(200))
				}
				time.Sleep(100 * time.Microsecond)
			}
		})
		for c := range 8 {
			clients.Go(func() {
				for i := range 500 {
					x := request("PUT", exchange.BytesBody([]byte("hello")))
					x.ID = fmt.Appendf(nil, "%d %d", c, i)
					if err := s.Serve(x); err != nil {
						t.Errorf("%s: %v", kind, err)
					}
					x.Done()
				}
			})
		}
		clients.Wait()
		close(stop)
		control.Wait()
		if st := s.State(); st.InFlight != 0 {
			t.Errorf("%s: %d in flight", kind, st.InFlight)
		}
		s.Close()
	}
	for a, target := range f.targets {
		if opened, closed := target.opened.Load(), target.closed.Load(); opened != closed {
			t.Errorf("%s: %d transports opened, %d closed", a, opened, closed)
		}
	}
}

func TestClosedService(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(2)}, Options{Open: f.open})
	x := request("GET", nil)
	if err := s.Serve(x); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if _, err := do(s); !exchange.NoTarget.Is(err) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Drain(addr(0)); err == nil {
		t.Error("a closed service drains")
	}
	used := f.at(x.Target)
	if used.closed.Load() != 0 {
		t.Error("Close closed a target in use")
	}
	x.Done()
	if used.closed.Load() != 1 {
		t.Error("the last request did not close its target")
	}
}

func TestBadSettings(t *testing.T) {
	good := Settings{Name: "users", Targets: urls(2)}
	for want, change := range map[string]func(*Settings){
		`service "users": has no targets`:                           func(s *Settings) { s.Targets = nil },
		`service "users": target "http://10.0.0.1:80" is listed`:    func(s *Settings) { s.Targets = append(urls(1), urls(1)...) },
		`service "users": target "http://10.0.0.1:80": weight -1`:   func(s *Settings) { s.Targets = urls(1); s.Targets[0].Weight = -1 },
		`service "users": balance "best" is unknown`:                func(s *Settings) { s.Balance.Kind = "best" },
		`service "users": balance hash has no key`:                  func(s *Settings) { s.Balance.Kind = Hash },
		`service "users": cookie "a b" is not a valid name`:         func(s *Settings) { s.Balance = Balance{Kind: Sticky, Cookie: "a b"} },
		`service "users": health: status "2xx": want codes`:         func(s *Settings) { s.Health = &Health{Path: "/", Status: "2xx"} },
		`service "users": health: path "healthz" does not begin`:    func(s *Settings) { s.Health = &Health{Path: "healthz"} },
		`service "users": retries on "always": want connect, reset`: func(s *Settings) { s.Retries.On = []string{"always"} },
	} {
		set := good
		change(&set)
		if _, err := Open(set, Options{Open: newFleet().open}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func TestDrainByAddressAndURL(t *testing.T) {
	s := mustOpen(t, Settings{Targets: urls(3)}, Options{Open: newFleet().open})
	if err := s.Drain("http://" + addr(0)); err != nil {
		t.Error(err)
	}
	if err := s.Drain(addr(1)); err != nil {
		t.Error(err)
	}
	if err := s.Drain("10.9.9.9:1"); err == nil || err.Error() != `service "test" has no target "10.9.9.9:1"` {
		t.Error(err)
	}
	for range 9 {
		if x, err := do(s); err != nil || x.Target != addr(2) {
			t.Errorf("%s %v", x.Target, err)
		}
	}
	s.Drain(addr(2))
	if _, err := do(s); !exchange.NoTarget.Is(err) || !strings.Contains(err.Error(), "3 are drained") {
		t.Errorf("all drained: %v", err)
	}
}
