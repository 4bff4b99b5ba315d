package upstream

import (
	"strings"
	"testing"

	"gopura/exchange"
)

func stickyGet(t *testing.T, s *Service, cookie, scheme string) (target, setCookie string) {
	t.Helper()
	x := request("GET", nil)
	x.Request.Scheme = scheme
	if cookie != "" {
		x.Request.Header.Add("cookie", cookie)
	}
	if err := s.Serve(x); err != nil {
		t.Fatal(err)
	}
	setCookie = string(x.Response.Header.Get("Set-Cookie"))
	x.Done()
	return x.Target, setCookie
}

func TestStickySession(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(5), Balance: Balance{Kind: Sticky, Cookie: "sid"}}, Options{Open: f.open})
	first, set := stickyGet(t, s, "", "http")
	pair, attributes, _ := strings.Cut(set, "; ")
	if !strings.HasPrefix(pair, "sid=") || attributes != "Path=/; HttpOnly; SameSite=Lax" {
		t.Fatalf("Set-Cookie: %s", set)
	}
	if strings.Contains(pair, "10.0.0") || len(pair) != len("sid=")+16 {
		t.Errorf("the id %s isn't opaque", pair)
	}
	for range 20 {
		if target, set := stickyGet(t, s, "a=b; "+pair+"; c=d", "http"); target != first || set != "" {
			t.Fatalf("with the cookie: %s, Set-Cookie %q; want %s and none", target, set, first)
		}
	}
	if _, set := stickyGet(t, s, "sid=forged", "https"); !strings.HasSuffix(set, "; Secure") {
		t.Errorf("over https: %s", set)
	}

	// The target goes: its clients get another one, and stay there.
	s.Drain(first)
	second, set := stickyGet(t, s, pair, "http")
	if second == first || set == "" {
		t.Fatalf("with a dead target: %s, Set-Cookie %q", second, set)
	}
	newPair, _, _ := strings.Cut(set, ";")
	s.Enable(first)
	for range 20 {
		if target, set := stickyGet(t, s, newPair, "http"); target != second || set != "" {
			t.Fatalf("after the fall-over: %s, %q; want %s", target, set, second)
		}
	}
}

// A sticky target that can't be reached gives way within the same request, and
// the cookie names the one that answered.
func TestStickyFallsOverWithinARequest(t *testing.T) {
	f := newFleet()
	s := mustOpen(t, Settings{Targets: urls(3), Balance: Balance{Kind: Sticky}, Retries: Retries{Attempts: 1, Budget: 1}}, Options{Open: f.open})
	first, set := stickyGet(t, s, "", "http")
	pair, _, _ := strings.Cut(set, ";")
	f.at(first).answers(failing(exchange.ConnectFailed))
	second, set := stickyGet(t, s, pair, "http")
	if second == first {
		t.Fatal("no fall-over")
	}
	pair, _, _ = strings.Cut(set, ";")
	if target, set := stickyGet(t, s, pair, "http"); target != second || set != "" {
		t.Errorf("the cookie doesn't name %s, which answered", second)
	}
}

// Gateways that share a secret understand each other's cookies, and nobody else does.
func TestStickyIDs(t *testing.T) {
	once, twice := opaqueID([]byte("a"), "s", "k"), opaqueID([]byte("a"), "s", "k")
	if once != twice {
		t.Error("not stable")
	}
	if opaqueID([]byte("a"), "s", "k") == opaqueID([]byte("b"), "s", "k") {
		t.Error("the secret changes nothing")
	}
}

func TestCookieValue(t *testing.T) {
	for header, want := range map[string]string{
		"a=1":               "1",
		"b=2; a=1":          "1",
		"aa=2;a=1":          "1",
		"b=a=1":             "",
		"A=1":               "",
		"a=":                "",
		"a":                 "",
		" a=1 ":             "1",
		"a=1; a=2":          "1",
		"; ; a=x=y;":        "x=y",
		"ba=1; xa=2; aa=33": "",
	} {
		var h exchange.Header
		h.Add("Cookie", header)
		if got := string(cookieValue(&h, "a")); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}
