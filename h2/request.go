package h2

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"unsafe"

	"gopura/exchange"
	"gopura/h1"
)

// fill makes the exchange's request of net/http's, which has checked names,
// values, pseudo-headers and the absence of connection-specific fields. What it
// returns refuses the request; the exchange then holds what was understood.
func (st *stream) fill(r *http.Request) *exchange.Error {
	q := &st.x.Request
	q.Method, q.Scheme = r.Method, "http"
	if st.x.Client.TLS != nil {
		q.Scheme = "https" // a fact of the connection; :scheme is not believed
	}
	q.Authority, q.Target = bytesOf(r.Host), bytesOf(r.RequestURI)
	for _, check := range [...]func(*http.Request) *exchange.Error{st.target, st.host, st.fields, st.body} {
		if e := check(r); e != nil {
			return e
		}
	}
	return nil
}

// target refuses what would not survive a request line of HTTP/1.
func (st *stream) target(r *http.Request) *exchange.Error {
	q := &st.x.Request
	if !exchange.ValidName(r.Method) {
		return exchange.BadRequest.Saying("The method is not a token.")
	}
	if r.Method == "CONNECT" || r.Method == "TRACE" {
		// CONNECT would make an open proxy of a gateway; TRACE hands credentials back.
		return exchange.MethodUnsupported.Because(nil)
	}
	t := q.Target
	if len(t) > st.conf.MaxTarget {
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
	case len(t) == 1 && t[0] == '*' && r.Method == "OPTIONS":
	default:
		return exchange.BadTarget.Because(nil)
	}
	q.Path = t
	if i := strings.IndexByte(r.RequestURI, '?'); i >= 0 {
		q.Path, q.Query = t[:i:i], t[i+1:]
	}
	return nil
}

// host reads :authority, or Host where a client sends only that. RFC 9113
// §8.3.1: a request whose Host differs from :authority is malformed.
func (st *stream) host(r *http.Request) *exchange.Error {
	if hosts := r.Header["Host"]; len(hosts) > 1 || len(hosts) == 1 && !exchange.EqualFold(bytesOf(hosts[0]), r.Host) {
		return exchange.BadHost.Saying("The Host header differs from the :authority of the request.")
	}
	q := &st.x.Request
	host, ok := h1.SplitHost(q.Authority)
	if !ok {
		return exchange.BadHost.Because(nil)
	}
	if slices.ContainsFunc(host, upper) {
		host = st.x.Arena.Copy(host)
		for i, c := range host {
			if upper(c) {
				host[i] = c | 0x20
			}
		}
	}
	q.Host = host
	return nil
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

// fields fills the header, sorted by name: net/http has lost the order.
func (st *stream) fields(r *http.Request) *exchange.Error {
	q := &st.x.Request
	bytes, number := len(q.Target)+len(q.Method), 0
	for _, name := range st.sorted(r.Header) {
		values := r.Header[name]
		number += len(values)
		for _, v := range values {
			bytes += len(name) + len(v) + len(": \r\n") // as on the wire of HTTP/1
		}
		switch name {
		case "Host", "Content-Length", "Http2-Settings", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info":
			continue
		case "Te":
			q.Trailers = len(values) == 1 && values[0] == "trailers"
			continue
		case "Expect": // net/http has taken 100-continue away
			return exchange.ExpectUnknown.Because(nil)
		case "Content_length", "Transfer_encoding":
			return exchange.BadHeader.Saying(name + " would be read as a framing header by some.")
		}
		for _, v := range values {
			q.Header.AddField(exchange.Field{Name: bytesOf(name), Value: bytesOf(v)})
		}
	}
	if bytes > st.conf.MaxHead || number > st.conf.MaxFields {
		q.Header.Truncate()
		return exchange.HeaderTooLarge.Because(nil)
	}
	if r.Trailer != nil { // net/http has turned the announcement into keys
		q.Header.Add("Trailer", strings.Join(st.sorted(r.Trailer), ", "))
	}
	return nil
}

// body checks Content-Length, which net/http reads leniently: the first of
// several, and one that is no number as 0. RFC 9113 §8.1.1: a length that is
// not that of the DATA frames makes the request malformed.
func (st *stream) body(r *http.Request) *exchange.Error {
	if lengths, ok := r.Header["Content-Length"]; ok {
		if len(lengths) != 1 || !digits(lengths[0]) {
			return exchange.BadFraming.Saying("Content-Length must be one number.")
		}
		if r.ContentLength == 0 && strings.Trim(lengths[0], "0") != "" {
			return exchange.BadFraming.Saying("The request has ended before the body that Content-Length announces.")
		}
	}
	switch _, stated := r.Header["Content-Length"]; {
	case r.ContentLength != 0:
		st.x.Request.Body = newRequestBody(st, r)
	case stated:
		// A stated 0 leaves the stream open perhaps: only its end tells that
		// no data follows.
		if _, err := newRequestBody(st, r).Next(); err != io.EOF {
			return exchange.BadFraming.Because(err)
		}
	}
	return nil
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 18
}

// sorted returns the names of h in order. The slice is valid until the next call.
func (st *stream) sorted(h http.Header) []string {
	st.names = st.names[:0]
	for name := range h {
		st.names = append(st.names, name)
	}
	slices.Sort(st.names)
	return st.names
}

// bytesOf views a string as bytes, which nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
