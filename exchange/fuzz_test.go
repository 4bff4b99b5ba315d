package exchange

import (
	"math"
	"net/url"
	"regexp"
	"strconv"
	"testing"
)

var weight = regexp.MustCompile(`^(0(\.[0-9]{0,3})?|1(\.0{0,3})?)$`)

// A weight is what RFC 9110 §12.4.2 says, whichever field it stands in, and what
// is none counts for nothing.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"0.5", "1", "0.", "1.000", "1.001", "00", "0.1234", "-1", "1e9", ".5", " 1", "NaN", "9999999999999999999999"} {
		f.Add("text/html", s, "a/b, c/d;x=\"q=1\";q=0.1,,;,*/*;Q=1")
	}
	f.Fuzz(func(t *testing.T, media, q, more string) {
		var h Header
		h.Add("Accept", more)
		for kind, w := range Accepted(&h) {
			if w < 0 || w > 1000 || len(kind) == 0 {
				t.Errorf("%q: %q is wanted %d", more, kind, w)
			}
		}
		if !ValidName(media) || !ValidValue(q) || regexp.MustCompile(`[,; \t]`).MatchString(q) {
			return
		}
		want := 0
		if weight.MatchString(q) {
			v, _ := strconv.ParseFloat(q, 64)
			want = int(math.Round(v * 1000))
		}
		h.Reset()
		h.Add("accept", media+" ; q="+q)
		for kind, w := range Accepted(&h) {
			if string(kind) != media || w != want {
				t.Errorf("%q;q=%q: %q is wanted %d", media, q, kind, w)
			}
		}
		if !weight.MatchString(q) {
			return // an item of Accept-Encoding that is none is passed over
		}
		h.Reset()
		h.Add("accept-encoding", "gzip;q="+q)
		a := AcceptEncoding(&h)
		if a.Weight(Gzip) != want {
			t.Errorf("gzip;q=%q: %d", q, a.Weight(Gzip))
		}
	})
}

// A message is told whatever bytes it has, and read as any reader of percent
// encoding reads it, where that one reads it at all.
func FuzzGRPCStatus(f *testing.F) {
	f.Add("zwölf %", "0")
	f.Add("%zz%4", "016")
	f.Add("%e2%82%ac\x00", "99999999999999999999")
	f.Fuzz(func(t *testing.T, message, code string) {
		told := AppendGRPCMessage(nil, message)
		if got := ParseGRPCMessage(told); got != message || !ValidValue(told) && message == ParseGRPCMessage([]byte(message)) && message != "" && message[0] > ' ' && message[len(message)-1] > ' ' {
			t.Errorf("%q was told as %q and read as %q", message, told, got)
		}
		if want, err := url.PathUnescape(message); err == nil && ParseGRPCMessage([]byte(message)) != want {
			t.Errorf("%q is read as %q", message, ParseGRPCMessage([]byte(message)))
		}
		got := ParseGRPCStatus([]byte(code))
		if n, err := strconv.ParseUint(code, 10, 8); err == nil && got != GRPCCode(n) || err != nil && got != GRPCUnknown {
			t.Errorf("%q is %v", code, got)
		}
		if got.HTTPStatus() < 200 || got.HTTPStatus() > 599 {
			t.Errorf("%v is %d", got, got.HTTPStatus())
		}
	})
}
