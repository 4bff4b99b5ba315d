package transcode

import (
	"google.golang.org/protobuf/encoding/protowire"

	"gopura/exchange"
)

// google.api.HttpBody: content_type = 1, data = 2, extensions = 3.

// rawBody appends a body as the google.api.HttpBody that it is.
func (c *call) rawBody(body, kind []byte) *FieldError {
	d := &c.decoder
	start := 0
	if c.b.body != nil {
		d.out = append(d.out, c.b.body.one...)
		start = d.open()
	}
	if len(kind) > 0 {
		d.out = protowire.AppendBytes(append(d.out, 1<<3|2), kind)
	}
	d.out = protowire.AppendBytes(append(d.out, 2<<3|2), body)
	if c.b.body != nil {
		d.close(start)
	}
	return nil
}

// appendMessage appends what is shown of an answer's message: all of it, a field,
// or the bytes of a google.api.HttpBody, whose type goes into the header.
func (c *call) appendMessage(dst, message []byte) ([]byte, error) {
	e := c.t.codec.newEncoder(dst)
	defer e.release()
	f := c.b.response
	if f == nil && !c.b.rawReply {
		err := e.message(c.b.method.Output.shape, message)
		return e.out, err
	}
	if f != nil {
		m := c.b.method.Output.shape
		if m.form != plain {
			return dst, errWire
		}
		if err := e.index(m, message, 0, 0); err != nil {
			return dst, err
		}
		s := e.found[f.index]
		if !c.b.rawReply {
			if s.last == 0 && f.presence && f.message != nil {
				return append(e.out, "null"...), nil
			}
			err := e.field(f, s)
			return e.out, err
		}
		message = nil
		for i := s.first; i != 0; i = e.values[i-1].next {
			message = append(message, e.values[i-1].bytes...)
		}
	}
	return c.appendRaw(dst, message)
}

// appendRaw appends the data of a google.api.HttpBody, and keeps its type.
func (c *call) appendRaw(dst, message []byte) ([]byte, error) {
	err := eachBytes(message, func(n protowire.Number, v []byte) error {
		switch n {
		case 1:
			if exchange.ValidValue(v) {
				c.kind = append(c.kind[:0], v...)
			}
		case 2:
			dst = append(dst, v...)
		}
		return nil
	})
	return dst, err
}
