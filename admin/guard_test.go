package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"gopura/config"
)

// Who may ask, by where the connection comes from and goes to.
func TestPeers(t *testing.T) {
	token := config.NewSecret("sesame")
	for _, c := range []struct {
		peer, local, host string
		token             config.Secret
		status            int // 0: served
	}{
		{peer: "127.0.0.1:5", local: "127.0.0.1:9900", host: "localhost:9900"},
		{peer: "127.8.9.1:5", local: "127.0.0.1:9900", host: "localhost:9900"},
		{peer: "[::1]:5", local: "[::1]:9900", host: "[::1]:9900"},
		{peer: "[::ffff:127.0.0.1]:5", local: "[::ffff:127.0.0.1]:9900", host: "127.0.0.1:9900"},
		{peer: "10.0.0.7:5", local: "10.0.0.1:9900", host: "10.0.0.1:9900", status: 403},
		{peer: "[::ffff:10.0.0.7]:5", local: "[::ffff:10.0.0.1]:9900", host: "10.0.0.1:9900", status: 403},
		{peer: "@", local: "127.0.0.1:9900", host: "localhost:9900", status: 403},
		{peer: "10.0.0.7:5", local: "10.0.0.1:9900", host: "10.0.0.1:9900", token: token},
		{peer: "10.0.0.7:5", local: "10.0.0.1:9900", host: "10.0.0.2:9900", token: token, status: 421},
		{peer: "10.0.0.7:5", local: "10.0.0.1:9900", host: "10.0.0.1:9901", token: token, status: 421},
		{peer: "[fe80::2%eth0]:5", local: "[fe80::1%eth0]:9900", host: "[fe80::1]:9900", token: token},
	} {
		g := newGuard(&config.Admin{Token: c.token}, 9900)
		r := httptest.NewRequest("GET", "/api/snapshot", nil)
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
		r.RemoteAddr, r.Host = c.peer, c.host
		if !c.token.IsZero() {
			r.Header.Set("Authorization", "Bearer sesame")
		}
		status := 0
		if no := g.check(r); no != nil {
			status = no.status
		}
		if status != c.status {
			t.Errorf("from %s to %s as %s: %d, want %d", c.peer, c.local, c.host, status, c.status)
		}
	}
}

// An empty token, should one ever get here, lets nobody in.
func TestEmptyTokenFailsClosed(t *testing.T) {
	g := newGuard(&config.Admin{Token: config.NewSecret("")}, 9900)
	for _, field := range []string{"", "Bearer", "Bearer "} {
		r := httptest.NewRequest("GET", "/api/snapshot", nil)
		r.Host, r.RemoteAddr = "localhost:9900", "127.0.0.1:5"
		r.Header.Set("Authorization", field)
		if g.check(r) == nil {
			t.Errorf("%q is let in", field)
		}
	}
}

// Whatever the Host: a name leads here only if it is localhost or configured,
// an address only if it is loopback or where the connection ended.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"localhost:9900", "LOCALHOST.:9900", "[::1]:9900", "::1", "127.0.0.1:9900", "gw.internal", "[gw.internal", "gw.internal:x", "10.0.0.1:9900", "a:b:c", "", ":9900", "[::1%25lo]:9900", "127.0.0.1:9900\x00", "gw.internal@evil"} {
		f.Add(seed)
	}
	g := newGuard(&config.Admin{Hosts: []string{"GW.internal."}}, 9900)
	local := netip.MustParseAddrPort("10.0.0.1:9900")
	names := regexp.MustCompile(`(?i)^(localhost\.?:9900|gw\.internal\.?(:[^:\[\]]*)?|127\.0\.0\.1\.?:9900|\[::1\]:9900)$`)
	f.Fuzz(func(t *testing.T, host string) {
		if !g.knows(host, local) || names.MatchString(host) {
			return
		}
		addr, err := netip.ParseAddrPort(strings.TrimSuffix(strings.ToLower(host), "."))
		if err != nil || addr.Port() != 9900 || addr.Addr().Unmap() != local.Addr() && !addr.Addr().IsLoopback() {
			t.Errorf("%q leads here", host)
		}
	})
}
