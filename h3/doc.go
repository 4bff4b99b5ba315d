// Package h3 is the HTTP/3 front end (RFC 9114). quic-go carries the streams and
// does the handshake, its qpack package codes the fields; what a request is, and
// what is refused, is decided here, by the rules of h1 and h2:
//
//	UDP ── quic.Transport ── Server ── conn ── stream (a goroutine each) ── Exchange ── Root
//	                                    └── control and QPACK streams
//
// It does not build on quic-go's own http3 server, because a gateway has to do
// what that one does not: give a slow head an end, keep the order of fields, and
// leave a record with a code of what is malformed.
//
// What one client can make us hold is bounded: streams are granted anew only when
// the exchange of an old one has ended, so that opening and resetting does not
// pay; the QPACK dynamic table has no capacity, so that no block waits for another
// and none is larger than its bytes by more than the static table makes it;
// windows and heads have limits; frames that bring nothing use up an allowance
// (see calm). There is no 0-RTT: it can be replayed.
package h3
