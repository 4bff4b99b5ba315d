// Package h1 is the gateway's HTTP/1.1 engine: the front end that reads
// requests and writes answers, and the transport that does the reverse towards
// upstreams.
//
//	client ──▶ Server (a goroutine for each connection) ──▶ exchange.Root
//	                                                            │
//	target ◀── Transport (a pool of connections for a target) ◀─┘
//
// It is strict where strictness protects: what could be read in two ways is
// refused (RFC 9112), towards clients with a 4xx and a closed connection,
// towards upstreams with a 502 and a connection that is never used again.
// Header bytes are slices of the connection's buffer, from one socket to the
// other; the plain proxied exchange allocates nothing.
package h1
