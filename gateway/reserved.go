package gateway

import (
	"fmt"

	"gopura/exchange"
	"gopura/identity"
)

// reserve gives the paths that sources of identity answer themselves (the way
// back from a login, logout) nodes of their own. They come before every route,
// on every host.
func (c *compiler) reserve() {
	owner := map[string]string{}
	for i := range c.doc.Identities {
		b := &c.doc.Identities[i]
		source, ok := c.sources.byName[b.Name].(identity.Reserver)
		if !ok || !c.sources.used[b.Name] {
			continue
		}
		for _, path := range source.Reserved() {
			if other, taken := owner[path]; taken {
				c.doc.Problem(b.Pos, "identity."+b.Name+"."+b.Kind, "the path %s belongs to identity %q already", path, other)
				continue
			}
			owner[path] = b.Name
			if c.s.reserved == nil {
				c.s.reserved = map[string]*node{}
			}
			c.s.reserved[path] = &node{snap: c.s, name: fmt.Sprintf("identity %s", b.Name), handler: answering{source.(identity.Source)}}
		}
	}
}

// answering lets a source answer.
type answering struct{ source identity.Source }

// Serve implements exchange.Handler.
func (a answering) Serve(x *exchange.Exchange) error {
	switch _, err := a.source.Identify(x); err {
	case identity.Answered:
		return nil
	case nil, identity.None:
		return exchange.NoRoute.Because(nil)
	default:
		return err
	}
}
