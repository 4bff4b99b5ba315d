package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gopura/exchange"
)

// fakeDNS answers with what the test says.
type fakeDNS struct {
	mu      sync.Mutex
	answers map[string][]string
	err     error
	lookups int
	hang    bool
}

func (d *fakeDNS) set(name string, addresses ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answers == nil {
		d.answers = map[string][]string{}
	}
	d.answers[name], d.err = addresses, nil
}

func (d *fakeDNS) fail(err error) { d.mu.Lock(); d.err = err; d.mu.Unlock() }

func (d *fakeDNS) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	d.mu.Lock()
	d.lookups++
	hang, err, list := d.hang, d.err, d.answers[host]
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

func addressesOf(s *Service) string {
	var out []string
	for _, t := range s.State().Targets {
		out = append(out, t.Address)
	}
	return strings.Join(out, " ")
}

func named(url string) []TargetSpec { return []TargetSpec{{URL: url}} }

// Every address of a name is a target; the set follows DNS; targets that stay
// keep their state, and those that leave are closed.
func TestNamesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, dns := newFleet(), &fakeDNS{}
		dns.set("users", "10.1.0.2", "10.1.0.1", "10.1.0.1")
		s := mustOpen(t, Settings{Targets: named("http://users:8080"), Resolve: 30 * time.Second}, Options{Open: f.open, Resolver: dns})
		if got := addressesOf(s); got != "10.1.0.1:8080 10.1.0.2:8080" {
			t.Fatal(got)
		}
		for range 10 {
			do(s)
		}
		dns.set("users", "10.1.0.3", "10.1.0.2")
		time.Sleep(40 * time.Second)
		if got := addressesOf(s); got != "10.1.0.2:8080 10.1.0.3:8080" {
			t.Fatal(got)
		}
		if n := f.at("10.1.0.1:8080").closed.Load(); n != 1 {
			t.Errorf("the target that left was closed %d times", n)
		}
		if st := s.State().Targets[0]; st.Requests != 5 || f.at("10.1.0.2:8080").opened.Load() != 1 {
			t.Errorf("the target that stayed lost its state: %+v", st)
		}
	})
}

// A resolver that fails, says nothing, or hangs takes nothing away: not one
// request fails, and the name is asked again soon.
func TestLastGoodAddressesSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, dns := newFleet(), &fakeDNS{}
		dns.set("users", "10.1.0.1", "10.1.0.2")
		var events []string
		s := mustOpen(t, Settings{Targets: named("http://users"), Resolve: 30 * time.Second},
			Options{Open: f.open, Resolver: dns, Notify: func(e Event) { events = append(events, e.Kind) }})
		for _, cut := range []func(){
			func() { dns.fail(errors.New("server misbehaving")) },
			func() { dns.set("users") },
			func() { dns.mu.Lock(); dns.hang = true; dns.mu.Unlock() },
		} {
			cut()
			for range 600 {
				if _, err := do(s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if got := addressesOf(s); got != "10.1.0.1:80 10.1.0.2:80" {
				t.Fatal(got)
			}
			if n := s.State().Names[0]; n.Error == "" {
				t.Error("the state doesn't show the failure")
			}
		}
		dns.mu.Lock()
		dns.hang = false
		dns.mu.Unlock()
		dns.set("users", "10.1.0.9")
		time.Sleep(40 * time.Second)
		if got, n := addressesOf(s), s.State().Names[0]; got != "10.1.0.9:80" || n.Error != "" {
			t.Errorf("when DNS is back: %s %q", got, n.Error)
		}
		if got := joinWords(events); got != "[resolve_failed joined left left]" {
			t.Errorf("events %s", got)
		}
	})
}

// A name that is unknown when the service opens delays Open for a bounded
// time, is a clear error meanwhile, and serves as soon as it is known.
func TestUnknownAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{hang: true}
		start := time.Now()
		s := mustOpen(t, Settings{Targets: named("http://users")}, Options{Open: newFleet().open, Resolver: dns})
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("Open took %v", d)
		}
		if _, err := do(s); !exchange.NoTarget.Is(err) {
			t.Errorf("%v, want no_healthy_target", err)
		}
		dns.mu.Lock()
		dns.hang = false
		dns.mu.Unlock()
		dns.fail(errors.New("no such host"))
		time.Sleep(10 * time.Second)
		if _, err := do(s); !strings.Contains(err.Error(), "no such host") {
			t.Errorf("the cause is missing: %v", err)
		}
		dns.set("users", "10.1.0.1")
		time.Sleep(31 * time.Second)
		if _, err := do(s); err != nil {
			t.Error(err)
		}
	})
}

// Addresses and sockets are taken as they are.
func TestLiteralsAreNotLookedUp(t *testing.T) {
	dns := &fakeDNS{}
	s := mustOpen(t, Settings{Targets: []TargetSpec{{URL: "http://127.0.0.1"}, {URL: "https://[::1]:8443/"}, {URL: "unix:/run/app.sock"}}},
		Options{Open: newFleet().open, Resolver: dns})
	if got := addressesOf(s); got != "127.0.0.1:80 [::1]:8443 /run/app.sock" {
		t.Error(got)
	}
	if dns.lookups != 0 {
		t.Errorf("%d lookups", dns.lookups)
	}
}

// A request that is under way to an address that leaves DNS ends undisturbed.
func TestLeaverFinishesItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, dns := newFleet(), &fakeDNS{}
		dns.set("users", "10.1.0.1")
		s := mustOpen(t, Settings{Targets: named("http://users")}, Options{Open: f.open, Resolver: dns})
		x := request("GET", nil)
		if err := s.Serve(x); err != nil {
			t.Fatal(err)
		}
		dns.set("users", "10.1.0.2")
		time.Sleep(40 * time.Second)
		old := f.at("10.1.0.1:80")
		if old.closed.Load() != 0 {
			t.Error("closed while its response is being sent")
		}
		x.Done()
		if old.closed.Load() != 1 {
			t.Error("not closed after its last response")
		}
	})
}

// Of a name with both families, one that nobody listens on is left out.
func TestFamilyThatNobodyListensOn(t *testing.T) {
	for _, c := range []struct{ refused, want string }{
		{"[::1]:80", "127.0.0.1:80"},
		{"127.0.0.1:80", "[::1]:80"},
		{"", "127.0.0.1:80 [::1]:80"},
		{"[::1]:80 127.0.0.1:80", "127.0.0.1:80 [::1]:80"},
	} {
		dns := &fakeDNS{}
		dns.set("localhost", "127.0.0.1", "::1")
		dial := func(_ context.Context, _, address string) (net.Conn, error) {
			if strings.Contains(c.refused, address) {
				return nil, errors.New("connection refused")
			}
			client, server := net.Pipe()
			server.Close()
			return client, nil
		}
		s := mustOpen(t, Settings{Targets: named("http://localhost")}, Options{Open: newFleet().open, Resolver: dns, Dial: dial})
		if got := addressesOf(s); got != c.want {
			t.Errorf("%q refused: targets %s, want %s", c.refused, got, c.want)
		}
	}
}

func TestTargetURLs(t *testing.T) {
	for url, want := range map[string]string{
		"ftp://x":           "want http, https, grpc, grpcs or h2c",
		"10.0.0.1:80":       "not a URL",
		"http://":           "has no host",
		"http://x:0":        "port 0",
		"http://x:70000":    "port 70000",
		"http://x/path":     "only scheme, host and port",
		"http://u:p@x":      "only scheme, host and port",
		"unix:relative":     "want unix:/path",
		"unix://host/a":     "want unix:/path",
		"http://x\x7f":      "not a URL",
		"http://users:http": "not a URL",
		"grpc://10.0.0.1:0": "port 0",
		"grpcs://":          "has no host",
	} {
		if _, err := Open(Settings{Name: "a", Targets: named(url)}, Options{Open: newFleet().open}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}
