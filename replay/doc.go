// Package replay asks two configurations about the same recorded requests, and
// says which of them would be answered differently.
//
// A recording is a file of access records in JSON, one a line: what gopura record
// writes, and any access log of that format. It holds no header fields but
// User-Agent and Referer, no bodies, and no values of parameters that look like
// credentials; so conditions about other fields are asked without them.
package replay
