package h2

import (
	"errors"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gopura/exchange"
)

// blockLimits bounds a header block before it is believed.
type blockLimits struct {
	bytes  int // of names and values, decoded
	fields int
}

// block decodes header blocks, one at a time: HEADERS, and the CONTINUATION
// frames that follow it. What it returns are strings that nobody overwrites, so
// fields made of them can be kept.
//
// A block that is malformed or too large is decoded to its end all the same,
// because the compression state of the connection depends on it; up to a point,
// where the connection is given up.
type block struct {
	lim     blockLimits
	decoder *hpack.Decoder
	header  *exchange.Header // where fields go

	head  pseudo
	flaw  error // what is wrong, the first thing
	size  int
	count int
	raw   int // bytes before decompression
	parts int // frames
}

// pseudo is what a block says beside its fields.
type pseudo struct {
	method, scheme, authority, path, protocol, status string
	known                                             uint8 // which of them have been seen

	fields   bool   // a field has been seen: no pseudo-header may follow
	length   int64  // content-length; -1: none
	trailers bool   // te: trailers
	te       bool   // te: something else
	host     string // host, beside or in place of :authority
	hosts    int
	expect   string
}

var (
	errBlockTooLarge  = errors.New("the header block is larger than allowed")
	errPseudo         = errors.New("a pseudo-header is unknown, repeated or out of place")
	errFieldName      = errors.New("a field name is not lower case or no token")
	errFieldValue     = errors.New("a field value has characters that are not allowed")
	errFramingAlias   = errors.New("a field name would be read as that of a framing field by some")
	errConnectionWide = errors.New("a connection-specific field is not allowed in HTTP/2")
	errLength         = errors.New("content-length is not one number")
)

func (b *block) init(lim blockLimits) {
	b.lim = lim
	b.decoder = hpack.NewDecoder(4096, b.emit)
	b.decoder.SetMaxStringLength(max(lim.bytes, 1<<10))
}

// read decodes the block that begins with f; its fields are appended to h. It
// reads the CONTINUATION frames from l. An error means that the connection can't
// go on; what is wrong with the block itself is in b.flaw.
func (b *block) read(l *link, f *http2.HeadersFrame, h *exchange.Header) error {
	b.header, b.head, b.flaw = h, pseudo{length: -1}, nil
	b.size, b.count, b.raw, b.parts = 0, 0, 0, 0
	if err := b.part(f.HeaderBlockFragment()); err != nil {
		return err
	}
	for ended := f.HeadersEnded(); !ended; {
		next, err := l.framer.ReadFrame()
		if err != nil {
			return err
		}
		c := next.(*http2.ContinuationFrame) // the framer lets nothing else through
		if err := b.part(c.HeaderBlockFragment()); err != nil {
			return err
		}
		ended = c.HeadersEnded()
	}
	b.header = nil
	if err := b.decoder.Close(); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return nil
}

// part decodes one fragment. Fragments of next to nothing, or without an end,
// are an attack (CVE-2024-27316).
func (b *block) part(p []byte) error {
	b.raw += len(p)
	b.parts++
	if b.raw > 4*b.lim.bytes || b.parts > 4+2*b.lim.bytes/frameSize+b.raw/1024 {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if _, err := b.decoder.Write(p); err != nil {
		if errors.Is(err, hpack.ErrStringLength) {
			return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return nil
}

func (b *block) wrong(err error) {
	if b.flaw == nil {
		b.flaw = err
	}
}

// emit takes one field from the decoder.
func (b *block) emit(f hpack.HeaderField) {
	b.size += len(f.Name) + len(f.Value) + len(": \r\n") // as on the wire of HTTP/1
	b.count++
	switch {
	case b.size > b.lim.bytes || b.count > b.lim.fields+5: // five pseudo-headers
		b.wrong(errBlockTooLarge)
	case b.flaw != nil:
	case f.IsPseudo():
		b.pseudo(f)
	default:
		b.head.fields = true
		b.field(f)
	}
}

func (b *block) pseudo(f hpack.HeaderField) {
	var p *string
	var bit uint8
	switch f.Name {
	case ":method":
		p, bit = &b.head.method, 1
	case ":scheme":
		p, bit = &b.head.scheme, 2
	case ":authority":
		p, bit = &b.head.authority, 4
	case ":path":
		p, bit = &b.head.path, 8
	case ":protocol":
		p, bit = &b.head.protocol, 16
	case ":status":
		p, bit = &b.head.status, 32
	}
	// RFC 9113 §8.3: before all fields, none twice, none that is not defined.
	if p == nil || b.head.fields || b.head.known&bit != 0 {
		b.wrong(errPseudo)
		return
	}
	if !exchange.ValidValue(f.Value) {
		b.wrong(errFieldValue)
		return
	}
	*p = f.Value
	b.head.known |= bit
}

// field keeps a field, or what it says about the message when it belongs to the
// wire.
func (b *block) field(f hpack.HeaderField) {
	if !lowerToken(f.Name) {
		b.wrong(errFieldName)
		return
	}
	// RFC 9113 §8.2.1. White space around a value is forbidden too, but servers
	// send it, and HTTP/1 has always dropped it.
	f.Value = strings.Trim(f.Value, " \t")
	if !exchange.ValidValue(f.Value) {
		b.wrong(errFieldValue)
		return
	}
	switch len(f.Name) {
	case 2:
		if f.Name == "te" {
			if f.Value == "trailers" {
				b.head.trailers = true
			} else {
				b.wrong(errConnectionWide) // RFC 9113 §8.2.2
			}
			return
		}
	case 4:
		if f.Name == "host" {
			b.head.host = f.Value
			b.head.hosts++
			return
		}
	case 6:
		if f.Name == "expect" {
			b.head.expect = f.Value
			return
		}
	case 7, 10, 16, 17:
		switch f.Name {
		case "upgrade", "connection", "keep-alive", "proxy-connection", "transfer-encoding":
			b.wrong(errConnectionWide)
			return
		case "transfer_encoding":
			b.wrong(errFramingAlias)
			return
		}
	case 14:
		switch f.Name {
		case "content-length":
			b.length(f.Value)
			return
		case "content_length":
			b.wrong(errFramingAlias)
			return
		case "http2-settings":
			return
		}
	case 18, 19, 25:
		switch f.Name {
		case "proxy-authenticate", "proxy-authorization", "proxy-authentication-info":
			return
		}
	}
	b.header.AddField(exchange.Field{Name: bytesOf(f.Name), Value: bytesOf(f.Value)})
}

func (b *block) length(v string) {
	if b.head.length >= 0 || !digits(v) {
		b.wrong(errLength)
		return
	}
	b.head.length = 0
	for i := range len(v) {
		b.head.length = b.head.length*10 + int64(v[i]-'0')
	}
}

// lowerToken reports whether s is a field name as HTTP/2 has them.
func lowerToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if upper(s[i]) {
			return false
		}
	}
	return exchange.ValidName(s)
}
