package spans

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// env returns the first of the variables OTEL_EXPORTER_OTLP_… that is set.
func env(names ...string) string {
	for _, n := range names {
		if v := strings.TrimSpace(os.Getenv("OTEL_EXPORTER_OTLP_" + n)); v != "" {
			return v
		}
	}
	return ""
}

// Wanted reports whether the environment asks for traces, when the
// configuration says nothing: a collector is named, and nothing says no.
func Wanted() bool {
	return env("TRACES_ENDPOINT", "ENDPOINT") != "" && !Silenced()
}

// Silenced reports whether the environment wants nothing to be sent.
func Silenced() bool {
	return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none"
}

// Sampler is what the environment says about what is sampled: OTEL_TRACES_SAMPLER
// and its argument. Parent: the word of a caller counts.
func Sampler() (sample Ratio, parent bool, err error) {
	name, parent := strings.CutPrefix(os.Getenv("OTEL_TRACES_SAMPLER"), "parentbased_")
	switch name {
	case "":
		return RatioOf(1), true, nil
	case "always_on":
		return RatioOf(1), parent, nil
	case "always_off":
		return RatioOf(0), parent, nil
	case "traceidratio":
		arg := os.Getenv("OTEL_TRACES_SAMPLER_ARG")
		if arg == "" {
			return RatioOf(1), parent, nil
		}
		part, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(part >= 0 && part <= 1) {
			return Ratio{}, false, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG %q: want a number between 0 and 1", arg)
		}
		return RatioOf(part), parent, nil
	}
	return Ratio{}, false, fmt.Errorf("OTEL_TRACES_SAMPLER %q: want always_on, always_off or traceidratio, also with parentbased_ in front", os.Getenv("OTEL_TRACES_SAMPLER"))
}

// resolve fills in what o leaves open.
func (o Options) resolve() (Options, error) {
	var errs []error
	number := func(to *int, name string, standard int) {
		if *to == 0 {
			*to = standard
			if v := os.Getenv(name); v != "" {
				n, err := strconv.Atoi(v)
				if err != nil || n < 1 {
					errs = append(errs, fmt.Errorf("%s %q: want a number above 0", name, v))
				} else {
					*to = n
				}
			}
		}
	}
	millis := func(to *time.Duration, name string, standard time.Duration) {
		n := int(to.Milliseconds())
		number(&n, name, int(standard.Milliseconds()))
		*to = max(*to, time.Duration(n)*time.Millisecond)
	}
	number(&o.Queue, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
	number(&o.Batch, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
	millis(&o.Period, "OTEL_BSP_SCHEDULE_DELAY", 5*time.Second)
	if o.Timeout == 0 && env("TRACES_TIMEOUT", "TIMEOUT") != "" {
		n, err := strconv.Atoi(env("TRACES_TIMEOUT", "TIMEOUT"))
		if err != nil || n < 1 {
			errs = append(errs, errors.New("OTEL_EXPORTER_OTLP_TIMEOUT: want a number of milliseconds"))
		}
		o.Timeout = time.Duration(n) * time.Millisecond
	}
	millis(&o.Timeout, "OTEL_BSP_EXPORT_TIMEOUT", 10*time.Second)
	o.Batch = min(o.Batch, o.Queue)
	if err := o.trust(); err != nil {
		errs = append(errs, err)
	}
	return o, errors.Join(errs...)
}

// trust reads the certificates that the environment names.
func (o *Options) trust() error {
	ca := env("TRACES_CERTIFICATE", "CERTIFICATE")
	cert, key := env("TRACES_CLIENT_CERTIFICATE", "CLIENT_CERTIFICATE"), env("TRACES_CLIENT_KEY", "CLIENT_KEY")
	if o.TLS != nil || ca == "" && cert == "" {
		return nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		if o.TLS.RootCAs = x509.NewCertPool(); !o.TLS.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %s holds no certificate", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// resource describes this gateway. The environment goes before what is usual,
// and the configuration before both.
func (o *Options) resource() (*tracepb.ResourceSpans, error) {
	host, _ := os.Hostname()
	var instance [16]byte
	rand.Read(instance[:])
	list := []attribute.KeyValue{
		semconv.ServiceName("gopura"), semconv.ServiceVersion(o.Version), semconv.ServiceInstanceID(hex.EncodeToString(instance[:])),
		semconv.HostName(host), semconv.ProcessPID(os.Getpid()),
	}
	fromEnv, err := resource.New(context.Background(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	list = append(list, fromEnv.Attributes()...)
	if o.Service != "" {
		list = append(list, semconv.ServiceName(o.Service))
	}
	for k, v := range o.Attributes {
		list = append(list, attribute.String(k, v))
	}
	r := &resourcepb.Resource{}
	set := attribute.NewSet(slices.Clone(list)...) // of a key, the last counts
	for iter := set.Iter(); iter.Next(); {
		kv := iter.Attribute()
		if v := kv.Value.Emit(); v != "" {
			r.Attributes = append(r.Attributes, text(string(kv.Key), v))
		}
	}
	return &tracepb.ResourceSpans{
		Resource: r, SchemaUrl: semconv.SchemaURL,
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "gopura", Version: o.Version}}},
	}, nil
}
