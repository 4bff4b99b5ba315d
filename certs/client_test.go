package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/testca"
)

// Every mode meets every kind of client certificate, in both versions.
func TestClientCertificates(t *testing.T) {
	ca, clients, foreign := testca.New(t, "root"), testca.New(t, "clients"), testca.New(t, "foreign")
	good, revoked := clients.Client("alice"), clients.Client("mallory")
	expired := clients.Issue(testca.Leaf{CommonName: "old", Client: true, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	wrongUse := clients.Server("alice")
	list := filepath.Join(t.TempDir(), "list.crl")
	clients.List(list, time.Now().Add(time.Hour), revoked)
	const refused, anonymous, verified = "refused", "anonymous", "verified"
	for _, mode := range []struct {
		name                             string
		none, good, bad, revoked, noList string
	}{
		{"required", refused, verified, refused, refused, refused},
		{"optional", anonymous, verified, refused, refused, refused},
		{"request", anonymous, verified, anonymous, anonymous, anonymous},
	} {
		d := openDoor(t, &config.TLS{Certificates: files(ca.Server("a.test")), Client: &config.ClientCerts{CA: clients.File, Mode: mode.name, CRL: list}})
		for _, c := range []struct {
			what string
			cert *testca.Pair
			want string
		}{
			{"none", nil, mode.none},
			{"valid", &good, mode.good},
			{"of another authority", ptr(foreign.Client("alice")), mode.bad},
			{"expired", &expired, mode.bad},
			{"for servers", &wrongUse, mode.bad},
			{"revoked", &revoked, mode.revoked},
			{"of an intermediate without a list", ptr(clients.Intermediate("below").Client("bob")), mode.noList},
		} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				client := named("a.test")
				client.MaxVersion = version
				if c.cert != nil {
					client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert.TLS, nil }
				}
				_, r, err := d.dial(client)
				got := refused
				if err == nil && r.err == nil {
					got = anonymous
					if len(r.conn.State().VerifiedChains) > 0 {
						got = verified
					}
				}
				if got != c.want {
					t.Errorf("%s, %s, %s: %s, want %s (%v, %v)", mode.name, c.what, tls.VersionName(version), got, c.want, err, r.err)
				}
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }

// Lists fail closed: stale, foreign, of the wrong kind.
func TestRevocationLists(t *testing.T) {
	clients, foreign := testca.New(t, "clients"), testca.New(t, "foreign")
	alice := clients.Client("alice")
	dir := t.TempDir()
	load := func(file string) (*trust, error) {
		tr, _, err := loadTrust(&config.ClientCerts{CA: clients.File, Mode: "required", CRL: file})
		return tr, err
	}
	now := time.Now()
	file := filepath.Join(dir, "a.crl")
	clients.List(file, now.Add(time.Hour))
	tr, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	shown := alice.TLS.Leaf
	for _, c := range []struct {
		what string
		at   time.Time
		want error
	}{
		{"current", now, nil},
		{"before it is current", now.Add(-90 * time.Minute), errForeign},
		{"after it was current", now.Add(time.Hour + time.Second), errStale},
	} {
		if _, err := tr.judge([]*x509.Certificate{shown}, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	p, err := tr.judge([]*x509.Certificate{shown}, now)
	if err != nil || p.until.After(now.Add(time.Hour+time.Second)) {
		t.Errorf("a proof that outlives its list: %v, %v", p, err)
	}

	// of several lists the latest counts; DER is fine as well
	older, _ := os.ReadFile(file)
	clients.List(file, now.Add(time.Hour), alice)
	newer, _ := os.ReadFile(file)
	der, _ := pem.Decode(newer)
	for _, text := range [][]byte{slices.Concat(newer, older), slices.Concat(older, newer), der.Bytes} {
		os.WriteFile(file, text, 0o600)
		if tr, err = load(file); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.judge([]*x509.Certificate{shown}, now); !errors.Is(err, errRevoked) {
			t.Errorf("the latest list does not count: %v", err)
		}
	}

	foreign.List(file, now.Add(time.Hour))
	if _, err := load(file); !errors.Is(err, errNobody) {
		t.Errorf("a foreign list: %v", err)
	}
	os.WriteFile(file, []byte("nothing\n"), 0o600)
	if _, err := load(file); !errors.Is(err, errNoList) {
		t.Errorf("no list: %v", err)
	}
}

// A connection that is open when the rules change must live up to the new ones.
func TestRulesChangeUnderConnections(t *testing.T) {
	ca, clients, others := testca.New(t, "root"), testca.New(t, "clients"), testca.New(t, "others")
	alice := clients.Client("alice")
	list := filepath.Join(t.TempDir(), "list.crl")
	clients.List(list, time.Now().Add(time.Hour))
	pair := files(ca.Server("a.test"))
	host := []byte("a.test")
	with := func(mode, ca, crl string) *config.TLS {
		return &config.TLS{Certificates: pair, Client: &config.ClientCerts{CA: ca, Mode: mode, CRL: crl}}
	}
	connect := func(d *door, certs ...tls.Certificate) *Conn {
		client := named("a.test")
		client.Certificates = certs
		_, r, err := d.dial(client)
		if err != nil {
			t.Fatal(err, r.err)
		}
		return r.conn
	}
	d := openDoor(t, &config.TLS{Certificates: pair})
	stranger := connect(d)
	d.use(with("optional", clients.File, ""))
	known, anonymous := connect(d, alice.TLS), connect(d)
	admitted := func(what string, c *Conn, want bool) {
		t.Helper()
		if got := c.Admits(host, time.Now()); got != want {
			t.Errorf("%s: admitted is %v", what, got)
		}
	}
	admitted("optional: a connection from before", stranger, true)
	admitted("optional: alice", known, true)
	d.use(with("required", clients.File, list))
	admitted("required: a connection from before", stranger, false)
	admitted("required: alice", known, true)
	admitted("required: an anonymous one", anonymous, false)
	clients.List(list, time.Now().Add(time.Hour), alice)
	d.use(with("request", clients.File, list))
	admitted("revoked: alice, of whom was said that she is verified", known, false)
	d.use(with("required", others.File, ""))
	admitted("another authority", known, false)
	d.use(&config.TLS{Certificates: pair})
	admitted("nothing is asked any more", anonymous, true)
}

// A ticket does not outlive the list that vouched for its client.
func TestResumptionAfterListExpired(t *testing.T) {
	ca, clients := testca.New(t, "root"), testca.New(t, "clients")
	list := filepath.Join(t.TempDir(), "list.crl")
	until := time.Now().Add(3 * time.Second)
	clients.List(list, until)
	d := openDoor(t, &config.TLS{Certificates: files(ca.Server("a.test")), Client: &config.ClientCerts{CA: clients.File, Mode: "required", CRL: list}})
	client := named("a.test")
	client.Certificates, client.ClientSessionCache = []tls.Certificate{clients.Client("alice").TLS}, tls.NewLRUClientSessionCache(1)
	_, r, err := d.dial(client)
	if err != nil || !r.conn.Admits(nil, time.Now()) {
		t.Fatal(err, r.err)
	}
	time.Sleep(time.Until(until.Add(time.Second)))
	if r.conn.Admits(nil, time.Now()) {
		t.Error("the connection is still good")
	}
	if _, r, err := d.dial(client); err == nil || !errors.Is(r.err, errStale) {
		t.Errorf("%v, %v", err, r.err)
	}
}

// Whatever a list holds: no panic, and nothing that is no current, signed list
// lets a certificate pass.
func FuzzRevocationList(f *testing.F) {
	ca := testca.New(f, "clients")
	file := filepath.Join(f.TempDir(), "list.crl")
	revoked := ca.Client("mallory")
	ca.List(file, time.Now().Add(time.Hour), revoked)
	seed, _ := os.ReadFile(file)
	f.Add(seed)
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x01})
	f.Add([]byte("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRevocations(text, []*x509.Certificate{ca.Cert})
		if err != nil {
			return
		}
		if _, err := r.check([]*x509.Certificate{revoked.Leaf, ca.Cert}, time.Now()); err == nil {
			t.Error("the revoked certificate passes")
		}
	})
}

// Whatever a file holds, reading certificates from it does not panic.
func FuzzCertificates(f *testing.F) {
	ca := testca.New(f, "root")
	seed, _ := os.ReadFile(ca.File)
	f.Add(seed)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if list, err := parseCertificates(text); err == nil && len(list) == 0 {
			t.Error("none, and no error")
		}
	})
}
