package policy

import (
	"slices"
	"strings"
	"testing"

	"gopura/config"
	"gopura/exchange"
)

// From the text of a configuration to what a service sees.
func TestPoliciesOfAConfiguration(t *testing.T) {
	d, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(`
listen: :8080
services: { users: http://127.0.0.1:1 }
routes:
  - match: /api/*
    to: users
    headers:
      request: { set: { X-Client: "{client.ip}" }, remove: X-B }
      response: { add: { X-C: c } }
    strip_prefix: /api
    rewrite: /v2{request.path}
    max_body: { size: 1MiB, mode: shadow }
`)}}, config.Options{Policies: ConfigKinds()})
	if err != nil {
		t.Fatal(err)
	}
	link, faults := Chain(newEnv(t), d.Routes[0].Policies)
	if faults != nil {
		t.Fatal(faults)
	}
	x := newExchange("/api/users")
	x.Request.Header.Add("X-B", "b")
	err = link(exchange.HandlerFunc(func(x *exchange.Exchange) error {
		if path, h := string(x.Request.Path), fieldsOf(&x.Request.Header); path != "/v2/users" || h != "X-Forwarded-Prefix: /api; X-Client: 10.1.2.3" {
			t.Errorf("the service saw %s, %s", path, h)
		}
		return nil
	})).Serve(x)
	if h := fieldsOf(&x.Response.Header); err != nil || h != "X-C: c" {
		t.Errorf("the client saw %s, %v", h, err)
	}
}

// A short form that is written otherwise is answered with how it is written.
func TestShortFormsSayHowTheyAreWritten(t *testing.T) {
	for text, want := range map[string]string{
		"limit: 10 per client.ip":  "routes[0].limit: expected a number in a time (10/s, 5/10s, 1000/day, 10/s per client.ip), got \"10 per client.ip\"",
		"limit: 10/s by client.ip": "routes[0].limit: expected a number in a time",
		"quota: 5/fortnight":       "routes[0].quota: expected a number in a time",
		"concurrency: many":        "routes[0].concurrency: expected a number (10, 10 per client.ip), got \"many\"",
		"bandwidth: 1MB":           "routes[0].bandwidth: expected bytes a second (1MB/s, ",
		"compress: yes":            "routes[0].compress: expected zstd, br or gzip, got \"yes\"",
	} {
		_, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(
			"listen: :8080\nservices: { app: http://127.0.0.1:1 }\nroutes:\n  - { match: /, to: app, " + text + " }\n")}}, config.Options{Policies: ConfigKinds()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestCompressOnIsItsDefaults(t *testing.T) {
	for _, text := range []string{"on", "{}", "[zstd, br, gzip]"} {
		d, err := config.Parse([]config.Source{{Name: "gopura.yaml", Data: []byte(
			"listen: :8080\nservices: { app: http://127.0.0.1:1 }\nroutes:\n  - { match: /, to: app, compress: " + text + " }\n")}}, config.Options{Policies: ConfigKinds()})
		if err != nil {
			t.Fatal(err)
		}
		if c := d.Routes[0].Policies[0].Spec.(*Compress); !slices.Equal(c.Codings, []string{"zstd", "br", "gzip"}) {
			t.Errorf("compress: %s has %v", text, c.Codings)
		}
	}
}

func TestOriginsEndBeforeThePath(t *testing.T) {
	_, err := parseOrigin(&Origin{Text: "https://app.example.com/"})
	if err == nil || err.Error() != `an origin ends before the path, with no slash: "https://app.example.com"` {
		t.Error(err)
	}
}
