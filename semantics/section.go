package semantics

import (
	"strings"

	"gopura/exchange"
)

// Limits bounds a header or trailer section before it is believed.
type Limits struct {
	Bytes  int // of names and values, decoded
	Fields int // without pseudo-headers
}

// Head is what a section says beside the fields that are passed on.
type Head struct {
	Method, Scheme, Authority, Path, Protocol, Status string

	Pseudo   uint8  // which pseudo-headers are there: bits
	Length   int64  // content-length; -1: none
	Trailers bool   // te: trailers
	Host     string // host, beside or in place of :authority
	Hosts    int
	Expect   string
}

// Bits of Head.Pseudo.
const (
	hasMethod = 1 << iota
	hasScheme
	hasAuthority
	hasPath
	hasProtocol
	hasStatus
)

// Flaw is what is wrong with a section or a message: it is malformed, too large, or
// read in two ways by some.
type Flaw string

func (f Flaw) Error() string { return string(f) }

// What may be wrong with a section, and with the body behind a head.
const (
	TooLarge       = Flaw("the header block is larger than allowed")
	badPseudo      = Flaw("a pseudo-header is unknown, repeated or out of place")
	badName        = Flaw("a field name is not lower case or no token")
	badValue       = Flaw("a field value has characters that are not allowed")
	framingAlias   = Flaw("a field name would be read as that of a framing field by some")
	connectionWide = Flaw("a connection-specific field is not allowed in HTTP/2 and HTTP/3")
	badLength      = Flaw("content-length is not one number")
	TooMuch        = Flaw("more data than content-length announces")
	TooLittle      = Flaw("less data than content-length announces")
)

// Section takes the fields of one header or trailer section, in order. A section with
// a Flaw may be given more of them: they only count.
type Section struct {
	Head
	Flaw error // what is wrong, the first thing: a Flaw

	header *exchange.Header // where fields go
	limits Limits
	size   int
	count  int  // of fields, without pseudo-headers
	fields bool // a field has been seen: no pseudo-header may follow
}

// Start makes s ready for a section whose fields are appended to h.
func (s *Section) Start(h *exchange.Header, l Limits) {
	*s = Section{Head: Head{Length: -1}, header: h, limits: l}
}

// Field takes one field. Name and value are strings that nobody overwrites, so that
// fields made of them can be kept.
func (s *Section) Field(name, value string) {
	pseudo := len(name) > 0 && name[0] == ':'
	s.size += len(name) + len(value) + len(": \r\n") // as on the wire of HTTP/1
	if !pseudo {
		s.count++
	}
	switch {
	case s.Flaw != nil:
	case s.size > s.limits.Bytes || s.count > s.limits.Fields:
		s.Flaw = TooLarge
	case pseudo:
		s.pseudo(name, value)
	default:
		s.fields = true
		s.field(name, value)
	}
}

// Size is how many bytes the fields had so far, also those that only count.
func (s *Section) Size() int { return s.size }

func (s *Section) pseudo(name, value string) {
	var p *string
	var bit uint8
	switch name {
	case ":method":
		p, bit = &s.Method, hasMethod
	case ":scheme":
		p, bit = &s.Scheme, hasScheme
	case ":authority":
		p, bit = &s.Authority, hasAuthority
	case ":path":
		p, bit = &s.Path, hasPath
	case ":protocol":
		p, bit = &s.Protocol, hasProtocol
	case ":status":
		p, bit = &s.Status, hasStatus
	}
	switch {
	// RFC 9113 §8.3, RFC 9114 §4.3: before all fields, none twice, none that is not defined.
	case p == nil || s.fields || s.Pseudo&bit != 0:
		s.Flaw = badPseudo
	case !exchange.ValidValue(value):
		s.Flaw = badValue
	default:
		*p = value
		s.Pseudo |= bit
	}
}

// field keeps a field, or what it says about the message when it belongs to the wire.
func (s *Section) field(name, value string) {
	if !lowerToken(name) { // RFC 9113 §8.2.1, RFC 9114 §4.2
		s.Flaw = badName
		return
	}
	// RFC 9113 §8.2.1. White space around a value is forbidden too, but peers send it,
	// and HTTP/1 has always dropped it.
	value = strings.Trim(value, " \t")
	if !exchange.ValidValue(value) {
		s.Flaw = badValue
		return
	}
	if !s.take(name, value) {
		s.header.AddField(exchange.Field{Name: bytesOf(name), Value: bytesOf(value)})
	}
}

// take handles the fields that belong to the wire, and reports whether it was one of
// them: it is then not passed on (RFC 9110 §7.6.1).
func (s *Section) take(name, value string) bool {
	switch len(name) { // most names need no comparison
	case 2:
		if name == "te" {
			if s.Trailers = value == "trailers"; !s.Trailers {
				s.Flaw = connectionWide // RFC 9113 §8.2.2, RFC 9114 §4.2
			}
			return true
		}
	case 4:
		if name == "host" {
			s.Host = value
			s.Hosts++
			return true
		}
	case 6:
		if name == "expect" {
			s.Expect = value
			return true
		}
	case 7, 10, 16, 17:
		switch name {
		case "upgrade", "connection", "keep-alive", "proxy-connection", "transfer-encoding":
			s.Flaw = connectionWide // RFC 9113 §8.2.2, RFC 9114 §4.2
			return true
		case "transfer_encoding":
			s.Flaw = framingAlias
			return true
		}
	case 14:
		switch name {
		case "content-length":
			s.length(value)
			return true
		case "content_length":
			s.Flaw = framingAlias
			return true
		case "http2-settings":
			return true
		}
	case 18, 19, 25:
		switch name {
		case "proxy-authenticate", "proxy-authorization", "proxy-authentication-info":
			return true
		}
	}
	return false
}

func (s *Section) length(value string) {
	n, ok := exchange.ParseLength(value)
	if !ok || s.Length >= 0 {
		s.Flaw = badLength
		return
	}
	s.Length = n
}

// AsTrailer returns what is wrong with s as a trailer section (RFC 9113 §8.1,
// RFC 9114 §4.3), nil when it is one.
func (s *Section) AsTrailer() error {
	if s.Flaw == nil && s.Pseudo != 0 {
		return badPseudo
	}
	return s.Flaw
}

// AnswerStatus reads :status, the one pseudo-header of a response (RFC 9113 §8.3.2).
func (h *Head) AnswerStatus() (status int, ok bool) {
	v := h.Status
	if h.Pseudo != hasStatus || len(v) != 3 || v[0] < '1' || v[0] > '9' || v[1] < '0' || v[1] > '9' || v[2] < '0' || v[2] > '9' {
		return 0, false
	}
	return int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0'), true
}

// lowerToken reports whether s is a field name as HTTP/2 and HTTP/3 have them.
func lowerToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if upper(s[i]) {
			return false
		}
	}
	return exchange.ValidName(s)
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }
