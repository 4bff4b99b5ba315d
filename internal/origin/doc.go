// Package origin is the service behind the gateway in benchmarks and tests: an
// HTTP/1.1 server that spends as little as it can on each request, so that what
// is measured is the proxy in front of it.
//
// What it answers is in the path. Leading segments that it doesn't know are
// skipped, so /orders/1k answers as /1k does:
//
//	/0 /1k /10k /100k /1m   200 with that many bytes, in one write
//	/sleep/10ms             200, empty, after that time (a minute at most)
//	/status/404             that status, empty
//	/echo                   200 with the body of the request (16 MiB at most)
//	/headers                200 with the request's head as it arrived
//	anything else           404
//
// Every answer carries "X-Origin: gopura", which a policy may remove.
package origin
