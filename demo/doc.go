// Package demo is a small shop to put a gateway in front of: services
// with data, each a real HTTP server on a loopback port of its own, and the
// configuration that makes one address of them.
//
//	users (two targets)   orders   reviews (one steady, one flaky)   catalog (gRPC, and the next one)
//
// It needs nothing but this process.
package demo
