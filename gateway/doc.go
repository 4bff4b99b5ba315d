// Package gateway puts the parts together: it compiles a configuration into a
// snapshot, opens the listeners, serves exchanges, and replaces the snapshot
// as a whole when the configuration changes.
//
//	Document ──compile──▶ snapshot { routes, services, policies } ──swap──▶ current
//	                                                                          │ Enter
//	client ──▶ h1, h2 ──▶ Serve: forwarded headers, path, route, chain, node ◀┘
//	                                   │ error
//	                                   └──▶ answer: one problem+json for all of them
//
// Only admin and cmd import it.
package gateway
