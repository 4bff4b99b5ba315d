package config

import (
	"net/url"
	"slices"
)

// Traces is where distributed traces go, and which.
type Traces struct {
	Pos         Pos          `yaml:"-"`
	Off         bool         `yaml:"-" word:"off"`
	To          string       `yaml:"to" short:"true" doc:"The collector, which speaks OTLP: http://host:4318 or https:// (with a path, that is in front of /v1/traces), grpc://host:4317 or grpcs://. none: traces are passed on and nothing is recorded. Default: OTEL_EXPORTER_OTLP_ENDPOINT, else a collector on this machine."`
	Sample      *Percent     `yaml:"sample" doc:"The part of the exchanges that is recorded, of those about which neither a rule nor a trusted caller decides. Default: OTEL_TRACES_SAMPLER, else 100%."`
	Rules       []TraceRule  `yaml:"rules" doc:"Other parts for some exchanges. The first that holds decides, whatever the caller says."`
	Errors      bool         `yaml:"errors" default:"true" doc:"Also record every exchange that fails, by the gateway's or a service's fault."`
	Slow        Duration     `yaml:"slow" default:"1s" doc:"Also record every exchange whose answer begins later than that; 0 or off: none."`
	Most        Rate         `yaml:"most" default:"100/s" doc:"Record no more than so many exchanges because they fail or are slow."`
	Trust       string       `yaml:"trust" enum:"proxies,everybody,nobody" default:"proxies" doc:"Whose word counts about whether to record (the sampled flag): that of trusted_proxies, everybody's, or nobody's."`
	Continue    string       `yaml:"continue" enum:"everybody,proxies,nobody" default:"everybody" doc:"Whose traces are continued. Those of others begin anew here, with a link to the client's."`
	Service     string       `yaml:"service" doc:"What the gateway is called in traces. Default: OTEL_SERVICE_NAME, else gopura."`
	Attributes  []Pair       `yaml:"attributes" doc:"Further attributes of the gateway (of the resource), beside those of OTEL_RESOURCE_ATTRIBUTES."`
	Headers     []SecretPair `yaml:"headers" doc:"Header fields for the collector, in place of OTEL_EXPORTER_OTLP_HEADERS."`
	TLS         *UpstreamTLS `yaml:"tls" doc:"How a collector that is https or grpcs is verified, and what it is shown."`
	Timeout     Duration     `yaml:"timeout" default:"0" max:"5m" doc:"How long the collector may take. Default: OTEL_EXPORTER_OTLP_TIMEOUT, else 10s."`
	Compression string       `yaml:"compression" enum:"gzip,none" doc:"How what is sent is compressed. Default: OTEL_EXPORTER_OTLP_COMPRESSION, else none."`
	Queue       int          `yaml:"queue" default:"0" min:"0" max:"1000000" doc:"Spans that may wait to be sent; more are dropped and counted. Default: OTEL_BSP_MAX_QUEUE_SIZE, else 2048."`
	Batch       int          `yaml:"batch" default:"0" min:"0" max:"100000" doc:"Spans that are sent together. Default: OTEL_BSP_MAX_EXPORT_BATCH_SIZE, else 512."`
	Period      Duration     `yaml:"period" default:"0" max:"10m" doc:"How long a span waits for its batch to fill. Default: OTEL_BSP_SCHEDULE_DELAY, else 5s."`
}

// TraceRule is how many of some exchanges are recorded.
type TraceRule struct {
	Pos     Pos     `yaml:"-"`
	When    string  `yaml:"when" required:"true" doc:"A CEL expression over the facts of the request, route among them, that must be true."`
	WhenPos Pos     `yaml:"-"`
	Sample  Percent `yaml:"sample" required:"true" doc:"The part of them that is recorded."`
}

// SecretPair is a name and a text that is never shown.
type SecretPair struct {
	Pos   Pos    `yaml:"-"`
	Name  string `yaml:"-" key:"name"`
	Value Secret `yaml:"value" short:"true" required:"true" doc:"The text."`
}

// Check is the rule of traces: a collector that can be spoken to.
func (t *Traces) Check(at *At) {
	if t.To == "" || t.To == "none" || t.Off {
		if t.TLS != nil {
			at.Problem("tls", "is for a collector that is named here: to is missing")
		}
		return
	}
	u, err := url.Parse(t.To)
	if err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			at.d.problems.secrets.learnLiteral(password)
		}
	}
	schemes := []string{"http", "https", "grpc", "grpcs"}
	switch {
	case err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		at.Hint("traces: http://collector:4318", "to", "not the address of a collector: %s", quote(t.To))
	case u.User != nil:
		at.Hint("headers: { authorization: \"${env:COLLECTOR_TOKEN}\" }", "to", "no secrets in addresses")
	case (u.Scheme == "grpc" || u.Scheme == "grpcs") && u.Path != "" && u.Path != "/":
		at.Problem("to", "gRPC knows no path")
	case t.TLS != nil && (u.Scheme == "http" || u.Scheme == "grpc"):
		at.Hint(u.Scheme+"s://", "tls", "the collector is spoken to in cleartext")
	}
}
