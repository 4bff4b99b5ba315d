package h2

import (
	"bytes"
	"unsafe"

	"gopura/exchange"
	"gopura/h1"
)

// fill makes the exchange's request of what the header block said. What it
// returns refuses the request; the exchange then holds what was understood. A
// malformed one is reset and not answered (RFC 9113 §8.1.1).
func (st *serverStream) fill() (e *exchange.Error, malformed bool) {
	q, h := &st.x.Request, &st.head
	q.Method, q.Trailers = h.method, h.trailers
	q.Authority, q.Target = bytesOf(h.authority), bytesOf(h.path)
	if h.known&pseudoAuthority == 0 && h.hosts > 0 {
		q.Authority = bytesOf(h.host)
	}
	switch st.flaw {
	case nil:
	case errBlockTooLarge:
		q.Header.Truncate()
		return exchange.HeaderTooLarge.Because(st.flaw), false
	case errLength:
		return exchange.BadFraming.Saying("Content-Length must be one number."), false
	case errFramingAlias:
		return exchange.BadHeader.Saying("A field would be read as a framing header by some."), false
	case errPseudo:
		return exchange.BadRequest.Because(st.flaw), true
	default:
		return exchange.BadHeader.Because(st.flaw), true
	}
	if e, malformed := st.pseudo(); e != nil {
		return e, malformed
	}
	for _, check := range [...]func() *exchange.Error{st.target, st.host, st.limits, st.framing} {
		if e := check(); e != nil {
			return e, false
		}
	}
	st.cookie()
	return nil, false
}

// What has to be there, as bits of pseudo.known.
const (
	pseudoMethod    = 1
	pseudoScheme    = 2
	pseudoAuthority = 4
	pseudoPath      = 8
	pseudoProtocol  = 16
	pseudoStatus    = 32
)

// pseudo checks which pseudo-headers are there (RFC 9113 §8.3.1, RFC 8441 §4).
func (st *serverStream) pseudo() (e *exchange.Error, malformed bool) {
	h := &st.head
	const whole = pseudoMethod | pseudoScheme | pseudoPath
	known := h.known &^ pseudoAuthority
	switch {
	case h.method == "CONNECT" && known == pseudoMethod:
		// It would make an open proxy of a gateway.
		return exchange.MethodUnsupported.Because(nil), false
	case h.method == "CONNECT" && known == whole|pseudoProtocol && h.known&pseudoAuthority != 0:
	case h.method != "CONNECT" && known == whole:
	default:
		return exchange.BadRequest.Because(errPseudo), true
	}
	switch {
	case h.scheme != "http" && h.scheme != "https":
		return exchange.BadRequest.Errorf("scheme %q", h.scheme), true
	case h.path == "":
		return exchange.BadTarget.Because(nil), true
	case bytes.IndexByte(st.x.Request.Authority, '@') >= 0: // §8.3.1: no userinfo
		return exchange.BadHost.Because(nil), true
	}
	return nil, false
}

// target refuses what would not survive a request line of HTTP/1.
func (st *serverStream) target() *exchange.Error {
	q := &st.x.Request
	if !exchange.ValidName(q.Method) {
		return exchange.BadRequest.Saying("The method is not a token.")
	}
	if q.Method == "TRACE" { // it hands credentials back
		return exchange.MethodUnsupported.Because(nil)
	}
	t := q.Target
	if len(t) > st.c.conf.MaxTarget {
		return exchange.TargetTooLong.Because(nil)
	}
	for _, c := range t {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return exchange.BadTarget.Because(nil)
		}
	}
	// RFC 9113 §8.3.1: :path is origin-form, or "*" with OPTIONS.
	switch {
	case t[0] == '/':
	case len(t) == 1 && t[0] == '*' && q.Method == "OPTIONS":
	default:
		return exchange.BadTarget.Because(nil)
	}
	q.Path = t
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		q.Path, q.Query = t[:i:i], t[i+1:]
	}
	return nil
}

// host reads :authority, or Host where a client sends only that. RFC 9113
// §8.3.1: a request whose Host differs from :authority is malformed.
func (st *serverStream) host() *exchange.Error {
	q, h := &st.x.Request, &st.head
	if h.hosts > 1 || h.hosts == 1 && !exchange.EqualFold(q.Authority, h.host) {
		return exchange.BadHost.Saying("The Host header differs from the :authority of the request.")
	}
	host, ok := h1.SplitHost(q.Authority)
	if !ok {
		return exchange.BadHost.Because(nil)
	}
	for _, c := range host {
		if upper(c) {
			host = st.x.Arena.Copy(host)
			for i, c := range host {
				if upper(c) {
					host[i] = c | 0x20
				}
			}
			break
		}
	}
	q.Host = host
	return nil
}

func (st *serverStream) limits() *exchange.Error {
	if st.fields > st.c.conf.MaxFields {
		st.x.Request.Header.Truncate()
		return exchange.HeaderTooLarge.Because(nil)
	}
	return nil
}

// framing gives the request its body, and a tunnel its place for one.
func (st *serverStream) framing() *exchange.Error {
	q, h := &st.x.Request, &st.head
	if h.expect != "" && !exchange.EqualFold(bytesOf(h.expect), "100-continue") {
		return exchange.ExpectUnknown.Because(nil)
	}
	if h.known&pseudoProtocol != 0 {
		return st.upgrade()
	}
	if st.empty {
		if h.length > 0 {
			return exchange.BadFraming.Saying("The request has ended before the body that Content-Length announces.")
		}
		return nil
	}
	q.ExpectContinue = h.expect != "" && h.length != 0
	st.body.start(h.length, q.ExpectContinue)
	// Between the messages of a stream any time may pass; PINGs tell whether the
	// client is there.
	st.body.silent = q.Method == "POST" && exchange.StreamsMessages(q.Header.Get("Content-Type"))
	q.Body = &st.body
	return nil
}

// cookie joins the parts of a cookie that came as fields of their own, where the
// first of them stands (RFC 9113 §8.2.3).
func (st *serverStream) cookie() {
	q := &st.x.Request
	if q.Header.Count("cookie") < 2 {
		return
	}
	n := 0
	for v := range q.Header.Values("cookie") {
		n += len(v) + 2
	}
	all := st.x.Arena.Grow(n)
	for v := range q.Header.Values("cookie") {
		if len(all) > 0 {
			all = append(all, "; "...)
		}
		all = append(all, v...)
	}
	q.Header.SetBytes("cookie", all)
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 18
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

// bytesOf views a string as bytes, which nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
