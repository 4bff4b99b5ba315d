package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// chain is a certificate that a listener can present. Its certificate may be
// replaced while it lives (renewed, stapled), but not what it is for.
type chain struct {
	names
	any   bool // stands for every host: made for development
	get   func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	label []string // its names as written, for operators
	from  origin
}

// set is what the clients of a listener choose from.
type set struct {
	list   []*chain
	exact  map[string][]*chain
	wild   map[string][]*chain // of *.example.com: ".example.com"
	strict bool
	acme   *manager // nil: none
}

func newSet(list []*chain, strict bool) *set {
	s := &set{list: list, strict: strict, exact: map[string][]*chain{}, wild: map[string][]*chain{}}
	for _, c := range list {
		for name := range c.exact {
			s.exact[name] = append(s.exact[name], c)
		}
		for name := range c.wild {
			s.wild[name] = append(s.wild[name], c)
		}
	}
	return s
}

var errNoName = errors.New("the client asks for no server name, and strict_sni is on")

// pick returns the certificate for a client: of those with the exact name, else
// with a wildcard that stands for it, the first one that the client can use;
// without any, the default.
func (s *set) pick(hello *tls.ClientHelloInfo) (*chain, error) {
	name := fold(hello.ServerName)
	if unnamed(name) {
		if s.strict {
			return nil, errNoName
		}
		return s.list[0], nil
	}
	fitting := s.exact[name]
	if len(fitting) == 0 {
		if dot := strings.IndexByte(name, '.'); dot > 0 {
			fitting = s.wild[name[dot:]]
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(fitting) > 1:
		for _, c := range fitting {
			if cert, err := c.get(hello); err == nil && hello.SupportsCertificate(cert) == nil {
				return c, nil
			}
		}
		return fitting[0], nil
	case s.strict:
		return nil, fmt.Errorf("no certificate is for %q, and strict_sni is on", name)
	}
	return s.list[0], nil
}
