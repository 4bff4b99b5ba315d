package admin_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"gopura/internal/freeport"
)

// A reload with the same address keeps socket and connections; the token
// changes for the next request on them.
func TestSameAddressKeepsConnections(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	address := w.admin.Address()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if a := send(t, c, in, address, "GET /api/snapshot", ""); a.StatusCode != 200 {
		t.Fatalf("before: %d", a.StatusCode)
	}
	w.set(`admin: {address: 127.0.0.1:0, token: "${env:TOKEN}"}`)
	if a := send(t, c, in, address, "POST /api/reload", "", act, "Content-Length: 0"); a.StatusCode != 200 {
		t.Fatalf("reload: %d %s", a.StatusCode, a.body)
	}
	if a := send(t, c, in, address, "GET /api/snapshot", ""); a.StatusCode != 401 {
		t.Errorf("after: %d", a.StatusCode)
	}
	if a := send(t, c, in, address, "GET /api/snapshot", "", "Authorization: Bearer sesame-TOKEN"); a.StatusCode != 200 {
		t.Errorf("after, with the token: %d", a.StatusCode)
	}
	if w.admin.Address() != address {
		t.Errorf("listens at %s, was %s", w.admin.Address(), address)
	}
}

// The request that moves the listener gets its answer on the old one, which
// then closes.
func TestNewAddressMovesTheListener(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	before := w.admin.Address()
	w.set("admin: localhost:0")
	if a := w.ask("POST /api/reload", "", act, "Content-Length: 0"); a.StatusCode != 200 {
		t.Fatalf("reload: %d %s", a.StatusCode, a.body)
	}
	if w.admin.Address() == before {
		t.Fatal("the listener has not moved")
	}
	if a := w.ask("GET /readyz", ""); a.StatusCode != 200 {
		t.Errorf("new: %d", a.StatusCode)
	}
	closes(t, before)
}

func TestOffClosesTheListener(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	before := w.admin.Address()
	w.set("admin: off")
	if a := w.ask("POST /api/reload", "", act, "Content-Length: 0"); a.StatusCode != 200 {
		t.Fatalf("reload: %d %s", a.StatusCode, a.body)
	}
	if w.admin.Address() != "" {
		t.Error("it still listens")
	}
	closes(t, before)
}

// An address that can't be opened refuses the configuration as a whole.
func TestAddressInUseChangesNothing(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w.set("admin: " + taken.Addr().String())
	a := w.ask("POST /api/reload", "", act, "Content-Length: 0")
	if a.StatusCode != 422 || !strings.Contains(a.body, taken.Addr().String()) || !strings.Contains(a.body, "gopura.yaml:8:8") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := w.ask("GET /api/snapshot", ""); !strings.Contains(a.body, `"generation": 1`) {
		t.Errorf("%s", a.body)
	}
}

// What was prepared and given up leaves nothing open.
func TestAbandonClosesWhatWasOpened(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	before := w.admin.Address()
	address := freeport.Address(t)
	w.set("admin: " + address)
	doc, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	_, abandon, err := w.admin.Prepare(doc)
	if err != nil {
		t.Fatal(err)
	}
	abandon()
	closes(t, address)
	if w.admin.Address() != before {
		t.Errorf("listens at %s, was %s", w.admin.Address(), before)
	}
}

// Idle connections beyond the limit wait; one that leaves lets the next in.
func TestConnectionsAreLimited(t *testing.T) {
	w := start(t, "admin: 127.0.0.1:0")
	var open []net.Conn
	for range 128 {
		c, err := net.Dial("tcp", w.admin.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	late, err := net.Dial("tcp", w.admin.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	late.Write([]byte("GET /livez HTTP/1.1\r\nHost: " + w.admin.Address() + "\r\n\r\n"))
	late.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	var b [1]byte
	if n, _ := late.Read(b[:]); n != 0 {
		t.Fatal("the 129th connection is served")
	}
	open[0].Close()
	late.SetReadDeadline(time.Now().Add(4 * time.Second)) // less than the head timeout of the others
	if n, err := late.Read(b[:]); n != 1 {
		t.Fatalf("the 129th connection is not served: %v", err)
	}
}

func closes(t *testing.T, address string) {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(until) {
			t.Fatalf("%s is still open", address)
		}
	}
}
