package exchange

import "testing"

func TestAcceptEncodingIsReadByItsWeights(t *testing.T) {
	for _, c := range []struct {
		field                  string
		plain, gzip, br, zstd_ int
		other                  bool
	}{
		{"", 1, 0, 0, 0, false},
		{"gzip", 1, 1000, 0, 0, false},
		{"gzip, br;q=0.5", 1, 1000, 500, 0, false},
		{"GZIP;Q=0.25 , zstd ;q=1.000", 1, 250, 0, 1000, false},
		{"*", 1000, 1000, 1000, 1000, true},
		{"*;q=0", 0, 0, 0, 0, false},
		{"gzip, *;q=0", 0, 1000, 0, 0, false},
		{"identity;q=0, gzip", 0, 1000, 0, 0, false},
		{"x-gzip", 1, 1000, 0, 0, false},
		{"dcb, gzip", 1, 1000, 0, 0, true},
		{"gzip;q=2, br;q=0.1234, zstd;q=x, a b", 1, 0, 0, 0, false}, // not of this form
		{"gzip;q=1.001", 1, 0, 0, 0, false},
	} {
		var h Header
		h.Add("Accept-Encoding", c.field)
		a := AcceptEncoding(&h)
		if a.Weight(Plain) != c.plain || a.Weight(Gzip) != c.gzip || a.Weight(Brotli) != c.br || a.Weight(Zstd) != c.zstd_ || a.Other != c.other || !a.Present {
			t.Errorf("%q: %d %d %d %d %v", c.field, a.Weight(Plain), a.Weight(Gzip), a.Weight(Brotli), a.Weight(Zstd), a.Other)
		}
	}
	if a := AcceptEncoding(new(Header)); a.Present || a.Weight(Zstd) != 1000 {
		t.Error("a client that says nothing takes everything")
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0.000,x-gzip", "gzip;q=", ",,;", "a;b;c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var h Header
		h.Add("accept-encoding", s)
		a := AcceptEncoding(&h)
		for c := range codings {
			if w := a.Weight(c); w < 0 || w > 1000 {
				t.Fatalf("%q: %s weighs %d", s, c, w)
			}
		}
		if a.Set() == 0 && a.q[Plain] != 1 && a.star != 1 {
			t.Fatalf("%q takes nothing, and doesn't say so", s)
		}
	})
}
