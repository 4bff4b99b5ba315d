// Chaos sends tagged exchanges through a gateway while everything
// around it breaks, and looks whether an answer ever reaches another client
// than the one that asked.
//
// Clients speak HTTP/1.1, pipelined, and HTTP/2, some of them over links that
// are cut and reset; services speak HTTP/1.1 and HTTP/2, answer early, break
// off, send more than they were asked for, and are reached through Toxiproxy:
// latency, jitter, slices, little bandwidth, truncation, black holes, resets.
// Meanwhile the configuration is replaced several times a second, and with it
// the ways on which services are reached.
//
// The number of an exchange is its tag. It stands in the path, the query, the
// request id, a header, and over and over in the body; the answer has it in the
// same places. What a service does with a request follows from the number as
// well, so that both sides know what must come.
//
//	go run -tags grpcnotrace ./internal/chaos -n 1000000
package main
