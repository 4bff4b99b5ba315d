package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"
)

// authority is a certificate authority of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(time.Hour),
	})
	return a
}

func (a *authority) make(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Minute)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) issue(c *x509.Certificate) tls.Certificate {
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	cert, key := a.make(c)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// shake does a TLS handshake and returns what the server knows of the client.
func shake(t testing.TB, a *authority, ask tls.ClientAuthType, client *tls.Certificate) *tls.ConnectionState {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	server := a.issue(&x509.Certificate{DNSNames: []string{"gateway"}})
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	conf := &tls.Config{RootCAs: pool, ServerName: "gateway"}
	if client != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
	}
	done := make(chan error, 1)
	go func() {
		c := tls.Client(far, conf)
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // takes the tickets
		}
		done <- err
	}()
	c := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: ask, ClientCAs: pool})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	state := c.ConnectionState()
	c.Write([]byte("x"))
	<-done
	return &state
}

func TestMTLS(t *testing.T) {
	ca, foreign := newAuthority(t, "Shop CA"), newAuthority(t, "Other CA")
	spiffe, _ := url.Parse("spiffe://prod/ns/orders/sa/worker")
	cert := ca.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "worker", Organization: []string{"Shop"}}, DNSNames: []string{"Worker.svc.example.com"},
		URIs: []*url.URL{spiffe}, EmailAddresses: []string{"ops@example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 7)},
	})
	bare := ca.issue(&x509.Certificate{})
	stranger := foreign.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "worker"}})
	known := shake(t, ca, tls.RequireAndVerifyClientCert, &cert)
	for _, c := range []struct {
		what  string
		spec  MTLS
		state *tls.ConnectionState
		want  string
	}{
		{"no TLS", MTLS{Sub: "common_name"}, nil, "none"},
		{"no certificate", MTLS{Sub: "common_name"}, shake(t, ca, tls.VerifyClientCertIfGiven, nil), "none"},
		{"verified", MTLS{Sub: "common_name"}, known, "worker"},
		{"given, not verified", MTLS{Sub: "common_name"}, shake(t, ca, tls.RequestClientCert, &stranger), bad},
		{"of ours, not verified", MTLS{Sub: "common_name"}, shake(t, ca, tls.RequestClientCert, &cert), bad},
		{"by URI", MTLS{Sub: "uri"}, known, "spiffe://prod/ns/orders/sa/worker"},
		{"by DNS name", MTLS{Sub: "dns"}, known, "Worker.svc.example.com"},
		{"by e-mail", MTLS{Sub: "email"}, known, "ops@example.com"},
		{"by the whole name", MTLS{Sub: "subject"}, known, "CN=worker,O=Shop"},
		{"by fingerprint", MTLS{Sub: "fingerprint"}, known, fingerprintOf(cert.Leaf)},
		{"a certificate without names", MTLS{Sub: "common_name"}, shake(t, ca, tls.RequireAndVerifyClientCert, &bare), bad},
		{"a name that fits", MTLS{Sub: "uri", SAN: []string{"dns:nowhere", "uri:spiffe://prod/ns/*/sa/worker"}}, known, "spiffe://prod/ns/orders/sa/worker"},
		{"names fold", MTLS{Sub: "common_name", SAN: []string{"dns:*.SVC.example.com"}}, known, "worker"},
		{"an address that fits", MTLS{Sub: "common_name", SAN: []string{"ip:10.0.0.7"}}, known, "worker"},
		{"no name that fits", MTLS{Sub: "common_name", SAN: []string{"uri:spiffe://test/**", "dns:*.example.com"}}, known, bad},
		{"its issuer", MTLS{Sub: "common_name", Issuer: "Shop CA"}, known, "worker"},
		{"another issuer", MTLS{Sub: "common_name", Issuer: "Other CA"}, known, bad},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			s := w.compile(&c.spec)
			for range 2 { // seen, then known
				x := request("GET", "/")
				x.Client.TLS = c.state
				id, _ := expect(t, s, x, c.want)
				if id != nil && (id.Claims["common_name"] != "worker" || id.Claims["uri"].([]any)[0] != spiffe.String()) {
					t.Errorf("claims %v", id.Claims)
				}
			}
		})
	}
	// A connection that outlives its certificate.
	w := newWorld(t)
	s := w.compile(&MTLS{Sub: "common_name"})
	x := request("GET", "/")
	x.Client.TLS = known
	expect(t, s, x, "worker")
	w.pass(2 * time.Hour)
	expect(t, s, x, bad)
}

func TestSANPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"dns:a.example.com", "a.example.com", true},
		{"dns:a.example.com", "aXexample.com", false},
		{"dns:*.example.com", "a.example.com", true},
		{"dns:*.example.com", "a.b.example.com", false},
		{"dns:*.example.com", ".example.com", false},
		{"dns:*.example.com", "example.com", false},
		{"dns:**.example.com", "a.b.example.com", true},
		{"dns:api-*.example.com", "api-7.example.com", true},
		{"dns:*.example.com", "a.example.com.evil.org", false},
		{"dns:*.example.com", "a.example.com\x00.evil.org", false},
		{"uri:spiffe://prod/ns/*/sa/*", "spiffe://prod/ns/a/sa/b", true},
		{"uri:spiffe://prod/ns/*/sa/*", "spiffe://prod/ns/a/b/sa/c", false},
		{"uri:spiffe://prod/**", "spiffe://prod/ns/a/sa/b", true},
		{"uri:spiffe://prod/**", "spiffe://prod.evil/ns", false},
		{"email:*@example.com", "ops@example.com", true},
		{"email:*@example.com", "a@b@example.com", false},
	} {
		p, err := parseSAN(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if p.matches(c.name) != c.want {
			t.Errorf("%s and %q: want %v", c.pattern, c.name, c.want)
		}
	}
	for _, text := range []string{"", "a.example.com", "dns:", "host:x", "ip:10.0.0.0/8", "uri:*", "uri:*://prod/x", "dns:*****************"} {
		if _, err := parseSAN(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
