// Package proxyproto reads the header by which a load balancer of connections
// says whom it is connecting: version 1 and 2 of HAProxy's PROXY protocol
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt).
//
// Whoever may send the header decides which client a request is from. So it is
// read only from balancers that were named, and from those it has to come: a
// connection without it is not served.
package proxyproto
