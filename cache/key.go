package cache

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"gopura/exchange"
)

// request is what the cache knows of a request.
type request struct {
	key         []byte // of the resource; with the fields that its answers differ by once they are known
	mark        []byte // under which it waits for others
	whole       bool   // the service is to give all of it, whatever the client has
	credentials Credentials
	slot        *atomic.Uint32
	generation  uint32
	conditions  conditions
}

// examine fills q, and reports whether the request may be answered from memory,
// or its answer kept. What may change the answer and is not in the key makes it
// none of our business.
func (h *handler) examine(x *exchange.Exchange, q *request) bool {
	c, r := &h.cache.rules, &x.Request
	if r.Upgrade != nil || r.Body.Len() != 0 { // a GET with a body may be about what is in it
		return false
	}
	if r.Method == "GET" && !c.Get || r.Method == "HEAD" && !c.Head {
		return false
	}
	for _, f := range r.Header.Fields() {
		switch kindOf(f.Name) {
		case passing:
			return false
		case controlling:
			if parseControl(&r.Header).noStore {
				return false
			}
		case overriding:
			if !c.Everything && !containsFold(c.Vary, f.Name) {
				return false
			}
		case authorizing:
			q.credentials |= Authorization
		case cookie:
			q.credentials |= Cookie
		case apiKey:
			q.credentials |= APIKey
		}
	}
	if x.Identity != nil && !x.Identity.Anonymous {
		q.credentials |= Identity
	}
	if c.Bypass != nil && c.Bypass(x) {
		return false
	}
	q.credentials &^= c.Ignore
	h.appendKey(x, q)
	q.slot = h.cache.storage.set.slot(r.Authority, r.Path)
	q.generation = q.slot.Load()
	return true
}

// fieldKind is what a request field means to a cache.
type fieldKind uint8

const (
	harmless    fieldKind = iota
	passing               // asks for a part, or under a condition: for the service to answer
	controlling           // Cache-Control
	overriding            // services are known to heed it, and to answer something else for it
	authorizing
	cookie
	apiKey
)

// kindOf looks at the length or the beginning first: most fields are none of these.
func kindOf(name []byte) fieldKind {
	is := func(s string) bool { return exchange.EqualFold(name, s) }
	switch {
	case len(name) > 2 && name[0]|0x20 == 'x' && (name[1] == '-' || name[1] == '_'):
		return kindOfOwn(name)
	case len(name) == 5 && is("range"), len(name) == 8 && (is("if-match") || is("if-range")), len(name) == 19 && is("if-unmodified-since"):
		return passing
	case len(name) == 6 && is("cookie"):
		return cookie
	case len(name) == 13 && is("cache-control"):
		return controlling
	case len(name) == 13 && is("authorization"), len(name) == 19 && is("proxy-authorization"):
		return authorizing
	}
	return harmless
}

// overrides are beginnings of fields that frameworks take for another host,
// path or method than the request has.
var overrides = []string{"x-original-", "x-rewrite-", "x-http-", "x-method-", "x-host", "x-override-"}

// kindOfOwn is kindOf of a name that begins with X-, or X_, which many services
// can't tell from it. X-Forwarded-* is in the key: what comes from no trusted
// proxy has been taken out.
func kindOfOwn(name []byte) fieldKind {
	switch {
	case exchange.EqualFold(name, "x-api-key"):
		return apiKey
	case exchange.EqualFold(name, "x-original-forwarded-for"):
		return harmless
	}
	for _, s := range overrides {
		if begins(name, s) {
			return overriding
		}
	}
	return harmless
}

// begins compares without case, and '_' as '-'.
func begins(name []byte, s string) bool {
	if len(name) < len(s) {
		return false
	}
	for i := range len(s) {
		c := name[i]
		if c == '_' {
			c = '-'
		}
		if c != s[i] && c|0x20 != s[i] {
			return false
		}
	}
	return true
}

// covered are the credentials that are in the key.
func (c *Cache) covered(vary []string) (list Credentials) {
	if c.rules.Everything {
		return AllCredentials
	}
	for _, names := range [][]string{c.rules.Vary, vary} {
		for _, n := range names {
			switch n {
			case "authorization":
				list |= Authorization
			case "cookie":
				list |= Cookie
			case "x-api-key":
				list |= APIKey
			}
		}
	}
	return list
}

// appendKey makes the key of x: what is forwarded, and what the rules add. Each
// part has its length before it, so that no two requests share a key by what
// their parts are made of.
func (h *handler) appendKey(x *exchange.Exchange, q *request) {
	c, r := &h.cache.rules, &x.Request
	n := 64 + len(h.cache.prefix) + len(r.Authority) + len(r.Path) + len(r.Query)
	k := append(x.Arena.Grow(n), h.cache.prefix...)
	k = appendText(k, r.Scheme)
	k = appendPart(k, r.Authority)
	k = appendPart(k, r.Path)
	if r.Query != nil { // "/a?" is not "/a"
		k = appendPart(append(k, '?'), r.Query)
	}
	if c.Everything {
		k = appendAll(k, &r.Header)
	} else {
		k = appendForwarded(k, &r.Header)
	}
	for _, name := range c.Vary {
		k = appendField(k, &r.Header, name)
	}
	if c.Key != nil {
		at := len(k)
		k = append(k, 0, 0, 0, 0)
		k = c.Key(k, x)
		binary.BigEndian.PutUint32(k[at:], uint32(len(k)-at-4))
	}
	if c.PerIdentity {
		if id := x.Identity; id != nil && !id.Anonymous && id.Sub != "" {
			k = appendText(appendText(append(k, 'i'), id.Name), id.Sub)
			q.credentials = 0 // all that they prove is who that is
		}
	}
	q.key = k
}

func appendPart(k, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(k, uint32(len(part))), part...)
}

func appendText(k []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint32(k, uint32(len(part))), part...)
}

// appendField appends the values of a request field. Of Accept-Encoding only
// that counts which codings are taken.
func appendField(k []byte, h *exchange.Header, name string) []byte {
	if name == "accept-encoding" {
		if a := exchange.AcceptEncoding(h); !a.Other {
			if !a.Present {
				return append(k, 'n')
			}
			return append(k, 'c', a.Set())
		}
	}
	k = append(k, 'f')
	for _, f := range h.Fields() {
		if exchange.EqualFold(f.Name, name) {
			k = appendPart(append(k, 'v'), f.Value)
		}
	}
	return append(k, '.')
}

// appendForwarded appends what links in an answer may be made of: host, port and
// path as a trusted proxy or strip_prefix say, and not who is asking.
func appendForwarded(k []byte, h *exchange.Header) []byte {
	for _, f := range h.Fields() {
		if n := len(f.Name); n > 12 && begins(f.Name, "x-forwarded-") && !exchange.EqualFold(f.Name, "x-forwarded-for") {
			k = appendPart(appendPart(append(k, 'x'), bytes.ToLower(f.Name[12:])), f.Value)
		}
	}
	return append(k, '.')
}

// appendAll appends all that is sent, but what differs for every request.
func appendAll(k []byte, h *exchange.Header) []byte {
	for _, f := range h.Fields() {
		switch kind := len(f.Name); {
		case kind == 12 && exchange.EqualFold(f.Name, "x-request-id"),
			kind == 11 && exchange.EqualFold(f.Name, "traceparent"),
			kind == 10 && exchange.EqualFold(f.Name, "tracestate"),
			kind == 13 && exchange.EqualFold(f.Name, "if-none-match"),
			kind == 17 && exchange.EqualFold(f.Name, "if-modified-since"):
		default:
			k = appendPart(appendPart(append(k, 'h'), bytes.ToLower(f.Name)), f.Value)
		}
	}
	return append(k, '.')
}

// appendVariant appends what the answers of a resource differ by.
func appendVariant(x *exchange.Exchange, of []byte, names []string) []byte {
	h := &x.Request.Header
	k := append(x.Arena.Grow(len(of)+48*len(names)), of...) // the resource's own key is still needed
	k = append(k, 'V')
	for _, name := range names {
		k = appendField(appendText(k, name), h, name)
	}
	return k
}

func containsFold(names []string, name []byte) bool {
	for _, n := range names {
		if exchange.EqualFold(name, n) {
			return true
		}
	}
	return false
}
