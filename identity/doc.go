// Package identity says who is calling. Each kind of credential is a file (or
// a few) of its own; kinds.go is the table of them all.
//
// The settings of a source are a Spec, decoded from the configuration's
// identity map. Compile turns it into a Source once; what that returns is asked
// for each request of the routes that name it:
//
//	request ──▶ Source.Identify ──▶ *exchange.Identity   the client is proven to be this
//	                            ──▶ None                 no such credential here: ask the next source
//	                            ──▶ *exchange.Error      it is there but bad, or nobody can say now
//
// The policy named identity (package policy) asks the sources of a route in
// order, refuses, and tells the upstream who it was. What a source knows across
// configurations (keys, verified tokens, sessions) it holds in the pool under a
// fingerprint of its settings, so that a reload forgets nothing.
//
// No credential ever appears in an error, a log record or an answer.
package identity
