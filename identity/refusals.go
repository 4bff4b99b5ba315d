package identity

import "gopura/exchange"

// Refusals limits how many credentials of one client may be refused. The errors
// are *exchange.Error.
type Refusals interface {
	// Look returns why no credential of the client is looked at, nil when one is.
	// It takes nothing.
	Look(x *exchange.Exchange) error
	// Count counts one that was refused. An error says that there was no room for
	// it: then the client must not learn that it was wrong.
	Count(x *exchange.Exchange) error
}

// refusals is what a source asks before it looks at a credential, and after.
// Nil: whoever likes may guess.
//
// Both times, because requests that are judged at the same time have all been
// let in before the first of them is counted: a verdict, good or bad, is told
// only while there is room. So nobody learns about more credentials than the
// limit allows, however many are tried at once, and who makes no mistakes never
// takes anything from it.
type refusals struct{ Refusals }

func (r *refusals) look(x *exchange.Exchange) error {
	if r == nil {
		return nil
	}
	return r.Look(x)
}

// told is the verdict on a credential as the client may know it.
func (r *refusals) told(x *exchange.Exchange, id *exchange.Identity, err error) (*exchange.Identity, error) {
	if r == nil {
		return id, err
	}
	var full error
	switch {
	case err == nil:
		full = r.Look(x)
	case exchange.AsError(err).Code == exchange.IdentityInvalid.Name:
		full = r.Count(x)
	}
	if full != nil {
		return nil, full
	}
	return id, err
}
