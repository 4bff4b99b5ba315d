package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Check is the rule of a listener.
func (l *Listener) Check(at *At) {
	if why := addressFault(l.Address); why != "" {
		hint := ""
		if slices.Contains([]string{"address", "tls", "http"}, l.Name) {
			hint = "listen takes a map of names: listen: {main: {address: …, tls: …}}"
		} else if !at.secret("address") {
			hint = addressHint(l.Address, "8080")
		}
		at.Hint(hint, "address", "%s is no address to listen on: %s", at.Shown("address", l.Address), why)
	}
	if len(l.HTTP) == 0 {
		at.Problem("http", "name at least one version")
	}
	if i := slices.Index(l.HTTP, "3"); i >= 0 {
		at := func(format, hint string) { at.Hint(hint, "http["+strconv.Itoa(i)+"]", "%s", format) }
		switch {
		case l.TLS == nil:
			at("HTTP/3 is always encrypted, and the listener speaks no TLS", "set tls, or leave 3 out")
		case len(l.HTTP) == 1:
			at("clients learn of HTTP/3 from answers over TCP, and none are given", "http: [1.1, 2, 3]")
		}
	}
	if l.Redirect != nil && l.TLS != nil {
		at.Problem("redirect", "a listener that speaks TLS has nothing to redirect to https")
	}
	for i := range repeated(l.HTTP, itself) {
		at.Problem("http["+strconv.Itoa(i)+"]", "the version %s is named twice", l.HTTP[i])
	}
}

// Check is the rule of the administrative listener.
func (a *Admin) Check(at *At) {
	if why := addressFault(a.Address); why != "" {
		hint := ""
		if !at.secret("address") {
			hint = addressHint(a.Address, "9900")
		}
		at.Hint(hint, "address", "%s is no address to listen on: %s", at.Shown("address", a.Address), why)
		return
	}
	host, _, _ := net.SplitHostPort(a.Address)
	if a.Token.IsZero() && !isLoopback(host) {
		at.Hint("set admin.token, or listen on 127.0.0.1", "address", "other machines may reach this address, and there is no token")
	}
	for i, host := range a.Hosts {
		if why := hostFault(host, false); why != "" {
			at.Problem("hosts["+strconv.Itoa(i)+"]", "not a host name: %s", why)
		}
	}
}

// addressHint is what was meant by an address that has only one of its halves;
// usual is the port of one that has none.
func addressHint(text, usual string) string {
	host, port := text, usual
	if isDigits(text) {
		host, port = "", text
	}
	meant := net.JoinHostPort(strings.Trim(host, "[]"), port)
	if addressFault(meant) != "" {
		return ""
	}
	return "did you mean " + quote(meant) + "?"
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// ephemeral reports whether the system picks the port, so that an address may
// be listened on twice.
func ephemeral(address string) bool { return strings.HasSuffix(address, ":0") }

// addressFault says what is wrong with an address to listen on, or "". It
// names no part of the address.
func addressFault(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "expected host:port or :port"
	}
	if why := portFault(port, 0); why != "" {
		return why
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return hostFault(host, false)
		}
	}
	return ""
}

func portFault(port string, least int) string {
	n, err := strconv.Atoi(port)
	if err != nil || n < least || n > 65535 || !isDigits(port) {
		return "the port must be a number between " + strconv.Itoa(least) + " and 65535"
	}
	return ""
}

// hostFault says what is wrong with a host name, or "". A wildcard stands for
// the labels on the left: *.example.com.
func hostFault(host string, wildcard bool) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		if addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]")); err == nil && addr.Is6() {
			return ""
		}
	}
	if strings.Contains(host, ":") {
		return "a host without port is expected"
	}
	if rest, ok := strings.CutPrefix(host, "*."); ok && wildcard {
		host = rest
	}
	host = strings.TrimSuffix(host, ".")
	switch {
	case host == "":
		return "it is empty"
	case len(host) > 253:
		return "it is too long"
	case strings.Contains(host, "*"):
		if wildcard {
			return "* stands for the first labels only: *.example.com"
		}
		return "no wildcard is allowed here"
	}
	for label := range strings.SplitSeq(host, ".") {
		bad := strings.IndexFunc(label, func(r rune) bool { return r >= 0x80 || r != '-' && !wordByte(byte(r)) })
		switch {
		case label == "":
			return "a label is empty"
		case len(label) > 63:
			return "a label is too long"
		case bad >= 0:
			return "letters, digits and - only"
		}
	}
	return ""
}
