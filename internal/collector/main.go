// Command collector receives traces with the OTLP receiver of the OpenTelemetry
// collector itself, over gRPC and over HTTP, and prints what has arrived: a line
// of JSON for each span. It is a module of its own, so that the gateway depends on
// nothing of it.
//
//	collector GRPC-ADDRESS HTTP-ADDRESS
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// span is what is told of one.
type span struct {
	Trace   string         `json:"trace"`
	ID      string         `json:"id"`
	Parent  string         `json:"parent"`
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	Service string         `json:"service"` // of the resource
	With    map[string]any `json:"with"`    // its attributes
	Start   uint64         `json:"start"`
	Error   string         `json:"error"`
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(grpc, http string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	factory := otlpreceiver.NewFactory()
	conf := factory.CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": grpc}, "http": map[string]any{"endpoint": http},
	}}).Unmarshal(conf)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	next, err := consumer.NewTraces(func(_ context.Context, all ptrace.Traces) error {
		mu.Lock()
		defer mu.Unlock()
		return print(out, all)
	})
	if err != nil {
		return err
	}
	r, err := factory.CreateTraces(ctx, receivertest.NewNopSettings(factory.Type()), conf, next)
	if err != nil {
		return err
	}
	if err := r.Start(ctx, componenttest.NewNopHost()); err != nil {
		return err
	}
	fmt.Println(`{"name":"ready"}`)
	<-ctx.Done()
	return r.Shutdown(context.Background())
}

func print(out *json.Encoder, all ptrace.Traces) error {
	for _, resource := range all.ResourceSpans().All() {
		name, _ := resource.Resource().Attributes().Get("service.name")
		for _, scope := range resource.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				one := span{
					Trace: s.TraceID().String(), ID: s.SpanID().String(), Parent: s.ParentSpanID().String(), Name: s.Name(), Kind: s.Kind().String(),
					Service: name.AsString(), With: s.Attributes().AsRaw(), Start: uint64(s.StartTimestamp()),
				}
				if s.Status().Code() == ptrace.StatusCodeError {
					one.Error = "error"
				}
				err := out.Encode(one)
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}
