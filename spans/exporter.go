package spans

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"gopura/telemetry"
)

// Options say where spans go. What is left out is as the variables of
// OpenTelemetry (OTEL_…) say, and else as its specification has it.
type Options struct {
	Endpoint    string            // http://host:4318, https://…, grpc://host:4317, grpcs://…
	Headers     map[string]string // of every request to it; nil: as the environment says
	TLS         *tls.Config       // of https and grpcs
	Timeout     time.Duration     // of a request
	Compression string            // "gzip" or "none"

	Service    string            // service.name of the resource
	Version    string            // of this build
	Attributes map[string]string // further ones of the resource

	Queue  int           // spans that may wait
	Batch  int           // spans of a request
	Period time.Duration // how long a span waits for its batch to fill

	// Counts is told what became of them; nil: nobody counts.
	Counts *telemetry.Spans
	// Log is told when sending begins to fail, and when it works again; nil: nobody is.
	Log func(err error)
}

// Exporter sends spans to a collector, from a goroutine of its own. Its methods
// are safe for concurrent use.
type Exporter struct {
	options  Options
	client   otlptrace.Client
	resource *tracepb.ResourceSpans // without its spans
	idle     func()                 // lets go of kept connections

	mu     sync.Mutex
	queue  []*tracepb.Span
	closed bool

	more chan struct{} // a batch is full
	stop chan struct{}
	done chan struct{} // the goroutine has ended
	ctx  context.Context
	end  context.CancelFunc
}

// closeWithin is how long a collector has for what waits when an exporter is
// closed.
const closeWithin = 5 * time.Second

// Open starts an exporter. It does not wait for the collector, which may come
// later.
func Open(o Options) (*Exporter, error) {
	o, err := o.resolve()
	if err != nil {
		return nil, err
	}
	if o.Counts == nil {
		o.Counts = new(telemetry.Spans)
	}
	resource, err := o.resource()
	if err != nil {
		return nil, err
	}
	client, idle, err := o.client()
	if err != nil {
		return nil, err
	}
	if err := client.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("OTLP: %w", err)
	}
	return start(o, client, idle, resource), nil
}

func start(o Options, client otlptrace.Client, idle func(), resource *tracepb.ResourceSpans) *Exporter {
	e := &Exporter{
		options: o, client: client, idle: idle, resource: resource,
		more: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	e.ctx, e.end = context.WithCancel(context.Background())
	go e.run()
	return e
}

// put queues spans of one exchange: all of them or none.
func (e *Exporter) put(list []*tracepb.Span) {
	e.mu.Lock()
	if e.closed || len(e.queue)+len(list) > e.options.Queue {
		e.mu.Unlock()
		e.options.Counts.Dropped.Add(uint64(len(list)))
		return
	}
	e.queue = append(e.queue, list...)
	full := len(e.queue) >= e.options.Batch
	e.mu.Unlock()
	if full {
		select {
		case e.more <- struct{}{}:
		default:
		}
	}
}

// take returns the next batch; nil: there is none. A small one is left to grow.
func (e *Exporter) take(least int) []*tracepb.Span {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.queue), e.options.Batch)
	if n == 0 || n < least {
		return nil
	}
	batch := append([]*tracepb.Span(nil), e.queue[:n]...)
	rest := copy(e.queue, e.queue[n:])
	clear(e.queue[rest:])
	e.queue = e.queue[:rest]
	return batch
}

// run sends batches until the exporter is closed, and then what is left.
func (e *Exporter) run() {
	defer close(e.done)
	tick := time.NewTicker(e.options.Period)
	defer tick.Stop()
	ok := true
	for open := true; open; {
		least := 1
		select {
		case <-e.more:
			least = e.options.Batch
		case <-tick.C:
		case <-e.stop:
			open = false
		}
		for batch := e.take(least); batch != nil; batch = e.take(least) {
			ok = e.send(batch, ok)
		}
	}
	_ = e.client.Stop(e.ctx)
	e.end()
	e.idle()
}

// send sends a batch and reports whether that went well. Only a change of that
// is logged: a collector that is away for a day is worth one line.
func (e *Exporter) send(batch []*tracepb.Span, before bool) bool {
	message := &tracepb.ResourceSpans{
		Resource: e.resource.Resource, SchemaUrl: e.resource.SchemaUrl,
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: e.resource.ScopeSpans[0].Scope, SchemaUrl: e.resource.SchemaUrl, Spans: batch}},
	}
	ctx, cancel := context.WithTimeout(e.ctx, e.options.Timeout)
	err := e.client.UploadTraces(ctx, []*tracepb.ResourceSpans{message})
	cancel()
	if err == nil {
		e.options.Counts.Sent.Add(uint64(len(batch)))
	} else {
		e.options.Counts.Failed.Add(uint64(len(batch)))
	}
	if e.options.Log != nil && (err == nil) != before {
		e.options.Log(err)
	}
	return err == nil
}

// Close sends what waits and ends the exporter, without waiting for that. Spans
// that come later are dropped.
func (e *Exporter) Close() {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	if again {
		return
	}
	close(e.stop)
	time.AfterFunc(closeWithin, e.end)
}

// Wait waits until a closed exporter has ended.
func (e *Exporter) Wait(ctx context.Context) error {
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.end() // breaks off what is being sent
		<-e.done
		return errors.New("spans: the collector did not take what was left in time")
	}
}
