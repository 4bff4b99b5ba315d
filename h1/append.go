package h1

import (
	"strconv"

	"gopura/exchange"
)

// appendRequest appends the request head as it goes to a target.
func appendRequest(dst []byte, r *exchange.Request, authority string) []byte {
	dst = append(append(dst, r.Method...), ' ')
	dst = append(dst, r.Path...)
	if r.Query != nil {
		dst = append(append(dst, '?'), r.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	if authority != "" {
		dst = append(dst, authority...)
	} else {
		dst = append(dst, r.Authority...)
	}
	dst = append(dst, "\r\n"...)
	dst = appendFields(dst, &r.Header)
	switch n := r.Body.Len(); {
	case n > 0, n == 0 && (r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH"):
		dst = append(dst, "Content-Length: "...)
		dst = append(strconv.AppendInt(dst, n, 10), "\r\n"...)
	case n < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if r.ExpectContinue {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	// RFC 9110 §7.6.1: what is for the next hop only is named by Connection.
	switch {
	case r.Upgrade != nil:
		dst = append(append(append(dst, "Connection: Upgrade\r\nUpgrade: "...), r.Upgrade...), "\r\n"...)
	case r.Trailers:
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	return append(dst, "\r\n"...)
}
