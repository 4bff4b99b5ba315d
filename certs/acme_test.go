package certs

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gopura/config"
	"gopura/internal/acmeca"
)

// cleartext is a listener that answers http-01 as the gateway does.
func cleartext(t *testing.T, terms *atomic.Pointer[Terms]) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := terms.Load().Answer([]byte(r.Host), []byte(r.URL.Path)); ok {
			w.Write(text)
			return
		}
		w.WriteHeader(404)
	})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// got waits for a certificate by the CA.
func (d *door) got(ca *acmeca.CA, name string) *x509.Certificate {
	d.t.Helper()
	roots := ca.Issuer.Pool()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		tc, _, err := d.dial(&tls.Config{ServerName: name, RootCAs: roots})
		if err == nil {
			return tc.ConnectionState().PeerCertificates[0]
		}
		if time.Now().After(end) {
			d.t.Fatalf("no certificate for %s: %v; the CA says %q", name, err, ca.Faults())
		}
	}
}

// Certificates are got by either challenge, kept in a folder of our own, used
// again by the next start, and asked for only for the names that are listed.
func TestACME(t *testing.T) {
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			ca := acmeca.Start(t)
			var terms atomic.Pointer[Terms]
			ca.HTTP = cleartext(t, &terms)
			storage := filepath.Join(t.TempDir(), "acme")
			conf := &config.TLS{SelfSigned: true} // until there is an address
			d := openDoor(t, conf)
			ca.TLS = d.ln.Addr().String()
			conf = &config.TLS{ACME: &config.ACME{
				Domains: []string{"Shop.test"}, Email: "admin@shop.test", CA: ca.URL, CARoot: ca.Root, Storage: storage, Challenge: []string{kind},
			}, Client: &config.ClientCerts{CA: ca.Root, Mode: "optional"}}
			d.use(conf)
			terms.Store(d.terms.Load())
			first := d.got(ca, "shop.test")
			if v := ca.Validations(); !slices.Equal(v, []string{kind + " shop.test"}) {
				t.Errorf("validated by %q, faults %q", v, ca.Faults())
			}
			checkFolder(t, storage)

			// a reload changes nothing, another domain is got beside it
			conf.ACME.Domains = append(conf.ACME.Domains, "www.test")
			d.use(conf)
			terms.Store(d.terms.Load())
			if again := d.got(ca, "shop.test"); !again.Equal(first) {
				t.Error("another certificate after a reload")
			}
			d.got(ca, "www.test")
			if n := ca.Orders(); n != 2 {
				t.Errorf("%d orders, want 2", n)
			}

			// names that are not listed are never asked for
			for _, name := range []string{"evil.test", "xn--80ak6aa92e.test", strings.Repeat("a.", 100) + "test"} {
				d.dial(named(name))
				d.dial(&tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: []string{alpnProtocol}})
				if _, ok := terms.Load().Answer([]byte(name), []byte(challengePath+"token")); ok {
					t.Errorf("a challenge for %s is answered", name)
				}
			}
			// nor are tokens answered that nobody has given us
			for _, path := range []string{challengePath + "token", challengePath, challengePath + "../../x", challengePath + "%2e", "/"} {
				if text, ok := terms.Load().Answer([]byte("shop.test"), []byte(path)); ok {
					t.Errorf("%s is answered: %q", path, text)
				}
			}
			if n := ca.Orders(); n != 2 {
				t.Errorf("%d orders, want 2", n)
			}

			// the next start finds what is in the folder, before the first client comes
			next := openDoor(t, conf)
			if tc, _, err := next.dial(&tls.Config{ServerName: "shop.test", RootCAs: ca.Issuer.Pool()}); err != nil || !tc.ConnectionState().PeerCertificates[0].Equal(first) {
				t.Errorf("after a restart: %v", err)
			}
			if n := ca.Orders(); n != 2 {
				t.Errorf("%d orders after a restart, want 2", n)
			}
		})
	}
}

// checkFolder checks that nobody else may look into the folder.
func checkFolder(t *testing.T, folder string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		n++
		return err
	})
	if err != nil || n < 5 {
		t.Errorf("%d files, %v", n, err)
	}
}

// Without a valid answer there is no certificate, and the CA is not hammered.
func TestACMEFails(t *testing.T) {
	ca := acmeca.Start(t)
	ca.HTTP = "127.0.0.1:1" // nobody
	conf := &config.TLS{ACME: &config.ACME{Domains: []string{"shop.test"}, CA: ca.URL, CARoot: ca.Root, Storage: filepath.Join(t.TempDir(), "acme"), Challenge: []string{"http-01"}}}
	d := openDoor(t, conf)
	deadline := time.Now().Add(10 * time.Second)
	for len(ca.Faults()) == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	if _, r, err := d.dial(named("shop.test")); err == nil || r.err == nil || !strings.Contains(r.err.Error(), "no certificate for shop.test yet") {
		t.Errorf("%v, %v", err, r.err)
	}
	if n := ca.Orders(); n > 2 {
		t.Errorf("%d orders", n)
	}
}

// What certmagic logs comes out of the gateway's own log, with its fields.
func TestBridge(t *testing.T) {
	var out strings.Builder
	log := zapLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
	log.Debug("hidden")
	log.Sugar().With("identifier", "shop.test").Warnw("trying again", "attempt", 2, "error", os.ErrNotExist)
	got := out.String()
	for _, want := range []string{"level=WARN", `msg="acme: trying again"`, "identifier=shop.test", "attempt=2", "file does not exist"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
	if strings.Contains(got, "hidden") {
		t.Error("debug records come through")
	}
}
