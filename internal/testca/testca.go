// Package testca issues certificates for tests.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Authority is a certificate authority whose files are in a folder of the test.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	File string // PEM

	t      testing.TB
	dir    string
	serial atomic.Int64
}

// New makes a root.
func New(t testing.TB, name string) *Authority { return newAuthority(t, name, nil) }

// Intermediate makes an authority below a.
func (a *Authority) Intermediate(name string) *Authority { return newAuthority(a.t, name, a) }

func newAuthority(t testing.TB, name string, parent *Authority) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a := &Authority{Key: key, t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	up, upKey := template, a.Key
	if parent != nil {
		up, upKey = parent.Cert, parent.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, up, key.Public(), upKey)
	must(t, err)
	a.Cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.File = filepath.Join(a.dir, "ca.pem")
	write(t, a.File, "CERTIFICATE", der)
	return a
}

// Pool trusts a.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// Leaf says what a certificate is for.
type Leaf struct {
	CommonName          string
	Names               []string // DNS names and addresses
	URI                 string
	Client              bool // for clients, else for servers
	RSA                 bool
	OCSP                string
	NotBefore, NotAfter time.Time // default: from an hour ago to in a day
}

// Pair is a certificate with its chain, and its key, in files.
type Pair struct {
	Cert, Key string // paths
	Leaf      *x509.Certificate
	TLS       tls.Certificate
}

// Server issues a certificate for names.
func (a *Authority) Server(names ...string) Pair { return a.Issue(Leaf{Names: names}) }

// Client issues a certificate for a client.
func (a *Authority) Client(name string) Pair { return a.Issue(Leaf{CommonName: name, Client: true}) }

// Issue issues a certificate.
func (a *Authority) Issue(l Leaf) Pair {
	a.t.Helper()
	var key crypto.Signer
	var err error
	if l.RSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	must(a.t, err)
	template := a.template(l)
	der, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.Key)
	must(a.t, err)
	dir, err := os.MkdirTemp(a.dir, "leaf")
	must(a.t, err)
	p := Pair{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	a.Save(p.Cert, p.Key, der, key)
	p.TLS, err = tls.LoadX509KeyPair(p.Cert, p.Key)
	must(a.t, err)
	p.Leaf = p.TLS.Leaf
	return p
}

func (a *Authority) template(l Leaf) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + a.serial.Add(1)), Subject: pkix.Name{CommonName: l.CommonName},
		NotBefore: l.NotBefore, NotAfter: l.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if l.Client {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(24 * time.Hour)
	}
	for _, name := range l.Names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	if l.URI != "" {
		u, err := url.Parse(l.URI)
		must(a.t, err)
		c.URIs = []*url.URL{u}
	}
	if l.OCSP != "" {
		c.OCSPServer = []string{l.OCSP}
	}
	return c
}

// Save writes a certificate, its chain and its key to files.
func (a *Authority) Save(certFile, keyFile string, der []byte, key crypto.Signer) {
	a.t.Helper()
	write(a.t, certFile, "CERTIFICATE", der, a.Cert.Raw)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	write(a.t, keyFile, "PRIVATE KEY", text)
}

// Sign issues a certificate for a request, as an ACME server does.
func (a *Authority) Sign(csr *x509.CertificateRequest, life time.Duration) ([]byte, error) {
	template := a.template(Leaf{Names: csr.DNSNames, NotAfter: time.Now().Add(life)})
	return x509.CreateCertificate(rand.Reader, template, a.Cert, csr.PublicKey, a.Key)
}

// List writes a revocation list that is current until then, and names some.
func (a *Authority) List(file string, until time.Time, revoked ...Pair) {
	a.t.Helper()
	template := &x509.RevocationList{
		Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: until,
	}
	if until.Before(time.Now()) {
		template.ThisUpdate = until.Add(-time.Hour)
	}
	for _, p := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: p.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.Cert, a.Key)
	must(a.t, err)
	write(a.t, file, "X509 CRL", der)
}

func write(t testing.TB, name, kind string, blocks ...[]byte) {
	t.Helper()
	var text []byte
	for _, der := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	must(t, os.WriteFile(name, text, 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
