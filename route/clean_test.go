package route_test

import (
	"bytes"
	"testing"

	"gopura/exchange"
	"gopura/route"
)

func TestClean(t *testing.T) {
	strict := route.CleanOptions{}
	slashes := route.CleanOptions{KeepEncodedSlash: true}
	double := route.CleanOptions{KeepDoubleSlash: true}
	for _, c := range []struct {
		in, want string // want "" is a refusal
		o        route.CleanOptions
	}{
		{"/", "/", strict},
		{"/users/42", "/users/42", strict},
		{"/users/", "/users/", strict},
		{"*", "*", strict},
		{"", "", strict},
		{"users", "", strict},
		{"http://a/", "", strict},

		// Dot segments are resolved, in every spelling, and never above the root.
		{"/public/../admin", "/admin", strict},
		{"/public/%2e%2e/admin", "/admin", strict},
		{"/public/.%2E/admin", "/admin", strict},
		{"/./admin", "/admin", strict},
		{"/admin/.", "/admin/", strict},
		{"/admin/..", "/", strict},
		{"/a/b/../../c", "/c", strict},
		{"/..", "", strict},
		{"/../admin", "", strict},
		{"/a/../../admin", "", strict},
		{"/%2e%2e/admin", "", strict},
		{"/...", "/...", strict},
		{"/.well-known/x", "/.well-known/x", strict},
		{"/..well", "/..well", strict},
		{"/a/..b/c", "/a/..b/c", strict},

		// What servlet containers take for a dot segment.
		{"/public/..;/admin", "", strict},
		{"/public/..;a=b/admin", "", strict},
		{"/public/.;/admin", "", strict},
		{"/public/..%3b/admin", "", strict},
		{"/public/%2e%2e;/admin", "", strict},
		{"/a;b=c/d", "/a;b=c/d", strict},

		// Slashes.
		{"//admin", "/admin", strict},
		{"/a///b//", "/a/b/", strict},
		{"//", "/", strict},
		{"/a//../b", "/b", strict},
		{"//admin", "//admin", double},
		{"/a//../b", "/a/b", double},
		{"/a/..//x", "//x", double},
		{"/public/..%2fadmin", "", strict},
		{"/a%2Fb", "", strict},
		{"/a%5cb", "", strict},
		{`/a\b`, "", strict},
		{"/a%2fb%5cc", "/a%2Fb%5Cc", slashes},
		{"/a%2f..%2fb", "", slashes},
		{"/..%2fb", "", slashes},
		{"/a%5c..", "", slashes},
		{"/a%2f%2e%2e", "", slashes},
		{"/a%2f..;x", "", slashes},
		{"/a%2f.", "", slashes},
		{`/a\b`, "", slashes},

		// Escapes.
		{"/%61dmin", "/admin", strict},
		{"/ADMIN", "/ADMIN", strict},
		{"/%7euser%2D%5f", "/~user-_", strict},
		{"/caf%c3%a9", "/caf%C3%A9", strict},
		{"/a%3ab%20c", "/a%3Ab%20c", strict},
		{"/%252e%252e/admin", "/%252e%252e/admin", strict},
		{"/%2561", "/%2561", strict},
		{"/%", "", strict},
		{"/%4", "", strict},
		{"/%zz", "", strict},
		{"/%u002e", "", strict},
		{"/%00", "", strict},
		{"/a%0d%0a", "", strict},
		{"/%7f", "", strict},

		// Bytes that may not stand in a path.
		{"/admin#x", "", strict},
		{"/public#/../admin", "", strict},
		{"/a?b", "", strict},
		{"/a b", "", strict},
		{"/a\tb", "", strict},
		{"/a\x00b", "", strict},
		{"/a\x7fb", "", strict},
		{"/caf\xc3\xa9", "", strict},
	} {
		var a exchange.Arena
		got, err := route.Clean(&a, []byte(c.in), c.o)
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Clean(%q, %+v) = %q, %v; want %q", c.in, c.o, got, err, c.want)
		}
		if err != nil && !exchange.BadTarget.Is(err) {
			t.Errorf("Clean(%q): %v is not bad_target", c.in, err)
		}
	}
}

func TestCleanDoesNotAllocate(t *testing.T) {
	var x exchange.Exchange
	for _, path := range []string{"/users/42/orders", "/.well-known/acme/x", "/a/../b/%41%3a//c"} {
		p := []byte(path)
		if n := testing.AllocsPerRun(100, func() { x.Reset(); route.Clean(&x.Arena, p, route.CleanOptions{}) }); n != 0 {
			t.Errorf("Clean(%q): %v allocations", path, n)
		}
	}
}

// FuzzClean checks the promises of Clean, not its way of keeping them.
func FuzzClean(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/a/../b", "//a", "/%2e%2e/a", "/..;/a", "/a%2fb", "/a%2f..%5c", "/%41%c3%a9", "/%2525", "/a/./", "*"} {
		f.Add([]byte(s), true, true)
		f.Add([]byte(s), false, false)
	}
	f.Fuzz(func(t *testing.T, in []byte, encoded, double bool) {
		o := route.CleanOptions{KeepEncodedSlash: encoded, KeepDoubleSlash: double}
		var a exchange.Arena
		kept := bytes.Clone(in)
		out, err := route.Clean(&a, in, o)
		if !bytes.Equal(in, kept) {
			t.Fatal("the input was written to")
		}
		if err != nil || string(out) == "*" {
			return
		}
		again, err := route.Clean(&a, bytes.Clone(out), o)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("Clean(%q) = %q, and that cleans to %q, %v", in, out, again, err)
		}
		if out[0] != '/' || len(out) > len(in) {
			t.Fatalf("Clean(%q) = %q", in, out)
		}
		checkClean(t, out, o)
	})
}

func checkClean(t *testing.T, out []byte, o route.CleanOptions) {
	t.Helper()
	if !o.KeepDoubleSlash && bytes.Contains(out, []byte("//")) {
		t.Fatalf("%q has a double slash", out)
	}
	for i, c := range out {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '?' || c == '\\' {
			t.Fatalf("%q has the byte %q", out, c)
		}
		if c != '%' {
			continue
		}
		hex := string(out[i+1 : i+3])
		if bytes.Contains([]byte("2D 2E 5F 7E"), []byte(hex)) || hex != string(bytes.ToUpper([]byte(hex))) {
			t.Fatalf("%q has the escape %s", out, hex)
		}
		if v := hex[0]; v >= '3' && v <= '7' && hex != "7F" {
			if d := (v-'0')<<4 | unhexDigit(hex[1]); d >= '0' && d <= '9' || d|0x20 >= 'a' && d|0x20 <= 'z' {
				t.Fatalf("%q has an escape of an unreserved byte", out)
			}
		}
		if (hex == "2F" || hex == "5C") && !o.KeepEncodedSlash || hex[0] < '2' || hex == "7F" {
			t.Fatalf("%q has the escape %s", out, hex)
		}
	}
	pieces := out
	if o.KeepEncodedSlash { // as a server would see it that decodes them
		pieces = bytes.ReplaceAll(bytes.ReplaceAll(out, []byte("%2F"), []byte("/")), []byte("%5C"), []byte("/"))
	}
	for s := range bytes.SplitSeq(pieces, []byte("/")) {
		s, _, _ = bytes.Cut(s, []byte(";"))
		if string(s) == "." || string(s) == ".." {
			t.Fatalf("%q has a dot segment", out)
		}
	}
}

func unhexDigit(c byte) byte {
	if c >= 'A' {
		return c - 'A' + 10
	}
	return c - '0'
}

func BenchmarkClean(b *testing.B) {
	for _, path := range []string{"/users/42/orders/7", "/users/%34%32/../x//y"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			var x exchange.Exchange
			p := []byte(path)
			for b.Loop() {
				x.Reset()
				if _, err := route.Clean(&x.Arena, p, route.CleanOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
