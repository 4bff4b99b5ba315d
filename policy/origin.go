package policy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gopura/exchange"
)

// originPattern takes origins as browsers write them (RFC 6454 §6.2): scheme,
// host in lower case, and the port unless it is the scheme's own.
type originPattern struct {
	any    bool
	exact  string
	scheme string // "https://": the pattern has parts
	below  string // ".example.com": any name that ends so
	host   string // without below: this one
	port   string // ":8443", "" or ":*"
	regexp *regexp.Regexp
}

// maxOrigin is longer than every origin: a name has 253 bytes.
const maxOrigin = 512

func (p *originPattern) matches(origin []byte) bool {
	switch {
	case p.any:
		return true
	case len(origin) > maxOrigin:
		return false
	case p.exact != "":
		return string(origin) == p.exact
	case p.regexp != nil:
		return p.regexp.Match(origin)
	}
	if !bytes.HasPrefix(origin, []byte(p.scheme)) {
		return false
	}
	host := origin[len(p.scheme):]
	if p.port == ":*" {
		if i := bytes.LastIndexByte(host, ':'); i >= 0 && isPort(host[i+1:]) {
			host = host[:i]
		}
	} else {
		if !bytes.HasSuffix(host, []byte(p.port)) {
			return false
		}
		host = host[:len(host)-len(p.port)]
	}
	if p.below == "" {
		return string(host) == p.host
	}
	name, ok := bytes.CutSuffix(host, []byte(p.below))
	return ok && isHost(name)
}

// parseOrigin compiles a pattern.
func parseOrigin(o *Origin) (p originPattern, err error) {
	switch {
	case o.Text != "" && o.Regexp != "":
		return p, errors.New("either an origin or a regexp, not both")
	case o.Regexp != "":
		// Alone first: "a)|(b" must not break out of the anchors.
		if _, err = regexp.Compile(o.Regexp); err == nil {
			p.regexp, err = regexp.Compile(`\A(?:` + o.Regexp + `)\z`)
		}
		if err != nil {
			return p, fmt.Errorf("not a regular expression (RE2): %q", o.Regexp)
		}
		return p, nil
	case o.Text == "*":
		return originPattern{any: true}, nil
	case o.Text == "null":
		return originPattern{exact: "null"}, nil
	}
	text := strings.ToLower(o.Text)
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || !isScheme(scheme) {
		return p, fmt.Errorf("an origin is written scheme://host or scheme://host:port, not %q", o.Text)
	}
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host, port = rest[:i], rest[i:]
		if port != ":*" && !isPort([]byte(port[1:])) {
			return p, fmt.Errorf("%q has no valid port", o.Text)
		}
	}
	if scheme == "https" && port == ":443" || scheme == "http" && port == ":80" {
		port = "" // a browser leaves it out
	}
	below, wild := strings.CutPrefix(host, "*")
	switch {
	case strings.IndexByte(rest, '/') == len(rest)-1 && !strings.ContainsAny(rest, "?#@"):
		return p, fmt.Errorf("an origin ends before the path, with no slash: %q", strings.TrimSuffix(o.Text, "/"))
	case strings.ContainsAny(rest, "/?#@"):
		return p, fmt.Errorf("an origin has no path, query or user: %q", o.Text)
	case wild && (!strings.HasPrefix(below, ".") || !isHost([]byte(below[1:]))):
		return p, fmt.Errorf("* stands for the first labels of a host, as in https://*.example.com: %q", o.Text)
	case wild && !strings.Contains(below[1:], ".") && below != ".localhost":
		return p, fmt.Errorf("%q takes in a whole top-level domain", o.Text)
	case !wild && !isHost([]byte(host)) && !isIPv6(host):
		return p, fmt.Errorf("%q has no valid host", o.Text)
	case wild:
		return originPattern{scheme: scheme + "://", below: below, port: port}, nil
	case port == ":*":
		return originPattern{scheme: scheme + "://", host: host, port: port}, nil
	}
	return originPattern{exact: scheme + "://" + host + port}, nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}

// isHost reports whether b is labels of lower-case letters, digits, - and _.
func isHost(b []byte) bool {
	last := byte('.')
	for _, c := range b {
		switch {
		case c == '.' && last == '.':
			return false
		case !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'):
			return false
		}
		last = c
	}
	return last != '.'
}

func isIPv6(s string) bool {
	return len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' && strings.Trim(s[1:len(s)-1], "0123456789abcdef:.") == ""
}

func isPort(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 5
}

// sameOrigin reports whether an origin is that of the request itself, as the
// client sees it.
func sameOrigin(origin []byte, r *exchange.Request) bool {
	scheme, host, ok := bytes.Cut(origin, []byte("://"))
	return ok && exchange.EqualFold(scheme, r.Scheme) && equalAuthority(host, r.Authority, r.Scheme)
}

// equalAuthority compares hosts with ports, a default port being as good as
// none.
func equalAuthority(a, b []byte, scheme string) bool {
	port := []byte(":443")
	if scheme == "http" {
		port = []byte(":80")
	}
	a, b = bytes.TrimSuffix(a, port), bytes.TrimSuffix(b, port)
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
