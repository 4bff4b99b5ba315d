package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"gopura/exchange"
)

// FuzzForwarded: whatever the headers of a request claim, an address is believed
// only when every hop behind it is trusted, the gateway's own headers are there once,
// and nothing that a service may take for one of them passes.
func FuzzForwarded(f *testing.F) {
	for _, name := range []string{"X-Forwarded-For", "x_forwarded_for", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "X-Real-Ip", "X-Request-Id", "Via", "Client_IP", "X-Forwarded_For"} {
		f.Add(name, "192.0.2.1, 10.0.0.1:80, [::ffff:10.0.0.2]:9", "10.0.0.9", true)
	}
	f.Add("X-Forwarded-For", ",,,fe80::1%25eth0,  10.1.1.1", "for=unknown", true)
	f.Add("X-Forwarded-Proto", "HTTPS", "a", false)
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, name, value, more string, behind bool) {
		if !exchange.ValidName(name) || !exchange.ValidValue(value) || !exchange.ValidValue(more) {
			return
		}
		s := &snapshot{trusted: trusted}
		peer := netip.MustParseAddrPort("203.0.113.7:1")
		if behind {
			peer = netip.MustParseAddrPort("10.0.0.1:1")
		}
		x := new(exchange.Exchange)
		x.Reset()
		x.Client = &exchange.Client{Peer: peer, Addr: peer, Protocol: "HTTP/1.1"}
		x.Request.Scheme, x.Request.Authority = "http", []byte("shop.test")
		h := &x.Request.Header
		h.Add(name, value)
		h.Add("X-Forwarded-For", more)
		h.Add(strings.ToUpper(name), value)
		chain := ""
		for v := range h.Values("X-Forwarded-For") {
			chain += string(v) + ","
		}
		s.introduce(x)
		if got, want := x.Client.Addr.Addr(), believed(peer.Addr(), chain, trusted); got != want {
			t.Errorf("%s: %q behind %v: the client is %v, not %v", name, value, peer, got, want)
		}
		for _, own := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Request-Id"} {
			if n := h.Count(own); n != 1 || !exchange.ValidValue(h.Get(own)) {
				t.Errorf("%d %s: %q", n, own, h.Get(own))
			}
		}
		for _, f := range h.Fields() {
			if strings.ContainsRune(string(f.Name), '_') && claimOf(f.Name) != claimNone {
				t.Errorf("%s passes", f.Name)
			}
			if claimOf(f.Name) == claimOther && !behind {
				t.Errorf("%s passes from a client", f.Name)
			}
		}
	})
}

// believed is the rule in its plainest form: from the nearest hop on.
func believed(peer netip.Addr, chain string, trusted []netip.Prefix) netip.Addr {
	hops := strings.Split(strings.TrimSuffix(chain, ","), ",")
	at := peer
	for i := len(hops) - 1; i >= 0 && trusted[0].Contains(at); i-- {
		text := strings.TrimSpace(hops[i])
		next, err := netip.ParseAddr(text)
		if err != nil {
			both, err := netip.ParseAddrPort(text)
			if err != nil {
				break
			}
			next = both.Addr()
		}
		at = next.Unmap().WithZone("")
	}
	return at
}
