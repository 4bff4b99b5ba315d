package h2

import (
	"errors"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gopura/exchange"
	"gopura/semantics"
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
	semantics.Section
	raw   int // bytes before decompression
	parts int // frames
}

// bombSize is how many times larger than allowed a header block may become before the
// connection is given up: one that a careless client might send is answered with 431.
const bombSize = 16

func (b *block) init(lim blockLimits) {
	b.lim = lim
	b.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { b.Field(f.Name, f.Value) })
	b.decoder.SetMaxStringLength(max(lim.bytes, 1<<10))
}

// read decodes the block that begins with f; its fields are appended to h. It
// reads the CONTINUATION frames from l. An error means that the connection can't
// go on; what is wrong with the block itself is in b.Flaw.
func (b *block) read(l *link, f *http2.HeadersFrame, h *exchange.Header) error {
	b.Start(h, semantics.Limits{Bytes: b.lim.bytes, Fields: b.lim.fields})
	b.raw, b.parts = 0, 0
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
	// A byte may stand for an entry of the table: a bomb.
	if b.Size() > bombSize*b.lim.bytes {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}
