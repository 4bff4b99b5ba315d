package gateway

import "gopura/exchange"

// unasserted is a request body whose trailer says nothing that only the gateway
// may say: some services take a trailer field for a header field.
type unasserted struct {
	exchange.Body
	names []string
}

// Trailer implements exchange.Body.
func (b *unasserted) Trailer() *exchange.Header {
	t := b.Body.Trailer()
	if t != nil {
		for _, name := range b.names {
			t.DelAlias(name)
		}
	}
	return t
}

// Ready implements exchange.Ready as far as the body below does.
func (b *unasserted) Ready() bool {
	r, ok := b.Body.(exchange.Ready)
	return ok && r.Ready()
}
