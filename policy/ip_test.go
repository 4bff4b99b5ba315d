package policy

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopura/config"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a := netip.MustParseAddr(s)
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p)
	}
	return out
}

func ipOf(i int) string { return fmt.Sprintf("172.%d.%d.%d/31", 16+i>>16&15, i>>8&255, i&254) }

func TestIP(t *testing.T) {
	for _, c := range []struct {
		allow, deny string
		client      string
		pass        bool
	}{
		{"10.0.0.0/8", "", "10.255.255.255", true},
		{"10.0.0.0/8", "", "11.0.0.0", false},
		{"10.0.0.0/8", "", "9.255.255.255", false},
		{"10.0.0.0/8", "", "::ffff:10.1.2.3", true}, // the same address
		{"::ffff:10.0.0.0/104", "", "10.1.2.3", true},
		{"10.0.0.0/8", "", "::10.1.2.3", false}, // another one
		{"10.1.2.3", "", "10.1.2.3", true},
		{"10.1.2.3", "", "10.1.2.4", false},
		{"0.0.0.0/0", "", "2001:db8::1", false}, // all of IPv4
		{"::/0", "", "10.1.2.3", false},         // all of IPv6
		{"0.0.0.0/0 ::/0", "", "2001:db8::1", true},
		{"fe80::/10", "", "fe80::1%eth0", true},
		{"2001:db8::/33", "", "2001:db8:7fff::", true},
		{"2001:db8::/33", "", "2001:db8:8000::", false},
		{"10.0.0.0/8", "10.1.0.0/16", "10.2.0.1", true},
		{"10.0.0.0/8", "10.1.0.0/16", "10.1.0.1", false}, // deny wins
		{"10.1.0.1", "10.0.0.0/8", "10.1.0.1", false},    // also over the narrower one
		{"", "10.0.0.0/8", "10.1.0.1", false},
		{"", "10.0.0.0/8", "192.168.0.1", true},
		{"", "10.0.0.0/8", "::ffff:10.1.0.1", false},
		{"10.0.0.1 10.0.0.2 10.0.0.0/30 10.0.0.16/28 10.0.0.0/29", "", "10.0.0.7", true},
		{"10.0.0.1 10.0.0.2 10.0.0.0/30 10.0.0.16/28 10.0.0.0/29", "", "10.0.0.8", false},
		{"10.0.0.0/8", "", "", false}, // no address (a unix socket)
		{"", "10.0.0.0/8", "", false},
	} {
		x := newExchange("/")
		x.Client.Addr = netip.AddrPort{}
		if c.client != "" {
			x.Client.Addr = netip.AddrPortFrom(netip.MustParseAddr(c.client), 1)
		}
		spec := &IP{Allow: prefixes(strings.Fields(c.allow)...), Deny: prefixes(strings.Fields(c.deny)...)}
		want := "ip_forbidden"
		if c.pass {
			want = ""
		}
		if got := code(t, newEnv(t), spec, x); got != want {
			t.Errorf("allow %q, deny %q: %s: %q", c.allow, c.deny, c.client, got)
		}
	}
}

// The spans of a long list say what the list says.
func TestNetworksContainWhatTheListDoes(t *testing.T) {
	var list []netip.Prefix
	for i := range 3000 {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i * 7 % 251), byte(i * 13), byte(i)}), 8+i%25).Masked())
		if list[i].Bits() < 14 {
			list[i] = netip.PrefixFrom(list[i].Addr(), 30).Masked()
		}
	}
	n, err := compileNetworks(list, "", config.Pos{}, "allow")
	if err != nil {
		t.Fatal(err)
	}
	in := 0
	for i := range 20000 {
		a := netip.AddrFrom4([4]byte{10, byte(i % 256), byte(i / 256), byte(i * 31)})
		want := false
		for _, p := range list {
			want = want || p.Contains(a)
		}
		if n.contains(a) != want {
			t.Fatalf("%v: want %v", a, want)
		}
		if want {
			in++
		}
	}
	if in < 100 || in > 19900 {
		t.Errorf("the sample says little: %d", in)
	}
}

func TestIPOfAFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pos := config.Pos{File: filepath.Join(dir, "gopura.yaml"), Line: 3, Col: 5}
	spec := &IP{Pos: pos, AllowFile: write("ok", "# office\n10.0.0.0/8 # all\r\n\n 2001:db8::1\n")}
	if got := code(t, newEnv(t), spec, newExchange("/")); got != "" {
		t.Error(got)
	}
	if got := code(t, newEnv(t), &IP{Pos: pos, AllowFile: write("empty", "# nobody\n")}, newExchange("/")); got != "ip_forbidden" {
		t.Errorf("an empty list lets in: %q", got)
	}
	for _, c := range []struct{ name, text, want string }{
		{"bad", "10.0.0.0/8\n10.0.0.0/33\n", "bad:2: not a network or address"},
		{"wide", "::ffff:0.0.0.0/90", "neither"},
		{"zone", "fe80::1%eth0", "not a network"},
	} {
		_, err := (&IP{Pos: pos, DenyFile: write(c.name, c.text)}).Compile(newEnv(t))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, spec := range []*IP{{}, {Pos: pos, AllowFile: "missing"}, {Allow: prefixes("::ffff:0.0.0.0/95")}} {
		if _, err := spec.Compile(newEnv(t)); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::1", "::ffff:1.2.3.4/100", "1.2.3.4/33", "", "::/0", "fe80::1%a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseNetwork(s)
		if err != nil {
			return
		}
		n := merge(networks{spanOf(p)})
		if !p.IsValid() || p.Addr().Is4In6() || !n.contains(p.Addr()) || n.contains(p.Addr().Prev()) {
			t.Errorf("%q: %v %v", s, p, n)
		}
	})
}

// A file that a policy is made of is watched as the configuration is.
func TestFilesOfPolicies(t *testing.T) {
	pos := config.Pos{File: "/etc/x/gopura.yaml"}
	ip := (&IP{Pos: pos, DenyFile: "d.txt", AllowFile: "/a.txt"}).Files()
	validate := (&Validate{Body: &SchemaSpec{Pos: pos, File: "b.json"}, Query: &SchemaSpec{Pos: pos, Schema: true}}).Files()
	if got := fmt.Sprint(ip, validate); got != "[/a.txt /etc/x/d.txt] [/etc/x/b.json]" {
		t.Error(got)
	}
}
