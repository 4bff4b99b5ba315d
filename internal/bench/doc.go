// Command bench measures Gopura beside NGINX and HAProxy: the same jobs, on the
// same upstream, in one run on one machine.
//
//	make bench                                    everything, about 20 minutes; writes docs/benchmarks.md
//	go run ./internal/bench -rounds 3 -seconds 2  a quick look
//	go run ./internal/bench -only plain,gopura    some jobs, some proxies; nothing is written
//	go run ./internal/bench -only fan3,fan10      composed answers, beside the same job written by hand
//	go run ./internal/bench -only grpc,h2         HTTP/2 and gRPC, beside NGINX
//	go run ./internal/bench -only transcode       REST to gRPC, beside grpc-gateway
//
// # How it measures
//
//	wrk (2 threads, 64 connections) ──▶ proxy (2 workers) ──▶ internal/origin (in this process)
//
// All of it shares the machine's cores, and all traffic stays on loopback. The
// proxies of a job are started together and take turns, round after round, in an
// order that rotates, so that a noisy moment hits them alike. What is shown is the
// median over the rounds; a ratio is the median of the rounds' ratios.
//
// The figure to trust is CPU time per request: what the kernel charged to the
// processes of the proxy alone, divided by the requests that wrk counted. It moves
// little when the machine is busy, where requests a second and latencies move a lot.
//
// Before a proxy is timed, one request checks that it does the job: status, body,
// header edits. Any answer but 2xx, and any socket error, fails the run.
//
// The TLS jobs use one certificate, ECDSA on P-256. For handshakes a client of our
// own stands in for wrk: 16 workers, TLS 1.3, X25519, a connection for each request.
//
// The jobs jwt-rs256 and jwt-es256 are Gopura beside itself, without and with the
// check of the token that every request carries. On a machine that others use
// take many short rounds: -rounds 25 -seconds 1. BenchmarkTokenPaired in gateway
// measures the same within one process.
//
// HTTP/2 comes from h2load: 8 connections with 8 streams each. The gRPC service is
// a process of its own, this program again. The transcode job is the module in
// transcode/, which needs grpc-gateway.
//
// The configurations are testdata/plain.*, full.*, limit.* and tls.*, with @PORT@, @ORIGIN@,
// @ADMIN@, @DIR@, @BUFFER@ and @CERTIFICATE@ filled in, and the lines from #repeat N to #end written
// N times with @N@ counted from 0. Each proxy is tuned to do its best: two workers,
// kept connections on both sides, no limit on requests for each connection, no log in
// the plain jobs, and buffers of 64 KiB instead of 16 for the answers of 1 MB, which
// halves what those cost NGINX and HAProxy.
//
// # How to profile
//
// Keep one proxy under load for as long as a profile needs, and ask the admin API
// of Gopura, whose address the run prints:
//
//	go run ./internal/bench -only full,gopura -rounds 1 -seconds 60
//	go tool pprof -http 127.0.0.1:0 http://ADMIN/debug/pprof/profile?seconds=20
//	go tool pprof -sample_index=alloc_objects http://ADMIN/debug/pprof/allocs
//
// The hot path promises 0 allocations, so the second should show none that grow
// with requests. Most of the CPU time is system calls, which pprof shows under
// internal/runtime/syscall; `perf trace -s -p PID` counts them. Compare two builds
// only within one run.
package main
