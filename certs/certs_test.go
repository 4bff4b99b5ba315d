package certs

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/testca"
	"gopura/lifetime"
)

var quiet = slog.New(slog.DiscardHandler)

// door is a listener under test, whose settings can be replaced.
type door struct {
	Listener
	t     *testing.T
	ln    net.Listener
	pool  lifetime.Pool
	scope *lifetime.Scope
	last  chan result

	shared *Shared // nil: there is no store
}

// result is what the listener made of a connection.
type result struct {
	conn *Conn
	err  error
}

func openDoor(t *testing.T, conf *config.TLS) *door {
	t.Helper()
	return openSharedDoor(t, conf, nil)
}

// openSharedDoor opens one of several replicas, which share a store.
func openSharedDoor(t *testing.T, conf *config.TLS, shared *Shared) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, ln: ln, last: make(chan result, 16), shared: shared}
	d.use(conf)
	go d.accept()
	t.Cleanup(func() {
		ln.Close()
		d.scope.Close()
		if n := d.pool.Len(); n != 0 {
			t.Errorf("%d values are still held", n)
		}
	})
	return d
}

// use puts other settings in force, as a reload does.
func (d *door) use(conf *config.TLS) {
	d.t.Helper()
	plan, faults := Load("main", conf, []string{"h2", "http/1.1"}, true, d.shared)
	for _, f := range faults {
		if !f.Warning {
			d.t.Fatalf("%s: %v", f.Path, f.Err)
		}
	}
	scope := new(lifetime.Scope)
	terms, err := plan.Open(scope, &d.pool, quiet)
	if err != nil {
		d.t.Fatal(err)
	}
	d.Use(terms)
	if d.scope != nil {
		d.scope.Close()
	}
	d.scope = scope
}

func (d *door) accept() {
	for {
		nc, err := d.ln.Accept()
		if err != nil {
			return
		}
		go func() {
			tc, c, err := d.Handshake(nc)
			if err != nil {
				nc.Close()
				d.last <- result{nil, err}
				return
			}
			tc.Write([]byte("."))
			d.last <- result{c, nil}
			io.Copy(io.Discard, tc) // until the client closes
			tc.Close()
		}()
	}
}

// dial makes a connection and waits for a byte of the server, so that with
// TLS 1.3 too the client knows whether it was let in.
func (d *door) dial(conf *tls.Config) (*tls.Conn, result, error) {
	d.t.Helper()
	nc, err := net.Dial("tcp", d.ln.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	tc := tls.Client(nc, conf)
	d.t.Cleanup(func() { tc.Close() })
	_, err = io.ReadFull(tc, make([]byte, 1))
	return tc, <-d.last, err
}

// named is a client that asks for a name and does not care for the answer.
func named(name string) *tls.Config { return &tls.Config{ServerName: name, InsecureSkipVerify: true} }

func files(pairs ...testca.Pair) (list []config.Certificate) {
	for _, p := range pairs {
		list = append(list, config.Certificate{Cert: p.Cert, Key: p.Key})
	}
	return list
}

// The certificate follows the server name: exact, wildcard, default.
func TestServerName(t *testing.T) {
	ca := testca.New(t, "root")
	first, shop, wild, old := ca.Server("first.test"), ca.Server("shop.test", "127.0.0.1"), ca.Server("*.shop.test"), ca.Issue(testca.Leaf{Names: []string{"shop.test"}, RSA: true})
	conf := &config.TLS{Certificates: files(first, shop, wild, old)}
	d := openDoor(t, conf)
	for _, c := range []struct {
		name string
		want testca.Pair
		min  uint16
	}{
		{"first.test", first, 0},
		{"shop.test", shop, 0},
		{"SHOP.Test", shop, 0},
		{"www.shop.test", wild, 0},
		{"WWW.shop.test", wild, 0},
		{"a.www.shop.test", first, 0}, // a wildcard stands for one label
		{"unknown.test", first, 0},
		{"", first, 0},
	} {
		tc, r, err := d.dial(named(c.name))
		if err != nil || r.err != nil {
			t.Fatalf("%q: %v, %v", c.name, err, r.err)
		}
		if got := tc.ConnectionState().PeerCertificates[0]; !got.Equal(c.want.Leaf) {
			t.Errorf("%q: presented %v, want %v", c.name, got.DNSNames, c.want.Leaf.DNSNames)
		}
	}
	rsaOnly := named("shop.test")
	rsaOnly.MaxVersion, rsaOnly.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	if tc, _, err := d.dial(rsaOnly); err != nil || !tc.ConnectionState().PeerCertificates[0].Equal(old.Leaf) {
		t.Errorf("a client that only knows RSA: %v", err)
	}
	conf.StrictSNI = true
	d.use(conf)
	for _, name := range []string{"unknown.test", "", "a.www.shop.test"} {
		if _, r, err := d.dial(named(name)); err == nil || r.err == nil {
			t.Errorf("strict_sni lets %q in", name)
		}
	}
	if _, _, err := d.dial(named("WWW.shop.test")); err != nil {
		t.Errorf("strict_sni: %v", err)
	}
}

// A server name with a dot at its end is not valid (RFC 6066 §3): refused, not
// taken for another name.
func TestServerNameWithDot(t *testing.T) {
	ca := testca.New(t, "root")
	d := openDoor(t, &config.TLS{Certificates: files(ca.Server("shop.test"))})
	// Go's client takes the dot away; so the bytes of the hello are changed on the way.
	nc, err := net.Dial("tcp", d.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tls.Client(&rewriter{Conn: nc, old: "shop.tesx", new: "shop.tes."}, named("shop.tesx")).Handshake()
	if r := <-d.last; r.err == nil {
		t.Error("accepted")
	}
}

type rewriter struct {
	net.Conn
	old, new string
}

func (r *rewriter) Write(p []byte) (int, error) {
	r.Conn.Write([]byte(strings.Replace(string(p), r.old, r.new, 1)))
	return len(p), nil
}

// Profiles and versions.
func TestVersions(t *testing.T) {
	ca := testca.New(t, "root")
	pair := ca.Issue(testca.Leaf{Names: []string{"a.test"}, RSA: true})
	for _, c := range []struct {
		conf       config.TLS
		version    uint16
		suite      uint16
		want       uint16
		wantsError bool
	}{
		{config.TLS{}, 0, 0, tls.VersionTLS13, false},
		{config.TLS{}, tls.VersionTLS12, 0, tls.VersionTLS12, false},
		{config.TLS{}, tls.VersionTLS11, 0, 0, true},
		{config.TLS{}, tls.VersionTLS10, 0, 0, true},
		{config.TLS{}, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, 0, true},        // no forward secrecy
		{config.TLS{}, tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, 0, true},     // CBC
		{config.TLS{}, tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 0, false}, // of the list
		{config.TLS{MinVersion: "1.3"}, tls.VersionTLS12, 0, 0, true},
		{config.TLS{Profile: "modern"}, tls.VersionTLS12, 0, 0, true},
		{config.TLS{Profile: "modern"}, 0, 0, tls.VersionTLS13, false},
	} {
		c.conf.Certificates = files(pair)
		d := openDoor(t, &c.conf)
		client := named("a.test")
		if client.MaxVersion = c.version; c.version != 0 {
			client.MinVersion = tls.VersionTLS10
		}
		if c.suite != 0 {
			client.CipherSuites = []uint16{c.suite}
		}
		tc, _, err := d.dial(client)
		if (err != nil) != c.wantsError {
			t.Errorf("%+v, version %x, suite %x: %v", c.conf, c.version, c.suite, err)
		} else if v := tc.ConnectionState().Version; err == nil && c.want != 0 && v != c.want {
			t.Errorf("%+v: %s", c.conf, tls.VersionName(v))
		}
	}
}

// A session is resumed over reloads, also when the certificate was renewed
// meanwhile; but not when what it vouches for has changed.
func TestResumption(t *testing.T) {
	ca, clients, others := testca.New(t, "root"), testca.New(t, "clients"), testca.New(t, "others")
	server, renewed, alice := ca.Server("a.test"), ca.Server("a.test"), clients.Client("alice")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conf := &config.TLS{Certificates: files(server), Client: &config.ClientCerts{CA: clients.File, Mode: "required"}}
		d := openDoor(t, conf)
		client := named("a.test")
		client.MaxVersion = version
		client.Certificates = []tls.Certificate{alice.TLS}
		client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		resumed := func(what string, want bool) {
			t.Helper()
			tc, r, err := d.dial(client)
			if err != nil {
				t.Fatalf("%s: %v, %v", what, err, r.err)
			}
			if got := tc.ConnectionState().DidResume; got != want {
				t.Errorf("%s, %s: resumed is %v", tls.VersionName(version), what, got)
			}
			if len(r.conn.State().VerifiedChains) == 0 {
				t.Errorf("%s: the client's certificate is lost", what)
			}
			tc.Close()
		}
		resumed("first", false)
		resumed("second", true)
		conf.Certificates = files(renewed)
		d.use(conf)
		resumed("after the certificate was renewed", true)
		conf.MinVersion = "1.2"
		d.use(conf)
		resumed("after a reload", true)
		conf.Client = &config.ClientCerts{CA: others.File, Mode: "required"}
		d.use(conf)
		if _, r, err := d.dial(client); err == nil || r.err == nil {
			t.Errorf("%s: the session outlives the authority that it hangs on", tls.VersionName(version))
		}
		if d.Full.Load() != 1 || d.Resumed.Load() != 3 || d.Failed.Load() != 1 {
			t.Errorf("%d full, %d resumed, %d failed", d.Full.Load(), d.Resumed.Load(), d.Failed.Load())
		}
	}
}

// A certificate for development stays the same over reloads, and fits any host.
func TestSelfSigned(t *testing.T) {
	d := openDoor(t, &config.TLS{SelfSigned: true})
	first, r, err := d.dial(named("anything.test"))
	if err != nil || !r.conn.Admits([]byte("other.test"), time.Now()) {
		t.Fatal(err)
	}
	d.use(&config.TLS{SelfSigned: true, MinVersion: "1.3"})
	second, _, err := d.dial(named("localhost"))
	if err != nil || !second.ConnectionState().PeerCertificates[0].Equal(first.ConnectionState().PeerCertificates[0]) {
		t.Errorf("another certificate after a reload (%v)", err)
	}
}

// What is wrong with files is said, with the file and without the key.
func TestLoadFaults(t *testing.T) {
	ca := testca.New(t, "root")
	a, b := ca.Server("a.test"), ca.Server("b.test")
	expired := ca.Issue(testca.Leaf{Names: []string{"c.test"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	for _, c := range []struct {
		conf    config.TLS
		path    string
		says    string
		warning bool
	}{
		{config.TLS{Certificates: []config.Certificate{{Cert: a.Cert, Key: b.Key}}}, "certificates[0]", "does not match", false},
		{config.TLS{Certificates: []config.Certificate{{Cert: "none.pem", Key: b.Key}}}, "certificates[0]", "none.pem", false},
		{config.TLS{Certificates: []config.Certificate{{Cert: a.Key, Key: a.Key}}}, "certificates[0]", "certificate", false},
		{config.TLS{Certificates: files(a, expired)}, "certificates[1]", "expired", true},
		{config.TLS{Certificates: files(a), Client: &config.ClientCerts{CA: a.Key}}, "client.ca", "PRIVATE KEY", false},
		{config.TLS{Certificates: files(a), Client: &config.ClientCerts{CA: t.TempDir()}}, "client.ca", "folder", false},
		{config.TLS{Certificates: files(a), Client: &config.ClientCerts{CA: ca.File, CRL: ca.File}}, "client.crl", "CERTIFICATE", false},
		{config.TLS{ACME: &config.ACME{Domains: []string{"a.test"}, Storage: a.Cert, Challenge: []string{"tls-alpn-01"}}}, "acme.storage", "no folder", false},
		{config.TLS{ACME: &config.ACME{Domains: []string{"a.test"}, Storage: "/", Challenge: []string{"tls-alpn-01"}}}, "acme.storage", "chmod 700", false},
		{config.TLS{ACME: &config.ACME{Domains: []string{"a.test"}, Storage: "x", CARoot: "none", Challenge: []string{"tls-alpn-01"}}}, "acme.ca_root", "none", false},
		{config.TLS{ACME: &config.ACME{Domains: []string{"a.test"}, Storage: "x", Challenge: []string{"http-01"}}}, "acme.challenge", "without TLS", false},
	} {
		_, faults := Load("main", &c.conf, nil, false, nil)
		if len(faults) != 1 || faults[0].Path != c.path || !strings.Contains(faults[0].Err.Error(), c.says) || faults[0].Warning != c.warning {
			t.Errorf("%s: %v, want %q", c.path, faults, c.says)
		}
	}
}

// The host of a request must be one of the certificate's.
func TestAdmits(t *testing.T) {
	ca := testca.New(t, "root")
	d := openDoor(t, &config.TLS{Certificates: files(ca.Server("shop.test", "*.shop.test", "10.0.0.1", "::1"), ca.Server("api.test"))})
	for _, c := range []struct {
		sni, host string
		want      bool
	}{
		{"shop.test", "shop.test", true},
		{"shop.test", "www.shop.test", true},
		{"www.shop.test", "shop.test", true},
		{"shop.test", "a.www.shop.test", false},
		{"shop.test", "api.test", false},
		{"api.test", "shop.test", false},
		{"api.test", "api.test", true},
		{"shop.test", "10.0.0.1", true},
		{"shop.test", "[::1]", true},
		{"api.test", "10.0.0.1", false},
		{"unknown.test", "unknown.test", false}, // it was shown another certificate
		{"unknown.test", "shop.test", true},
		{"", "api.test", true}, // it could not choose
		{"127.0.0.1", "127.0.0.1", true},
		{"api.test", "", true}, // HTTP/1.0 without Host
	} {
		_, r, err := d.dial(named(c.sni))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.conn.Admits([]byte(c.host), time.Now()); got != c.want {
			t.Errorf("%q for %q: %v", c.sni, c.host, got)
		}
	}
	_, r, _ := d.dial(named("shop.test"))
	host, now := []byte("www.shop.test"), time.Now()
	if n := testing.AllocsPerRun(100, func() { r.conn.Admits(host, now) }); n != 0 {
		t.Errorf("Admits allocates %v times", n)
	}
}
