// Package certs is TLS: what listeners prove themselves with, what they ask of
// clients, and how targets are verified.
//
//	config.TLS ── Load ──► Plan ── Open ──► Terms ── Use ──► Listener ── Handshake ──► Conn
//	              reads files     adopts or starts           for the life of a socket
//
// Load reads files and opens nothing else, so that a check is complete. Terms
// are what one configuration wants. What must outlive it is adopted by key:
// the keys of session tickets, as long as nothing that a ticket vouches for has
// changed; the certificates with their OCSP staples; the ACME accounts.
//
// Which certificate a client gets depends on the server name it asks for and on
// nothing else: exact name, then wildcard, then the first of the listener.
// What is asked of clients is a matter of the listener as a whole, so no
// spelling of a name leads around it.
//
// ACME is certmagic's; no other package knows of it.
package certs
