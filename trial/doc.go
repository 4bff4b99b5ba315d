// Package trial runs the tests of a configuration: requests that are sent
// through it on paper, and what must become of them.
//
//	tests: ──▶ request ──▶ gateway.Rehearsal ──▶ answer, what services were sent ──▶ expectations
//	                             ▲
//	              understudies: identities (as), services
//
// Every test begins anew, with full limits; nothing is opened or sent.
package trial
