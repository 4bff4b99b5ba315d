package policy

import "gopura/exchange"

// deny is the refusal of a request whose client may not do what it asks. A
// client that has not said who it is, on a route where it could, is told to
// (401): with a credential the answer may be another. Everybody else gets code
// (403), and no word about what is missing.
func (e *Env) deny(x *exchange.Exchange, code *exchange.Code, cause error) *exchange.Error {
	if e.identified && nobody(x) {
		code = exchange.IdentityRequired // the identity policy adds the challenges
	}
	return code.Because(cause)
}

// nobody reports whether nothing at all is known of who the client is.
func nobody(x *exchange.Exchange) bool {
	return x.Identity == nil || x.Identity.Anonymous
}

// refuse ends the exchange with err, or counts that it would have.
func (e *Env) refuse(next exchange.Handler, x *exchange.Exchange, policy string, shadowed bool, err *exchange.Error) error {
	e.refused(x, policy, "", err)
	if !shadowed {
		return err
	}
	if e.Shadow != nil {
		e.Shadow(x, policy, err.Code)
	}
	return next.Serve(x)
}
