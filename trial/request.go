package trial

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gopura/exchange"
)

// NewRequest makes an exchange that can be tried: the request of a method and a
// URL, or a path on localhost, from a client at an address.
func NewRequest(method, target string, client netip.Addr) (*exchange.Exchange, error) {
	if !exchange.ValidName(method) {
		return nil, fmt.Errorf("%q is no method", method)
	}
	peer := netip.AddrPortFrom(client, 50000)
	x := &exchange.Exchange{Start: time.Now(), Client: &exchange.Client{Addr: peer, Peer: peer, Protocol: "HTTP/1.1"}}
	x.Request.Method, x.Request.Scheme, x.Request.Body = method, "http", exchange.NoBody
	SetHost(x, "localhost")
	rest := target
	if scheme, after, ok := strings.Cut(target, "://"); ok && !strings.Contains(scheme, "/") {
		if x.Request.Scheme = strings.ToLower(scheme); x.Request.Scheme != "http" && x.Request.Scheme != "https" {
			return nil, fmt.Errorf("%q: http and https only", target)
		}
		i := strings.IndexAny(after, "/?")
		if i < 0 {
			i = len(after)
		}
		SetHost(x, after[:i])
		if rest = after[i:]; rest == "" || rest[0] == '?' {
			rest = "/" + rest
		}
	}
	if !strings.HasPrefix(rest, "/") {
		return nil, fmt.Errorf("%q is no URL: http://host/path or /path is expected", target)
	}
	path, query, has := strings.Cut(rest, "?")
	x.Request.Target, x.Request.Path = []byte(rest), []byte(path)
	if has {
		x.Request.Query = []byte(query)
	}
	return x, nil
}

// SetHeader adds a field to the request, or sets its host.
func SetHeader(x *exchange.Exchange, name, value string) error {
	if !exchange.ValidName(name) {
		return fmt.Errorf("%q is no name of a field", name)
	}
	if value = strings.TrimSpace(value); !exchange.ValidValue(value) {
		return fmt.Errorf("%s: a value has no line breaks", name)
	}
	if strings.EqualFold(name, "Host") {
		SetHost(x, value)
		return nil
	}
	x.Request.Header.Add(name, value)
	return nil
}

// SetHost sets the authority, and the host in the form that routes compare.
func SetHost(x *exchange.Exchange, authority string) {
	host := strings.ToLower(authority)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	x.Request.Authority, x.Request.Host = []byte(authority), []byte(strings.TrimSuffix(host, "."))
}
