package h3

import (
	"io"

	"github.com/quic-go/qpack"

	"gopura/exchange"
	"gopura/semantics"
)

// block is a decoded header block.
type block struct {
	head semantics.Head
	flaw error // what is wrong with the message
	tail error // the same, where the block is a trailer section
}

// decode decodes the block raw; its fields are appended to h. The strings that it
// makes are nobody's, so that fields made of them can be kept. What is wrong with
// the message is in b.flaw; the error is one of the compression. As there is no
// table, a block that is too large need not be decoded to its end.
func (b *block) decode(raw []byte, h *exchange.Header, c *Config) error {
	var s semantics.Section
	s.Start(h, semantics.Limits{Bytes: c.MaxHead, Fields: c.MaxFields})
	next := qpack.NewDecoder().Decode(raw)
	for s.Flaw == nil {
		f, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return &connError{codeDecompression, "a header block can't be decoded"}
		}
		s.Field(f.Name, f.Value)
	}
	b.head, b.flaw, b.tail = s.Head, s.Flaw, s.AsTrailer()
	return nil
}
