package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"

	"gopura/lifetime"
)

// openSelfSigned returns the development certificate of a listener: the same
// over all reloads in which it has one.
func openSelfSigned(listener string, s *lifetime.Scope, pool *lifetime.Pool) (*chain, error) {
	cert, err := lifetime.Hold(pool, s, "self-signed "+listener, func() (*tls.Certificate, func(), error) {
		c, err := selfSigned()
		return c, nil, err
	})
	if err != nil {
		return nil, err
	}
	return &chain{
		any: true, names: namesOf(cert.Leaf), get: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil },
		label: labelOf(cert.Leaf), from: origin{kind: "self_signed", look: func() *tls.Certificate { return cert }},
	}, nil
}

// selfSigned makes a certificate for localhost that is valid for a year.
func selfSigned() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Gopura development certificate"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(365 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
