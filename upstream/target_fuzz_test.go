package upstream

import (
	"net"
	"strconv"
	"testing"

	"gopura/exchange"
)

// FuzzTarget: what is accepted as a target can be dialled and named in a request.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"http://a", "https://a.:443/", "grpc://[::1]:9", "unix:/run/a", "h2c://[fe80::1%25eth0]:1", "http://a:0", "http://a:99999", "http://[::ffff:10.0.0.1]", "http://a b", "http://a/\x00", "http://%41", "http://a,b", "http://é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sp, err := parseSpec(TargetSpec{URL: text, Weight: 1})
		if err != nil {
			return
		}
		if sp.network == "unix" {
			return
		}
		if n, err := strconv.Atoi(sp.port); err != nil || n < 1 || n > 65535 {
			t.Errorf("%q: port %q", text, sp.port)
		}
		if _, ok := exchange.SplitHost([]byte(sp.authority)); !ok {
			t.Errorf("%q: %q is no host of a request", text, sp.authority)
		}
		for _, a := range sp.addresses {
			if _, _, err := net.SplitHostPort(a); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
