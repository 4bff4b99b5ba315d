// Package exchange is the vocabulary of the gateway: one request and its
// response, free of any HTTP version, and the one shape of everything that
// serves them.
//
//	front end ──▶ Exchange ──▶ Handler ──▶ … ──▶ Handler ──▶ transport
//	    ▲                                                       │
//	    └────────── Response, its Body pulled piece by piece ◀──┘
//
// The rule of ownership: a string is yours, a []byte is borrowed. Header
// names and values, paths and body pieces are slices of a connection's buffer
// and live until the exchange is done (a body piece: until the next call of
// Next). Who keeps one longer copies it; `-tags poison` makes tests find
// whoever does not.
//
// The package imports the standard library only, and not net/http.
package exchange
