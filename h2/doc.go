// Package h2 is the HTTP/2 front end: the standard library's server on the
// wire, exchanges from here on.
//
//	listener ──conn──▶ ServeConn ──▶ net/http (frames, HPACK, flow control)
//	                                      │ (w, r), a goroutine each stream
//	                                      ▼
//	                  stream: request ─▶ Exchange ─▶ Root ─▶ Response ─▶ stream
//
// What net/http has already refused never becomes an exchange: malformed
// pseudo-headers, upper-case or invalid names, invalid values, floods of
// frames, streams beyond the limit. What it lets through and a gateway must
// not (RFC 9113 §8: a Host that contradicts :authority, lengths that
// contradict END_STREAM, targets that would not survive an HTTP/1 request
// line) is refused here, so that the answer has a code and a record.
//
// Two things are lost in net/http: the order of fields of different names
// (fields come sorted by name; the values of one name keep their order), and
// request trailers that no Trailer field announced.
package h2
