package exchange

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzHost checks that what SplitHost accepts is harmless.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"a", "A.b:80", "[::1]:443", "a.", "[::1", "a:b:c", "u@h", "127.0.0.1:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, ok := SplitHost([]byte(s))
		if !ok {
			return
		}
		if len(host) == 0 || strings.ContainsAny(s, " \t\r\n/\\?#@,;%\"'<>()") || !strings.HasPrefix(s, string(host)) {
			t.Fatalf("%q is accepted as %q", s, host)
		}
		req, err := http.NewRequest("GET", "http://"+s+"/", nil)
		if err != nil {
			t.Fatalf("net/url refuses %q: %v", s, err)
		}
		if got := strings.TrimSuffix(req.URL.Hostname(), "."); got != strings.Trim(string(host), "[]") {
			t.Fatalf("%q: host %q, net/url %q", s, host, got)
		}
	})
}
