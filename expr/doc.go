// Package expr compiles what a configuration says about a request: conditions,
// keys and values, written in CEL over one namespace of facts.
//
//	"jwt.sub != '' && client.ip.inCIDR('10.0.0.0/8')" ──Compile──▶ Program ──Bool──▶ true
//	"/v2/{path.id}?q={query.v}"                       ──Template─▶ Template ─Append▶ /v2/7?q=a%20b
//
// Everything that can be known from the text is known when it is compiled:
// unknown facts, wrong types, patterns and networks that do not parse, and
// which facts are used. Only those are computed for a request. An expression
// that is a single fact never enters CEL and costs no allocation.
//
// A header, query parameter, cookie or path parameter that is not there is "",
// a claim that is not there is null, so that `header["x-plan"] == "gold"`
// needs no guard; `has(header.x)` and `"x" in header` tell absence from
// emptiness. Any other failure (a claim of another type, the cost limit) is an
// error, and whoever decides by a program must then decide for refusal.
//
// It is the only package that imports CEL.
package expr
