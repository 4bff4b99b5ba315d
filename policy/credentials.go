package policy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"gopura/config"
	"gopura/exchange"
	"gopura/identity"
)

const credentialsDoc = "What the gateway itself shows to the service: a user and password, a bearer token, a header field, or a token that it gets from an authorization server " +
	"(OAuth 2.0 client credentials) and renews in the background. The client's own Authorization is not passed on. " +
	"Without a token, requests are answered with 503 (credentials_unavailable)."

// Credentials is the settings of credentials.
type Credentials struct {
	Pos    config.Pos                  `yaml:"-"`
	Basic  *UserPassword               `yaml:"basic" doc:"A user and password (RFC 7617)."`
	Bearer config.Secret               `yaml:"bearer" doc:"A token that doesn't change."`
	Header *SecretField                `yaml:"header" doc:"A field by its name, such as X-Api-Key."`
	OAuth2 *identity.ClientCredentials `yaml:"oauth2" doc:"A token that the gateway gets for itself (RFC 6749 §4.4)."`
}

// UserPassword is a user and password.
type UserPassword struct {
	Pos      config.Pos    `yaml:"-"`
	User     string        `yaml:"user" required:"true" doc:"The user, without a colon."`
	Password config.Secret `yaml:"password" required:"true" doc:"The password."`
}

// SecretField is a header field with a secret in it.
type SecretField struct {
	Pos   config.Pos    `yaml:"-"`
	Name  string        `yaml:"name" required:"true" doc:"Its name."`
	Value config.Secret `yaml:"value" required:"true" doc:"Its value."`
}

// Files returns the files that the settings are made of.
func (s *Credentials) Files() []string {
	if s.OAuth2 == nil {
		return nil
	}
	return s.OAuth2.Files(filepath.Dir(beside(s.OAuth2.Pos, "-")))
}

// Compile implements Spec.
func (s *Credentials) Compile(env *Env) (exchange.Middleware, error) {
	var c credentials
	given := 0
	fault := func(path string, pos config.Pos, text string) error {
		return &Fault{Path: path, Pos: pos, Err: errors.New(text)}
	}
	c.name = "Authorization"
	if b := s.Basic; b != nil {
		given++
		if strings.Contains(b.User, ":") || !exchange.ValidValue(b.User) {
			return nil, fault("basic.user", b.Pos, "a user has no colon and no control characters")
		}
		c.value = []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(b.User+":"+b.Password.Reveal())))
	}
	if !s.Bearer.IsZero() {
		given++
		c.value = []byte("Bearer " + s.Bearer.Reveal())
	}
	if h := s.Header; h != nil {
		given++
		if err := checkName(h.Name, "request"); err != nil {
			return nil, &Fault{Path: "header.name", Pos: h.Pos, Err: err}
		}
		c.name, c.value = h.Name, []byte(h.Value.Reveal())
	}
	if s.OAuth2 != nil {
		given++
	}
	if given != 1 {
		return nil, fault("", s.Pos, "say one of basic, bearer, header, oauth2")
	}
	if !exchange.ValidValue(c.value) {
		return nil, fault("", s.Pos, "the secret has a control character in it: a line break at its end?")
	}
	if s.OAuth2 != nil {
		token, err := s.OAuth2.Open(env.Pool, env.Scope, filepath.Dir(beside(s.OAuth2.Pos, "-")))
		var f *identity.Fault
		if errors.As(err, &f) {
			return nil, &Fault{Path: "oauth2." + f.Path, Pos: f.Pos, Err: f.Err}
		} else if err != nil {
			return nil, fmt.Errorf("oauth2: %w", err)
		}
		c.token = token
	}
	return func(next exchange.Handler) exchange.Handler {
		h := c
		h.next = next
		return &h
	}, nil
}

// credentials is a compiled credentials policy.
type credentials struct {
	next  exchange.Handler
	name  string
	value []byte
	token *identity.ServiceToken // in place of value
}

// Serve implements exchange.Handler.
func (c *credentials) Serve(x *exchange.Exchange) error {
	value := c.value
	if c.token != nil {
		var err error
		if value, err = c.token.Field(x); err != nil {
			return exchange.CredentialsUnavailable.Because(err)
		}
	}
	h := &x.Request.Header
	h.DelAlias("Authorization") // the client's: it is not for the service
	h.DelAlias(c.name)
	h.AddBytes(c.name, value)
	err := c.next.Serve(x)
	h.Del(c.name) // nothing that looks at the request later is to see it
	if c.token != nil && err == nil && x.Response.Status == 401 {
		c.token.Refused(value)
	}
	return err
}
