// Package admin serves the administrative listener: probes, metrics, a live
// view of the gateway, and the few acts that change it.
//
//	request ─▶ host ─▶ origin ─▶ who ─▶ exact path, method ─▶ handler ─▶ JSON
//	           │       │         │
//	           │       │         └ with a token: Bearer; without: loopback peers, and
//	           │       │           Gopura-Admin: 1 on what changes something
//	           │       └ no page of another site may send anything
//	           └ no name that leads here by DNS alone
//
// Every refusal is problem+json. The listener follows the configuration as a
// whole: Prepare opens what the next one needs, and its commit swaps.
package admin
