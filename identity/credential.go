package identity

import (
	"bytes"
	"errors"
	"net/url"

	"gopura/exchange"
)

// authorization returns the credentials of an Authorization field with this
// scheme (RFC 9110 §11.6.2). Several Authorization fields are refused: who reads
// the first and who reads the last would see different clients.
func authorization(x *exchange.Exchange, scheme string) ([]byte, error) {
	h := &x.Request.Header
	v := h.Get("Authorization")
	if v == nil {
		return nil, None
	}
	if h.Count("Authorization") > 1 {
		return nil, exchange.IdentityInvalid.Because(errors.New("more than one Authorization field"))
	}
	if len(v) < len(scheme) || !exchange.EqualFold(v[:len(scheme)], scheme) {
		return nil, None
	}
	rest := v[len(scheme):]
	if len(rest) > 0 && rest[0] != ' ' {
		return nil, None // the name of another scheme begins like this one
	}
	return bytes.Trim(rest, " "), nil
}

// parameter is one name=value of a query, as sent.
type parameter struct {
	name, value []byte
	whole       []byte
}

// parameters iterates over the parameters of a query.
func parameters(query []byte) func(yield func(parameter) bool) {
	return func(yield func(parameter) bool) {
		for len(query) > 0 {
			part := query
			if i := bytes.IndexByte(query, '&'); i >= 0 {
				part, query = query[:i], query[i+1:]
			} else {
				query = nil
			}
			p := parameter{name: part, whole: part}
			if i := bytes.IndexByte(part, '='); i >= 0 {
				p.name, p.value = part[:i], part[i+1:]
			}
			if !yield(p) {
				return
			}
		}
	}
}

// is reports whether the name of the parameter decodes to this one.
func (p parameter) is(name string) bool {
	if string(p.name) == name {
		return true
	}
	if bytes.IndexByte(p.name, '%') < 0 && bytes.IndexByte(p.name, '+') < 0 {
		return false
	}
	s, err := url.QueryUnescape(string(p.name))
	return err == nil && s == name
}

// queryCredential returns the decoded value of the query parameter name; None
// when there is none. It hides the value in what records show of the target,
// and takes it out of what the upstream gets unless keep is set.
func queryCredential(x *exchange.Exchange, name string, keep bool) (string, error) {
	var found []byte
	n := 0
	for p := range parameters(x.Request.Query) {
		if p.is(name) {
			found = p.value
			n++
		}
	}
	if n == 0 {
		return "", None
	}
	if i := bytes.IndexByte(x.Request.Target, '?'); i >= 0 {
		t := append(x.Arena.Grow(len(x.Request.Target)+8), x.Request.Target[:i+1]...)
		x.Request.Target = withoutParameter(t, x.Request.Target[i+1:], name, true)
	}
	if !keep {
		q := withoutParameter(x.Arena.Grow(len(x.Request.Query)), x.Request.Query, name, false)
		if len(q) == 0 {
			q = nil
		}
		x.Request.Query = q
	}
	if n > 1 {
		return "", exchange.IdentityInvalid.Because(errors.New("the parameter with the credential is there twice"))
	}
	value, err := url.QueryUnescape(string(found))
	if err != nil {
		return "", exchange.IdentityInvalid.Because(errors.New("the parameter with the credential is not well encoded"))
	}
	return value, nil
}

// withoutParameter appends query without the parameter of that name, or with
// *** in the place of its value.
func withoutParameter(dst, query []byte, name string, mask bool) []byte {
	from := len(dst)
	for p := range parameters(query) {
		if p.is(name) && !mask {
			continue
		}
		if len(dst) > from {
			dst = append(dst, '&')
		}
		if p.is(name) {
			dst = append(append(dst, p.name...), "=***"...)
		} else {
			dst = append(dst, p.whole...)
		}
	}
	return dst
}

// cookies iterates over the cookies of a request (RFC 6265 §5.4; over HTTP/2 a
// client may send several Cookie fields).
func cookies(x *exchange.Exchange) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		for line := range x.Request.Header.Values("Cookie") {
			for pair := range bytes.SplitSeq(line, []byte{';'}) {
				pair = bytes.Trim(pair, " \t")
				if i := bytes.IndexByte(pair, '='); i > 0 && !yield(pair[:i], pair[i+1:]) {
					return
				}
			}
		}
	}
}

// dropCookies takes cookies out of the request.
func dropCookies(x *exchange.Exchange, drop func(name []byte) bool) {
	h := &x.Request.Header
	size, hit := 0, false
	for name := range cookies(x) {
		hit = hit || drop(name)
	}
	if !hit {
		return
	}
	for v := range h.Values("Cookie") {
		size += len(v) + 2
	}
	kept := x.Arena.Grow(size)
	for name, value := range cookies(x) {
		if drop(name) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, "; "...)
		}
		kept = append(append(append(kept, name...), '='), value...)
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.AddBytes("Cookie", kept)
	}
}
