package upstream

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gopura/exchange"
)

// spec is a target as configured, and the addresses that it stands for.
type spec struct {
	TargetSpec
	network   string // tcp or unix
	host      string // of the URL
	port      string
	lookup    bool // host is a name
	tls       bool
	http2     bool   // by its scheme
	authority string // Host for `host: target`

	// Under the service's mutex.
	addresses []string // what to dial
	at        time.Time
	err       error // of the last lookup
}

// parseSpec reads http://host[:port], https://host[:port], unix:/path and, for
// HTTP/2, grpc://host[:port] and h2c://host[:port] in cleartext and
// grpcs://host[:port].
func parseSpec(t TargetSpec) (*spec, error) {
	fail := func(format string, args ...any) (*spec, error) {
		return nil, fmt.Errorf("target %q: %s", t.URL, fmt.Sprintf(format, args...))
	}
	if t.Weight < 1 || t.Weight > 1e6 {
		return fail("weight %d is not between 1 and 1000000", t.Weight)
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return fail("not a URL")
	}
	sp := &spec{TargetSpec: t, network: "tcp"}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" {
			return fail("want unix:/path/to/socket")
		}
		sp.network, sp.authority, sp.addresses = "unix", "localhost", []string{u.Path}
		return sp, nil
	case "http":
		sp.port = "80"
	case "https":
		sp.port, sp.tls = "443", true
	case "grpc", "h2c":
		sp.port, sp.http2 = "80", true
	case "grpcs":
		sp.port, sp.tls, sp.http2 = "443", true, true
	default:
		return fail("want http, https, grpc, grpcs or h2c://host:port, or unix:/path")
	}
	if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fail("only scheme, host and port are used here")
	}
	if sp.host = u.Hostname(); sp.host == "" {
		return fail("has no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fail("port %s is not between 1 and 65535", p)
		}
		sp.port = p
	}
	sp.authority = u.Host
	if i := strings.IndexByte(u.Host, '%'); i >= 0 && u.Host[0] == '[' {
		sp.authority = u.Host[:i] + u.Host[strings.IndexByte(u.Host, ']'):] // RFC 6874 §1: a zone means nothing to the other side
	}
	if _, ok := exchange.SplitHost([]byte(sp.authority)); !ok {
		return fail("%q is no host: letters, digits, - and ., or an address", sp.host)
	}
	if addr, err := netip.ParseAddr(sp.host); err == nil {
		sp.addresses = []string{net.JoinHostPort(addr.Unmap().String(), sp.port)}
	} else {
		sp.lookup = true
	}
	return sp, nil
}

// scheme is that of the URLs which targets of sp are asked for.
func (sp *spec) scheme() string {
	if sp.tls {
		return "https"
	}
	return "http"
}

// transport returns how to reach one address of sp.
func (s *Service) transport(sp *spec, address string) TransportSpec {
	t := TransportSpec{
		Network: sp.network, Address: address, Dial: s.options.Dial,
		ConnectTimeout: s.set.Timeouts.Connect, ResponseTimeout: s.set.Timeouts.Response, IdleTimeout: s.set.Timeouts.Idle,
		MaxConns: s.set.Connections.Max, MaxIdle: s.set.Connections.Idle,
		HTTP2: sp.http2 || s.set.HTTP2,
	}
	switch s.set.Host {
	case "", "preserve":
	case "target":
		t.Authority = sp.authority
	default:
		t.Authority = s.set.Host
	}
	if sp.tls {
		if s.set.TLS != nil {
			t.TLS = s.set.TLS.Clone()
		} else {
			t.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if t.TLS.ServerName == "" {
			t.TLS.ServerName = strings.TrimSuffix(sp.host, ".")
		}
	}
	return t
}
