// Package h2 is the gateway's HTTP/2: the front end that reads requests and
// writes answers, and the transport that does the reverse towards upstreams. It
// stands on the frames and the HPACK of golang.org/x/net/http2.
//
//	client ──▶ Server ──▶ serverConn (reads frames) ──▶ serverStream (a worker) ──▶ exchange.Root
//	                          │ link, block, inflow, outflow                            │
//	target ◀── Transport ◀── upConn (reads frames)    ◀── call                     ◀────┘
//
// What both sides share is in link.go (frames, and writes for many streams at
// once), block.go (header blocks), inflow.go and outflow.go (the two halves of a
// stream, with their windows).
//
// The server has one goroutine that reads for each connection, and a pool of
// them that serve streams. DATA goes out in turn; windows are given back as
// bodies are pulled; a request may go on while its response comes. A connection
// without traffic gives its buffers back. What is malformed by RFC 9113 resets
// its stream and is refused to the root, so that it has a code and a record;
// what floods loses its connection (calm.go). An extended CONNECT (RFC 8441) is
// an upgrade like that of HTTP/1.1.
package h2
