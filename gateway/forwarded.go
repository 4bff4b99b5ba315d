package gateway

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"

	"gopura/exchange"
)

// introduce replaces what the client says about itself by what the gateway
// knows: forwarded headers, Via and the request id. From a trusted proxy the
// headers are taken over and continued. It runs once for each request, after
// the front end has dropped what Connection names and before any policy. It
// returns the token of a client that asks for an explanation, nil for all others.
func (s *snapshot) introduce(x *exchange.Exchange) (debug []byte) {
	trusted := s.trusts(x.Client.Peer.Addr())
	var c claims
	x.Request.Header.Filter(func(f exchange.Field) bool { return c.take(x, f, trusted) })
	if len(s.asserted) > 0 {
		for _, name := range s.asserted {
			x.Request.Header.DelAlias(name)
		}
	}
	if trails(x) {
		x.Request.Body = &unasserted{x.Request.Body, s.asserted}
	}
	via, debug := c.via, c.debug
	if trusted {
		s.believe(x, c.chain, c.proto)
	} else {
		c = claims{}
	}
	x.ID = requestID(x, c.id)
	assert(x, &c, via)
	return debug
}

// claims is what the headers of a request say about where it comes from.
type claims struct {
	chain, forwarded, proto, host, id, via, debug []byte
}

// take collects the claims and reports whether the field is passed on as it is.
func (c *claims) take(x *exchange.Exchange, f exchange.Field, trusted bool) bool {
	switch claimOf(f.Name) {
	case claimNone:
		return true
	case claimFor:
		c.chain = join(x, c.chain, f.Value)
	case claimForwarded:
		c.forwarded = join(x, c.forwarded, f.Value)
	case claimProto:
		c.proto = f.Value
	case claimHost:
		c.host = f.Value
	case claimID:
		c.id = f.Value
	case claimVia:
		c.via = join(x, c.via, f.Value)
	case claimDebug:
		if c.debug != nil { // one of several is nobody's
			c.debug = []byte{}
			return false
		}
		c.debug = f.Value
	case claimOther:
		return trusted && bytes.IndexByte(f.Name, '_') < 0
	}
	return false
}

// believe takes the client's address and scheme from a trusted proxy's headers.
func (s *snapshot) believe(x *exchange.Exchange, chain, proto []byte) {
	for rest := chain; len(rest) > 0; {
		last := rest
		if i := bytes.LastIndexByte(rest, ','); i >= 0 {
			last, rest = rest[i+1:], rest[:i]
		} else {
			rest = nil
		}
		addr, ok := hopAddr(bytes.TrimSpace(last))
		if !ok {
			break // what can't be read can't be believed, nor what stands before it
		}
		x.SetClientAddr(netip.AddrPortFrom(addr, 0))
		if !s.trusts(addr) {
			break
		}
	}
	switch {
	case exchange.EqualFold(proto, "https"):
		x.Request.Scheme = "https"
	case exchange.EqualFold(proto, "http"):
		x.Request.Scheme = "http"
	}
}

// assert writes the gateway's own headers.
func assert(x *exchange.Exchange, c *claims, via []byte) {
	h, chain, forwarded, host := &x.Request.Header, c.chain, c.forwarded, c.host
	peer := x.Arena.Grow(len(chain) + 48)
	if len(chain) > 0 {
		peer = append(append(peer, chain...), ", "...)
	}
	at := len(peer)
	peer = x.Client.Peer.Addr().Unmap().AppendTo(peer)
	h.AddBytes("X-Forwarded-For", peer)
	h.Add("X-Forwarded-Proto", x.Request.Scheme)
	if len(host) == 0 {
		host = x.Request.Authority
	}
	if len(host) > 0 {
		h.AddBytes("X-Forwarded-Host", host)
	}
	f := x.Arena.Grow(len(forwarded) + len(x.Request.Authority) + 80)
	if len(forwarded) > 0 {
		f = append(append(f, forwarded...), ", "...)
	}
	h.AddBytes("Forwarded", appendForwarded(f, peer[at:], x))
	v := x.Arena.Grow(len(via) + 16)
	if len(via) > 0 {
		v = append(append(v, via...), ", "...)
	}
	h.AddBytes("Via", append(append(v, viaVersion(x.Client.Protocol)...), " gopura"...))
	h.AddBytes("X-Request-Id", x.ID)
}

// appendForwarded appends one RFC 7239 element.
func appendForwarded(dst, addr []byte, x *exchange.Exchange) []byte {
	dst = append(dst, "for="...)
	if bytes.IndexByte(addr, ':') >= 0 {
		dst = append(append(append(dst, "\"["...), addr...), "]\""...)
	} else {
		dst = append(dst, addr...)
	}
	if len(x.Request.Authority) > 0 {
		dst = append(append(append(dst, ";host=\""...), x.Request.Authority...), '"')
	}
	return append(append(dst, ";proto="...), x.Request.Scheme...)
}

func viaVersion(protocol string) string {
	switch protocol {
	case "HTTP/2.0":
		return "2.0"
	case "HTTP/3.0":
		return "3.0"
	}
	return "1.1"
}

func (s *snapshot) trusts(a netip.Addr) bool {
	if len(s.trusted) == 0 {
		return false
	}
	a = a.Unmap() // ::ffff:10.0.0.1 is 10.0.0.1
	for _, p := range s.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// hopAddr parses an element of X-Forwarded-For: an address, perhaps with a port.
func hopAddr(b []byte) (netip.Addr, bool) {
	if len(b) == 0 || len(b) > 64 {
		return netip.Addr{}, false
	}
	text := string(b)
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

// requestID continues a trusted proxy's id or makes one: 128 random bits.
func requestID(x *exchange.Exchange, id []byte) []byte {
	if len(id) > 0 && len(id) <= 128 && plainID(id) {
		return id
	}
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	return hex.AppendEncode(x.Arena.Grow(32), raw[:])
}

func plainID(id []byte) bool {
	for _, c := range id {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':' || c == '/' || c == '+' || c == '=') {
			return false
		}
	}
	return true
}

func join(x *exchange.Exchange, list, v []byte) []byte {
	if list == nil {
		return v
	}
	b := x.Arena.Grow(len(list) + len(v) + 2)
	return append(append(append(b, list...), ", "...), v...)
}

// claim is a kind of header by which a client or proxy asserts something that
// only the gateway or a trusted proxy may.
type claim uint8

const (
	claimNone claim = iota
	claimFor
	claimForwarded
	claimProto
	claimHost
	claimID
	claimVia
	claimDebug
	claimOther
)

// claimOf classifies a header name. '_' counts as '-': an upstream behind CGI
// can't tell them apart.
func claimOf(name []byte) claim {
	if len(name) < 3 {
		return claimNone
	}
	switch name[0] | 0x20 {
	case 'x':
		if name[1] != '-' && name[1] != '_' {
			return claimNone
		}
		return claimX(name)
	case 'f':
		if len(name) == 9 && exchange.EqualFold(name, "forwarded") {
			return claimForwarded
		}
	case 'v':
		if len(name) == 3 && exchange.EqualFold(name, "via") {
			return claimVia
		}
	case 'g':
		if alias(name, "gopura-debug") {
			return claimDebug
		}
	case 't':
		if alias(name, "true-client-ip") {
			return claimOther
		}
	case 'c':
		if alias(name, "client-ip") || alias(name, "cf-connecting-ip") {
			return claimOther
		}
	}
	return claimNone
}

func claimX(name []byte) claim {
	const prefix = "x-forwarded-"
	if len(name) > len(prefix) && alias(name[:len(prefix)], prefix) {
		switch rest := name[len(prefix):]; {
		case bytes.IndexByte(name, '_') >= 0:
			return claimOther
		case exchange.EqualFold(rest, "for"):
			return claimFor
		case exchange.EqualFold(rest, "proto"):
			return claimProto
		case exchange.EqualFold(rest, "host"):
			return claimHost
		}
		return claimOther
	}
	if alias(name, "x-request-id") {
		return claimID
	}
	for _, s := range [...]string{
		"x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-url", "x-rewrite-url", "x-original-host",
		"x-original-forwarded-for", "x-http-method-override", "x-http-method", "x-method-override", "x-envoy-original-path",
		"x-envoy-external-address", "x-forwarded", "x-host",
	} {
		if alias(name, s) {
			return claimOther
		}
	}
	return claimNone
}

// alias reports whether name is s, without regard to case, '_' taken as '-'.
func alias(name []byte, s string) bool {
	if len(name) != len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := name[i]
		switch {
		case c == '_':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
