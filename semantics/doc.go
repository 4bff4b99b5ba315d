// Package semantics holds what HTTP/2 and HTTP/3 say alike about a message, whatever
// carries it: which heads are requests, and which are refused or reset
// (RFC 9113 §8, RFC 9114 §4); how an answer is pulled and written; how an extended
// CONNECT becomes a tunnel (RFC 8441, RFC 9220).
//
// It stands against smuggling: what it lets through survives being written as HTTP/1.
// The engines h2 and h3 decode fields and give them to a Section, and are written
// through a Stream. They have no opinion of their own about any of this.
package semantics
