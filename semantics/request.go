package semantics

import (
	"bytes"
	"unsafe"

	"gopura/exchange"
)

// Request makes the exchange's request of the head that a section held, whose flaw it
// is told. What it returns refuses the request; the exchange then holds what was
// understood. A malformed one is reset and not answered (RFC 9113 §8.1.1,
// RFC 9114 §4.1.2). The body is the engine's to add; see Tunnels and Upgrade.
func (h *Head) Request(x *exchange.Exchange, flaw error, maxTarget int) (e *exchange.Error, malformed bool) {
	q := &x.Request
	q.Method, q.Trailers = h.Method, h.Trailers
	q.Authority, q.Target = bytesOf(h.Authority), bytesOf(h.Path)
	if h.Pseudo&hasAuthority == 0 && h.Hosts > 0 {
		q.Authority = bytesOf(h.Host)
	}
	switch flaw {
	case nil:
	case TooLarge:
		q.Header.Truncate()
		return exchange.HeaderTooLarge.Because(flaw), false
	case badLength:
		return exchange.BadFraming.Saying("Content-Length must be one number."), false
	case framingAlias:
		return exchange.BadHeader.Saying("A field would be read as a framing header by some."), false
	case badPseudo:
		return exchange.BadRequest.Because(flaw), true
	default:
		return exchange.BadHeader.Because(flaw), true
	}
	if e, malformed := h.pseudo(q); e != nil {
		return e, malformed
	}
	if e := target(q, maxTarget); e != nil {
		return e, false
	}
	if e := h.host(x); e != nil {
		return e, false
	}
	if h.Expect != "" && !exchange.EqualFold(bytesOf(h.Expect), "100-continue") {
		return exchange.ExpectUnknown.Because(nil), false
	}
	cookie(x)
	return nil, false
}

// Expects reports whether the client waits for 100 before it sends the body of which
// the head speaks (RFC 9110 §10.1.1).
func (h *Head) Expects() bool { return h.Expect != "" && h.Length != 0 }

// pseudo checks which pseudo-headers are there (RFC 9113 §8.3.1, RFC 9114 §4.3.1,
// RFC 8441 §4, RFC 9220 §3).
func (h *Head) pseudo(q *exchange.Request) (e *exchange.Error, malformed bool) {
	const whole = hasMethod | hasScheme | hasPath
	has := h.Pseudo &^ hasAuthority
	switch {
	case h.Method == "CONNECT" && has == hasMethod:
		// It would make an open proxy of a gateway.
		return exchange.MethodUnsupported.Because(nil), false
	case h.Method == "CONNECT" && has == whole|hasProtocol && h.Pseudo&hasAuthority != 0:
	case h.Method != "CONNECT" && has == whole:
	default:
		return exchange.BadRequest.Because(badPseudo), true
	}
	switch {
	case h.Scheme != "http" && h.Scheme != "https":
		return exchange.BadRequest.Errorf("scheme %q", h.Scheme), true
	case h.Path == "":
		return exchange.BadTarget.Because(nil), true
	case bytes.IndexByte(q.Authority, '@') >= 0: // RFC 9113 §8.3.1: no userinfo
		return exchange.BadHost.Because(nil), true
	}
	return nil, false
}

// target refuses what would not survive a request line of HTTP/1.
func target(q *exchange.Request, maxTarget int) *exchange.Error {
	t := q.Target
	switch {
	case !exchange.ValidMethod(q.Method):
		return exchange.BadRequest.Saying("The method is not a token.")
	case q.Method == "TRACE": // it hands credentials back
		return exchange.MethodUnsupported.Because(nil)
	case len(t) > maxTarget:
		return exchange.TargetTooLong.Because(nil)
	case !exchange.ValidTarget(t):
		return exchange.BadTarget.Because(nil)
	// RFC 9113 §8.3.1, RFC 9114 §4.3.1: :path is origin-form, or "*" with OPTIONS.
	case t[0] == '/':
	case len(t) == 1 && t[0] == '*' && q.Method == "OPTIONS":
	default:
		return exchange.BadTarget.Because(nil)
	}
	q.Path, q.Query = exchange.SplitTarget(t)
	return nil
}

// host reads :authority, or Host where a client sends only that. A request whose Host
// differs from :authority is malformed (RFC 9113 §8.3.1, RFC 9114 §4.3.1).
func (h *Head) host(x *exchange.Exchange) *exchange.Error {
	q := &x.Request
	if h.Hosts > 1 || h.Hosts == 1 && !exchange.EqualFold(q.Authority, h.Host) {
		return exchange.BadHost.Saying("The Host header differs from the :authority of the request.")
	}
	host, ok := exchange.SplitHost(q.Authority)
	if !ok {
		return exchange.BadHost.Because(nil)
	}
	q.Host = lowered(host, func(b []byte) []byte { return x.Arena.Copy(b) })
	return nil
}

// lowered returns b in lower case: itself, where it is, or else what it makes of a copy.
func lowered(b []byte, copied func([]byte) []byte) []byte {
	for i, c := range b {
		if upper(c) {
			b = copied(b)
			for ; i < len(b); i++ {
				if upper(b[i]) {
					b[i] |= 0x20
				}
			}
			return b
		}
	}
	return b
}

// cookie joins the parts of a cookie that came as fields of their own, where the first
// of them stands (RFC 9113 §8.2.3, RFC 9114 §4.2.1).
func cookie(x *exchange.Exchange) {
	h := &x.Request.Header
	if h.Count("cookie") < 2 {
		return
	}
	n := 0
	for v := range h.Values("cookie") {
		n += len(v) + len("; ")
	}
	all := x.Arena.Grow(n)
	for v := range h.Values("cookie") {
		if len(all) > 0 {
			all = append(all, "; "...)
		}
		all = append(all, v...)
	}
	h.SetBytes("cookie", all)
}

// bytesOf views a string as bytes, which nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf views bytes as a string, for as long as nobody writes to them.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
