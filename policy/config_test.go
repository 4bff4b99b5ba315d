package policy

import (
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
