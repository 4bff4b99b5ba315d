package spans

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"google.golang.org/grpc/credentials"
)

// Protocols of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL calls them.
const (
	overGRPC = "grpc"
	overHTTP = "http/protobuf"
	overJSON = "http/json"
)

// client returns what speaks to the collector. It reads the variables that
// begin with OTEL_EXPORTER_OTLP_ by itself; what is said in o goes before them.
// Idle lets go of its connections after it was stopped.
func (o *Options) client() (c otlptrace.Client, idle func(), err error) {
	if o.Endpoint == "" {
		switch p := o.protocol(); p {
		case overGRPC:
			return otlptracegrpc.NewClient(o.grpc(nil)...), func() {}, nil
		case overHTTP, overJSON:
			c, idle = o.http(nil)
			return c, idle, nil
		default:
			return nil, nil, fmt.Errorf("OTLP protocol %q: want %s, %s or %s", p, overGRPC, overHTTP, overJSON)
		}
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, nil, err
	}
	switch u.Scheme {
	case "grpc", "grpcs":
		return otlptracegrpc.NewClient(o.grpc(u)...), func() {}, nil
	}
	c, idle = o.http(u)
	return c, idle, nil
}

// protocol is what the environment says.
func (o *Options) protocol() string {
	if p := env("TRACES_PROTOCOL", "PROTOCOL"); p != "" {
		return p
	}
	return overHTTP
}

func (o *Options) grpc(u *url.URL) (list []otlptracegrpc.Option) {
	if u != nil {
		scheme := map[string]string{"grpc": "http", "grpcs": "https"}[u.Scheme]
		list = append(list, otlptracegrpc.WithEndpointURL(scheme+"://"+u.Host))
		if u.Scheme == "grpcs" && o.TLS != nil {
			list = append(list, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(o.TLS)))
		}
	}
	if o.Headers != nil {
		list = append(list, otlptracegrpc.WithHeaders(o.Headers))
	}
	if o.Compression != "" {
		list = append(list, otlptracegrpc.WithCompressor(strings.TrimPrefix(o.Compression, "none")))
	}
	return append(list, otlptracegrpc.WithTimeout(o.Timeout))
}

// http has a transport of its own, so that its connections end with it.
func (o *Options) http(u *url.URL) (otlptrace.Client, func()) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: 10 * time.Second, TLSClientConfig: o.TLS,
	}
	list := []otlptracehttp.Option{
		otlptracehttp.WithHTTPClient(&http.Client{Transport: t, Timeout: o.Timeout}), otlptracehttp.WithTimeout(o.Timeout),
	}
	if u != nil {
		list = append(list, otlptracehttp.WithEndpointURL(u.Scheme+"://"+u.Host+tracesPath(u.Path)))
	}
	if o.Headers != nil {
		list = append(list, otlptracehttp.WithHeaders(o.Headers))
	}
	switch o.Compression {
	case "gzip":
		list = append(list, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	case "none":
		list = append(list, otlptracehttp.WithCompression(otlptracehttp.NoCompression))
	}
	return otlptracehttp.NewClient(list...), t.CloseIdleConnections
}

// tracesPath is the path of the collector for traces: what is said is the base,
// unless it names that already.
func tracesPath(base string) string {
	const traces = "/v1/traces"
	if base = strings.TrimSuffix(base, "/"); strings.HasSuffix(base, traces) {
		return base
	}
	return base + traces
}
