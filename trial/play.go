package trial

import (
	"encoding/json"
	"fmt"

	"gopura/config"
	"gopura/exchange"
	"gopura/gateway"
)

// Play returns the understudy of services that answer as the list says; those
// that it does not name answer with an empty 200.
func Play(list []config.TestService) func(service string, x *exchange.Exchange) error {
	return func(service string, x *exchange.Exchange) error {
		for i := range list {
			if list[i].Name == service {
				return play(&list[i], x)
			}
		}
		x.Response.Status, x.Response.Body = 200, exchange.NoBody
		return nil
	}
}

// Names are the services that a list has answers of.
func Names(list []config.TestService) (names []string) {
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

// Answers reads what services answer: a text with the key services, as a test has
// it.
func Answers(name string, data []byte) ([]config.TestService, error) {
	var all struct {
		Services []config.TestService `yaml:"services" required:"true" doc:"What services answer, by name."`
	}
	err := config.Decode(config.Source{Name: name, Data: data}, &all, gateway.ConfigOptions())
	return all.Services, err
}

// Identity reads who is calling: a subject, or claims (identity among them names
// the source that has found it out).
func Identity(as any) (*exchange.Identity, error) { return identityOf(as) }

// IdentityUnderstudy lets id be whoever a source of identity is asked for; nil:
// nobody plays.
func IdentityUnderstudy(id *exchange.Identity) func(string, *exchange.Exchange) (*exchange.Identity, error, bool) {
	if id == nil {
		return nil
	}
	return func(source string, _ *exchange.Exchange) (*exchange.Identity, error, bool) {
		if id.Name != "" && id.Name != source {
			return nil, nil, false
		}
		who := *id
		who.Name = source
		return &who, nil, true
	}
}

// Answer makes what a service answers of a status and a body.
func Answer(service string, status int, headers []config.Pair, body string, asJSON any, fails string) (config.TestService, error) {
	a := config.TestService{Name: service, Status: status, Headers: headers, Body: body, JSON: asJSON, Fails: fails}
	if a.Status == 0 {
		a.Status = 200
	}
	if a.Status < 200 || a.Status > 599 {
		return a, fmt.Errorf("service %q: %d is no status of an answer", service, status)
	}
	switch fails {
	case "", "connect", "timeout", "reset":
	default:
		return a, fmt.Errorf("service %q: it fails by connect, timeout or reset", service)
	}
	if _, err := json.Marshal(asJSON); err != nil {
		return a, fmt.Errorf("service %q: %w", service, err)
	}
	for _, h := range headers {
		if !exchange.ValidName(h.Name) || !exchange.ValidValue(h.Value) {
			return a, fmt.Errorf("service %q: the field %q can't be sent", service, h.Name)
		}
	}
	return a, nil
}
