// Package handover lets one process take over the sockets of another, so that a
// new binary goes on where the old one stops and no connection is refused
// between them. The same way in is used by service managers that open sockets
// for a service (systemd's socket activation).
//
//	old process                      new process
//	Sockets.Start ── sockets, pipes ─▶ Inherit
//	   │                               Listen takes what is there already
//	   ◀────────── Ready ─────────────  it serves
//	stops accepting, drains
//	   ────────── it has ended ──────▶  Taken.Gone
//
// A listening socket that two processes hold is one queue: what the old one has
// not accepted, the new one accepts. That is not so for UDP, where both would
// take packets of the other's connections; so the new process opens UDP sockets
// when the old one is gone. What both must know to speak of the same connections is
// a secret that goes from one to the next (Sockets.Secret), through the pipe by whose end
// the new one learns that the old one is gone.
package handover
