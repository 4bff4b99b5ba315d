package exchange

import (
	"bytes"
	"net/netip"
)

// SplitHost checks an authority (uri-host [ ":" port ], RFC 9110 §7.2) and
// returns its host without port and trailing dot; the caller lower-cases it. A
// name is letters, digits, "-", "_" and "."; what RFC 3986 allows beyond that
// (percent-encoding, commas, …) is only ever seen in attacks.
func SplitHost(a []byte) (host []byte, ok bool) {
	if len(a) == 0 || len(a) > 261 {
		return nil, false
	}
	if a[0] == '[' {
		end := bytes.IndexByte(a, ']')
		if end < 0 || !validPort(a[end+1:]) || bytes.IndexByte(a[:end], '%') >= 0 {
			return nil, false
		}
		ip, err := netip.ParseAddr(string(a[1:end]))
		if err != nil || !ip.Is6() {
			return nil, false
		}
		return a[: end+1 : end+1], true
	}
	end := len(a)
	for i, c := range a {
		if c == ':' {
			end = i
			break
		}
		if !hostByte(c) {
			return nil, false
		}
	}
	if !validPort(a[end:]) {
		return nil, false
	}
	host = a[:end:end]
	if n := len(host); n > 1 && host[n-1] == '.' { // "example.com." is the same host
		host = host[:n-1]
	}
	if len(host) == 0 || host[0] == '.' || host[len(host)-1] == '.' {
		return nil, false
	}
	return host, true
}

func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || digit(c) || c == '-' || c == '.' || c == '_'
}

func validPort(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	if p[0] != ':' || len(p) < 2 || len(p) > 6 {
		return false
	}
	n := 0
	for _, c := range p[1:] {
		if !digit(c) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
