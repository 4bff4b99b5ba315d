package h1

import (
	"bytes"

	"gopura/exchange"
)

// Limits bounds what a peer may send before it is believed. Zero fields take
// the defaults.
type Limits struct {
	Head    int // bytes of start line and fields
	Fields  int // number of field lines
	Target  int // bytes of the request target
	Trailer int // bytes of a trailer section
}

// DefaultLimits are the limits of the zero Limits.
var DefaultLimits = Limits{Head: 32 << 10, Fields: 100, Target: 8 << 10, Trailer: 8 << 10}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	if l.Head > 0 {
		d.Head = l.Head
	}
	if l.Fields > 0 {
		d.Fields = l.Fields
	}
	if l.Target > 0 {
		d.Target = l.Target
	}
	if l.Trailer > 0 {
		d.Trailer = l.Trailer
	}
	return d
}

// maxConnectionLines bounds the Connection fields of one message.
const maxConnectionLines = 8

// framing is what a message says about its own length and its connection. None
// of it reaches the Header: it belongs to the wire.
type framing struct {
	length     int64 // Content-Length, -1 when absent
	chunked    bool
	close      bool // Connection: close
	keepAlive  bool // Connection: keep-alive
	upgrade    bool // Connection: upgrade
	minor      byte // HTTP/1.minor
	hosts      int  // number of Host fields
	te         int  // number of Transfer-Encoding fields
	host       []byte
	protocol   []byte // Upgrade
	expect     []byte
	trailers   bool // TE: trailers
	connection [maxConnectionLines][]byte
	lines      int // used of connection
}

// nextLine returns the line that starts at b[pos:] without its CRLF, and where
// the next one starts; next is 0 while the line is incomplete. A line ends with
// CRLF and nothing else: RFC 9112 §2.2 lets a recipient accept a bare LF, which
// is how requests are smuggled past those that don't.
func nextLine(b []byte, pos int) (line []byte, next int, ok bool) {
	i := bytes.IndexByte(b[pos:], '\n')
	if i < 0 {
		return nil, 0, true
	}
	if i == 0 || b[pos+i-1] != '\r' {
		return nil, 0, false
	}
	return b[pos : pos+i-1], pos + i + 1, true
}

// field parses one field line: token ":" OWS value OWS (RFC 9112 §5). A line
// that starts with white space (obs-fold) or has any before the colon fails as
// a name that is no token.
func field(line []byte) (f exchange.Field, ok bool) {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !exchange.ValidName(line[:colon]) {
		return f, false
	}
	v := line[colon+1:]
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	if !exchange.ValidValue(v) {
		return f, false
	}
	return exchange.Field{Name: line[:colon:colon], Value: v[:len(v):len(v)]}, true
}

// Names that the wire owns, sorted by length in the switch of take.
const (
	nameTE          = "te"
	nameHost        = "host"
	nameExpect      = "expect"
	nameUpgrade     = "upgrade"
	nameConnection  = "connection"
	nameKeepAlive   = "keep-alive"
	nameLength      = "content-length"
	nameHTTP2       = "http2-settings"
	nameProxyConn   = "proxy-connection"
	nameEncoding    = "transfer-encoding"
	nameProxyAuth   = "proxy-authenticate"
	nameProxyAuthz  = "proxy-authorization"
	nameProxyAuthIn = "proxy-authentication-info"
)

// take handles the fields that belong to the wire and reports whether f was
// one of them: it is then not forwarded (RFC 9110 §7.6.1).
func (m *framing) take(f exchange.Field) (mine bool, err *exchange.Error) {
	name := f.Name
	switch len(name) {
	case 2:
		if exchange.EqualFold(name, nameTE) {
			m.trailers = m.trailers || hasToken(f.Value, "trailers")
			return true, nil
		}
	case 4:
		if exchange.EqualFold(name, nameHost) {
			m.hosts++
			m.host = f.Value
			return true, nil
		}
	case 6:
		if exchange.EqualFold(name, nameExpect) {
			if m.expect != nil {
				return true, exchange.ExpectUnknown.Because(nil)
			}
			m.expect = f.Value
			return true, nil
		}
	case 7:
		if exchange.EqualFold(name, nameUpgrade) {
			if m.protocol != nil { // a list over several lines: no single protocol
				m.protocol = []byte{','}
			} else {
				m.protocol = f.Value
			}
			return true, nil
		}
	case 10:
		if exchange.EqualFold(name, nameConnection) {
			return true, m.takeConnection(f.Value)
		}
		return exchange.EqualFold(name, nameKeepAlive), nil
	case 14:
		if exchange.EqualFold(name, nameLength) {
			return true, m.takeLength(f.Value)
		}
		if bytes.EqualFold(name, []byte("content_length")) {
			return true, exchange.BadHeader.Saying("Content_Length would be read as Content-Length by some.")
		}
		return exchange.EqualFold(name, nameHTTP2), nil
	case 16:
		return exchange.EqualFold(name, nameProxyConn), nil
	case 17:
		if exchange.EqualFold(name, nameEncoding) {
			// Only ever "chunked", once: every other form has been read in two
			// ways by somebody (RFC 9112 §6.1).
			if m.te++; m.te > 1 || !exchange.EqualFold(f.Value, "chunked") {
				return true, exchange.BadFraming.Saying("Transfer-Encoding must be chunked, once.")
			}
			m.chunked = true
			return true, nil
		}
		if bytes.EqualFold(name, []byte("transfer_encoding")) {
			return true, exchange.BadHeader.Saying("Transfer_Encoding would be read as Transfer-Encoding by some.")
		}
	case 18:
		return exchange.EqualFold(name, nameProxyAuth), nil
	case 19:
		return exchange.EqualFold(name, nameProxyAuthz), nil
	case 25:
		return exchange.EqualFold(name, nameProxyAuthIn), nil
	}
	return false, nil
}

// takeLength parses Content-Length: digits, once (RFC 9112 §6.3 would let
// equal repetitions pass; one reading is safer than two that agree today).
func (m *framing) takeLength(v []byte) *exchange.Error {
	n, ok := exchange.ParseLength(v)
	if !ok || m.length >= 0 {
		return exchange.BadFraming.Saying("Content-Length must be one number.")
	}
	m.length = n
	return nil
}

func (m *framing) takeConnection(v []byte) *exchange.Error {
	if m.lines == maxConnectionLines {
		return exchange.BadHeader.Saying("Too many Connection lines.")
	}
	m.connection[m.lines] = v
	m.lines++
	for t := range tokens(v) {
		switch {
		case exchange.EqualFold(t, "close"):
			m.close = true
		case exchange.EqualFold(t, "keep-alive"):
			m.keepAlive = true
		case exchange.EqualFold(t, "upgrade"):
			m.upgrade = true
		}
	}
	return nil
}

// strip removes from h what the Connection fields name. It runs before anybody
// else sees the header, so it can't take what the gateway adds later.
func (m *framing) strip(h *exchange.Header) {
	for _, v := range m.connection[:m.lines] {
		for t := range tokens(v) {
			switch {
			case exchange.EqualFold(t, "close"), exchange.EqualFold(t, "keep-alive"), exchange.EqualFold(t, "upgrade"):
			case !exchange.ValidName(t): // bytes.EqualFold knows that KELVIN SIGN is a k
			default:
				h.Filter(func(f exchange.Field) bool { return !bytes.EqualFold(f.Name, t) })
			}
		}
	}
}

// check applies RFC 9112 §6.1: a message that states its length in two ways is
// an attack or a bug, and is not repaired.
func (m *framing) check() *exchange.Error {
	if m.chunked && m.length >= 0 {
		return exchange.BadFraming.Saying("Content-Length and Transfer-Encoding exclude each other.")
	}
	if m.chunked && m.minor == 0 {
		return exchange.BadFraming.Saying("HTTP/1.0 has no Transfer-Encoding.")
	}
	return nil
}

// tokens iterates over the elements of a comma-separated list.
func tokens(v []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(v) > 0 {
			part := v
			if i := bytes.IndexByte(v, ','); i >= 0 {
				part, v = v[:i], v[i+1:]
			} else {
				v = nil
			}
			for len(part) > 0 && (part[0] == ' ' || part[0] == '\t') {
				part = part[1:]
			}
			for len(part) > 0 && (part[len(part)-1] == ' ' || part[len(part)-1] == '\t') {
				part = part[:len(part)-1]
			}
			if len(part) > 0 && !yield(part) {
				return
			}
		}
	}
}

func hasToken(v []byte, token string) bool {
	for t := range tokens(v) {
		if exchange.EqualFold(t, token) {
			return true
		}
	}
	return false
}
