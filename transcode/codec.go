package transcode

import (
	"fmt"
)

// JSONOptions say how messages look in JSON.
type JSONOptions struct {
	ProtoNames    bool // field names as in the .proto file
	Defaults      bool // fields that are not set are written, too
	EnumNumbers   bool // enums as numbers
	IgnoreUnknown bool // fields that the message does not have are passed over
}

// Limits bound what the codec takes.
type Limits struct {
	Message int // bytes of a message on the wire; its JSON may have jsonFactor times as many
	Depth   int // levels of nesting
	Items   int // elements of a list, entries of a map
}

// DefaultLimits are the limits when nothing is said.
var DefaultLimits = Limits{Message: 4 << 20, Depth: 64, Items: 100_000}

// Codec turns the messages of a schema into JSON and back. It is safe for
// concurrent use.
type Codec struct {
	schema  *Schema
	options JSONOptions
	limits  Limits
}

// NewCodec returns a codec for the messages of s. Limits that are zero are the
// default ones.
func NewCodec(s *Schema, o JSONOptions, l Limits) *Codec {
	if l.Message <= 0 {
		l.Message = DefaultLimits.Message
	}
	if l.Depth <= 0 {
		l.Depth = DefaultLimits.Depth
	}
	if l.Items <= 0 {
		l.Items = DefaultLimits.Items
	}
	return &Codec{s, o, l}
}

// Message is a message type that a codec can handle.
type Message struct {
	*shape
}

// Message returns a message type by its full name.
func (s *Schema) Message(name string) (Message, error) {
	d := s.message(name)
	if d == nil {
		return Message{}, fmt.Errorf("there is no message %s", name)
	}
	return Message{s.shapes.of(d)}, nil
}

// AppendWire appends the wire format of the message that json holds. What is
// wrong with it is a *FieldError.
func (c *Codec) AppendWire(dst []byte, m Message, json []byte) ([]byte, error) {
	d := c.newDecoder(dst, json)
	defer d.release()
	if err := d.whole(func() *FieldError { return d.message(m.shape) }); err != nil {
		return dst, err
	}
	if len(d.out)-len(dst) > c.limits.Message {
		return dst, flaw("the message is longer than allowed")
	}
	return d.out, nil
}

// AppendJSON appends the JSON of a message on the wire.
func (c *Codec) AppendJSON(dst []byte, m Message, wire []byte) ([]byte, error) {
	e := c.newEncoder(dst)
	defer e.release()
	if err := e.message(m.shape, wire); err != nil {
		return dst, err
	}
	return e.out, nil
}
