// Package upstream serves an exchange from a service: a set of targets, of
// which one is picked, watched and, where it is safe, replaced by another.
//
//	Serve ─▶ breaker ─▶ picker ─▶ target ─▶ transport
//	            ▲          ▲         │ outcome
//	            │          │         ▼
//	            └──────────┴── members: DNS, health checks, ejection, slow start, drain
//
// Two sides, and one pointer between them. The request side only reads an
// immutable Picker and counts with atomics: a pick and its done allocate
// nothing and wait for nobody. The control side (members.go) owns what changes,
// under one mutex, and publishes each change as a whole new Picker.
//
// What a failure is, in one sentence, for ejection and breaker alike: no answer
// from the target, or an answer 502, 503 or 504. A 500 is none: it says that the
// target is alive, and counting it would let a client who knows one request that
// crashes take the whole service away from everybody.
//
// Protection from overload stands between breaker and picker: overload.go counts
// who waits for a response head, control.go finds out how many should, proof.go makes
// sure that it is overload before anybody is refused, queue.go is where the rest waits
// for a moment. What is in flight is counted until the last
// body byte already.
package upstream
