package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopura/demo"
)

// openShop runs the demo within the test.
func openShop(t *testing.T) *shop {
	t.Helper()
	s, err := startDemo(map[string]string{
		"DEMO_LISTEN": "127.0.0.1:0", "DEMO_ADMIN": "127.0.0.1:0", "DEMO_ACCESS_LOG": filepath.Join(t.TempDir(), "access.log"),
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.gateway.Shutdown(ctx)
		s.admin.Shutdown(ctx)
		s.services.Close()
	})
	return s
}

// do sends what t's curl line sends, and returns head and body as curl -i
// would show them.
func do(t *testing.T, server string, try demo.Try) (status int, text string) {
	t.Helper()
	method := try.Method
	if method == "" {
		method = "GET"
	}
	r, err := http.NewRequest(method, server+try.Path, strings.NewReader(try.Body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range try.Header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	res.Header.Write(&b)
	if _, err := io.Copy(&b, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b.String()
}

// Every request that the demo proposes does what it is said to show.
func TestEveryProposedRequest(t *testing.T) {
	s := openShop(t)
	for _, try := range s.services.Tries() {
		server := s.client()
		if try.Admin {
			server = s.adminURL()
		}
		status, text := do(t, server, try)
		if status != try.Status || !strings.Contains(text, try.Contains) {
			t.Errorf("%s\n%s\n%d, want %d with %q:\n%.600s", try.Shows, try.Curl(server), status, try.Status, try.Contains, text)
		}
	}
}

// The flaky service fails every third request, and no client sees it.
func TestFlakyReviewsAreRetried(t *testing.T) {
	s := openShop(t)
	for i := range 30 {
		if status, text := do(t, s.client(), demo.Try{Path: "/users/42/reviews"}); status != 200 {
			t.Fatalf("request %d: %d %s", i, status, text)
		}
	}
	for _, svc := range s.gateway.Services() {
		if svc.Name == "reviews" && svc.Retries == 0 {
			t.Error("nothing was retried: the demo shows nothing")
		}
	}
}

func TestBothTargetsAndBothVersionsAnswer(t *testing.T) {
	s := openShop(t)
	seen := map[string]int{}
	for range 200 {
		for _, path := range []string{"/users/42", "/products"} {
			_, text := do(t, s.client(), demo.Try{Path: path})
			for line := range strings.Lines(text) {
				if name, ok := strings.CutPrefix(line, "X-Served-By: "); ok {
					seen[strings.TrimSpace(name)]++
				}
			}
		}
	}
	for _, name := range []string{"users-a", "users-b", "catalog", "catalog-next"} {
		if seen[name] == 0 {
			t.Errorf("%s never answers: %v", name, seen)
		}
	}
	if seen["catalog-next"] > seen["catalog"] {
		t.Errorf("the next version gets more than its share: %v", seen)
	}
}

func TestAServiceSeesWhatTheGatewaySays(t *testing.T) {
	s := openShop(t)
	_, text := do(t, s.client(), demo.Try{Path: "/echo", Header: []string{"X-Forwarded-For: 6.6.6.6", "X-Internal-Role: root", "Cookie: a=b"}})
	if strings.Contains(text, "6.6.6.6") || strings.Contains(text, "root") || strings.Contains(text, "a=b") {
		t.Errorf("a service is told what the client made up:\n%s", text)
	}
	if strings.Contains(text, "X-Powered-By") || !strings.Contains(text, "X-Shop: gopura-demo") {
		t.Errorf("the response was not edited:\n%s", text)
	}
}

// The page of the demo names the addresses that are really open, and shows each
// request.
func TestWelcomePage(t *testing.T) {
	s := openShop(t)
	var b bytes.Buffer
	s.welcome(&b, 0)
	for _, try := range s.services.Tries() {
		server := s.client()
		if try.Admin {
			server = s.adminURL()
		}
		if !strings.Contains(b.String(), "\n  "+try.Curl(server)+"\n") {
			t.Errorf("no line %s in\n%s", try.Curl(server), b.String())
		}
	}
}

func TestDemoFallsBackToAFreePort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := ln.Addr().String()
	var b bytes.Buffer
	if got := orFree(&b, taken); got != "127.0.0.1:0" || !strings.Contains(b.String(), taken+" is taken") {
		t.Errorf("%s, %s", got, b.String())
	}
	// An address that was asked for is not replaced.
	code, _, stderr := gopura("demo", "--listen", taken, "--admin", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, taken) || !strings.Contains(stderr, "another process listens there") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	ln.Close()
	b.Reset()
	if got := orFree(&b, taken); got != taken || b.Len() > 0 {
		t.Errorf("%s, %s", got, b.String())
	}
}

// The demo's own configuration passes check, with nothing to remark.
func TestDemoConfigurationIsClean(t *testing.T) {
	path := file(t, string(demo.Config))
	services, err := demo.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer services.Close()
	for _, name := range []string{"USERS_A", "USERS_B", "ORDERS", "REVIEWS_STEADY", "REVIEWS_FLAKY", "TIPS", "CATALOG", "CATALOG_NEXT", "ECHO", "ISSUER_KEY"} {
		url, ok := services.Env(name)
		if !ok {
			t.Fatalf("%s is not set", name)
		}
		t.Setenv(name, url)
	}
	code, stdout, stderr := gopura("check", "-c", path)
	if code != 0 || stderr != "" || !strings.HasSuffix(stdout, "no problems\n") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// Visitors ask until they are sent home.
func TestDemoTraffic(t *testing.T) {
	s := openShop(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.services.Traffic(ctx, s.client(), 500); close(done) }()
	asked := func() (n uint64) {
		for _, one := range s.gateway.Services() {
			n += one.Requests
		}
		return n
	}
	for end := time.Now().Add(10 * time.Second); asked() < 50; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests", asked())
		}
	}
	stop()
	<-done
}
