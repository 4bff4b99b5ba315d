package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"gopura/config"
	"gopura/lifetime"
)

// acmePlan is what a configuration says about getting certificates, checked.
type acmePlan struct {
	conf    *config.ACME
	domains []string // folded
	roots   *x509.CertPool
	http    bool // http-01 can be answered
	alpn    bool
	shared  *Shared // nil: the storage is a folder
	key     string
}

// planACME reads what is needed to speak to the CA. cleartext says that the
// gateway has a listener that can answer http-01; shared is nil when there is no
// store.
func planACME(c *config.ACME, cleartext bool, shared *Shared) (*acmePlan, *Fault) {
	p := &acmePlan{
		conf: c, http: cleartext && slices.Contains(c.Challenge, "http-01"), alpn: slices.Contains(c.Challenge, "tls-alpn-01"),
	}
	for _, d := range c.Domains {
		p.domains = append(p.domains, fold(d))
	}
	if !p.http && !p.alpn {
		return nil, &Fault{Path: "acme.challenge", Pos: c.Pos, Err: errors.New("http-01 needs a listener without TLS")}
	}
	var root []byte
	if c.CARoot != "" {
		var err error
		if p.roots, _, root, err = loadPool(c.CARoot); err != nil {
			return nil, &Fault{Path: "acme.ca_root", Pos: c.Pos, Err: err}
		}
	}
	storage, err := p.place(shared)
	if err != nil {
		return nil, &Fault{Path: "acme.storage", Pos: c.Pos, Err: err}
	}
	text, _ := json.Marshal([]any{c.CA, c.Email, storage, p.http, p.alpn, sha256.Sum256(root)})
	p.key = "acme " + string(text)
	return p, nil
}

// place is where certificates are kept, so that no two places are the same text.
func (p *acmePlan) place(shared *Shared) (string, error) {
	if p.conf.Storage != inStore {
		folder, err := filepath.Abs(p.conf.Storage)
		if err != nil {
			return "", err
		}
		return folder, private(folder)
	}
	if p.shared = shared; shared == nil {
		return "", errNoStore
	}
	return "store " + shared.Key, nil
}

// private checks a folder that holds keys: nobody else may look into it. One
// that is not there is fine; it will be made.
func private(folder string) error {
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder", folder)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s holds keys, and others may look into it (its mode is %#o): chmod 700 it", folder, info.Mode().Perm())
	}
	return nil
}

// directory is the address of a CA by its name.
func directory(ca string) string {
	switch ca {
	case "letsencrypt":
		return certmagic.LetsEncryptProductionCA
	case "letsencrypt-staging":
		return certmagic.LetsEncryptStagingCA
	}
	return ca
}

// manager gets certificates from a CA and renews them. All listeners with the
// same settings share it. It asks for certificates of domains that somebody has
// claimed, and never because a client came with a name.
type manager struct {
	magic  *certmagic.Config
	cache  *certmagic.Cache
	issuer *certmagic.ACMEIssuer
	decoy  net.Listener

	mu     sync.Mutex
	claims map[string]*claim
}

// claim is a domain that is wanted.
type claim struct {
	count int
	ctx   context.Context // ends with the last one who wants it
	end   context.CancelFunc
	begun bool
}

// stored is how long the start waits for certificates that are in the storage.
const stored = 3 * time.Second

// open adopts or makes the manager, and claims the domains in it.
func (p *acmePlan) open(s *lifetime.Scope, pool *lifetime.Pool, log *slog.Logger) (*manager, error) {
	m, err := lifetime.Hold(pool, s, p.key, func() (*manager, func(), error) {
		m, err := newManager(p, log)
		if err != nil {
			return nil, nil, err
		}
		return m, m.close, nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range p.domains {
		m.claim(d)
		s.Add(func() { m.release(d) })
	}
	m.preload(p.domains)
	return m, nil
}

func newManager(p *acmePlan, log *slog.Logger) (*manager, error) {
	var kept certmagic.Storage = &certmagic.FileStorage{Path: p.conf.Storage}
	if p.shared != nil {
		kept = newStorage(p.shared.Values)
	} else if err := os.MkdirAll(p.conf.Storage, 0o700); err != nil {
		return nil, err
	}
	m := &manager{claims: map[string]*claim{}}
	// certmagic opens a port for each challenge unless somebody listens there
	// already, who is then trusted to answer. That is us, on whatever ports we
	// have; this socket stands for them.
	var err error
	if m.decoy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go refuseAll(m.decoy)
	logger := zapLogger(log)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m.magic, nil },
		Logger:           logger,
	})
	m.magic = certmagic.New(m.cache, certmagic.Config{Storage: kept, Logger: logger})
	port := m.decoy.Addr().(*net.TCPAddr).Port
	m.issuer = certmagic.NewACMEIssuer(m.magic, certmagic.ACMEIssuer{
		CA: directory(p.conf.CA), Email: p.conf.Email, Agreed: true, TrustedRoots: p.roots, Logger: logger,
		DisableHTTPChallenge: !p.http, DisableTLSALPNChallenge: !p.alpn,
		ListenHost: "127.0.0.1", AltHTTPPort: port, AltTLSALPNPort: port,
	})
	m.magic.Issuers = []certmagic.Issuer{m.issuer}
	return m, nil
}

func refuseAll(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		c.Close()
	}
}

func (m *manager) close() {
	m.cache.Stop()
	m.decoy.Close()
}

func (m *manager) claim(domain string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.claims[domain]
	if c == nil {
		c = &claim{}
		c.ctx, c.end = context.WithCancel(context.Background())
		m.claims[domain] = c
	}
	c.count++
}

func (m *manager) release(domain string) {
	m.mu.Lock()
	c := m.claims[domain]
	c.count--
	last := c.count == 0
	if last {
		delete(m.claims, domain)
		c.end()
	}
	m.mu.Unlock()
	if last {
		m.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: domain}})
	}
}

// manage begins to keep certificates for domains, once for each.
func (m *manager) manage(domains []string) {
	for _, d := range domains {
		m.mu.Lock()
		c := m.claims[d]
		begin := c != nil && !c.begun
		if begin {
			c.begun = true
		}
		m.mu.Unlock()
		if begin && m.magic.ManageAsync(c.ctx, []string{d}) != nil {
			go m.manageLater(c.ctx, d)
		}
	}
}

// manageLater begins again where the storage could not be read. (What goes wrong
// with the authority is logged, and tried again, by certmagic itself.)
func (m *manager) manageLater(ctx context.Context, domain string) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if m.magic.ManageAsync(ctx, []string{domain}) == nil {
			return
		}
	}
}

// preload takes the certificates that are in the storage into use, so that a
// start finds them before the first client comes.
func (m *manager) preload(domains []string) {
	ctx, cancel := context.WithTimeout(context.Background(), stored)
	defer cancel()
	var have []string
	for _, d := range domains {
		key := certmagic.StorageKeys.SiteCert(m.issuer.IssuerKey(), d)
		if m.magic.Storage.Exists(ctx, key) {
			have = append(have, d)
		}
	}
	m.manage(have)
	for end := time.Now().Add(stored); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if !slices.ContainsFunc(have, func(d string) bool { return len(m.cache.AllMatchingCertificates(d)) == 0 }) {
			return
		}
	}
}

// chains are the certificates of domains, those that are still to come included.
func (m *manager) chains(domains []string) (list []*chain) {
	for _, d := range domains {
		c := &chain{names: names{exact: map[string]bool{d: true}}, label: []string{d}}
		c.from = origin{kind: "acme", look: func() *tls.Certificate { return m.look(d) }}
		c.get = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked := *hello
			asked.ServerName = d // the default is asked for by other names
			asked.SupportedProtos = nil
			cert, err := m.magic.GetCertificate(&asked)
			if err != nil || cert == nil || len(cert.Certificate) == 0 {
				return nil, fmt.Errorf("there is no certificate for %s yet", d)
			}
			return cert, nil
		}
		list = append(list, c)
	}
	return list
}
