package demo

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Config is the configuration of the demo.
//
//go:embed demo.yaml
var Config []byte

// Services are the running sample services.
type Services struct {
	env     map[string]string // variable of the configuration → URL, or the issuer's key
	token   string            // of the issuer
	servers []*http.Server
}

// Start starts every service on a free loopback port.
func Start() (*Services, error) {
	d, err := load()
	if err != nil {
		return nil, err
	}
	id, err := newIssuer(time.Now())
	if err != nil {
		return nil, err
	}
	o := newOrders(d.Orders)
	now, err := newCatalog(d, "1.8.0")
	if err != nil {
		return nil, err
	}
	next, err := newCatalog(d, "2.0.0-rc1")
	if err != nil {
		return nil, err
	}
	s := &Services{env: map[string]string{"ISSUER_KEY": id.key}, token: id.token}
	for _, one := range []struct {
		variable, name string
		handler        http.Handler
	}{
		{"USERS_A", "users-a", users(d)},
		{"USERS_B", "users-b", users(d)},
		{"ORDERS", "orders", o.handler()},
		{"REVIEWS_STEADY", "reviews-steady", reviews(d)},
		{"TIPS", "tips", flaky(reviews(d))},
		{"REVIEWS_FLAKY", "reviews-flaky", flaky(reviews(d))},
		{"CATALOG", "catalog", now},
		{"CATALOG_NEXT", "catalog-next", next},
		{"ECHO", "echo", echo()},
	} {
		if err := s.start(one.variable, one.name, one.handler); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Services) start(variable, name string, h http.Handler) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("sample service %s: %w", name, err)
	}
	server := &http.Server{Handler: signed(name, h), ReadHeaderTimeout: 5 * time.Second}
	scheme := "http://"
	if _, ok := h.(*catalog); ok {
		scheme = "grpc://"
		server.Protocols = new(http.Protocols)
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	s.servers = append(s.servers, server)
	s.env[variable] = scheme + ln.Addr().String()
	go server.Serve(ln)
	return nil
}

// Env resolves the variables of the configuration that name services and the key.
func (s *Services) Env(name string) (string, bool) {
	url, ok := s.env[name]
	return url, ok
}

// Close stops the services at once.
func (s *Services) Close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
