package gateway

import (
	"strings"

	"gopura/exchange"
)

// unasserted is a request body whose trailer says nothing that only the gateway
// may say, and keeps no token for the gateway: some services take a trailer field
// for a header field.
type unasserted struct {
	exchange.Body
	names []string
}

// trails reports whether the body of x may have a trailer. With HTTP/1 one of a
// known length has none (RFC 9112 §6.2).
func trails(x *exchange.Exchange) bool {
	b := x.Request.Body
	return b != exchange.NoBody && b != nil && (b.Len() < 0 || !strings.HasPrefix(x.Client.Protocol, "HTTP/1"))
}

// Trailer implements exchange.Body.
func (b *unasserted) Trailer() *exchange.Header {
	t := b.Body.Trailer()
	if t != nil && t.Len() > 0 {
		t.Filter(func(f exchange.Field) bool { return claimOf(f.Name) == claimNone })
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
