package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
)

// challengePath is where http-01 answers are looked for (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// alpnProtocol is what a CA asks for when it validates by TLS (RFC 8737 §4).
const alpnProtocol = "acme-tls/1"

// Answer returns the answer to a GET request by which a CA looks whether we
// control a host. ok is false for anything else: a path that is none, a host
// that is no domain of ours, a token that nobody has given us.
func (t *Terms) Answer(host, path []byte) (answer []byte, ok bool) {
	if t == nil || t.plan.acme == nil || !t.plan.acme.http || !bytes.HasPrefix(path, []byte(challengePath)) {
		return nil, false
	}
	token := string(path[len(challengePath):])
	if len(token) > 256 || strings.ContainsAny(token, "/%") || !t.set.acme.claimed(string(host)) {
		return nil, false
	}
	// certmagic finds the token in its memory, else in the storage, where
	// another gateway of the same storage may have put it.
	r := (&http.Request{
		Method: http.MethodGet, Host: string(host), URL: &url.URL{Path: string(path)}, RequestURI: string(path), Header: http.Header{},
	}).WithContext(context.Background())
	w := &page{header: http.Header{}}
	if !t.set.acme.issuer.HandleHTTPChallenge(w, r) {
		return nil, false
	}
	return w.body, true
}

// page is an http.ResponseWriter for a small text.
type page struct {
	header http.Header
	body   []byte
}

func (p *page) Header() http.Header { return p.header }
func (p *page) WriteHeader(int)     {}
func (p *page) Write(b []byte) (int, error) {
	p.body = append(p.body, b...)
	return len(b), nil
}

func (m *manager) claimed(domain string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.claims[domain] != nil
}

// challenge returns the settings for a handshake by which a CA validates a
// domain, nil for any other handshake: it shows the certificate made for that,
// and asks for none (RFC 8737 §3).
func (s *set) challenge(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.acme == nil || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != alpnProtocol {
		return nil, nil
	}
	asked := *hello
	if asked.ServerName = fold(hello.ServerName); !s.acme.claimed(asked.ServerName) {
		return nil, nil // refused by the protocols that we do have
	}
	cert, err := s.acme.magic.GetCertificate(&asked)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{*cert}, NextProtos: []string{alpnProtocol},
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
	}, nil
}
