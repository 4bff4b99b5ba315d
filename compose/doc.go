// Package compose makes one answer from many services. A Plan is compiled from
// a route: calls, what each of them waits for, and how the answer is made of
// their results.
//
//	            ┌─▶ user ───▶ reviews ─┐
//	exchange ──▶├─▶ orders ────────────├──▶ respond ──▶ answer
//	            └─▶ stock  ────────────┘
//
// The graph is inferred: a call waits for the calls that it refers to, and for
// those that `after` names. Each is started by whoever finishes the last thing
// that it waits for: that goroutine goes on with one of the calls that have
// become ready, and others are started for the rest. The first goroutine is the
// caller's own. There are no more of them than calls, and all have ended when
// the exchange is done.
//
// A call goes through its service's own entry as a child exchange, so that
// balancing, retries, breakers and limits hold for it as for any other. What
// comes back is read to its end into memory of the run, validated, and spliced
// into the answer without being decoded.
//
// A call that fails is replaced by its default, or by null when it is optional;
// the answer says that it is partial. A call that is neither ends the whole:
// the others are broken off, and what had been done is undone by the calls that
// the configuration names for that.
package compose
