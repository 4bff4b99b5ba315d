// Package websocket reads and writes the frames of RFC 6455: their heads, for
// whoever passes frames on, and whole messages, for whoever is an end. It knows
// nothing of connections.
package websocket
