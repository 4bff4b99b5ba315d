package policy

import (
	"fmt"
	"io"

	"gopura/config"
	"gopura/exchange"
)

const maxBodyDoc = "Refuses a request body that is larger, with 413 (body_too_large): before the service is asked when the length is announced, " +
	"else as soon as more has arrived. It takes the place of limits.body for this route."

// MaxBody is the settings of max_body.
type MaxBody struct {
	Pos  config.Pos  `yaml:"-"`
	Size config.Size `yaml:"size" short:"true" required:"true" min:"0" doc:"Bytes of a request body; 0: none may be sent."`
	Mode string      `yaml:"mode" default:"enforce" enum:"enforce,shadow" doc:"shadow: count what would be refused, and let it pass."`
}

// Compile implements Spec.
func (s *MaxBody) Compile(env *Env) (exchange.Middleware, error) {
	if s.Size < 0 {
		return nil, &Fault{Path: "size", Pos: s.Pos, Err: fmt.Errorf("a size is not negative")}
	}
	limit, strict := int64(s.Size), s.Mode != shadow
	return func(next exchange.Handler) exchange.Handler {
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			n := x.Request.Body.Len()
			switch {
			case n > limit && strict:
				return tooLarge(limit)
			case n > limit:
				env.shadow(x, "max_body", exchange.BodyTooLarge)
				return next.Serve(x)
			case n >= 0:
				return next.Serve(x) // the front end holds the client to what it announced
			}
			b := &countedBody{Body: x.Request.Body, x: x, env: env, left: limit, limit: limit, strict: strict}
			x.Request.Body = b
			err := next.Serve(x)
			if b.over == nil || !strict {
				return err
			}
			// The service was given half a body; whatever it made of that is
			// not the answer.
			if err == nil {
				x.DropResponse()
			}
			return b.over
		})
	}, nil
}

func tooLarge(limit int64) error {
	return exchange.BodyTooLarge.Errorf("more than %d bytes", limit)
}

// countedBody is a body of unknown length that ends in an error past a limit.
type countedBody struct {
	exchange.Body
	x           *exchange.Exchange
	env         *Env
	left, limit int64
	strict      bool
	over        error // the limit was passed
}

// Next implements exchange.Body.
func (b *countedBody) Next() ([]byte, error) {
	if b.over != nil && b.strict {
		return nil, b.over
	}
	p, err := b.Body.Next()
	if b.left -= int64(len(p)); b.left >= 0 || b.over != nil || err != nil && err != io.EOF {
		return p, err
	}
	b.over = tooLarge(b.limit)
	if b.strict {
		return nil, b.over
	}
	b.env.shadow(b.x, "max_body", exchange.BodyTooLarge)
	return p, err
}

// Ready implements exchange.Ready as far as the body below does.
func (b *countedBody) Ready() bool {
	r, ok := b.Body.(exchange.Ready)
	return ok && r.Ready()
}
