package h3

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
	"unsafe"

	"gopura/exchange"
	"gopura/h1"
)

// errNothing: the stream ended, or was reset, before there was a request.
var errNothing = errors.New("no request came")

// readHead reads up to the end of the header block. An *exchange.Error refuses the
// request; a connError ends the connection; errNothing is not worth a record.
func (st *stream) readHead() error {
	c := st.c
	st.str.SetReadDeadline(time.Now().Add(c.conf.HeadTimeout))
	for {
		kind, length, err := st.in.frame()
		if err != nil {
			return st.noHead(err)
		}
		switch {
		case kind == frameHeaders:
			return st.readBlock(length)
		case placed(kind):
			return errUnexpectedFrame // RFC 9114 §4.1
		}
		if err := c.spend(costUnknown); err != nil {
			return err
		}
		if err := st.in.skip(length); err != nil {
			return st.noHead(err)
		}
	}
}

func (st *stream) noHead(err error) error {
	switch {
	case !st.in.any:
	case errors.Is(err, os.ErrDeadlineExceeded):
		return exchange.RequestTimeout.Errorf("no request head within %s", st.c.conf.HeadTimeout)
	case err == io.ErrUnexpectedEOF:
		return errTruncatedFrame // RFC 9114 §7.1
	}
	return errNothing
}

// readBlock reads a HEADERS frame, and decodes it.
func (st *stream) readBlock(length uint64) error {
	x := &st.x
	x.Start = time.Now()
	x.Now = x.Start
	err := st.gather(length)
	switch {
	case err == errBlockTooLarge:
		return exchange.HeaderTooLarge.Because(err)
	case err != nil:
		return st.noHead(err)
	}
	return st.block.decode(st.raw, &x.Request.Header, st.c.conf)
}

// gather reads a header block into raw. What is announced need not come.
func (st *stream) gather(length uint64) error {
	st.raw = st.raw[:0]
	if length > 4*uint64(st.c.conf.MaxHead) {
		return errBlockTooLarge
	}
	for left := length; left > 0; {
		p, err := st.in.chunk(left)
		if err != nil {
			return unexpected(err)
		}
		st.raw = append(st.raw, p...)
		left -= uint64(len(p))
	}
	return nil
}

// fill makes the exchange's request of what the header block said. What it
// returns refuses the request; the exchange then holds what was understood. A
// malformed one is reset and not answered (RFC 9114 §4.1.2).
func (st *stream) fill() (e *exchange.Error, malformed bool) {
	q, h := &st.x.Request, &st.block.head
	q.Method, q.Trailers = h.method, h.trailers
	q.Authority, q.Target = bytesOf(h.authority), bytesOf(h.path)
	if h.known&pseudoAuthority == 0 && h.hosts > 0 {
		q.Authority = bytesOf(h.host)
	}
	switch flaw := st.block.flaw; flaw {
	case nil:
	case errBlockTooLarge:
		q.Header.Truncate()
		return exchange.HeaderTooLarge.Because(flaw), false
	case errLength:
		return exchange.BadFraming.Saying("Content-Length must be one number."), false
	case errFramingAlias:
		return exchange.BadHeader.Saying("A field would be read as a framing header by some."), false
	case errPseudo:
		return exchange.BadRequest.Because(flaw), true
	default:
		return exchange.BadHeader.Because(flaw), true
	}
	if e, malformed := st.pseudo(); e != nil {
		return e, malformed
	}
	for _, check := range [...]func() *exchange.Error{st.target, st.host, st.framing} {
		if e := check(); e != nil {
			return e, false
		}
	}
	st.cookie()
	return nil, false
}

// pseudo checks which pseudo-headers are there (RFC 9114 §4.3.1, RFC 9220 §3).
func (st *stream) pseudo() (e *exchange.Error, malformed bool) {
	h := &st.block.head
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
	case bytes.IndexByte(st.x.Request.Authority, '@') >= 0: // §4.3.1: no userinfo
		return exchange.BadHost.Because(nil), true
	}
	return nil, false
}

// target refuses what would not survive a request line of HTTP/1.
func (st *stream) target() *exchange.Error {
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
	// RFC 9114 §4.3.1: :path is origin-form, or "*" with OPTIONS.
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

// host reads :authority, or Host where a client sends only that. RFC 9114
// §4.3.1: a request whose Host differs from :authority is malformed.
func (st *stream) host() *exchange.Error {
	q, h := &st.x.Request, &st.block.head
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

// framing gives the request its body, and a tunnel its place for one.
func (st *stream) framing() *exchange.Error {
	q, h := &st.x.Request, &st.block.head
	if h.expect != "" && !exchange.EqualFold(bytesOf(h.expect), "100-continue") {
		return exchange.ExpectUnknown.Because(nil)
	}
	if h.known&pseudoProtocol != 0 {
		return st.upgrade()
	}
	st.body.start(h.length)
	if h.length == 0 || h.length < 0 && bodiless(q.Method) || st.in.ended() {
		// In HTTP/3 only the end of the stream tells that no data follows. It comes
		// with the head or soon after.
		if e := st.peek(); e != nil {
			return e
		}
		if st.body.done && st.body.tail.Len() == 0 {
			st.letGo()
			return nil
		}
	}
	q.ExpectContinue = h.expect != "" && h.length != 0
	st.body.expect = q.ExpectContinue
	// Between the messages of a stream any time may pass; the connection tells
	// whether the client is there.
	st.body.silent = q.Method == "POST" && exchange.IsGRPC(q.Header.Get("Content-Type"))
	q.Body = &st.body
	return nil
}

// bodiless says which requests have no body, as a rule.
func bodiless(method string) bool {
	switch method {
	case "GET", "HEAD", "DELETE", "OPTIONS":
		return true
	}
	return false
}

// peek waits for what follows the head: the end, or something.
func (st *stream) peek() *exchange.Error {
	switch err := st.body.advance(); {
	case err == nil:
		return nil
	case errors.Is(err, errTooLittle), errors.Is(err, errTooMuch):
		return exchange.BadFraming.Saying("The body of the request is not as long as Content-Length announces.")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return exchange.RequestTimeout.Errorf("no end of the request head within %s", st.c.conf.HeadTimeout)
	default:
		return exchange.AsError(st.body.broken(err))
	}
}

// cookie joins the parts of a cookie that came as fields of their own, where the
// first of them stands (RFC 9114 §4.2.1).
func (st *stream) cookie() {
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

// bytesOf views a string as bytes, which nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf views bytes as a string, for as long as nobody writes to them.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
