// Package telemetry is what the gateway tells about finished exchanges: an
// access record each, metrics, and the handler of its own log. It looks at an
// exchange when everything else is over and is never in the way: a sink that
// stalls costs records, which are counted, and not a request's time.
//
//	Record(x) ─▶ line ─▶ batch of 64 KiB ─▶ writer goroutine ─▶ stdout, stderr, file
//	Observe(x) ─▶ atomic cells of the route ◀─ read at scrape ─ Prometheus registry
//
// What a configuration names (routes, services, targets, listeners) has a
// handle, resolved when the configuration is compiled and held by its scope.
// The next configuration gets the same handle by the same name, so counters go
// on; a handle that no scope holds any more leaves the exposition.
package telemetry
