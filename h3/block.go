package h3

import (
	"errors"
	"io"
	"strings"

	"github.com/quic-go/qpack"

	"gopura/exchange"
)

// pseudo is what a header block says beside its fields.
type pseudo struct {
	method, scheme, authority, path, protocol string
	known                                     uint8 // which of them have been seen

	fields   bool   // a field has been seen: no pseudo-header may follow
	length   int64  // content-length; -1: none
	trailers bool   // te: trailers
	host     string // host, beside or in place of :authority
	hosts    int
	expect   string
}

const (
	pseudoMethod = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
)

var (
	errBlockTooLarge  = errors.New("the header block is larger than allowed")
	errPseudo         = errors.New("a pseudo-header is unknown, repeated or out of place")
	errFieldName      = errors.New("a field name is not lower case or no token")
	errFieldValue     = errors.New("a field value has characters that are not allowed")
	errFramingAlias   = errors.New("a field name would be read as that of a framing field by some")
	errConnectionWide = errors.New("a connection-specific field is not allowed in HTTP/3")
	errLength         = errors.New("content-length is not one number")
)

// block decodes one header block.
type block struct {
	header *exchange.Header // where fields go
	head   pseudo
	flaw   error // what is wrong, the first thing
	size   int   // of names and values, decoded
	count  int   // of fields, without pseudo-headers
}

// decode decodes the block raw; its fields are appended to h. The strings that it
// makes are nobody's, so that fields made of them can be kept. What is wrong with
// the message is in b.flaw; the error is one of the compression. As there is no
// table, a block that is too large need not be decoded to its end.
func (b *block) decode(raw []byte, h *exchange.Header, c *Config) error {
	*b = block{header: h, head: pseudo{length: -1}}
	next := qpack.NewDecoder().Decode(raw)
	for b.flaw == nil {
		f, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return &connError{codeDecompression, "a header block can't be decoded"}
		}
		b.size += len(f.Name) + len(f.Value) + len(": \r\n") // as on the wire of HTTP/1
		if !f.IsPseudo() {
			b.count++
		}
		switch {
		case b.size > c.MaxHead || b.count > c.MaxFields:
			b.flaw = errBlockTooLarge
		case f.IsPseudo():
			b.flaw = b.pseudo(f)
		default:
			b.head.fields = true
			b.flaw = b.field(f)
		}
	}
	b.header = nil
	return nil
}

func (b *block) pseudo(f qpack.HeaderField) error {
	var p *string
	var bit uint8
	switch f.Name {
	case ":method":
		p, bit = &b.head.method, pseudoMethod
	case ":scheme":
		p, bit = &b.head.scheme, pseudoScheme
	case ":authority":
		p, bit = &b.head.authority, pseudoAuthority
	case ":path":
		p, bit = &b.head.path, pseudoPath
	case ":protocol":
		p, bit = &b.head.protocol, pseudoProtocol
	}
	// RFC 9114 §4.3: before all fields, none twice, none that is not defined.
	if p == nil || b.head.fields || b.head.known&bit != 0 {
		return errPseudo
	}
	if !exchange.ValidValue(f.Value) {
		return errFieldValue
	}
	*p = f.Value
	b.head.known |= bit
	return nil
}

// field keeps a field, or what it says about the message when it belongs to the
// wire.
func (b *block) field(f qpack.HeaderField) error {
	if !lowerToken(f.Name) {
		return errFieldName
	}
	// White space around a value is forbidden (RFC 9110 §5.5), but clients send it,
	// and HTTP/1 has always dropped it.
	f.Value = strings.Trim(f.Value, " \t")
	if !exchange.ValidValue(f.Value) {
		return errFieldValue
	}
	switch f.Name {
	case "te":
		if f.Value != "trailers" {
			return errConnectionWide // RFC 9114 §4.2
		}
		b.head.trailers = true
		return nil
	case "host":
		b.head.host = f.Value
		b.head.hosts++
		return nil
	case "expect":
		b.head.expect = f.Value
		return nil
	case "content-length":
		return b.length(f.Value)
	case "upgrade", "connection", "keep-alive", "proxy-connection", "transfer-encoding":
		return errConnectionWide // RFC 9114 §4.2
	case "transfer_encoding", "content_length":
		return errFramingAlias
	case "http2-settings", "proxy-authenticate", "proxy-authorization", "proxy-authentication-info":
		return nil
	}
	b.header.AddField(exchange.Field{Name: bytesOf(f.Name), Value: bytesOf(f.Value)})
	return nil
}

func (b *block) length(v string) error {
	if b.head.length >= 0 || !digits(v) {
		return errLength
	}
	b.head.length = 0
	for i := range len(v) {
		b.head.length = b.head.length*10 + int64(v[i]-'0')
	}
	return nil
}

// lowerToken reports whether s is a field name as HTTP/3 has them.
func lowerToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if upper(s[i]) {
			return false
		}
	}
	return exchange.ValidName(s)
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
