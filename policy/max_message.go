package policy

import (
	"encoding/binary"
	"fmt"
	"io"

	"gopura/config"
	"gopura/exchange"
)

const maxMessageDoc = "Ends a gRPC call that carries a larger message, with RESOURCE_EXHAUSTED (message_too_large). Messages are counted by what stands in front of " +
	"them, and none is held back. Other requests pass."

// MaxMessage is the settings of max_message.
type MaxMessage struct {
	Pos      config.Pos  `yaml:"-"`
	Request  config.Size `yaml:"request" short:"true" required:"true" min:"1" max:"4GiB" doc:"Bytes of one message of the client."`
	Response config.Size `yaml:"response" min:"1" max:"4GiB" doc:"Bytes of one message of the service. Default: as many."`
}

// Compile implements Spec.
func (s *MaxMessage) Compile(*Env) (exchange.Middleware, error) {
	if s.Request < 0 || s.Response < 0 {
		return nil, &Fault{Path: "request", Pos: s.Pos, Err: fmt.Errorf("a size is not negative")}
	}
	request, response := int64(s.Request), int64(s.Response)
	if response == 0 {
		response = request
	}
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			if !exchange.IsGRPC(x.Request.Header.Get("Content-Type")) {
				return next.Serve(x)
			}
			sent := &messageBody{Body: x.Request.Body, limit: request, over: exchange.MessageTooLarge}
			x.Request.Body = sent
			if err := next.Serve(x); err != nil {
				return err
			}
			if r := &x.Response; r.Body != nil && exchange.IsGRPC(r.Header.Get("Content-Type")) {
				r.Body = &messageBody{Body: r.Body, limit: response, over: tooLargeAnswer}
			}
			return nil
		})
	}, nil
}

// tooLargeAnswer is message_too_large of the service.
var tooLargeAnswer = &exchange.Code{
	Name: exchange.MessageTooLarge.Name, Status: 502, Side: exchange.ByUpstream, Text: exchange.MessageTooLarge.Text,
}

// messageBody is a body of gRPC messages that breaks at the first that is too
// large: at its prefix, before the message has come.
type messageBody struct {
	exchange.Body
	limit int64
	over  *exchange.Code
	err   error

	left   int64 // bytes of the message that are still to come
	prefix [5]byte
	have   int // bytes of the prefix
}

// Next implements exchange.Body.
func (b *messageBody) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	p, err := b.Body.Next()
	if err != nil && err != io.EOF {
		return p, err
	}
	if n := b.scan(p); n > b.limit {
		b.err = b.over.Errorf("a message of %d bytes, more than %d", n, b.limit)
		return nil, b.err
	}
	return p, err
}

// scan follows the frames through p, and returns the size of a message that is
// too large.
func (b *messageBody) scan(p []byte) int64 {
	for len(p) > 0 {
		if b.left > 0 {
			n := min(b.left, int64(len(p)))
			b.left -= n
			p = p[n:]
			continue
		}
		n := copy(b.prefix[b.have:], p)
		p = p[n:]
		if b.have += n; b.have < len(b.prefix) {
			return 0
		}
		b.have = 0
		if b.left = int64(binary.BigEndian.Uint32(b.prefix[1:])); b.left > b.limit {
			return b.left
		}
	}
	return 0
}

// Ready implements exchange.Ready as far as the body below does.
func (b *messageBody) Ready() bool {
	r, ok := b.Body.(exchange.Ready)
	return b.err != nil || ok && r.Ready()
}
