package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopura/config"
)

// Upstream returns how the targets of a service are verified, and a
// fingerprint of all that it hangs on. Without settings (nil) that is as
// browsers do it. On a fault there is no config: nothing goes on unverified.
func Upstream(c *config.UpstreamTLS) (*tls.Config, string, []Fault) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(64), CurvePreferences: curves}
	if c == nil {
		return conf, "", nil
	}
	var faults []Fault
	fault := func(path string, err error) { faults = append(faults, Fault{Path: path, Pos: c.Pos, Err: err}) }
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %v %q\n", c.ServerName, c.Names, c.Pins, c.Insecure, c.MinVersion)
	if c.MinVersion == "1.3" {
		conf.MinVersion = tls.VersionTLS13
	}
	conf.ServerName, conf.InsecureSkipVerify = c.ServerName, c.Insecure
	if c.CA != "" {
		pool, _, text, err := loadPool(c.CA)
		if err != nil {
			fault("ca", err)
		}
		conf.RootCAs = pool
		h.Write(text)
	}
	if c.Cert != "" {
		pair, err := loadPair(c.Cert, c.Key)
		if err != nil {
			fault("cert", err)
		} else {
			conf.Certificates = []tls.Certificate{*pair.current.Load()}
			h.Write([]byte(pair.key))
		}
	}
	v := &verifier{roots: conf.RootCAs}
	for _, name := range c.Names {
		v.names = append(v.names, fold(name))
	}
	for _, pin := range c.Pins {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(pin, "sha256/"))
		if err != nil || len(sum) != sha256.Size {
			fault("pins", errors.New("not the SHA-256 of a public key in base64"))
			continue
		}
		v.pins = append(v.pins, [sha256.Size]byte(sum))
	}
	if len(faults) > 0 {
		return nil, "", faults
	}
	if (len(v.names) > 0 || len(v.pins) > 0) && !c.Insecure {
		conf.VerifyConnection = v.verify
		// With names of its own the service is not called by server_name, which
		// Go would insist on; verify does all that Go does, but for that.
		conf.InsecureSkipVerify = len(v.names) > 0
	}
	return conf, fmt.Sprintf("%x", h.Sum(nil)), nil
}

// UpstreamFiles are the files that the settings name, to be watched.
func UpstreamFiles(c *config.UpstreamTLS) (list []string) {
	for _, f := range []string{c.CA, c.Cert, c.Key} {
		if f != "" {
			list = append(list, f)
		}
	}
	return list
}

// verifier verifies targets by names and keys of their own.
type verifier struct {
	roots *x509.CertPool
	names []string
	pins  [][sha256.Size]byte
}

var (
	errUnnamed  = errors.New("the certificate carries none of the names that the service may have")
	errUnpinned = errors.New("no public key of the certificate's chain is pinned")
)

// verify runs for every connection, resumed ones included.
func (v *verifier) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errUnnamed
	}
	leaf, chains := state.PeerCertificates[0], state.VerifiedChains
	if len(v.names) > 0 {
		opts := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool(), CurrentTime: time.Now()}
		for _, c := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		var err error
		if chains, err = leaf.Verify(opts); err != nil {
			return err
		}
		if !slices.ContainsFunc(v.names, func(name string) bool { return leaf.VerifyHostname(name) == nil }) {
			return errUnnamed
		}
	}
	if len(v.pins) == 0 {
		return nil
	}
	for _, chain := range chains {
		for _, c := range chain {
			if slices.Contains(v.pins, sha256.Sum256(c.RawSubjectPublicKeyInfo)) {
				return nil
			}
		}
	}
	return errUnpinned
}
