// Package spans makes distributed traces of exchanges: it continues the trace
// that a request is in (W3C Trace Context) or begins one, decides whether it is
// recorded, and sends what was recorded to a collector by OTLP.
//
//	Begin(x) ─▶ x.Trace ─▶ spans in pooled memory, by whoever waits ─▶ Finish(x): kept?
//	                                                                      │ yes
//	collector ◀─ OTLP over HTTP or gRPC ◀─ one goroutine ◀─ bounded queue ◀┘
//
// An exchange that is not recorded costs its ids and a field of its request,
// and allocates nothing. The recorder is our own: where errors and slow
// exchanges are to be kept, everything is recorded until it is known how it
// ended, and the SDK's spans would cost ten allocations each. From the queue on
// everything is OpenTelemetry's: the messages, and the clients that send them.
//
// The exporter is never in the way. When the queue is full, spans are dropped
// and counted.
package spans
