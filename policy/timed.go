package policy

import "gopura/exchange"

// waiting are the policies that may have to ask somebody, or to let a request
// wait: those that a trace tells of.
var waiting = []string{"identity", "opa", "limit", "quota", "concurrency", "validate", "cache"}

// timed records what a policy takes until it hands the request on, or ends it.
// An exchange that is not recorded pays two calls.
func timed(name string, link exchange.Middleware) exchange.Middleware {
	return func(next exchange.Handler) exchange.Handler {
		inner := link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
			x.EndPolicy(nil)
			return next.Serve(x)
		}))
		return exchange.HandlerFunc(func(x *exchange.Exchange) error {
			x.BeginPolicy(name)
			err := inner.Serve(x)
			x.EndPolicy(err) // of one that has handed it on there is nothing left to end
			return err
		})
	}
}
