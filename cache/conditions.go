package cache

import (
	"bytes"

	"gopura/exchange"
)

// conditions are what a client says it has.
type conditions struct {
	etags []exchange.Field // If-None-Match
	since []exchange.Field // If-Modified-Since
}

// take moves the conditions of a request from its header to c: the service is
// to give the whole answer, which others will be given too.
func (c *conditions) take(h *exchange.Header) {
	c.etags, c.since = c.etags[:0], c.since[:0]
	if !h.Has("If-None-Match") && !h.Has("If-Modified-Since") {
		return
	}
	for _, f := range h.Fields() {
		switch {
		case exchange.EqualFold(f.Name, "if-none-match"):
			c.etags = append(c.etags, f)
		case exchange.EqualFold(f.Name, "if-modified-since"):
			c.since = append(c.since, f)
		}
	}
	h.Del("If-None-Match")
	h.Del("If-Modified-Since")
}

// give puts them back.
func (c *conditions) give(h *exchange.Header) {
	h.Del("If-None-Match")
	h.Del("If-Modified-Since")
	for _, f := range c.etags {
		h.AddField(f)
	}
	for _, f := range c.since {
		h.AddField(f)
	}
}

// has reports whether the client has a already (RFC 9110 §13.2.2).
func has(h *exchange.Header, a *answer) bool {
	if a.status != 200 {
		return false
	}
	asked := false
	for v := range h.Values("If-None-Match") {
		asked = true
		if matches(v, a.etag) {
			return true
		}
	}
	if asked || a.dated == nil || h.Count("If-Modified-Since") != 1 {
		return false
	}
	since, ok1 := parseDate(h.Get("If-Modified-Since"))
	dated, ok2 := parseDate(a.dated)
	return ok1 && ok2 && !dated.After(since)
}

// matches reports whether a list of entity tags has etag in it, compared weakly.
func matches(list, etag []byte) bool {
	if list = bytes.Trim(list, " \t"); len(list) == 1 && list[0] == '*' {
		return true
	}
	if etag == nil {
		return false
	}
	etag = opaque(etag)
	for {
		list = opaque(bytes.TrimLeft(list, ", \t"))
		if len(list) == 0 || list[0] != '"' {
			return false
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if bytes.Equal(list[:end+2], etag) {
			return true
		}
		list = list[end+2:]
	}
}

// opaque is an entity tag without the mark of a weak one.
func opaque(etag []byte) []byte { return bytes.TrimPrefix(etag, []byte("W/")) }

// same reports whether a 304 with that entity tag speaks of a.
func (a *answer) same(etag []byte) bool {
	return etag == nil || a.etag == nil || bytes.Equal(opaque(etag), opaque(a.etag))
}
