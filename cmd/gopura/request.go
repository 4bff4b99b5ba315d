package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gopura/exchange"
)

// parseRequest makes the request of the arguments [METHOD] URL.
func parseRequest(args, headers []string, client string) (*exchange.Exchange, error) {
	method, target := "GET", args[len(args)-1]
	if len(args) == 2 {
		method = args[0]
	}
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return nil, fmt.Errorf("--client: %q is no IP address", client)
	}
	if !exchange.ValidName(method) {
		return nil, fmt.Errorf("%q is no method", method)
	}
	peer := netip.AddrPortFrom(addr, 50000)
	x := &exchange.Exchange{Start: time.Now(), Client: &exchange.Client{Addr: peer, Peer: peer, Protocol: "HTTP/1.1"}}
	x.Request.Method, x.Request.Scheme, x.Request.Body = method, "http", exchange.NoBody
	setHost(x, "localhost")
	rest := target
	if scheme, after, ok := strings.Cut(target, "://"); ok && !strings.Contains(scheme, "/") {
		if x.Request.Scheme = strings.ToLower(scheme); x.Request.Scheme != "http" && x.Request.Scheme != "https" {
			return nil, fmt.Errorf("%q: http and https only", target)
		}
		i := strings.IndexAny(after, "/?")
		if i < 0 {
			i = len(after)
		}
		setHost(x, after[:i])
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
	for _, h := range headers {
		if err := setHeader(x, h); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func setHeader(x *exchange.Exchange, field string) error {
	name, value, ok := strings.Cut(field, ":")
	if !ok || !exchange.ValidName(name) {
		return fmt.Errorf("--header: %q is not of the form 'Name: value'", field)
	}
	value = strings.TrimSpace(value)
	if strings.ContainsAny(value, "\r\n\x00") {
		return errors.New("--header: a value has no line breaks")
	}
	if strings.EqualFold(name, "Host") {
		setHost(x, value)
		return nil
	}
	x.Request.Header.Add(name, value)
	return nil
}

// setHost sets the authority, and the host in the form that routes compare.
func setHost(x *exchange.Exchange, authority string) {
	host := strings.ToLower(authority)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	x.Request.Authority, x.Request.Host = []byte(authority), []byte(strings.TrimSuffix(host, "."))
}
