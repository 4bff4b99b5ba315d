package config

import (
	"math"
	"strings"
	"testing"
	"time"
)

// What is written by us is read as what it was, and what the standard library
// reads too is the same time.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"1h30m", "0", "off", "2d", "1.5s", "64KiB", "8 MB", "1g", "50%", "0.1%", "10/s", "5/10s", "1000/day", "1e9", "9223372036854775807", "99999999999999999999y", ".", "..1s", "µs", "1µs", "1/0s", "+1/s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDuration(text); err == nil {
			std, err := time.ParseDuration(text)
			if d < 0 || err == nil && math.Abs(float64(d-std)) > 1+float64(std)*1e-12 {
				t.Errorf("%q is %v, and %v", text, d, std)
			}
			if again, err := ParseDuration(d.String()); d < 1<<52 && (err != nil || again != d) {
				t.Errorf("%q is %v, which is %v (%v)", text, d, again, err)
			}
		}
		if n, err := ParseSize(text); err == nil {
			if again, err := ParseSize(n.String()); n < 0 || n < 1<<53 && (err != nil || again != n) {
				t.Errorf("%q is %v, which is %v (%v)", text, n, again, err)
			}
		}
		if p, err := ParsePercent(text); err == nil {
			if again, err := ParsePercent(p.String()); !(p >= 0 && p <= 1) || err != nil || math.Abs(float64(again-p)) > 1e-8 {
				t.Errorf("%q is %v, which is %v (%v)", text, p, again, err)
			}
		}
		if r, err := ParseRate(text); err == nil {
			if again, err := ParseRate(r.String()); r.Count < 1 || r.Per <= 0 || r.Per < 1<<52 && (err != nil || again != r) {
				t.Errorf("%q is %v, which is %v (%v)", text, r, again, err)
			}
		}
	})
}

// A call is taken apart without a byte lost: what stands in it stands in the text,
// where it is said to be.
func FuzzAsk(f *testing.F) {
	for _, s := range []string{"GET users/a?b={c}", "get users/a", "POST  users", "users shop.v1.Users/Get {id: 1}", "GET http://a/", "CONNECT a/", "GET {a}/b", "a b", "a  b.c/d", "GET a?b", " ", "GET \u00e9/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, at, why, hint := ParseAsk(text)
		if at < 0 || at > len(text) || why == "" && hint != "" {
			t.Fatalf("%q: %d %q %q", text, at, why, hint)
		}
		if why != "" {
			return
		}
		if !strings.Contains(text, a.Service) || a.Service == "" {
			t.Errorf("%q: the service is %q", text, a.Service)
		}
		if a.Method != "" && a.Target != "/" && !strings.HasPrefix(text[a.TargetAt:], a.Target) {
			t.Errorf("%q: %q does not stand at %d", text, a.Target, a.TargetAt)
		}
		if a.Message != "" && !strings.HasPrefix(text[a.MessageAt:], a.Message) {
			t.Errorf("%q: %q does not stand at %d", text, a.Message, a.MessageAt)
		}
	})
}
