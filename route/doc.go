// Package route finds the route of a request: an immutable table of hosts,
// methods, paths, headers, query values and conditions.
//
// The most specific rule that matches wins. In one sentence: the higher
// priority, then the host (exact, then the wildcard with more labels, then
// any), then the path segment by segment from the left (an exact segment beats
// {param} beats a regexp beats /*), then a method, then more headers, then
// more query values (exact beats prefix beats regexp beats presence), then a
// when.
//
//	host ──▶ exact ─┐
//	         wild  ─┼─▶ trie of path segments ──▶ rules of one path, best first
//	         any   ─┘         (the best rank found so far prunes the walk)
//
// Build gives every rule a rank in that order, once. A match is then the
// smallest rank among the rules that match, so the walk through the trie
// decides only how fast the answer comes, never which answer it is.
//
// Two rules of the same rank that some request could match both are
// ambiguous, an error of the configuration; a rule that a better one covers
// completely is shadowed, a warning. Rules that cannot meet (other methods,
// other exact header values, regexps without a common path) are neither.
//
// Clean is the other half of the package: it normalises a request path once,
// before anything looks at it, so that what is matched is what is forwarded.
package route
