// Package policy holds what a route does to an exchange before and after its
// node: one file a policy, and kinds.go, the table of them all.
//
// A policy's settings are a Spec, decoded from the configuration. Compile
// turns it into a Middleware once; what that returns runs for each request.
//
//	Guard ──▶ Identify ──▶ Authorize ──▶ Limit ──▶ Shape ──▶ the route's node
//
// The order in which a chain runs is the order of the stages, and within a
// stage that of the table; never that of the file.
package policy
