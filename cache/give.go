package cache

import (
	"strconv"
	"time"

	"gopura/exchange"
)

// give answers x from memory. Nothing is copied: who changes the response of an
// exchange puts other fields in their place.
func (h *handler) give(x *exchange.Exchange, a *answer, now time.Time, collapsed bool) {
	r := &x.Response
	r.Made = a.made
	unchanged := has(&x.Request.Header, a)
	for _, f := range a.header.Fields() {
		if unchanged && ofContent(f.Name) {
			continue // RFC 9110 §15.4.5
		}
		r.Header.AddField(f)
	}
	age := a.age(now)
	r.Header.AddBytes("Age", strconv.AppendInt(x.Arena.Grow(12), int64(age/time.Second), 10))
	s := append(x.Arena.Grow(48), "gopura; hit; ttl="...)
	left := a.left(now)
	if left < 0 {
		left -= time.Second - 1 // old by a part of a second is old
	}
	s = strconv.AppendInt(s, int64(left/time.Second), 10)
	if collapsed {
		s = append(s, "; collapsed"...)
	}
	r.Header.AddBytes("Cache-Status", s)
	switch {
	case unchanged:
		r.Status, r.Body = 304, exchange.NoBody
	case x.Request.Method == "HEAD":
		r.Status, r.Body = a.status, exchange.Unread(int64(len(a.body)))
	default:
		r.Status, r.Body = a.status, exchange.BytesBody(a.body)
	}
}

func ofContent(name []byte) bool {
	return len(name) > 12 && (exchange.EqualFold(name, "content-type") || exchange.EqualFold(name, "content-encoding") || exchange.EqualFold(name, "content-language"))
}

// mark says in the response what the cache did (RFC 9211).
func (h *handler) mark(x *exchange.Exchange, why string, stored, collapsed bool) {
	x.Response.Header.AddBytes("Cache-Status", h.appendStatus(x, why, stored, collapsed, x.Response.Status))
}

func (h *handler) appendStatus(x *exchange.Exchange, why string, stored, collapsed bool, status int) []byte {
	s := append(append(x.Arena.Grow(64), "gopura; fwd="...), why...)
	s = strconv.AppendInt(append(s, "; fwd-status="...), int64(status), 10)
	if stored {
		s = append(s, "; stored"...)
	}
	if collapsed {
		s = append(s, "; collapsed"...)
	}
	return s
}
