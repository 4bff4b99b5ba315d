package proxyproto

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	proxy = "\x21" // version 2, PROXY
	local = "\x20"
	tcp4  = "\x11"
	tcp6  = "\x21"
)

var (
	block4 = "\xcb\x00\x71\x07" + "\x0a\x00\x00\x01" + "\x9c\x40" + "\x01\xbb"
	block6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x07" + strings.Repeat("\x00", 15) + "\x01" + "\x9c\x40" + "\x01\xbb"
	mapped = strings.Repeat("\x00", 10) + "\xff\xff\xcb\x00\x71\x07" + strings.Repeat("\x00", 10) + "\xff\xff\x0a\x00\x00\x01" + "\x9c\x40" + "\x01\xbb"
)

// What balancers send.
var good = []struct{ name, text, source, destination string }{
	{"v1, IPv4", "PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\r\n", "203.0.113.7:40000", "10.0.0.1:443"},
	{"v1, IPv6", "PROXY TCP6 2001:db8::7 ::1 40000 443\r\n", "[2001:db8::7]:40000", "[::1]:443"},
	{"v1, the longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", ""},
	{"v1, the shortest", "PROXY UNKNOWN\r\n", "", ""},
	{"v1, port 0", "PROXY TCP4 203.0.113.7 10.0.0.1 0 443\r\n", "203.0.113.7:0", "10.0.0.1:443"},
	{"v2, IPv4", signature + proxy + tcp4 + "\x00\x0c" + block4, "203.0.113.7:40000", "10.0.0.1:443"},
	{"v2, IPv4 with fields", signature + proxy + tcp4 + "\x00\x13" + block4 + "\x03\x00\x04\xa9\xb8\x7e\x8f", "203.0.113.7:40000", "10.0.0.1:443"},
	{"v2, IPv6", signature + proxy + tcp6 + "\x00\x24" + block6, "[2001:db8::7]:40000", "[::1]:443"},
	{"v2, IPv4 within IPv6", signature + proxy + tcp6 + "\x00\x24" + mapped, "203.0.113.7:40000", "10.0.0.1:443"},
	{"v2, the balancer itself", signature + local + "\x00\x00\x00", "", ""},
	{"v2, the balancer itself, with addresses", signature + local + tcp4 + "\x00\x0c" + block4, "", ""},
	{"v2, a socket file", signature + proxy + "\x31\x00\xd8" + strings.Repeat("x", 216), "", ""},
	{"v2, not known", signature + proxy + "\x00\x00\x00", "", ""},
}

func TestRead(t *testing.T) {
	for _, c := range good {
		for _, whole := range []bool{true, false} {
			var r io.Reader = strings.NewReader(c.text + "GET / HTTP/1.1\r\n")
			if !whole {
				r = iotest.OneByteReader(r)
			}
			h, err := Read(r)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if got := text(h.Source); got != c.source {
				t.Errorf("%s: from %s, want %s", c.name, got, c.source)
			}
			if got := text(h.Destination); got != c.destination {
				t.Errorf("%s: to %s, want %s", c.name, got, c.destination)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "GET / HTTP/1.1\r\n" {
				t.Errorf("%s: %q is left of what the client sent", c.name, rest)
			}
		}
	}
}

func text(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no header":                  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"a TLS handshake":            "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00",
		"lower case":                 "proxy TCP4 203.0.113.7 10.0.0.1 40000 443\r\n",
		"v1, another protocol":       "PROXY UDP4 203.0.113.7 10.0.0.1 40000 443\r\n",
		"v1, no protocol":            "PROXY  203.0.113.7 10.0.0.1 40000 443\r\n",
		"v1, too few words":          "PROXY TCP4 203.0.113.7 10.0.0.1 40000\r\n",
		"v1, too many words":         "PROXY TCP4 203.0.113.7 10.0.0.1 40000 443 1\r\n",
		"v1, two spaces":             "PROXY TCP4 203.0.113.7  10.0.0.1 40000 443\r\n",
		"v1, the other family":       "PROXY TCP4 2001:db8::7 ::1 40000 443\r\n",
		"v1, IPv4 as IPv6":           "PROXY TCP6 203.0.113.7 10.0.0.1 40000 443\r\n",
		"v1, a zone":                 "PROXY TCP6 fe80::1%eth0 ::1 40000 443\r\n",
		"v1, a port that is none":    "PROXY TCP4 203.0.113.7 10.0.0.1 65536 443\r\n",
		"v1, a port with a zero":     "PROXY TCP4 203.0.113.7 10.0.0.1 0443 443\r\n",
		"v1, a port with a sign":     "PROXY TCP4 203.0.113.7 10.0.0.1 +443 443\r\n",
		"v1, no port":                "PROXY TCP4 203.0.113.7 10.0.0.1  443\r\n",
		"v1, a bare line feed":       "PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\nGET / HTTP/1.1\r\n",
		"v1, without an end":         "PROXY TCP4 " + strings.Repeat("1", 200),
		"v1, cut":                    "PROXY TCP4 203.0.113.7 10.0.0.1 400",
		"v2, cut in the fixed part":  signature + proxy,
		"v2, cut in the addresses":   signature + proxy + tcp4 + "\x00\x0c" + block4[:7],
		"v2, version 3":              signature + "\x31" + tcp4 + "\x00\x0c" + block4,
		"v2, another command":        signature + "\x22" + tcp4 + "\x00\x0c" + block4,
		"v2, too short for its kind": signature + proxy + tcp6 + "\x00\x0c" + block4,
		"v2, a datagram":             signature + proxy + "\x12\x00\x0c" + block4,
		"v2, endless fields":         signature + proxy + tcp4 + "\xff\xff" + block4 + strings.Repeat("\x00", 70000),
	} {
		if h, err := Read(strings.NewReader(text)); err == nil || err == io.EOF {
			t.Errorf("%s: got %v, %v", name, h, err)
		}
	}
}

// A health check that connects and goes away is no fault.
func TestNothingSent(t *testing.T) {
	if _, err := Read(strings.NewReader("")); err != io.EOF {
		t.Errorf("got %v", err)
	}
	if _, err := Read(strings.NewReader("PROX")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %v", err)
	}
}

// FuzzRead: whatever the bytes, no more than a header is read, no client is made
// up, and what is read can be written again.
func FuzzRead(f *testing.F) {
	for _, c := range good {
		f.Add([]byte(c.text))
	}
	f.Add([]byte("PROXY TCP4 203.0.113.7 10.0.0.1 40000 443\nGET"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := strings.NewReader(string(data))
		h, err := Read(r)
		if err != nil {
			if h != (Header{}) {
				t.Fatalf("%v with the error %v", h, err)
			}
			return
		}
		used := data[:len(data)-r.Len()]
		if len(used) > len(signature)+4+maxBlock {
			t.Fatalf("read %d bytes", len(used))
		}
		if h.Source.IsValid() != h.Destination.IsValid() || h.Source.Addr().Zone() != "" || h.Source.Addr().Is4In6() {
			t.Fatalf("%v from %q", h, used)
		}
		if used[0] != 'P' || !h.Source.IsValid() {
			return
		}
		family := "TCP4"
		if h.Source.Addr().Is6() {
			family = "TCP6"
		}
		again, err := Read(strings.NewReader("PROXY " + family + " " + h.Source.Addr().String() + " " + h.Destination.Addr().String() + " " +
			port(h.Source) + " " + port(h.Destination) + "\r\n"))
		if family == "TCP6" || h.Destination.Addr().Is4() {
			if err != nil || again != h {
				t.Fatalf("%q gives %v, written again %v (%v)", used, h, again, err)
			}
		}
	})
}

func port(a netip.AddrPort) string { return a.String()[strings.LastIndexByte(a.String(), ':')+1:] }
