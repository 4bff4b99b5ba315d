package telemetry

// Spans counts what became of the spans of traces.
type Spans struct {
	Sent    Counter // the collector took them
	Dropped Counter // the queue was full
	Failed  Counter // the collector did not take them
}
