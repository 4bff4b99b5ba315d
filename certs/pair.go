package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"gopura/lifetime"
)

// maxPEM bounds a file that should hold certificates or revocation lists.
const maxPEM = 64 << 20

// pair is a certificate from files, with what may be stapled to it.
type pair struct {
	current atomic.Pointer[tls.Certificate]
	leaf    *x509.Certificate
	key     string // for adoption: of the content of both files
}

// loadPair reads a certificate and its key.
func loadPair(certFile, keyFile string) (*pair, error) {
	certPEM, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil { // says nothing of what is in the key
		return nil, fmt.Errorf("%s and %s: %s", certFile, keyFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	h := sha256.New()
	h.Write(certPEM)
	h.Write([]byte{0})
	h.Write(keyPEM)
	p := &pair{leaf: cert.Leaf, key: fmt.Sprintf("certificate %x", h.Sum(nil))}
	p.current.Store(&cert)
	return p, nil
}

// readFile reads a file of a size that can be meant.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder", name)
	case info.Size() > maxPEM:
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxPEM>>20)
	}
	return os.ReadFile(name)
}

// open adopts the pair that holds the same certificate and key, with its
// staple, or begins to ask for one.
func (p *pair) open(file string, s *lifetime.Scope, pool *lifetime.Pool, log *slog.Logger) (*chain, error) {
	p, err := lifetime.Hold(pool, s, p.key, func() (*pair, func(), error) {
		ctx, cancel := context.WithCancel(context.Background())
		if st := newStapler(p, log); st != nil {
			go st.run(ctx)
		}
		return p, cancel, nil
	})
	if err != nil {
		return nil, err
	}
	return &chain{
		names: namesOf(p.leaf), get: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil },
		label: labelOf(p.leaf), from: origin{kind: "file", file: file, look: p.current.Load},
	}, nil
}

// doubt is what an operator should know about a certificate, or "".
func (p *pair) doubt(now time.Time) string {
	switch {
	case now.After(p.leaf.NotAfter):
		return "the certificate expired on " + p.leaf.NotAfter.UTC().Format(time.DateTime)
	case now.Before(p.leaf.NotBefore):
		return "the certificate is not valid before " + p.leaf.NotBefore.UTC().Format(time.DateTime)
	case len(p.leaf.DNSNames)+len(p.leaf.IPAddresses) == 0:
		return "the certificate has no subject alternative names: browsers refuse it"
	}
	return ""
}

// loadPool reads the authorities in a PEM file.
func loadPool(name string) (pool *x509.CertPool, list []*x509.Certificate, text []byte, err error) {
	if text, err = readFile(name); err != nil {
		return nil, nil, nil, err
	}
	if list, err = parseCertificates(text); err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	pool = x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool, list, text, nil
}

var errNoCertificate = errors.New("holds no PEM certificate")
