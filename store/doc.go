// Package store counts what is taken under a key: rates and quotas, in this
// process or shared between several through Redis.
//
//	policy ──Take(key, cost)──▶ Limiter ──▶ memory: a table of words, never waits
//	                                   └──▶ redis:  a lease, or a script a decision
//
// A Store opens limiters by name. A name that is opened again while it is open
// (a reload does that) finds the state that is there, also when the numbers
// have changed.
package store
