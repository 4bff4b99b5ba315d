package identity

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"gopura/exchange"
)

// question is the CheckRequest about a request (attribute_context.proto). The
// numbers are those of the contract.
func (a *extAuthz) question(x *exchange.Exchange) (message, error) {
	http, err := a.httpRequest(x)
	if err != nil {
		return nil, err
	}
	var stamp, request, attributes, ask message
	stamp.number(1, x.Start.Unix())
	stamp.number(2, int64(x.Start.Nanosecond()))
	request.message(1, stamp)
	request.message(2, http)

	attributes.message(1, peer(x.Client.Addr, principal(x)))
	attributes.message(2, peer(x.Client.Local, ""))
	attributes.message(4, request)
	attributes = append(attributes, a.extensions...)
	if t := x.Client.TLS; t != nil {
		var session message
		session.text(1, t.ServerName)
		attributes.message(12, session)
	}
	ask.message(1, attributes)
	return ask, nil
}

// peer is one end of the connection, with the name that its certificate proves.
func peer(at netip.AddrPort, principal string) message {
	var socket, address, p message
	if at.IsValid() {
		socket.text(2, at.Addr().Unmap().WithZone("").String())
		socket.number(3, int64(at.Port()))
		address.message(1, socket)
		p.message(1, address)
	}
	p.text(4, principal)
	return p
}

// principal is the client's name by its certificate, as the contract wants it:
// the first URI, else the first host name, else the subject. Of a certificate
// that was not verified nothing is believed.
func principal(x *exchange.Exchange) string {
	t := x.Client.TLS
	if t == nil || len(t.VerifiedChains) == 0 || len(t.PeerCertificates) == 0 {
		return ""
	}
	return sanitized(nameOf(t.PeerCertificates[0]))
}

func nameOf(c *x509.Certificate) string {
	for _, kind := range []string{"uri", "dns"} {
		if names := namesOf(c, kind); len(names) > 0 {
			return names[0]
		}
	}
	return c.Subject.String()
}

// httpRequest is the request itself. Path and query are one, and the fields
// of HTTP/2 stand among the others, as Envoy has it.
func (a *extAuthz) httpRequest(x *exchange.Exchange) (message, error) {
	r := &x.Request
	path := string(r.Path)
	if r.Query != nil {
		path += "?" + string(r.Query)
	}
	path = ascii(path)
	host := sanitized(string(r.Authority))
	fields := a.fields(&r.Header)
	for name, value := range map[string]string{
		":method": r.Method, ":path": path, ":authority": host, ":scheme": r.Scheme,
		"x-forwarded-for": x.Client.Addr.Addr().Unmap().WithZone("").String(), "x-forwarded-proto": r.Scheme, "x-request-id": string(x.ID),
	} {
		if a.hears(name) {
			fields[name] = value
		}
	}
	var m message
	m.text(1, string(x.ID))
	m.text(2, r.Method)
	m.text(4, path)
	m.text(5, host)
	m.text(6, r.Scheme)
	m.number(9, r.Body.Len()) // -1: nobody knows
	m.text(10, protocol(x.Client.Protocol))
	if a.settings.Body > 0 {
		body, whole, err := a.body(x)
		if err != nil {
			return nil, err
		}
		fields["x-envoy-auth-partial-body"] = "false"
		if !whole {
			fields["x-envoy-auth-partial-body"] = "true"
		}
		if a.settings.Bytes {
			m.text(12, string(body))
		} else {
			m.text(11, string(body))
		}
	}
	for name, value := range fields {
		m.entry(3, name, value)
	}
	return m, nil
}

// protocol is the version as Envoy calls it.
func protocol(name string) string {
	switch name {
	case "HTTP/2.0":
		return "HTTP/2"
	case "HTTP/3.0":
		return "HTTP/3"
	}
	return name
}

func (a *extAuthz) hears(name string) bool {
	return (a.send == nil || name[0] == ':' || slices.Contains(a.send, name)) && !slices.Contains(a.hide, name)
}

// fields are the header fields that the service hears, in lower case, those of
// one name joined (RFC 9110 §5.3; cookies by RFC 9113 §8.2.3).
func (a *extAuthz) fields(h *exchange.Header) map[string]string {
	fields := map[string]string{}
	for _, f := range h.Fields() {
		name := strings.ToLower(string(f.Name))
		if !a.hears(name) {
			continue
		}
		value := sanitized(string(f.Value))
		if before, there := fields[name]; there {
			by := ","
			if name == "cookie" {
				by = "; "
			}
			value = before + by + value
		}
		fields[name] = value
	}
	return fields
}

var errNotText = errors.New("a body that is not UTF-8 can't be shown to the service as a text")

// body is what the service hears of the body. It hears all of it, or the
// request does not pass, unless partial says otherwise: what the service would
// refuse must not be behind what it hears.
func (a *extAuthz) body(x *exchange.Exchange) (body []byte, whole bool, err error) {
	limit := int64(a.settings.Body)
	if x.Request.Body.Len() > limit && !a.settings.Partial {
		return nil, false, exchange.BodyTooLarge.Because(nil)
	}
	body, whole, err = exchange.KeepBody(x, limit)
	switch {
	case err != nil:
		return nil, false, err
	case !whole && !a.settings.Partial:
		return nil, false, exchange.BodyTooLarge.Because(nil)
	case !whole:
		body = body[:limit]
	}
	if a.settings.Bytes {
		return body, whole, nil
	}
	for cut := 0; !whole && cut < utf8.UTFMax-1 && !utf8.Valid(body) && len(body) > 0; cut++ {
		body = body[:len(body)-1] // the limit may lie within a character
	}
	if !utf8.Valid(body) {
		return nil, false, exchange.BadRequest.Because(errNotText)
	}
	return body, whole, nil
}

// sanitized is a text as a message can hold it: what is not UTF-8 becomes !, as
// Envoy does it.
func sanitized(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b.WriteByte('!')
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// ascii is a path with every other byte percent-encoded: nothing is lost.
func ascii(s string) string {
	const hex = "0123456789ABCDEF"
	if i := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }); i < 0 {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
