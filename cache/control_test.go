package cache

import (
	"strings"
	"testing"
	"time"

	"gopura/exchange"
)

func TestControlIsReadCarefully(t *testing.T) {
	for _, c := range []struct {
		text  string
		holds func(control) bool
	}{
		{"max-age=60", func(c control) bool { return c.maxAge == time.Minute && c.sMaxAge == absent }},
		{"Max-Age=60, S-MAXAGE=\"5\"", func(c control) bool { return c.maxAge == time.Minute && c.sMaxAge == 5*time.Second }},
		{"max-age=60, max-age=5", func(c control) bool { return c.maxAge == 5*time.Second }},
		{"max-age=-1", func(c control) bool { return c.maxAge == 0 }},
		{"max-age", func(c control) bool { return c.maxAge == 0 }},
		{"max-age=99999999999999999999", func(c control) bool { return c.maxAge == (1<<31-1)*time.Second }},
		{`private="set-cookie, x", public`, func(c control) bool { return c.private && c.public }},
		{`ext="no-store"`, func(c control) bool { return !c.noStore }},
		{`ext="no-store`, func(c control) bool { return c.noStore }},
		{"no-cache , must-revalidate,,proxy-revalidate", func(c control) bool { return c.noCache && c.mustRevalidate && c.proxyRevalidate }},
		{"stale-while-revalidate=7 stale-if-error=8", func(c control) bool { return c.staleWhile == 7*time.Second && c.staleIfError == 8*time.Second }},
	} {
		var h exchange.Header
		h.Add("cache-control", c.text)
		if got := parseControl(&h); !c.holds(got) {
			t.Errorf("%s: %+v", c.text, got)
		}
	}
}

func FuzzControl(f *testing.F) {
	for _, s := range []string{"max-age=60, public", `private="a,b"`, `x="`, "=,=", "no-cache=a;b", "s-maxage=1 ,,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var h exchange.Header
		h.Add("Cache-Control", s)
		c := parseControl(&h)
		for _, d := range []time.Duration{c.maxAge, c.sMaxAge, c.staleWhile, c.staleIfError} {
			if d < absent || d > (1<<31-1)*time.Second {
				t.Fatalf("%q: %v", s, d)
			}
		}
		h.Add("Cache-Control", "no-store") // a field of its own is always seen
		if !parseControl(&h).noStore {
			t.Fatalf("%q hides what follows", s)
		}
	})
}

func FuzzMatches(f *testing.F) {
	f.Add(`"a", W/"b"`, `"b"`)
	f.Add("*", "")
	f.Add(`"a`, `"a"`)
	f.Fuzz(func(t *testing.T, list, etag string) {
		has := matches([]byte(list), []byte(etag))
		if strings.Trim(list, " \t") == "*" {
			if !has {
				t.Errorf("%q does not take %q", list, etag)
			}
			return
		}
		bare := strings.TrimPrefix(etag, "W/")
		if len(bare) < 2 || bare[0] != '"' || strings.IndexByte(bare[1:], '"') != len(bare)-2 {
			return // not a tag
		}
		if has && !strings.Contains(list, bare) {
			t.Errorf("%q has no %q in it", list, etag)
		}
		for _, list := range []string{bare, "W/" + bare, `"x", ` + bare, bare + "," + list, ` "a,b" ,W/` + bare + " , "} {
			if !matches([]byte(list), []byte(etag)) {
				t.Errorf("%q is in %q", etag, list)
			}
		}
	})
}

func TestTimesAreThoseOfTheService(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(httpDate) }
	for _, c := range []struct {
		name   string
		fields []string
		left   time.Duration
		kept   bool
	}{
		{"nothing", nil, time.Minute, true},
		{"max-age", []string{"Cache-Control", "max-age=100"}, 100 * time.Second, true},
		{"shared", []string{"Cache-Control", "max-age=100, s-maxage=10"}, 10 * time.Second, true},
		{"age", []string{"Cache-Control", "max-age=100", "Age", "30"}, 70 * time.Second, true},
		{"date", []string{"Cache-Control", "max-age=100", "Date", at(-40 * time.Second)}, 60 * time.Second, true},
		{"too old", []string{"Cache-Control", "max-age=100", "Age", "100"}, 0, false},
		{"expires", []string{"Date", at(0), "Expires", at(20 * time.Second)}, 20 * time.Second, true},
		{"expired", []string{"Expires", "0"}, 0, false},
		{"max-age before expires", []string{"Cache-Control", "max-age=5", "Expires", at(20 * time.Second)}, 5 * time.Second, true},
		{"no-cache with a validator", []string{"Cache-Control", "no-cache, max-age=9", "ETag", `"a"`}, 0, true},
		{"no-cache without", []string{"Cache-Control", "no-cache"}, 0, false},
		{"no-store", []string{"Cache-Control", "no-store"}, 0, false},
		{"private", []string{"Cache-Control", "private, max-age=9"}, 0, false},
		{"a part", []string{"Content-Range", "bytes 0-1/2"}, 0, false},
	} {
		k := newKit(t, nil, nil)
		x := get("/a")
		says("x", c.fields...)(k, x)
		h := &handler{k.cache, nil}
		var q request
		if !h.examine(x, &q) {
			t.Fatal(c.name)
		}
		a, _, ok := h.judge(x, &q, now)
		if ok != c.kept || ok && a.left(now) != c.left {
			t.Errorf("%s: kept %v, %v left", c.name, ok, a)
		}
	}
}
